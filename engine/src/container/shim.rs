//! The link to a container's shim: hearing its events, finding it again, living on without it.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use bowline_runtime::{
    Adopted, ExitRecord, Identity, LaunchFds, Shim, ShimEvent, ShimStatus, Survivor,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use super::Message;
use super::actor::{Actor, Flow};
use crate::clock;
use crate::record::Phase;

impl Actor {
    /// Listens to `shim`, whose events arrive as messages of the current launch.
    pub(super) fn follow(&mut self, shim: Arc<Shim>) {
        self.launch += 1;
        tokio::spawn(listen(Arc::clone(&shim), self.own.clone(), self.launch));
        self.shim = Some(shim);
    }

    /// Holds the terminal too, so that it is not hung up when the shim dies.
    pub(super) async fn hold_terminal(&mut self) {
        self.terminal = None;
        let Some(shim) = self.shim.clone().filter(|_| self.record.config.tty) else {
            return;
        };
        match tokio::task::spawn_blocking(move || shim.terminal()).await {
            Ok(Ok(terminal)) => self.terminal = terminal,
            other => tracing::debug!(container = self.record.name, ?other, "terminal not held"),
        }
    }

    /// Takes over what an earlier engine started.
    pub(super) async fn adopt(&mut self, adopted: Adopted) {
        let starting = std::mem::take(&mut self.record.starting);
        match adopted {
            Adopted::Live {
                shim,
                status: ShimStatus::Running(started),
                kept,
            } => {
                self.record.run.pid = started.pid;
                self.record.run.started_at = started.started_at;
                if !self.record.phase.is_alive() {
                    self.record.phase = Phase::Running;
                }
                self.follow(Arc::new(shim));
                self.hold_terminal().await;
                self.resume_network(kept).await;
                self.begin_health();
                self.save_what_is();
                self.start_probes();
            }
            Adopted::Live {
                shim,
                status: ShimStatus::Exited(exit),
                ..
            } => {
                self.follow(Arc::new(shim));
                let _flow = self.ended(&exit).await;
            }
            Adopted::Live {
                shim,
                status: ShimStatus::Prepared { .. },
                ..
            } => {
                // The start was not finished, so it never happened.
                let signal = shim.signal(bowline_runtime::Target::Container, 9);
                let dismissed = shim.dismiss();
                tracing::debug!(
                    ?signal,
                    ?dismissed,
                    container = self.record.name,
                    "unfinished"
                );
                self.unfinished().await;
            }
            Adopted::Exited(exit) => {
                let _flow = self.ended(&exit).await;
            }
            Adopted::Gone {
                process: Some(process),
                identity,
            } => {
                self.record.run.pid = identity.as_ref().map_or(0, |identity| identity.pid);
                if !self.record.phase.is_alive() {
                    self.record.phase = Phase::Running;
                }
                self.rebuild_network().await;
                self.relieve(identity, process).await;
                self.begin_health();
                self.save_what_is();
                self.start_probes();
            }
            Adopted::Gone { process: None, .. } if starting => self.unfinished().await,
            Adopted::Gone { process: None, .. } => {
                let _flow = self.ended(&lost()).await;
            }
        }
    }

    async fn unfinished(&mut self) {
        self.record.phase = match self.record.run.finished_at.as_str() {
            "" => Phase::Created,
            _ => Phase::Exited,
        };
        self.release_network().await;
        self.remove_cgroup();
        self.save_what_is();
        self.engine.release_volumes(&self.record);
    }

    /// The shim is gone. Its record is the truth; without one the process may live on.
    pub(super) async fn shim_lost(&mut self) -> Flow {
        self.shim = None;
        let run = self.engine.settings().roots.container_run(&self.record.id);
        let found = tokio::task::spawn_blocking(move || Shim::adopt(&run)).await;
        match found {
            Ok(Ok(Adopted::Exited(exit))) => self.ended(&exit).await,
            Ok(Ok(Adopted::Gone {
                process: Some(process),
                identity,
            })) => {
                tracing::warn!(
                    container = self.record.name,
                    "shim lost, its container lives on"
                );
                self.engine.execs().container_ended(&self.record.id);
                self.relieve(identity, process).await;
                self.start_probes();
                Flow::On
            }
            _ => self.ended(&lost()).await,
        }
    }

