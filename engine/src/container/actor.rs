//! The actor's life: one message at a time, deadlines between them.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bowline_runtime::{Attach, Shim};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, block_in_place};
use tokio::time::{Instant, sleep_until};

use super::network::Attached;
use super::stop::Stopping;
use super::{Handle, Message, Stream};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::record::{ContainerRecord, Phase};
use crate::restart::{BackOff, Pace, Policy};
use crate::store::Kind;

/// Requests that may wait for an actor before their senders do.
const MAILBOX: usize = 64;

/// What an actor of an existing record begins with.
#[derive(Debug)]
pub(crate) enum Resume {
    /// Nothing runs.
    Idle,
    /// A policy wants it started.
    Start,
    /// The machine was started anew since its last run, and its policy wants it back.
    Reboot,
    /// What was found where an earlier engine had started it.
    Adopted(Box<bowline_runtime::Adopted>),
}

/// Starts the actor of `record`.
pub(crate) fn spawn(engine: &Arc<Engine>, record: ContainerRecord, resume: Resume) -> Handle {
    let (publish, snapshot) = watch::channel(Arc::new(record.clone()));
    let (sender, mailbox) = mpsc::channel(MAILBOX);
    let handle = Handle {
        snapshot,
        mailbox: sender.clone(),
        waiters: Arc::new(Mutex::default()),
    };
    let actor = Actor {
        engine: Arc::clone(engine),
        record,
        publish,
        handle: handle.clone(),
        own: sender.downgrade(),
        mailbox,
        launch: 0,
        shim: None,
        terminal: None,
        attached: None,
        pending: Vec::new(),
        stopping: None,
        back_off: BackOff::default(),
        restart_at: None,
        probes: None,
    };
    tokio::spawn(actor.run(resume));
    handle
}

/// The one owner of a container.
#[derive(Debug)]
pub(super) struct Actor {
    pub(super) engine: Arc<Engine>,
    pub(super) record: ContainerRecord,
    publish: watch::Sender<Arc<ContainerRecord>>,
    pub(super) handle: Handle,
    /// For tasks of ours; weak, so that they do not keep a removed container's mailbox open.
    pub(super) own: mpsc::WeakSender<Message>,
    mailbox: mpsc::Receiver<Message>,
    /// Counts launches, so that events of an earlier shim are told apart.
    pub(super) launch: u64,
    pub(super) shim: Option<Arc<Shim>>,
    /// A copy of the master of its terminal, if it has one.
    pub(super) terminal: Option<OwnedFd>,
    /// What the network half holds while the container runs or waits for its restart.
    pub(super) attached: Option<Attached>,
    /// Clients that attached before the start.
    pub(super) pending: Vec<(Attach, Stream)>,
    pub(super) stopping: Option<Stopping>,
    pub(super) back_off: BackOff,
    pub(super) restart_at: Option<Instant>,
    /// The task that probes its health.
    pub(super) probes: Option<AbortHandle>,
}

/// Whether the actor goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    On,
    Gone,
}

impl Actor {
    async fn run(mut self, resume: Resume) {
        self.resume(resume).await;
        loop {
            let deadline = self.deadline();
            let far = Instant::now() + Duration::from_secs(3600);
            let flow = tokio::select! {
                message = self.mailbox.recv() => match message {
                    Some(message) => self.handle(message).await,
                    None => Flow::Gone,
                },
                () = sleep_until(deadline.unwrap_or(far)), if deadline.is_some() => self.due().await,
            };
            if flow == Flow::Gone {
                return;
            }
        }
    }

