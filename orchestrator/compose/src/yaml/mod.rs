//! YAML with the place of everything, in the dialect that Compose's own reader (go-yaml) speaks.
//!
//! Scalars keep their text until a field asks for a type, because whether `014` is a number or a
//! version depends on who asks.

mod read;
mod scalar;
mod syntax;
#[cfg(test)]
mod tests;
mod tree;

pub use read::{Event, ReadError, read_documents};
pub use scalar::{Resolved, resolve};
pub use tree::{Entry, Mapping, MergeTag, Node, Scalar, Value};
