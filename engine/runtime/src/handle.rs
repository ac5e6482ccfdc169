//! The engine's side of a shim: requests, events, and finding it again after a restart.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bowline_sys::{fdpass, process};
use serde::{Deserialize, Serialize};

use crate::record::{self, SOCKET};
use crate::wire::{self, Reply, Request, Status};
use crate::{
    AdoptError, Attach, Error, ExecPlan, ExecStarted, ExitRecord, Forward, Identity, PROTOCOL,
    StartError, StartStep, Target,
};

/// How long a shim may take for an answer. It never waits for anything but the kernel, so a later one is a fault.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a shim may take to say hello. Start-up must not hang on one bad shim.
const GREETING: Duration = Duration::from_secs(5);

/// A container's shim, as the engine holds it.
#[derive(Debug)]
pub struct Shim {
    run_dir: PathBuf,
    requests: Mutex<OwnedFd>,
    events: OwnedFd,
    /// The shim's own process, where it is our child and so ours to reap.
    process: Option<OwnedFd>,
}

/// A container's program that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// Its pid as the host sees it.
    pub pid: i32,
    /// RFC 3339 with nanoseconds.
    pub started_at: String,
}

/// What a shim tells of its own accord.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShimEvent {
    /// The container has ended and its record lies on disk.
    Exited(ExitRecord),
    /// An exec has ended and its record lies on disk.
    ExecExited {
        /// Its id.
        id: String,
        /// Its code, or 128 plus the signal's number.
        code: i32,
    },
    /// The kernel killed something in the cgroup for want of memory.
    Oom,
    /// A client of the container's, or of an exec's, streams has gone.
    AttachClosed {
        /// The exec whose streams they were; none for the container's.
        #[serde(default)]
        exec: Option<String>,
        /// Whether it left by its detach keys.
        #[serde(default)]
        detached: bool,
    },
}

/// What an engine finds where an earlier one had started a container.
#[derive(Debug)]
pub enum Adopted {
    /// Its shim answers.
    Live {
        /// The shim.
        shim: Shim,
        /// Where the container is in its life.
        status: ShimStatus,
        /// The descriptors that the earlier engine had it keep.
        kept: Vec<(String, OwnedFd)>,
    },
    /// It has ended and its shim has left.
    Exited(ExitRecord),
    /// Its shim has gone without a record.
    Gone {
        /// Which process it was, if one was ever made.
        identity: Option<Identity>,
        /// The process, where it lives on without its shim.
        process: Option<OwnedFd>,
    },
}

/// Where an adopted container is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShimStatus {
    /// It waits for [`Shim::start`].
    Prepared {
        /// Its pid.
        pid: i32,
    },
    /// Its program runs.
    Running(Started),
    /// It has ended; the shim waits for [`Shim::dismiss`].
    Exited(ExitRecord),
}

impl Shim {
    /// Finds the container of `run_dir` again.
    pub fn adopt(run_dir: &Path) -> Result<Adopted, AdoptError> {
        match fdpass::connect_to(&run_dir.join(SOCKET)) {
            Ok(requests) => Self::greet(run_dir, requests),
            Err(_) => Self::without_shim(run_dir),
        }
    }

