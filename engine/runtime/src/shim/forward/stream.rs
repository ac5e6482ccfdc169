//! One relayed connection.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd as _, OwnedFd};

use bowline_sys::net;

use super::Side;
use crate::shim::poll::{Interests, Token};

/// Bytes on the way in one direction.
const ROOM: usize = 16 * 1024;

/// A client and the container's end, with what is on the way between them.
#[derive(Debug)]
pub(super) struct Relay {
    client: TcpStream,
    target: TcpStream,
    connected: bool,
    there: Flow,
    back: Flow,
    broken: bool,
}

/// One direction.
#[derive(Debug, Default)]
struct Flow {
    waiting: Vec<u8>,
    /// The writer has ended; once all is passed on, so does the reader's side.
    ended: bool,
    shut: bool,
}

impl Relay {
    /// Takes the next client, if there is one, and begins to connect it.
    pub(super) fn accept(listener: &OwnedFd, target: SocketAddr) -> Option<Self> {
        let listener = TcpListener::from(listener.try_clone().ok()?);
        let (client, _) = listener.accept().ok()?;
        client.set_nonblocking(true).ok()?;
        // A target that refuses at once closes the client, as it would have been refused directly.
        let target = TcpStream::from(net::begin_connect(target).ok()?);
        // Relaying must not add the delay that waits for more to send.
        client.set_nodelay(true).ok()?;
        target.set_nodelay(true).ok()?;
        let (there, back) = (Flow::default(), Flow::default());
        Some(Self {
            client,
            target,
            connected: false,
            there,
            back,
            broken: false,
        })
    }

    pub(super) fn interests<'a>(&'a self, number: u64, into: &mut Interests<'a>) {
        let (client, target) = (
            Token::Forward(Side::Client(number)),
            Token::Forward(Side::Target(number)),
        );
        if !self.connected {
            into.add(target, self.target.as_fd(), false, true);
            return;
        }
        // A side that is done in both directions would only wake us for ever.
        let wants = |read: &Flow, write: &Flow| (read.wants_more(), !write.waiting.is_empty());
        let (read, write) = wants(&self.there, &self.back);
        if read || write {
            into.add(client, self.client.as_fd(), read, write);
        }
        let (read, write) = wants(&self.back, &self.there);
        if read || write {
            into.add(target, self.target.as_fd(), read, write);
        }
    }

    /// Something happened on either side.
    pub(super) fn handle(&mut self) {
        if !self.connected {
            match self.target.take_error() {
                Ok(None) => self.connected = true,
                _ => self.broken = true,
            }
        }
        let there = self.there.pass(&self.client, &self.target);
        let back = self.back.pass(&self.target, &self.client);
        self.broken |= there.is_err() || back.is_err();
    }

    pub(super) fn is_over(&self) -> bool {
        self.broken || self.there.shut && self.back.shut
    }
}

impl Flow {
    fn wants_more(&self) -> bool {
        !self.ended && self.waiting.is_empty()
    }

    /// Moves what can be moved. An error ends both directions.
    fn pass(&mut self, mut from: &TcpStream, mut to: &TcpStream) -> std::io::Result<()> {
        if self.wants_more() {
            let mut buffer = [0; ROOM];
            match from.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => self.waiting.extend_from_slice(&buffer[..count]),
                Err(error) => passing(error)?,
            }
        }
        if !self.waiting.is_empty() {
            match to.write(&self.waiting) {
                Ok(count) => drop(self.waiting.drain(..count)),
                Err(error) => passing(error)?,
            }
        }
        if self.waiting.is_empty() {
            self.waiting = Vec::new();
            if self.ended && !self.shut {
                self.shut = true;
                to.shutdown(Shutdown::Write)?;
            }
        }
        Ok(())
    }
}

/// Lets through what only means "not now".
fn passing(error: std::io::Error) -> std::io::Result<()> {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(()),
        _ => Err(error),
    }
}
