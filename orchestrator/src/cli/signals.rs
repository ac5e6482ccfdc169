//! Ctrl-C, TERM and a resized terminal.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::ui::{Outcome, WithContext as _};

/// The signals that ask a command to end.
#[derive(Debug)]
pub(super) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// From now on these signals end nothing by themselves.
    pub(super) fn catch() -> Outcome<Self> {
        let catch = |kind| signal(kind).during("cannot catch signals");
        Ok(Self {
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one; its name as `kill` takes it.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

/// The terminal changed its size.
pub(super) fn resized() -> Outcome<Signal> {
    signal(SignalKind::window_change()).during("cannot catch signals")
}
