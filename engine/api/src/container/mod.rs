//! Containers: what is asked for, what is, and the small bodies around them.

mod config;
mod exec;
mod host;
mod inspect;
mod mount;
mod summary;

pub use config::*;
pub use exec::*;
pub use host::*;
pub use inspect::*;
pub use mount::*;
pub use summary::*;
