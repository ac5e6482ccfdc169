//! Networks on the real kernel. Each test makes a "host" of its own, a network namespace, and touches nothing else.
//!
//! They need root, `ip` and `nft`; without those a test says so and passes, for there is nothing to be learnt.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "a skipped test says so")]

mod beside;
mod dns;
mod matrix;
mod ports;
mod table;
mod upkeep;
mod world;
