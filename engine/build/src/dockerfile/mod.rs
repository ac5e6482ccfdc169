//! Reading Dockerfiles: from text to instructions, each with its place. What they mean for an image is not known here.

mod span;

pub use span::{Position, Span};
