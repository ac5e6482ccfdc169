//! What engines ask for.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use bowline_sys::process;

use super::conn::Gone;
use super::keeper::{Keeper, Life};
use super::poll::Event;
use crate::wire::{self, Reply, Request, Status};
use crate::{Attach, Error, Forward, PROTOCOL, Target};

/// What becomes of a request.
enum Outcome {
    Now(Reply),
    /// The answer follows when something has happened.
    Later,
}

impl Keeper {
    /// Something happened on a connection.
    pub(super) fn serve(&mut self, number: u64, event: Event) {
        let Some(connection) = self
            .connections
            .iter_mut()
            .find(|connection| connection.number == number)
        else {
            return;
        };
        if event.writable && connection.flush().is_err() {
            return self.lose(number);
        }
        if event.readable {
            match connection.receive() {
                Ok(Some((bytes, fds))) => self.request(number, &bytes, fds),
                Ok(None) => {}
                Err(Gone) => self.lose(number),
            }
        }
    }

    fn request(&mut self, number: u64, bytes: &[u8], fds: Vec<OwnedFd>) {
        let request = match wire::parse::<Request>(bytes) {
            Ok(Request::Kept) => return self.hand_back(number),
            Ok(Request::Next) => return self.next_event(number),
            Ok(Request::Terminal) => return self.show_terminal(number),
            Ok(request) => request,
            Err(Error::Frame(error)) => {
                let text = format!("this shim (protocol {PROTOCOL}) does not understand: {error}");
                return self.answer(Some(number), &Reply::Refused(text));
            }
            Err(_) => return self.lose(number),
        };
        if let Outcome::Now(reply) = self.decide(number, request, fds.into_iter().next()) {
            self.answer(Some(number), &reply);
        }
    }

    fn decide(&mut self, number: u64, request: Request, fd: Option<OwnedFd>) -> Outcome {
        let done = match request {
            Request::Hello { events, .. } => return Outcome::Now(self.greet(number, events)),
            Request::Prepare => return self.prepare(number),
            Request::Start => return self.start(number),
            Request::Exec { plan, captured } => {
                return match self.begin_exec(number, *plan, captured, fd) {
                    Ok(()) => Outcome::Later,
                    Err(error) => Outcome::Now(Reply::Failed(error)),
                };
            }
            Request::Attach(attach) => self.attach(attach, fd),
            Request::Resize {
                target,
                height,
                width,
            } => self.resize(&target, height, width),
            Request::Signal { target, signal } => self.signal(&target, signal),
            Request::Keep { name } => self.keep(name, fd),
            Request::Forget { name } => {
                self.kept.retain(|(known, _)| *known != name);
                Ok(())
            }
            Request::AddForward(forward) => self.add_forward(forward, fd),
            Request::RemoveForward(forward) => {
                self.forwards.remove(forward);
                Ok(())
            }
            Request::Dismiss => self.dismissal(),
            // Dealt with above: two carry descriptors, one has no answer.
            Request::Kept | Request::Terminal | Request::Next => Ok(()),
        };
        Outcome::Now(done.map_or_else(|error| Reply::Refused(error.to_string()), |()| Reply::Done))
    }

    fn greet(&mut self, number: u64, events: bool) -> Reply {
        if let Some(connection) = self
            .connections
            .iter_mut()
            .find(|connection| connection.number == number)
        {
            connection.events = events;
        }
        Reply::Hello {
            protocol: PROTOCOL,
            status: self.status(),
        }
    }

    fn status(&self) -> Status {
        match &self.life {
            Life::Held(pending) => Status::Prepared { pid: pending.pid },
            Life::Running(running) => Status::Running {
                pid: running.pid,
                started_at: running.started_at.clone(),
            },
            Life::Ending(ending) => ending.status(),
            Life::Exited(record) => Status::Exited(record.clone()),
            Life::Preparing { .. } | Life::Starting { .. } | Life::Failed(_) | Life::Changing => {
                Status::Preparing
            }
        }
    }

    fn prepare(&mut self, number: u64) -> Outcome {
        match &mut self.life {
            Life::Preparing { asker, .. } => {
                *asker = Some(number);
                Outcome::Later
            }
            Life::Held(pending) => Outcome::Now(Reply::Prepared {
                pid: pending.pid,
                warnings: self.warnings.clone(),
            }),
            Life::Failed(error) => {
                let reply = Reply::Failed(error.clone());
                self.dismiss();
                Outcome::Now(reply)
            }
            _ => Outcome::Now(Reply::Refused(
                "the container was started before".to_owned(),
            )),
        }
    }

