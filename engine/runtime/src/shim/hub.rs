//! The streams of a process, between it, its clients and its log.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Instant;

use bowline_sys::terminal;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::client::{Client, Typed};
use super::log::Log;
use super::poll::{Event, Interests, Part, Token};
use crate::Attach;

/// How much is read from the process at once, after a read that was not enough, and otherwise.
const BATCH: usize = 16 * 1024;
const SMALL: usize = 2 * 1024;
/// Reads that empty any pipe: they hold at most 1 MiB.
const MOST_LEFT: usize = 512;
/// Input waiting for the process from which on clients have to wait.
const FULL: usize = 64 * 1024;

/// The streams of one process.
#[derive(Debug)]
pub(super) struct Hub {
    outputs: [Option<OwnedFd>; 2],
    /// None when it has none, or no more.
    input: Option<OwnedFd>,
    typed: Vec<u8>,
    /// The input ends once all that was typed is passed on.
    input_ends: bool,
    rules: Rules,
    terminal: Option<Terminal>,
    clients: Vec<(u64, Client)>,
    next: u64,
    pub(super) log: Option<Log>,
    batch: usize,
}

/// What the end of a client's input means.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) tty: bool,
    /// It is the end of the process's input.
    pub(super) ends_input: bool,
    /// Otherwise it is the end of that client's attachment.
    pub(super) ends_client: bool,
}

/// Both ends of the process's terminal. Ours of its end keeps the kernel from hanging the terminal up while the process
/// has closed its own for a moment.
#[derive(Debug)]
struct Terminal {
    master: OwnedFd,
    _peer: OwnedFd,
}

/// A client that has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed {
    pub(super) detached: bool,
}

/// Our ends of what the process reads and writes.
#[derive(Debug, Default)]
pub(super) struct Streams {
    pub(super) input: Option<OwnedFd>,
    pub(super) outputs: [Option<OwnedFd>; 2],
}

impl Hub {
    pub(super) fn new(streams: Streams, rules: Rules, log: Option<Log>) -> Self {
        Self {
            outputs: streams.outputs,
            input: streams.input,
            typed: Vec::new(),
            input_ends: false,
            rules,
            terminal: None,
            clients: Vec::new(),
            next: 0,
            log,
            batch: SMALL,
        }
    }

    /// The process has made its terminal.
    pub(super) fn set_terminal(
        &mut self,
        master: OwnedFd,
        size: Option<(u16, u16)>,
        input: bool,
    ) -> io::Result<()> {
        if let Some((height, width)) = size.filter(|size| *size != (0, 0)) {
            terminal::resize(master.as_fd(), height, width)?;
        }
        let peer = terminal::peer(master.as_fd())?;
        never_wait(master.as_fd())?;
        self.outputs = [Some(master.try_clone()?), None];
        self.input = input.then(|| master.try_clone()).transpose()?;
        self.terminal = Some(Terminal {
            master,
            _peer: peer,
        });
        Ok(())
    }