    async fn resume(&mut self, resume: Resume) {
        match resume {
            Resume::Idle => {}
            Resume::Start | Resume::Reboot => {
                if let Err(error) = self.launch().await {
                    tracing::warn!(container = self.record.name, %error, "not started");
                }
            }
            Resume::Adopted(adopted) => self.adopt(*adopted).await,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let stop = self.stopping.as_ref().and_then(Stopping::deadline);
        [stop, self.restart_at].into_iter().flatten().min()
    }

    /// A deadline passed: either a stop wants its next step or a back-off is over.
    async fn due(&mut self) -> Flow {
        let now = Instant::now();
        if self
            .stopping
            .as_ref()
            .and_then(Stopping::deadline)
            .is_some_and(|at| at <= now)
        {
            return self.escalate().await;
        }
        if self.restart_at.is_some_and(|at| at <= now) {
            self.restart_at = None;
            self.record.restarts += 1;
            if let Err(error) = self.launch().await {
                // A start that fails in the restart loop ends it.
                tracing::warn!(container = self.record.name, %error, "not restarted");
            }
        }
        Flow::On
    }

    async fn handle(&mut self, message: Message) -> Flow {
        match message {
            Message::Start(reply) => {
                let result = self.start().await;
                // Removed before the answer, so that a client that is told of the failure finds nothing left of it.
                let flow = match &result {
                    Err(_) => self.auto_remove_unstarted().await,
                    Ok(_) => Flow::On,
                };
                answer(reply, result);
                return flow;
            }
            Message::Stop {
                signal,
                timeout,
                reply,
            } => {
                return self
                    .stop(signal, timeout, super::stop::Then::Stopped(reply))
                    .await;
            }
            Message::Restart {
                signal,
                timeout,
                reply,
            } => {
                return self
                    .stop(signal, timeout, super::stop::Then::Restart(reply))
                    .await;
            }
            Message::Kill { signal, reply } => return self.kill(signal, reply).await,
            Message::Pause { freeze, reply } => {
                let result = self.pause(freeze);
                answer(reply, result);
            }
            Message::Remove {
                force,
                volumes,
                reply,
            } => {
                return self.remove(force, volumes, reply).await;
            }
            Message::Rename { name, reply } => {
                let result = self.rename(name);
                answer(reply, result);
            }
            Message::Update { changes, reply } => {
                let result = self.update(&changes);
                answer(reply, result);
            }
            Message::Connect {
                network,
                settings,
                reply,
            } => {
                let result = self.connect(&network, *settings).await;
                answer(reply, result);
            }
            Message::Disconnect { network, reply } => {
                let result = self.disconnect(&network).await;
                answer(reply, result);
            }
            Message::Shim { launch, event } if launch == self.launch => {
                return self.shim_event(event).await;
            }
            Message::Shim { .. } => {}
            Message::Settle(reply) => answer(reply, Ok(())),
            Message::Probed {
                launch,
                probe,
                started_after,
            } => {
                if launch == self.launch {
                    self.probed(probe, started_after);
                }
            }
            other => self.handle_stream(other).await,
        }
        Flow::On
    }

    /// Writes the record, then lets everybody see it.
    pub(super) fn save(&mut self) -> Result<()> {
        let saved = block_in_place(|| {
            self.engine
                .store()
                .put(Kind::Container, &self.record.id, &self.record)
        });
        saved.map_err(|error| Error::failed("record the container", &error))?;
        self.show();
        Ok(())
    }

    /// As [`Self::save`] where what happened has happened, recorded or not.
    pub(super) fn save_what_is(&mut self) {
        if let Err(error) = self.save() {
            tracing::error!(container = self.record.name, %error, "state is ahead of its record");
            self.show();
        }
    }

    pub(super) fn show(&self) {
        self.publish.send_replace(Arc::new(self.record.clone()));
        self.engine.touch();
    }

    pub(super) fn event(&self, action: &str, more: &[(&str, String)]) {
        let mut attributes = self.record.event_attributes();
        attributes.extend(
            more.iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone())),
        );
        self.engine
            .events()
            .publish("container", action, &self.record.id, attributes);
    }

    /// The policy; create refused what does not parse.
    pub(super) fn policy(&self) -> Policy {
        let policy = &self.record.host.restart_policy;
        Policy::parse(&policy.name, policy.maximum_retry_count).unwrap_or(Policy::No)
    }

    /// What the policy adds to its name; create refused what does not parse.
    pub(super) fn pace(&self) -> Pace {
        let policy = &self.record.host.restart_policy;
        Pace::parse(policy.delay, policy.window).unwrap_or_default()
    }

    pub(super) fn running(&self) -> Result<Arc<Shim>> {
        let not_running =
            || Error::conflict(format!("container {} is not running", self.record.id));
        match (&self.shim, self.record.phase) {
            (Some(shim), Phase::Running | Phase::Paused) => Ok(Arc::clone(shim)),
            _ => Err(not_running()),
        }
    }

    fn rename(&mut self, name: String) -> Result<()> {
        let old = std::mem::replace(&mut self.record.name, name);
        if let Err(error) = self.save() {
            self.record.name = old;
            return Err(error);
        }
        self.event("rename", &[("oldName", format!("/{old}"))]);
        Ok(())
    }
}

/// Answers a request; a requester that went away has no use for it.
pub(super) fn answer<T>(reply: super::Reply<T>, result: Result<T>) {
    drop(reply.send(result));
}
