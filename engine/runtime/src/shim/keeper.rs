//! The shim's state, and the loop that turns what happens into calls.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bowline_sys::{fdpass, memory};

use super::boot::Plan;
use super::conn::Connection;
use super::ending::Ending;
use super::execs::Exec;
use super::forward::Forwards;
use super::hub::{Closed, Hub, Rules, Streams};
use super::poll::{Event, Interests, Part, Token};
use super::revival::Revival;
use crate::cgroup::Cgroup;
use crate::record::{self, STATE};
use crate::setup::{Pending, Progress};
use crate::wire::Reply;
use crate::{ExitRecord, Identity, Launch, ShimEvent, StartError, StdioPlan, time};

/// How long a shim whose container has ended waits for an engine; the record stays.
const LINGER: Duration = Duration::from_secs(10);
/// The same while it, or another shim, may bring the engine back.
const HOPE: Duration = Duration::from_secs(120);
/// How long nothing must have happened before memory is handed back that some burst needed.
const QUIET: Duration = Duration::from_millis(500);
/// How long a dismissed shim goes on sending what its clients have not taken.
const FAREWELL: Duration = Duration::from_secs(5);

/// The shim.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) settings: Settings,
    pub(super) plan: Plan,
    pub(super) listener: OwnedFd,
    pub(super) connections: Vec<Connection>,
    pub(super) next: u64,
    pub(super) life: Life,
    pub(super) cgroup: Option<Cgroup>,
    /// What the cgroup's counter said before the container was there.
    pub(super) oom_before: u64,
    /// How much it has risen since.
    pub(super) oom_kills: u64,
    pub(super) warnings: Vec<String>,
    /// The container's root, for looking users up; let go when it ends, or its mounts would stay.
    pub(super) root: Option<OwnedFd>,
    pub(super) hub: Hub,
    pub(super) execs: Vec<Exec>,
    pub(super) forwards: Forwards,
    pub(super) kept: Vec<(String, OwnedFd)>,
    pub(super) revival: Revival,
    /// When it goes, come what may.
    pub(super) leave_at: Option<Instant>,
    pub(super) dismissed: bool,
    /// Execs whose records lie on disk, the oldest first.
    pub(super) recorded: VecDeque<String>,
    /// When it will have been quiet for a while.
    quiet_at: Option<Instant>,
    /// Something happened that took more of the program than passing output on does.
    stirred: bool,
}

/// What of the launch is needed later.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) id: String,
    pub(super) run_dir: PathBuf,
    pub(super) stdio: StdioPlan,
    pub(super) capabilities: u64,
}

impl Settings {
    pub(super) fn new(launch: &Launch, capabilities: u64) -> Self {
        Self {
            id: launch.id.clone(),
            run_dir: launch.run_dir.clone(),
            stdio: launch.stdio,
            capabilities,
        }
    }
}

/// Where the container is in its life. An asker is the connection that waits for the outcome.
#[derive(Debug)]
pub(super) enum Life {
    Preparing {
        pending: Pending,
        asker: Option<u64>,
    },
    Held(Pending),
    Starting {
        pending: Pending,
        asker: u64,
    },
    Running(Running),
    Ending(Ending),
    Exited(ExitRecord),
    Failed(StartError),
    /// While it changes from one to another.
    Changing,
}

/// A process that runs its program.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) pid: i32,
    pub(super) process: OwnedFd,
    pub(super) started_at: String,
    /// It is somebody else's child, and perhaps since when it has been seen to be dead.
    pub(super) stranger: Option<Option<Instant>>,
}

impl Keeper {
    pub(super) fn new(
        settings: Settings,
        plan: Plan,
        listener: OwnedFd,
        kept: Vec<(String, OwnedFd)>,
        forwards: Forwards,
        revival: Revival,
    ) -> Self {
        let rules = Rules {
            tty: false,
            ends_input: false,
            ends_client: true,
        };
        Self {
            settings,
            plan,
            listener,
            connections: Vec::new(),
            next: 0,
            life: Life::Changing,
            cgroup: None,
            oom_before: 0,
            oom_kills: 0,
            warnings: Vec::new(),
            root: None,
            hub: Hub::new(Streams::default(), rules, None),
            execs: Vec::new(),
            forwards,
            kept,
            revival,
            leave_at: None,
            dismissed: false,
            recorded: VecDeque::new(),
            quiet_at: None,
            stirred: true,
        }
    }

    /// Until there is nothing left to do.
    pub(super) fn run(&mut self) {
        while !self.is_over() {
            let events = self.interests().wait();
            if !events.is_empty() {
                self.quiet_at = Some(Instant::now() + QUIET);
            }
            events.into_iter().for_each(|event| self.handle(event));
            self.tick();
        }
    }

