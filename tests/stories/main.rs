//! Stories on the real kernel. Each has one obligation, an engine of its own, and ends with an empty ledger.

mod attaching;
mod bad_input;
mod building;
mod completing;
mod converge;
mod full_disk;
mod hello;
mod inside;
mod leaks;
mod limits;
mod lives;
mod logs;
mod looking;
mod names;
mod networks;
mod one_off;
mod order;
mod ports;
mod settings;
mod units;
mod volumes;
mod waiting;
mod watching;
