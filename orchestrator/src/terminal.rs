//! The caller's terminal: its size, and raw mode while a container's terminal is in front.

use std::io;
use std::os::fd::AsFd as _;

use rustix::termios::{self, OptionalActions, Termios};

/// Rows and columns of the terminal on standard error, else of that on standard input.
pub(crate) fn size() -> Option<(u16, u16)> {
    let errors = termios::tcgetwinsize(io::stderr().as_fd());
    let size = errors
        .or_else(|_| termios::tcgetwinsize(io::stdin().as_fd()))
        .ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

/// Standard input hands on every key as it is; the terminal is as before when this is dropped.
#[derive(Debug)]
pub(crate) struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Sets raw mode, if standard input is a terminal.
    pub(crate) fn enter() -> Option<Self> {
        let before = termios::tcgetattr(io::stdin().as_fd()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &raw).ok()?;
        Some(Self { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A terminal that is gone cannot be restored, and need not be.
        let _gone = termios::tcsetattr(io::stdin().as_fd(), OptionalActions::Drain, &self.before);
    }
}
