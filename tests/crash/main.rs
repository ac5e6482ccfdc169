//! Nothing is lost when anything is killed: engine, shims, what started them, the rules in the kernel.
//!
//! Every story kills only processes of its own world. Random instants come from a seed that is printed; `BOWLINE_SEED`
//! repeats one, `BOWLINE_CRASH_ROUNDS` asks for more of them.

#![expect(
    clippy::print_stderr,
    reason = "seeds and measures belong beside a story's outcome"
)]

mod ends;
mod instants;
mod kill;
mod lives;
mod load;
mod revival;
mod rules;
mod serving;
mod shims;
mod starter;
