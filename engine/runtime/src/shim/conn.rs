//! A connection of an engine's.

use std::collections::VecDeque;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use serde::Serialize;

use crate::Error;
use crate::wire::{self, Frame, Reply};

/// Frames that may wait for an engine before it counts as gone. It adopts us again when it wakes up.
const MOST_WAITING: usize = 1024;

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) number: u64,
    socket: OwnedFd,
    /// Whether it wants to be told things of our own accord.
    pub(super) events: bool,
    waiting: VecDeque<Vec<u8>>,
    /// An event is under way that the engine has not taken yet.
    untaken: bool,
}

impl Connection {
    pub(super) fn new(number: u64, socket: OwnedFd) -> Self {
        Self {
            number,
            socket,
            events: false,
            waiting: VecDeque::new(),
            untaken: false,
        }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) fn has_output(&self) -> bool {
        !self.untaken && !self.waiting.is_empty()
    }

    /// The engine has taken the last event.
    pub(super) fn taken(&mut self) -> Result<(), Gone> {
        self.untaken = false;
        self.flush()
    }

    /// The next request; none when there is none yet.
    pub(super) fn receive(&self) -> Result<Option<Frame>, Gone> {
        match wire::receive(self.fd(), false) {
            Ok(Some(frame)) => Ok(Some(frame)),
            Err(Error::Receive(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                Ok(None)
            }
            Ok(None) | Err(_) => Err(Gone),
        }
    }

    /// Sends an answer. The asker waits for it, so there is room.
    pub(super) fn reply(&self, reply: &Reply, fds: &[BorrowedFd<'_>]) -> Result<(), Gone> {
        wire::send(self.fd(), reply, fds, false).map_err(|_| Gone)
    }

    /// Tells something, now or when there is room.
    pub(super) fn tell<T: Serialize>(&mut self, event: &T) -> Result<(), Gone> {
        let bytes = serde_json::to_vec(event).map_err(|_| Gone)?;
        self.waiting.push_back(bytes);
        if self.waiting.len() > MOST_WAITING {
            Err(Gone)
        } else {
            self.flush()
        }
    }

    /// Sends the next event, if the last is taken.
    pub(super) fn flush(&mut self) -> Result<(), Gone> {
        let Some(bytes) = self.waiting.front().filter(|_| !self.untaken) else {
            return Ok(());
        };
        match bowline_sys::fdpass::send(self.socket.as_fd(), bytes, &[], false) {
            Ok(()) => {
                self.untaken = true;
                self.waiting.pop_front();
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
            Err(_) => Err(Gone),
        }
    }
}

/// The engine at the other end has gone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gone;