    fn start(&mut self, number: u64) -> Outcome {
        match std::mem::replace(&mut self.life, Life::Changing) {
            Life::Held(mut pending) => match pending.go() {
                Ok(()) => {
                    self.life = Life::Starting {
                        pending,
                        asker: number,
                    };
                    Outcome::Later
                }
                Err(error) => {
                    pending.abandon();
                    self.life = Life::Failed(error.clone());
                    Outcome::Now(Reply::Failed(error))
                }
            },
            Life::Failed(error) => {
                self.life = Life::Failed(error.clone());
                self.dismiss();
                Outcome::Now(Reply::Failed(error))
            }
            other => {
                self.life = other;
                Outcome::Now(Reply::Refused(
                    "the container cannot be started now".to_owned(),
                ))
            }
        }
    }

    fn attach(&mut self, attach: Attach, socket: Option<OwnedFd>) -> io::Result<()> {
        let socket = socket.ok_or_else(|| io::Error::other("no socket came with it"))?;
        if matches!(self.life, Life::Exited(_) | Life::Failed(_)) {
            return Err(io::Error::other("container is not running"));
        }
        let closed = self.hub.attach(socket, attach);
        self.tell_closed(closed, None);
        Ok(())
    }

    fn resize(&mut self, target: &Target, height: u16, width: u16) -> io::Result<()> {
        match target {
            Target::Container => self.hub.resize(height, width),
            Target::Exec(id) => {
                let exec = self.execs.iter().find(|exec| exec.id == *id);
                exec.ok_or_else(no_such_exec)?.hub.resize(height, width)
            }
        }
    }

    fn signal(&self, target: &Target, signal: i32) -> io::Result<()> {
        let process = match (target, &self.life) {
            (Target::Exec(id), _) => {
                let exec = self.execs.iter().find(|exec| exec.id == *id);
                exec.and_then(super::execs::Exec::process)
                    .ok_or_else(no_such_exec)?
            }
            (Target::Container, Life::Running(running)) => &running.process,
            (Target::Container, Life::Held(pending) | Life::Starting { pending, .. }) => {
                &pending.process
            }
            _ => return Err(io::Error::other("container is not running")),
        };
        process::signal(process.as_fd(), signal)
    }

    fn keep(&mut self, name: String, fd: Option<OwnedFd>) -> io::Result<()> {
        let fd = fd.ok_or_else(|| io::Error::other("no descriptor came with it"))?;
        self.kept.push((name, fd));
        Ok(())
    }

    fn next_event(&mut self, number: u64) {
        let listening = self
            .connections
            .iter_mut()
            .find(|connection| connection.number == number);
        if listening.is_some_and(|connection| connection.taken().is_err()) {
            self.lose(number);
        }
    }

    fn show_terminal(&mut self, number: u64) {
        let fds: Vec<_> = self.hub.terminal().into_iter().collect();
        let names = fds.iter().map(|_| "terminal".to_owned()).collect();
        let asked = self
            .connections
            .iter()
            .find(|connection| connection.number == number);
        let sent = asked.map(|connection| connection.reply(&Reply::Kept { names }, &fds));
        if matches!(sent, Some(Err(_))) {
            self.lose(number);
        }
    }

    fn hand_back(&mut self, number: u64) {
        let (names, fds): (Vec<_>, Vec<_>) = self
            .kept
            .iter()
            .map(|(name, fd)| (name.clone(), fd.as_fd()))
            .unzip();
        let asked = self
            .connections
            .iter()
            .find(|connection| connection.number == number);
        let sent = asked.map(|connection| connection.reply(&Reply::Kept { names }, &fds));
        if matches!(sent, Some(Err(_))) {
            self.lose(number);
        }
    }

    fn add_forward(&mut self, forward: Forward, listener: Option<OwnedFd>) -> io::Result<()> {
        let listener = listener.ok_or_else(|| io::Error::other("no listener came with it"))?;
        self.forwards.add(forward, listener)
    }

    fn dismissal(&mut self) -> io::Result<()> {
        match self.life {
            Life::Running(_) | Life::Ending(_) => {
                Err(io::Error::other("the container has not ended"))
            }
            _ => {
                self.abandon();
                self.dismiss();
                Ok(())
            }
        }
    }
}

fn no_such_exec() -> io::Error {
    io::Error::other("no such exec is running")
}
