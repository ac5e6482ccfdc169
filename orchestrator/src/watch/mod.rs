//! Watching files: from changes to things to do. What is done is the command's business.

mod archive;
mod batch;
mod pattern;
mod rules;
mod source;

pub(crate) use archive::archive;
pub(crate) use batch::{Batch, Change, batch};
pub(crate) use rules::{Rule, rules};
pub(crate) use source::Source;