    /// The master of the terminal.
    pub(super) fn terminal(&self) -> Option<BorrowedFd<'_>> {
        self.terminal
            .as_ref()
            .map(|terminal| terminal.master.as_fd())
    }

    pub(super) fn resize(&self, height: u16, width: u16) -> io::Result<()> {
        let terminal = self.terminal.as_ref().ok_or(io::ErrorKind::InvalidInput)?;
        terminal::resize(terminal.master.as_fd(), height, width)
    }

    pub(super) fn attach(&mut self, socket: OwnedFd, attach: Attach) -> Option<Closed> {
        let mut client = Client::new(socket, attach, self.rules.tty);
        let leftover = client.leftover();
        let number = self.next;
        self.next += 1;
        self.clients.push((number, client));
        self.typed(number, leftover)
    }

    pub(super) fn interests<'a>(&'a self, token: impl Fn(Part) -> Token, into: &mut Interests<'a>) {
        self.output_interests(&token, into);
        if let Some(input) = &self.input
            && !self.typed.is_empty()
        {
            into.add(token(Part::Input), input.as_fd(), false, true);
        }
        for (number, client) in &self.clients {
            let read = client.is_typing() && self.typed.len() < FULL;
            into.add(
                token(Part::Client(*number)),
                client.fd(),
                read,
                client.has_output(),
            );
        }
        if let Some(log) = &self.log {
            into.add(Token::Log, log.wake_fd(), true, false);
        }
    }

    fn output_interests<'a>(&'a self, token: &impl Fn(Part) -> Token, into: &mut Interests<'a>) {
        for time in self
            .clients
            .iter()
            .filter_map(|(_, client)| client.patience_ends())
        {
            into.wake_at(time);
        }
        if !self.has_room() {
            if let Some(time) = self.log.as_ref().and_then(Log::gives_up_at) {
                into.wake_at(time);
            }
            return;
        }
        for (index, fd) in self.outputs.iter().enumerate() {
            if let Some(fd) = fd {
                into.add(token(Part::Output(index)), fd.as_fd(), true, false);
            }
        }
    }

    /// Whether everybody who gets the output can take more.
    fn has_room(&self) -> bool {
        self.clients.iter().all(|(_, client)| client.has_room())
            && self.log.as_ref().is_none_or(Log::has_room)
    }

    /// Something happened to one of the streams. Which client has gone by it, if one has.
    pub(super) fn handle(&mut self, part: Part, event: Event) -> Option<Closed> {
        match part {
            Part::Output(index) => {
                self.read_output(index);
                None
            }
            Part::Input => {
                self.write_input();
                None
            }
            Part::Client(number) => self.serve(number, event),
            Part::Birth | Part::End => None,
        }
    }

    /// Drops clients that have taken everything before their end, or nothing for too long.
    pub(super) fn sweep(&mut self) -> Vec<Closed> {
        let now = Instant::now();
        let before = self.clients.len();
        self.clients.retain(|(_, client)| {
            !client.is_finished() && client.patience_ends().is_none_or(|end| now < end)
        });
        vec![Closed { detached: false }; before - self.clients.len()]
    }

    /// Reads what has come, once. False when there was nothing or nothing more will come.
    fn read_output(&mut self, index: usize) -> bool {
        let Some(fd) = self.outputs.get(index).and_then(Option::as_ref) else {
            return false;
        };
        let mut buffer = vec![0; self.batch];
        match nix::unistd::read(fd, &mut buffer) {
            Ok(0) => self.close_output(index),
            Ok(count) => {
                // Most containers never fill the small one, and what is never touched is never paid for.
                self.batch = if count == self.batch { BATCH } else { SMALL };
                self.spread(index, &buffer[..count]);
                return true;
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            // A terminal whose other end is closed says EIO.
            Err(_) => self.close_output(index),
        }
        false
    }

    fn close_output(&mut self, index: usize) {
        self.outputs[index] = None;
    }

    fn spread(&mut self, index: usize, bytes: &[u8]) {
        if let Some(log) = &mut self.log {
            log.push(index, bytes);
        }
        for (_, client) in &mut self.clients {
            client.take(index, bytes);
        }
    }

    fn write_input(&mut self) {
        let Some(fd) = &self.input else { return };
        while !self.typed.is_empty() {
            match nix::unistd::write(fd, &self.typed) {
                Ok(count) => drop(self.typed.drain(..count)),
                Err(Errno::EAGAIN) => return,
                Err(Errno::EINTR) => {}
                // Nobody reads any more, and nobody ever will.
                Err(_) => return self.close_input(),
            }
        }
        self.typed = Vec::new();
        if self.input_ends {
            self.close_input();
        }
    }

    fn close_input(&mut self) {
        self.input = None;
        self.typed = Vec::new();
    }

    fn serve(&mut self, number: u64, event: Event) -> Option<Closed> {
        let index = self
            .clients
            .iter()
            .position(|(known, _)| *known == number)?;
        let (_, client) = self.clients.get_mut(index)?;
        if event.writable && !client.flush() {
            return self.remove(number, false);
        }
        if event.readable && client.is_typing() {
            let typed = client.read();
            return self.typed(number, typed);
        }
        // Not typing and hung up: both directions are closed. Half a close never says so.
        if event.hung_up {
            self.remove(number, false)
        } else {
            None
        }
    }

    fn typed(&mut self, number: u64, typed: Typed) -> Option<Closed> {
        match typed {
            Typed::Nothing => None,
            Typed::Gone => self.remove(number, false),
            Typed::End => self.input_ended(number),
            Typed::Bytes(bytes) => {
                self.type_in(&bytes);
                None
            }
            Typed::Detached(bytes) => {
                self.type_in(&bytes);
                self.remove(number, true)
            }
        }
    }

    fn type_in(&mut self, bytes: &[u8]) {
        if self.input.is_some() && !self.input_ends {
            self.typed.extend_from_slice(bytes);
            self.write_input();
        }
    }

    /// A half-closed connection still listens; only the rules say what else the end of typing means.
    fn input_ended(&mut self, number: u64) -> Option<Closed> {
        if self.rules.ends_input && !self.rules.tty {
            self.input_ends = true;
            self.write_input();
        } else if self.rules.ends_client
            && let Some((_, client)) = self.clients.iter_mut().find(|(known, _)| *known == number)
        {
            client.leave();
        }
        None
    }

    fn remove(&mut self, number: u64, detached: bool) -> Option<Closed> {
        let index = self
            .clients
            .iter()
            .position(|(known, _)| *known == number)?;
        drop(self.clients.remove(index));
        if !detached && self.rules.ends_input && !self.rules.tty {
            self.input_ends = true;
            self.write_input();
        }
        Some(Closed { detached })
    }

    /// The process has ended: what it wrote is still there, but its terminal needs us no longer.
    pub(super) fn process_ended(&mut self) {
        self.terminal = None;
        self.close_input();
    }

    /// Reads whatever is there already, after the process's end: no more than the pipes hold, so clients get it whether
    /// they are full or not. What others go on writing is not waited for.
    pub(super) fn drain(&mut self) {
        for index in 0..self.outputs.len() {
            for _ in 0..MOST_LEFT {
                if !self.log.as_ref().is_none_or(Log::has_room) || !self.read_output(index) {
                    break;
                }
            }
        }
    }

    /// Whether nothing more will be written.
    pub(super) fn is_silent(&self) -> bool {
        self.outputs.iter().all(Option::is_none)
    }

    /// Nothing more will come: the clients go once they have taken everything.
    pub(super) fn finish(&mut self) {
        self.outputs = [None, None];
        for (_, client) in &mut self.clients {
            client.leave();
        }
        if let Some(log) = &mut self.log {
            log.close();
        }
    }

    pub(super) fn has_clients(&self) -> bool {
        !self.clients.is_empty()
    }
}

/// Makes reads and writes of an open file return at once.
pub(super) fn never_wait(fd: BorrowedFd<'_>) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}
