//! The guest as a program of its own, for trying a verb and for the tests.

fn main() {
    std::process::exit(bowline_demo::main(std::env::args_os().collect()));
}
