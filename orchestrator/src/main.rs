//! `bowline`: the command line, the engine, the shim and the built-in image in one static file.
//!
//! Shim and guest branch off before anything else is set up, because each of them runs once per
//! container and pays for every page it touches.

mod apply;
mod autostart;
mod build;
mod cli;
mod login;
mod logs;
mod terminal;
mod ui;
mod watch;

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let called = arguments
        .first()
        .map(OsString::as_os_str)
        .unwrap_or_default();
    match base_name(called) {
        "bowline-shim" => bowline_engine::shim_main(),
        "bowline-init" => bowline_engine::init_main(),
        _ if bowline_demo::is_guest(called) => exit_code(bowline_demo::main(arguments)),
        _ => cli::run(arguments),
    }
}

fn base_name(path: &OsStr) -> &str {
    let path = path.to_str().unwrap_or_default();
    path.rsplit('/').next().unwrap_or(path)
}

/// Exit codes are one byte; what lies outside is a failure all the same.
fn exit_code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code & 0xff).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides_what_the_program_is() {
        assert_eq!(base_name(OsStr::new("/x/bowline-shim")), "bowline-shim");
        assert_eq!(base_name(OsStr::new("bowline")), "bowline");
        assert_eq!(base_name(OsStr::new("")), "");
    }
}
