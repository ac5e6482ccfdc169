//! The small languages inside strings. Each parser takes a text and answers with a value or with
//! a [`Fault`] that says which bytes are wrong; where those bytes lie in a file is the caller's
//! knowledge.

pub mod dotenv;
pub mod mount;
pub mod port;
pub mod template;
pub mod units;
pub mod words;

use std::ops::Range;

/// What is wrong with a text, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The bytes at fault.
    pub range: Range<usize>,
    /// One sentence without a full stop.
    pub message: String,
    /// What to try.
    pub help: Option<String>,
}

impl Fault {
    /// A fault about some bytes.
    #[must_use]
    pub fn new(range: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            range,
            message: message.into(),
            help: None,
        }
    }

    /// The same with something to try.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// The same fault in a text of which this one is a part that starts at `offset`.
    #[must_use]
    pub fn offset(mut self, offset: usize) -> Self {
        self.range = self.range.start + offset..self.range.end + offset;
        self
    }
}