    fn interests(&self) -> Interests<'_> {
        let mut all = Interests::default();
        all.add(Token::Listener, self.listener.as_fd(), true, false);
        for connection in &self.connections {
            all.add(
                Token::Connection(connection.number),
                connection.fd(),
                true,
                connection.has_output(),
            );
        }
        match &self.life {
            Life::Preparing { pending, .. }
            | Life::Held(pending)
            | Life::Starting { pending, .. } => {
                all.add(
                    Token::Container(Part::Birth),
                    pending.sync_fd(),
                    true,
                    false,
                );
            }
            Life::Running(running) => match running.stranger {
                Some(Some(_)) => all.wake_at(Instant::now() + super::ending::LOOK_AGAIN),
                _ => all.add(
                    Token::Container(Part::End),
                    running.process.as_fd(),
                    true,
                    false,
                ),
            },
            Life::Ending(ending) => all.wake_at(ending.deadline),
            Life::Exited(_) | Life::Failed(_) | Life::Changing => {}
        }
        self.hub.interests(Token::Container, &mut all);
        self.execs.iter().for_each(|exec| exec.interests(&mut all));
        self.forwards.interests(&mut all);
        [self.revival.next(), self.leave_at, self.quiet_at]
            .into_iter()
            .flatten()
            .for_each(|time| all.wake_at(time));
        all
    }

    fn handle(&mut self, event: Event) {
        self.stirred |= matches!(
            event.token,
            Token::Listener | Token::Connection(_) | Token::Container(Part::Birth | Part::End)
        );
        match event.token {
            Token::Listener => self.welcome(),
            Token::Connection(number) => self.serve(number, event),
            Token::Container(Part::Birth) => self.advance(),
            Token::Container(Part::End) => self.end(),
            Token::Container(part) => {
                let closed = self.hub.handle(part, event);
                self.tell_closed(closed, None);
            }
            Token::Exec(number, part) => self.handle_exec(number, part, event),
            Token::Log => self.hub.log.iter().for_each(super::log::Log::woken),
            Token::Forward(side) => self.forwards.handle(side),
        }
    }

    fn tick(&mut self) {
        if matches!(&self.life, Life::Running(running) if running.stranger.flatten().is_some()) {
            self.end();
        }
        self.go_on_ending();
        self.sweep_execs();
        for closed in self.hub.sweep() {
            self.tell_closed(Some(closed), None);
        }
        self.forwards.sweep();
        self.revival.tick();
        if self.quiet_at.is_some_and(|time| Instant::now() >= time) {
            self.quiet_at = None;
            self.look_for_oom();
            self.settle();
        }
    }

    /// Gives back what was needed once: a shim lives long and there are many.
    fn settle(&mut self) {
        memory::give_back_free();
        if std::mem::take(&mut self.stirred) {
            // It was made among what is gone now; where that was there is room, and above it can go.
            self.cgroup = self.cgroup.clone();
            memory::give_back_free();
            memory::forget_program();
        }
    }

    /// A shim goes when it was told to, when what it was to start failed, or when nobody came for the record.
    fn is_over(&self) -> bool {
        let late = self.leave_at.is_some_and(|time| Instant::now() >= time);
        let busy = self.hub.has_clients() || !self.execs.is_empty();
        late || self.dismissed && !busy
    }

    fn welcome(&mut self) {
        let Ok(socket) = fdpass::accept(self.listener.as_fd()) else {
            return;
        };
        // The socket's mode says the same; this also holds if somebody changed it.
        let own = nix::unistd::geteuid().as_raw();
        if !fdpass::peer_uid(socket.as_fd()).is_ok_and(|uid| uid == 0 || uid == own) {
            return;
        }
        self.next += 1;
        self.connections.push(Connection::new(self.next, socket));
        self.revival.engine_is_there();
        if !self.dismissed {
            self.leave_at = None;
        }
    }

    /// An engine's connection is gone. With the last one the engine is.
    pub(super) fn lose(&mut self, number: u64) {
        self.connections
            .retain(|connection| connection.number != number);
        if !self.connections.is_empty() {
            return;
        }
        self.revival.engine_is_gone();
        match self.life {
            Life::Preparing { .. } | Life::Failed(_) => {
                self.abandon();
                self.leave_at = Some(Instant::now());
            }
            Life::Exited(_) => self.linger(),
            _ => {}
        }
    }

    /// What was never started is not worth keeping.
    pub(super) fn abandon(&mut self) {
        if let Life::Preparing { pending, .. }
        | Life::Held(pending)
        | Life::Starting { pending, .. } = &self.life
        {
            pending.abandon();
        }
    }

    pub(super) fn linger(&mut self) {
        if self.connections.is_empty() && self.leave_at.is_none() {
            let patience = if self.revival.is_hoping() {
                HOPE
            } else {
                LINGER
            };
            self.leave_at = Some(Instant::now() + patience);
        }
    }

    pub(super) fn dismiss(&mut self) {
        self.dismissed = true;
        self.kept.clear();
        self.leave_at = Some(Instant::now() + FAREWELL);
    }

    /// Tells every engine that listens.
    pub(super) fn tell(&mut self, event: &ShimEvent) {
        let listening = self
            .connections
            .iter_mut()
            .filter(|connection| connection.events);
        let lost: Vec<u64> = listening
            .filter_map(|connection| connection.tell(event).is_err().then_some(connection.number))
            .collect();
        lost.into_iter().for_each(|number| self.lose(number));
    }

    pub(super) fn tell_closed(&mut self, closed: Option<Closed>, exec: Option<&str>) {
        if let Some(Closed { detached }) = closed {
            self.tell(&ShimEvent::AttachClosed {
                exec: exec.map(str::to_owned),
                detached,
            });
        }
    }

    /// Answers the connection that asked, if it is still there.
    pub(super) fn answer(&mut self, asker: Option<u64>, reply: &Reply) {
        let asked = self
            .connections
            .iter()
            .find(|connection| Some(connection.number) == asker);
        if let Some(connection) = asked
            && connection.reply(reply, &[]).is_err()
        {
            let number = connection.number;
            self.lose(number);
        }
    }

    /// The container's process has reported.
    fn advance(&mut self) {
        let life = std::mem::replace(&mut self.life, Life::Changing);
        self.life = match life {
            Life::Preparing { pending, asker } => self.advance_preparing(pending, asker),
            Life::Held(mut pending) => match pending.advance() {
                Progress::Failed(error) => Life::Failed(error),
                _ => Life::Held(pending),
            },
            Life::Starting { pending, asker } => self.advance_starting(pending, asker),
            other => other,
        };
    }

    fn advance_preparing(&mut self, mut pending: Pending, asker: Option<u64>) -> Life {
        match pending.advance() {
            Progress::Ready => match self.take_over(&mut pending) {
                Ok(()) => {
                    let reply = Reply::Prepared {
                        pid: pending.pid,
                        warnings: self.warnings.clone(),
                    };
                    self.answer(asker, &reply);
                    // What the preparation took is not needed again, and the start may be long in coming.
                    memory::give_back_free();
                    Life::Held(pending)
                }
                Err(error) => {
                    pending.abandon();
                    let text = format!("take the new process over: {error}");
                    self.failed(StartError::new(crate::StartStep::Shim, text), asker)
                }
            },
            Progress::Failed(error) => self.failed(error, asker),
            Progress::Working | Progress::Running => Life::Preparing { pending, asker },
        }
    }

    fn failed(&mut self, error: StartError, asker: Option<u64>) -> Life {
        if asker.is_some() {
            self.answer(asker, &Reply::Failed(error.clone()));
            self.dismiss();
        }
        Life::Failed(error)
    }

    fn take_over(&mut self, pending: &mut Pending) -> io::Result<()> {
        if let Some(master) = pending.terminal.take() {
            let stdio = self.settings.stdio;
            self.hub
                .set_terminal(master, stdio.console_size, stdio.open_stdin)?;
        }
        self.root = Some(pending.root.try_clone()?);
        self.write_identity(pending.pid, &pending.process, "")
    }

    fn advance_starting(&mut self, mut pending: Pending, asker: u64) -> Life {
        match pending.advance() {
            Progress::Running => {
                let started_at = time::now();
                // The record of who it is already says so without the time; a disk that is full must not end it now.
                let _without_time = self.write_identity(pending.pid, &pending.process, &started_at);
                let (pid, process) = (pending.pid, pending.process);
                self.answer(
                    Some(asker),
                    &Reply::Started {
                        pid,
                        started_at: started_at.clone(),
                    },
                );
                Life::Running(Running {
                    pid,
                    process,
                    started_at,
                    stranger: None,
                })
            }
            Progress::Failed(error) => self.failed(error, Some(asker)),
            Progress::Working | Progress::Ready => Life::Starting { pending, asker },
        }
    }

    pub(super) fn write_identity(
        &self,
        pid: i32,
        process: &OwnedFd,
        started_at: &str,
    ) -> io::Result<()> {
        let identity = Identity {
            pid,
            start_time: record::start_time(pid).unwrap_or(0),
            boot_id: record::boot_id(),
            pidfd_inode: nix::sys::stat::fstat(process)?.st_ino,
            shim: nix::unistd::getpid().as_raw(),
            started_at: started_at.to_owned(),
        };
        record::write(&self.settings.run_dir.join(STATE), &identity)
    }
}
