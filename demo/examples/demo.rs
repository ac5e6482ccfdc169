//! The guest as a program of its own, for trying a verb and for the tests.

#[expect(
    clippy::exit,
    reason = "the exit code is the guest's result, and nothing is left to drop"
)]
fn main() {
    std::process::exit(bowline_demo::main(std::env::args_os().collect()));
}