    /// Starts a shim in place of the one that died; where that fails, the container goes on without.
    async fn relieve(&mut self, identity: Option<Identity>, process: OwnedFd) {
        let process = match self.new_shim(identity, &process).await {
            Ok(shim) => {
                self.follow(Arc::new(shim));
                return self.hold_terminal().await;
            }
            Err(error) => {
                tracing::error!(container = self.record.name, error, "no new shim");
                process
            }
        };
        self.outlive(process);
    }

    async fn new_shim(
        &mut self,
        identity: Option<Identity>,
        process: &OwnedFd,
    ) -> Result<Shim, String> {
        let text = |error: &dyn std::error::Error| crate::error::chain(error);
        let survivor = Survivor {
            identity: identity.ok_or("it left no word of whom it kept")?,
            process: process.try_clone().map_err(|error| text(&error))?,
            terminal: self.terminal.take(),
        };
        let ready = self.bring_up().await.map_err(|error| text(&error))?;
        let launch = self.plan(&ready).map_err(|error| text(&error))?;
        let fds = LaunchFds {
            forwards: ready.listeners,
            keep: ready.keep,
        };
        let shims = self.engine.shims();
        let relieved =
            tokio::task::spawn_blocking(move || shims.relieve(&launch, fds, survivor)).await;
        relieved
            .map_err(|error| text(&error))?
            .map_err(|error| text(&error))
    }

    /// Waits for a process that has no shim any more.
    fn outlive(&mut self, process: OwnedFd) {
        self.launch += 1;
        let (mailbox, launch) = (self.own.clone(), self.launch);
        tokio::spawn(async move {
            let code = match watched(process) {
                Ok(process) => {
                    let ended = process.readable().await.is_ok();
                    let code = bowline_runtime::exit_code(process.get_ref().as_fd());
                    code.filter(|_| ended)
                }
                Err(_) => None,
            };
            let exit = code.map_or_else(lost, |code| ExitRecord { code, ..lost() });
            send(&mailbox, launch, Some(ShimEvent::Exited(exit))).await;
        });
    }
}

/// How a container ended that nobody watched.
fn lost() -> ExitRecord {
    ExitRecord {
        code: 255,
        finished_at: clock::now(),
        error: Some("the shim was killed, and the exit code with it".into()),
        ..ExitRecord::default()
    }
}

/// Readiness of a descriptor in the event loop.
#[expect(
    deprecated,
    reason = "the replacement is an unsafe function; an OwnedFd keeps its descriptor open and the same, which is what it asks for"
)]
fn watched(fd: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}

async fn listen(shim: Arc<Shim>, mailbox: mpsc::WeakSender<Message>, launch: u64) {
    let events = shim.events_fd().try_clone_to_owned();
    if let Ok(events) = events
        && let Ok(events) = watched(events)
    {
        loop {
            let Ok(mut ready) = events.readable().await else {
                break;
            };
            match shim.next_event() {
                Ok(Some(event)) => send(&mailbox, launch, Some(event)).await,
                // Readiness is told once per arrival, so it is given up only when nothing is left.
                Err(bowline_runtime::Error::Receive(error))
                    if error.kind() == std::io::ErrorKind::WouldBlock =>
                {
                    ready.clear_ready();
                }
                Ok(None) | Err(_) => break,
            }
        }
    }
    send(&mailbox, launch, None).await;
}

async fn send(mailbox: &mpsc::WeakSender<Message>, launch: u64, event: Option<ShimEvent>) {
    if let Some(mailbox) = mailbox.upgrade() {
        // A container that is gone hears nothing more.
        drop(mailbox.send(Message::Shim { launch, event }).await);
    }
}
