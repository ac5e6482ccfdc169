//! A world for stories: the shipped binary, an engine of its own, and a ledger of what the kernel holds before and
//! after. Stories drive the binary as a person does and look at state, never at engine internals.

mod command;
mod ledger;
mod net;
mod pty;
mod wait;
mod world;

pub use command::{Ran, Running};
pub use ledger::{Ledger, Names};
pub use net::{ask, free_port, free_ports, get, page, udp};
pub use pty::Terminal;
pub use wait::eventually;
pub use world::{Folder, World, binary, example};
