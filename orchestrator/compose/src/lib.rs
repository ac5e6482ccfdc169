//! Compose files become a [`Project`](model::Project), or a list of faults that each point at the
//! characters they are about.
//!
//! Nothing here touches the file system, the environment or the clock: files come through a trait,
//! variables as a value.

mod decode;
pub mod diagnostic;
pub mod explain;
pub mod grammar;
pub mod load;
mod merge;
pub mod model;
pub mod origin;
pub mod print;
pub mod schema;
mod shape;
mod similar;
pub mod source;
pub mod support;
mod warnings;
pub mod yaml;

pub use load::{Env, Faults, Files, Inspection, Loaded, Options, inspect, load};