    /// Ends the shim of `run_dir`, whatever it is doing. Its container lives on, for [`crate::Shims::relieve`].
    ///
    /// # Errors
    /// Which shim it is cannot be read, or it does not end.
    pub fn give_up(run_dir: &Path) -> io::Result<()> {
        let Some(identity) = Identity::read(run_dir)? else {
            return Ok(());
        };
        let Ok(shim) = process::pidfd(identity.shim) else {
            return Ok(());
        };
        // Read after the handle is open, so that the number cannot have been given to somebody else since.
        let name = std::fs::read(format!("/proc/{}/cmdline", identity.shim)).unwrap_or_default();
        if !name.starts_with(crate::SHIM_NAME.as_bytes()) {
            return Ok(());
        }
        process::signal(shim.as_fd(), nix::sys::signal::Signal::SIGKILL as i32)?;
        match fdpass::wait_readable(&shim, GREETING)? {
            true => Ok(()),
            false => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    fn greet(run_dir: &Path, requests: OwnedFd) -> Result<Adopted, AdoptError> {
        let talk = |source| AdoptError::Talk {
            run_dir: run_dir.to_owned(),
            source,
        };
        let hello = Request::Hello {
            protocol: PROTOCOL,
            events: false,
        };
        let status = match exchange(requests.as_fd(), &hello, &[], GREETING) {
            Ok((
                Reply::Hello {
                    protocol: theirs, ..
                },
                _,
            )) if theirs > PROTOCOL => {
                return Err(AdoptError::Newer {
                    run_dir: run_dir.to_owned(),
                    theirs,
                    ours: PROTOCOL,
                });
            }
            Ok((Reply::Hello { status, .. }, _)) => status,
            // It left between our connecting and its answer: what it wrote before is the truth.
            Err(Error::Gone) => return Self::without_shim(run_dir),
            Ok((reply, _)) => return Err(talk(unexpected(&reply))),
            Err(error) => return Err(talk(error)),
        };
        let shim = Self::with_events(run_dir, requests, None).map_err(talk)?;
        let kept = shim.take_kept().map_err(talk)?;
        let status = match status {
            Status::Preparing => return Ok(Self::unfinished(run_dir)),
            Status::Prepared { pid } => ShimStatus::Prepared { pid },
            Status::Running { pid, started_at } => ShimStatus::Running(Started { pid, started_at }),
            Status::Exited(record) => ShimStatus::Exited(record),
        };
        Ok(Adopted::Live { shim, status, kept })
    }

    /// A shim whose engine died while it prepared: its container never ran, and it leaves by itself.
    fn unfinished(run_dir: &Path) -> Adopted {
        Adopted::Gone {
            identity: Identity::read(run_dir).ok().flatten(),
            process: None,
        }
    }

    fn without_shim(run_dir: &Path) -> Result<Adopted, AdoptError> {
        let record = |source| AdoptError::Record {
            run_dir: run_dir.to_owned(),
            source,
        };
        if let Some(exit) = ExitRecord::read(run_dir).map_err(record)? {
            return Ok(Adopted::Exited(exit));
        }
        let identity = Identity::read(run_dir).map_err(record)?;
        let process = identity.as_ref().and_then(living);
        Ok(Adopted::Gone { identity, process })
    }

    pub(crate) fn connect(run_dir: &Path, process: OwnedFd) -> Result<Self, Error> {
        let greeted = fdpass::connect_to(&run_dir.join(SOCKET))
            .map_err(Error::Send)
            .and_then(|requests| {
                let hello = Request::Hello {
                    protocol: PROTOCOL,
                    events: false,
                };
                exchange(requests.as_fd(), &hello, &[], PATIENCE)?;
                Self::with_events(run_dir, requests, None)
            });
        match greeted {
            Ok(mut shim) => {
                shim.process = Some(process);
                Ok(shim)
            }
            Err(error) => {
                reap(&process);
                Err(error)
            }
        }
    }

    fn with_events(
        run_dir: &Path,
        requests: OwnedFd,
        process: Option<OwnedFd>,
    ) -> Result<Self, Error> {
        let events = fdpass::connect_to(&run_dir.join(SOCKET)).map_err(Error::Send)?;
        exchange(
            events.as_fd(),
            &Request::Hello {
                protocol: PROTOCOL,
                events: true,
            },
            &[],
            GREETING,
        )?;
        Ok(Self {
            run_dir: run_dir.to_owned(),
            requests: Mutex::new(requests),
            events,
            process,
        })
    }

    /// Lets the prepared process execute its program. Returns when it runs.
    pub fn start(&self) -> Result<Started, StartError> {
        match self
            .ask(&Request::Start, &[])
            .map_err(|error| unreachable_shim(&error))?
        {
            Reply::Started { pid, started_at } => Ok(Started { pid, started_at }),
            Reply::Failed(error) => Err(error),
            other => Err(unreachable_shim(&unexpected(&other))),
        }
    }

    /// Hands a client's socket to the shim, which serves it from now on. Works before [`Self::start`] too: then the
    /// client misses nothing.
    pub fn attach(&self, attach: Attach, client: OwnedFd) -> Result<(), Error> {
        self.done(&Request::Attach(attach), &[client.as_fd()])
    }

    /// Runs a further command, whose streams the client's socket carries. Returns when it runs.
    pub fn exec(
        &self,
        plan: &ExecPlan,
        stream: Option<OwnedFd>,
    ) -> Result<ExecStarted, StartError> {
        self.exec_with(plan, stream, false)
    }

    /// Runs a further command whose output, both streams, goes to `output` as it is.
    pub fn exec_captured(
        &self,
        plan: &ExecPlan,
        output: OwnedFd,
    ) -> Result<ExecStarted, StartError> {
        self.exec_with(plan, Some(output), true)
    }

    fn exec_with(
        &self,
        plan: &ExecPlan,
        stream: Option<OwnedFd>,
        captured: bool,
    ) -> Result<ExecStarted, StartError> {
        let request = Request::Exec {
            plan: Box::new(plan.clone()),
            captured,
        };
        let fds: Vec<_> = stream.iter().map(OwnedFd::as_fd).collect();
        // On a connection of its own: a command on a file system that does not answer must not keep others waiting.
        let asked = fdpass::connect_to(&socket_path(&self.run_dir))
            .map_err(Error::Send)
            .and_then(|socket| exchange(socket.as_fd(), &request, &fds, PATIENCE));
        let (reply, _) = asked.map_err(|error| unreachable_shim(&error))?;
        match reply {
            Reply::Started { pid, .. } => Ok(ExecStarted { pid }),
            Reply::Failed(error) => Err(error),
            other => Err(unreachable_shim(&unexpected(&other))),
        }
    }

    /// Tells a terminal its size.
    pub fn resize(&self, target: Target, height: u16, width: u16) -> Result<(), Error> {
        self.done(
            &Request::Resize {
                target,
                height,
                width,
            },
            &[],
        )
    }

    /// Sends a signal.
    pub fn signal(&self, target: Target, signal: i32) -> Result<(), Error> {
        self.done(&Request::Signal { target, signal }, &[])
    }

    /// Copies of the descriptors that the shim keeps. It keeps its own until it leaves or is told to forget.
    pub fn take_kept(&self) -> Result<Vec<(String, OwnedFd)>, Error> {
        let socket = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        match exchange(socket.as_fd(), &Request::Kept, &[], PATIENCE)? {
            (Reply::Kept { names }, fds) => Ok(names.into_iter().zip(fds).collect()),
            (other, _) => Err(unexpected(&other)),
        }
    }

    /// The master of the container's terminal, if it has one. Whoever holds it keeps the terminal alive when the shim
    /// dies.
    pub fn terminal(&self) -> Result<Option<OwnedFd>, Error> {
        let socket = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        match exchange(socket.as_fd(), &Request::Terminal, &[], PATIENCE)? {
            (Reply::Kept { .. }, fds) => Ok(fds.into_iter().next()),
            (other, _) => Err(unexpected(&other)),
        }
    }

    /// Has the shim hold a descriptor, so that it outlives this engine.
    pub fn keep(&self, name: &str, fd: BorrowedFd<'_>) -> Result<(), Error> {
        self.done(
            &Request::Keep {
                name: name.to_owned(),
            },
            &[fd],
        )
    }

    /// Has the shim close what it keeps under this name.
    pub fn forget(&self, name: &str) -> Result<(), Error> {
        self.done(
            &Request::Forget {
                name: name.to_owned(),
            },
            &[],
        )
    }

    /// Has the shim relay one more port.
    pub fn add_forward(&self, forward: Forward, listener: BorrowedFd<'_>) -> Result<(), Error> {
        self.done(&Request::AddForward(forward), &[listener])
    }

    /// Ends the relaying of all ports with this protocol and target.
    pub fn remove_forward(&self, forward: Forward) -> Result<(), Error> {
        self.done(&Request::RemoveForward(forward), &[])
    }

    /// Readable when [`Self::next_event`] will not wait.
    pub fn events_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }

    /// The next event; none means that the shim has left or died. Never waits.
    ///
    /// # Errors
    /// [`Error::Receive`] with `WouldBlock` when there is none yet.
    pub fn next_event(&self) -> Result<Option<ShimEvent>, Error> {
        loop {
            let Some((bytes, _)) = wire::receive(self.events.as_fd(), false)? else {
                self.reap();
                return Ok(None);
            };
            // A shim that cannot be told any more is found to be gone by the next call.
            let _gone = wire::send(self.events.as_fd(), &Request::Next, &[], false);
            // What a newer shim tells beyond our knowledge changes nothing that we rely on.
            if let Ok(event) = wire::parse(&bytes) {
                return Ok(Some(event));
            }
        }
    }

    /// Tells the shim that the exit record is taken over: it closes what it holds and leaves.
    pub fn dismiss(&self) -> Result<(), Error> {
        match self.done(&Request::Dismiss, &[]) {
            Ok(()) | Err(Error::Gone) => {
                self.reap();
                Ok(())
            }
            other => other,
        }
    }

    fn done(&self, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<(), Error> {
        match self.ask(request, fds)? {
            Reply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    pub(crate) fn ask(&self, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<Reply, Error> {
        let socket = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        exchange(socket.as_fd(), request, fds, PATIENCE).map(|(reply, _)| reply)
    }

    pub(crate) fn reap(&self) {
        self.process.iter().for_each(reap);
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        if let Some(process) = &self.process {
            // A wait that finds it alive leaves it alone; it becomes init's when we end.
            drop(process::try_wait(process.as_fd()));
        }
    }
}

/// A shim that we started is our child until it has been waited for. One that closed its sockets is about to end.
fn reap(process: &OwnedFd) {
    if fdpass::wait_readable(process, Duration::from_secs(1)).unwrap_or(false) {
        process::reap(process.as_fd());
    }
}

fn exchange(
    socket: BorrowedFd<'_>,
    request: &Request,
    fds: &[BorrowedFd<'_>],
    patience: Duration,
) -> Result<(Reply, Vec<OwnedFd>), Error> {
    wire::send(socket, request, fds, true)?;
    if !fdpass::wait_readable(socket, patience).map_err(Error::Receive)? {
        return Err(Error::Receive(io::ErrorKind::TimedOut.into()));
    }
    let (bytes, fds) = wire::receive(socket, true)?.ok_or(Error::Gone)?;
    match wire::parse(&bytes)? {
        Reply::Refused(why) => Err(Error::Refused(why)),
        reply => Ok((reply, fds)),
    }
}

fn unexpected(reply: &Reply) -> Error {
    Error::Refused(format!("answered out of turn: {reply:?}"))
}

fn unreachable_shim(error: &Error) -> StartError {
    StartError::new(StartStep::Shim, error.to_string())
}

/// A handle on the recorded process, if it is still the same one.
fn living(identity: &Identity) -> Option<OwnedFd> {
    if identity.boot_id != record::boot_id() {
        return None;
    }
    let process = process::pidfd(identity.pid).ok()?;
    // Read after the handle is open: had the pid been given away before, the start time now differs.
    (record::start_time(identity.pid)? == identity.start_time).then_some(process)
}

/// Where the shim of `run_dir` listens.
pub(crate) fn socket_path(run_dir: &Path) -> PathBuf {
    run_dir.join(SOCKET)
}
