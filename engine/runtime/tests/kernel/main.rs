//! Containers on the real kernel, as root. One static binary is everything: the tests, the shims, the reapers, the
//! guests and, where one has to be killed, the engine.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::exit,
    reason = "a test and its guest"
)]

mod basics;
mod execs;
mod guest;
mod lives;
mod namespaces;
mod ports;
mod protection;
mod rig;
mod streams;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// A test's name and its obligation.
pub(crate) type Test = (&'static str, fn());

fn main() {
    let name = std::env::args().next().unwrap_or_default();
    match name.rsplit('/').next().unwrap_or_default() {
        bowline_runtime::SHIM_NAME => bowline_runtime::shim_main(),
        bowline_runtime::INIT_NAME => bowline_runtime::init_main(),
        "guest" => guest::main(),
        lives::VICTIM => lives::victim(),
        lives::REVIVED => lives::revived(),
        _ => run_all(),
    }
}

fn run_all() {
    let filter: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    if !nix::unistd::geteuid().is_root() {
        println!("kernel tests skipped: they need root");
        return;
    }
    let groups: [&[Test]; 7] = [
        basics::TESTS,
        protection::TESTS,
        streams::TESTS,
        execs::TESTS,
        namespaces::TESTS,
        lives::TESTS,
        ports::TESTS,
    ];
    let chosen =
        |name: &str| filter.is_empty() || filter.iter().any(|part| name.contains(part.as_str()));
    let failed: Vec<&str> = groups
        .iter()
        .flat_map(|group| group.iter())
        .filter(|(name, _)| chosen(name))
        .filter(|(name, test)| !passes(name, *test))
        .map(|(name, _)| *name)
        .collect();
    rig::clean_up();
    println!("kernel tests: {} failed {failed:?}", failed.len());
    std::process::exit(i32::from(!failed.is_empty()));
}

fn passes(name: &str, test: fn()) -> bool {
    let begun = Instant::now();
    let passed = catch_unwind(AssertUnwindSafe(test)).is_ok();
    println!(
        "test {name} ... {} ({} ms)",
        if passed { "ok" } else { "FAILED" },
        begun.elapsed().as_millis()
    );
    passed
}
