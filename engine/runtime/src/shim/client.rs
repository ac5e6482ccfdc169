//! A client of a process's streams: its socket, and what waits to be sent to it.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, Shutdown, recv, send, shutdown};

use super::detach::DetachKeys;
use crate::Attach;

/// Bytes waiting for a client from which on the process has to wait for it.
const FULL: usize = 1 << 20;
/// How long a full client may take nothing before it is let go. A stopped client must not stop the process.
const STALLED: Duration = Duration::from_secs(10);
/// How much is read from a client at once.
const BATCH: usize = 8 * 1024;

/// One client.
#[derive(Debug)]
pub(super) struct Client {
    socket: OwnedFd,
    attach: Attach,
    detach: Option<DetachKeys>,
    waiting: Vec<u8>,
    moved: Instant,
    /// What it types may still come.
    typing: bool,
    /// It goes once everything is sent.
    leaving: bool,
}

/// What a client did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    Bytes(Vec<u8>),
    /// It will type no more, but still listens.
    End,
    /// It pressed its detach keys, after these bytes.
    Detached(Vec<u8>),
    Nothing,
    /// Its connection broke.
    Gone,
}

impl Client {
    /// `tty`: output comes unframed, and detach keys count.
    pub(super) fn new(socket: OwnedFd, attach: Attach, tty: bool) -> Self {
        let detach = tty.then(|| DetachKeys::new(attach.detach_keys.as_deref()));
        let typing = attach.streams.stdin;
        let attach = Attach {
            multiplexed: attach.multiplexed && !tty,
            ..attach
        };
        Self {
            socket,
            attach,
            detach,
            waiting: Vec::new(),
            moved: Instant::now(),
            typing,
            leaving: false,
        }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// What it had typed before its socket came to us.
    pub(super) fn leftover(&mut self) -> Typed {
        let bytes = std::mem::take(&mut self.attach.leftover);
        if bytes.is_empty() || !self.typing {
            Typed::Nothing
        } else {
            self.filtered(bytes)
        }
    }

    pub(super) fn is_typing(&self) -> bool {
        self.typing
    }

    pub(super) fn has_output(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether more output may be read for it.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < FULL
    }

    /// When it has to go, unless it takes something before.
    pub(super) fn patience_ends(&self) -> Option<Instant> {
        (!self.has_room() || self.leaving && self.has_output()).then(|| self.moved + STALLED)
    }

    /// Lets it go once everything is sent.
    pub(super) fn leave(&mut self) {
        self.leaving = true;
        self.typing = false;
    }

    pub(super) fn is_finished(&self) -> bool {
        self.leaving && self.waiting.is_empty()
    }

    /// Takes output of stream 0 or 1.
    pub(super) fn take(&mut self, stream: usize, bytes: &[u8]) {
        let wanted = if stream == 0 {
            self.attach.streams.stdout
        } else {
            self.attach.streams.stderr
        };
        if !wanted || self.leaving {
            return;
        }
        let mark = if stream == 0 { 1 } else { 2 };
        let [a, b, c, d] = u32::try_from(bytes.len()).unwrap_or(0).to_be_bytes();
        let header = [mark, 0, 0, 0, a, b, c, d];
        let header: &[u8] = if self.attach.multiplexed {
            &header
        } else {
            &[]
        };
        if self.waiting.is_empty() {
            self.moved = Instant::now();
            self.send_directly(header, bytes);
        } else {
            self.waiting.extend_from_slice(header);
            self.waiting.extend_from_slice(bytes);
        }
    }

    /// Most output is taken at once and needs no copy of ours.
    fn send_directly(&mut self, header: &[u8], bytes: &[u8]) {
        let vector = [IoSlice::new(header), IoSlice::new(bytes)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let sent =
            nix::sys::socket::sendmsg::<()>(self.socket.as_raw_fd(), &vector, &[], flags, None)
                .unwrap_or(0);
        let all = header.iter().chain(bytes).skip(sent);
        self.waiting.extend(all);
    }

    /// Sends what waits, as far as it is taken. False when the connection broke.
    pub(super) fn flush(&mut self) -> bool {
        while !self.waiting.is_empty() {
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            match send(self.socket.as_raw_fd(), &self.waiting, flags) {
                Ok(sent) => {
                    self.waiting.drain(..sent);
                    self.moved = Instant::now();
                }
                Err(Errno::EAGAIN) => return true,
                Err(Errno::EINTR) => {}
                Err(_) => return false,
            }
        }
        self.waiting = Vec::new();
        true
    }

    /// Reads what it typed.
    pub(super) fn read(&mut self) -> Typed {
        let mut buffer = [0; BATCH];
        match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(0) => {
                self.typing = false;
                Typed::End
            }
            Ok(count) => self.filtered(buffer[..count].to_vec()),
            Err(Errno::EAGAIN | Errno::EINTR) => Typed::Nothing,
            Err(_) => Typed::Gone,
        }
    }

    fn filtered(&mut self, bytes: Vec<u8>) -> Typed {
        let Some(keys) = &mut self.detach else {
            return Typed::Bytes(bytes);
        };
        let mut passed = Vec::with_capacity(bytes.len());
        if keys.filter(&bytes, &mut passed) {
            Typed::Detached(passed)
        } else {
            Typed::Bytes(passed)
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Other processes may hold copies of the socket: this ends the stream for all of them.
        let _closed_already: io::Result<()> =
            shutdown(self.socket.as_raw_fd(), Shutdown::Both).map_err(Into::into);
    }
}
