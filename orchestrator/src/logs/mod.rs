//! Logs of several containers as one text: in the order of time, with prefixes, and without a loss or
//! a repetition when the engine is replaced while they are followed.

mod cursor;
mod follow;
mod line;
mod merge;
mod print;

use std::sync::Arc;

pub(crate) use cursor::Cursor;
pub(crate) use follow::{Follower, Following};
pub(crate) use line::{Line, Splitter};
pub(crate) use merge::history;
pub(crate) use print::{Printer, Shape};

/// A container whose log is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// Its id.
    pub(crate) id: String,
    /// What its lines begin with, such as `web-1`.
    pub(crate) prefix: Arc<str>,
    /// Its place in the order of colours.
    pub(crate) index: usize,
}

/// Which part of a log is wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Span {
    /// Only so many last lines of each container.
    pub(crate) tail: Option<u64>,
    /// Not before.
    pub(crate) since: Option<String>,
    /// Not after.
    pub(crate) until: Option<String>,
}

/// The prefix of a container: its name without the project's.
pub(crate) fn prefix(project: &str, name: &str) -> Arc<str> {
    name.strip_prefix(&format!("{project}-"))
        .unwrap_or(name)
        .into()
}
