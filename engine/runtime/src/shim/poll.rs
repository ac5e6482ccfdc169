//! Waiting for whatever the shim's parts are interested in. Interest is worked out from their state each time and
//! never stored, so that it cannot disagree with it; a shim has few descriptors.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Which part of the shim a descriptor belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Listener,
    /// A connection of an engine's, by its number.
    Connection(u64),
    /// The container's streams.
    Container(Part),
    /// An exec's, by its number.
    Exec(u64, Part),
    /// The log's writer has made room.
    Log,
    /// A port relayed in user space.
    Forward(super::forward::Side),
}

/// Which part of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The socket to a process that has not begun its program.
    Birth,
    /// The handle that tells of its end.
    End,
    /// What it writes: its output or its error.
    Output(usize),
    /// What it reads.
    Input,
    /// A client, by its number.
    Client(u64),
}

/// What is waited for.
#[derive(Default)]
pub(super) struct Interests<'a> {
    tokens: Vec<Token>,
    fds: Vec<PollFd<'a>>,
    until: Option<Instant>,
}

/// What has happened to a descriptor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) token: Token,
    /// There is something to read, an end included.
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The other side has gone altogether.
    pub(super) hung_up: bool,
}

impl<'a> Interests<'a> {
    /// Waits for `fd`; with neither flag only for its other side to go.
    pub(super) fn add(&mut self, token: Token, fd: BorrowedFd<'a>, read: bool, write: bool) {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, read);
        flags.set(PollFlags::POLLOUT, write);
        self.tokens.push(token);
        self.fds.push(PollFd::new(fd, flags));
    }

    /// Waits no longer than until then.
    pub(super) fn wake_at(&mut self, time: Instant) {
        self.until = Some(self.until.map_or(time, |earlier| earlier.min(time)));
    }

    pub(super) fn wait(mut self) -> Vec<Event> {
        // poll counts in milliseconds: rounded up, or the last one would be spent spinning.
        let left = self.until.map(|time| {
            time.saturating_duration_since(Instant::now()) + Duration::from_micros(999)
        });
        let timeout = left.map_or(PollTimeout::NONE, |left| {
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        if poll(&mut self.fds, timeout).is_err() {
            return Vec::new();
        }
        self.tokens
            .iter()
            .zip(&self.fds)
            .filter_map(|(token, fd)| event(*token, fd.revents()?))
            .collect()
    }
}

fn event(token: Token, flags: PollFlags) -> Option<Event> {
    let gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
    (!flags.is_empty()).then_some(Event {
        token,
        readable: flags.intersects(PollFlags::POLLIN | gone),
        writable: flags.intersects(PollFlags::POLLOUT | PollFlags::POLLERR),
        hung_up: flags.intersects(gone),
    })
}
