//! Stories on the real kernel. Each has one obligation, an engine of its own, and ends with an empty ledger.

mod converge;
mod hello;
mod inside;
mod names;
mod order;
mod ports;
mod volumes;
