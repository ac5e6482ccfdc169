//! The task that probes a running container, and what its results do to the record.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use super::actor::Actor;
use super::{ExecTicket, Message};
use crate::clock;
use crate::engine::Engine;
use crate::health::{Check, Health, OUTPUT_LIMIT, Probe};
use crate::record::{ContainerRecord, Phase};

impl Actor {
    fn check(&self) -> Option<Check> {
        let config = self.record.config.healthcheck.as_ref()?;
        Check::from_config(config, &self.record.shell)
    }

    /// What is recorded together with a start: nobody must see a container that runs and seems to have no check.
    pub(super) fn begin_health(&mut self) {
        self.record.health = self.check().map(|_| Health::default());
    }

    /// Begins probing from `starting`, as a start, an unpause and a new engine do.
    pub(super) fn start_probes(&mut self) {
        self.stop_probes();
        let Some(check) = self.check() else {
            self.record.health = None;
            return;
        };
        if self.record.phase != Phase::Running {
            return;
        }
        self.record.health = Some(Health::default());
        self.save_what_is();
        let prober = Prober {
            engine: Arc::clone(&self.engine),
            container: self.record.id.clone(),
            mailbox: self.own.clone(),
            snapshot: self.handle.watch(),
            check,
            launch: self.launch,
            started: Instant::now().checked_sub(clock::since(&self.record.run.started_at)),
        };
        self.probes = Some(tokio::spawn(prober.run()).abort_handle());
    }

    pub(super) fn stop_probes(&mut self) {
        if let Some(task) = self.probes.take() {
            task.abort();
        }
    }

    pub(super) fn probed(&mut self, probe: Probe, started_after: Duration) {
        let (Some(check), Some(health)) = (self.check(), self.record.health.as_mut()) else {
            return;
        };
        let changed = health.record(&check, probe, started_after);
        let word = health.status.word();
        self.save_what_is();
        if changed {
            self.event(&format!("health_status: {word}"), &[]);
        }
    }
}

struct Prober {
    engine: Arc<Engine>,
    container: String,
    mailbox: mpsc::WeakSender<Message>,
    snapshot: watch::Receiver<Arc<ContainerRecord>>,
    check: Check,
    launch: u64,
    started: Option<Instant>,
}

impl Prober {
    async fn run(self) {
        loop {
            let health = self.snapshot.borrow().health.clone().unwrap_or_default();
            sleep(health.next_in(&self.check, self.running())).await;
            let started_after = self.running();
            let Some(probe) = self.probe().await else {
                return;
            };
            let Some(mailbox) = self.mailbox.upgrade() else {
                return;
            };
            let message = Message::Probed {
                launch: self.launch,
                probe,
                started_after,
            };
            if mailbox.send(message).await.is_err() {
                return;
            }
        }
    }

    fn running(&self) -> Duration {
        self.started
            .map_or(Duration::ZERO, |started| started.elapsed())
    }

    /// Runs one probe; `None` once the container is gone.
    async fn probe(&self) -> Option<Probe> {
        let start = clock::now();
        let create = bowline_api::ExecCreate {
            cmd: self.check.command.clone().into(),
            attach_stdout: true,
            attach_stderr: true,
            ..bowline_api::ExecCreate::default()
        };
        let id = self
            .engine
            .execs()
            .create(&self.container, create.clone())
            .ok()?;
        let (code, output) = match self.run_exec(&id, create).await {
            Ok(result) => result,
            Err(error) => (126, error),
        };
        Some(Probe {
            start,
            end: clock::now(),
            code,
            output,
        })
    }

    async fn run_exec(
        &self,
        id: &str,
        create: bowline_api::ExecCreate,
    ) -> Result<(i32, String), String> {
        let (mut reader, writer) = output_pipe().map_err(|error| error.to_string())?;
        let mailbox = self.mailbox.upgrade().ok_or("the container is gone")?;
        let (reply, started) = tokio::sync::oneshot::channel();
        let ticket = Box::new(ExecTicket {
            id: id.into(),
            create,
            console_size: None,
        });
        let message = Message::Exec {
            ticket,
            stream: None,
            capture: Some(writer),
            reply,
        };
        mailbox
            .send(message)
            .await
            .map_err(|_| "the container is gone")?;
        started
            .await
            .map_err(|_| "the container is gone")?
            .map_err(|error| error.message)?;
        let mut output = Vec::new();
        let whole = async {
            let read = read_limited(&mut reader, &mut output).await;
            (read, self.engine.execs().wait(id).await)
        };
        match timeout(self.check.timeout, whole).await {
            Ok((_, code)) => Ok((code, text(&output))),
            Err(_) => {
                let kill = Message::SignalExec {
                    id: id.into(),
                    signal: 9,
                };
                mailbox
                    .send(kill)
                    .await
                    .map_err(|_| "the container is gone")?;
                let words = format!(
                    "Health check exceeded timeout ({}s): {}",
                    self.check.timeout.as_secs_f64(),
                    text(&output)
                );
                Ok((-1, words))
            }
        }
    }
}

fn output_pipe() -> std::io::Result<(pipe::Receiver, OwnedFd)> {
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    let flags = nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK);
    nix::fcntl::fcntl(&reader, flags)?;
    Ok((pipe::Receiver::from_owned_fd(reader)?, writer))
}

/// Keeps the first bytes and reads the rest away, so that a chatty probe is not stopped by a full pipe.
async fn read_limited(reader: &mut pipe::Receiver, output: &mut Vec<u8>) -> std::io::Result<()> {
    let mut buffer = [0_u8; 4096];
    loop {
        let count = reader.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        let room = (OUTPUT_LIMIT + 1).saturating_sub(output.len());
        output.extend_from_slice(&buffer[..count.min(room)]);
    }
}

fn text(output: &[u8]) -> String {
    let cut = output.len() > OUTPUT_LIMIT;
    let mut text = String::from_utf8_lossy(&output[..output.len().min(OUTPUT_LIMIT)]).into_owned();
    if cut {
        text.push_str("...");
    }
    text
}
