//! Attach, exec, resize: requests that the shim carries out.

use std::sync::Arc;

use bowline_runtime::{Attach, AttachedStreams, ExecPlan, Shim, Target};
use oci_spec::runtime::Process;
use serde_json::json;

use super::actor::{Actor, answer};
use super::{ExecTicket, Message, Stream};
use crate::error::{Error, Result};
use crate::launch::spec;
use crate::record::Phase;

impl Actor {
    pub(super) async fn handle_stream(&mut self, message: Message) {
        match message {
            Message::Attach {
                attach,
                stream,
                reply,
            } => {
                let result = self.attach(attach, stream).await;
                answer(reply, result);
            }
            Message::Exec {
                ticket,
                stream,
                capture,
                reply,
            } => {
                let result = self.exec(*ticket, stream, capture).await;
                answer(reply, result);
            }
            Message::Resize {
                target,
                height,
                width,
                reply,
            } => {
                let resized = self.on_shim("resize the terminal", move |shim| {
                    shim.resize(target, height, width)
                });
                answer(reply, resized.await);
            }
            Message::SignalExec { id, signal } => {
                let sent = self.on_shim("signal the exec", move |shim| {
                    shim.signal(Target::Exec(id), signal)
                });
                if let Err(error) = sent.await {
                    tracing::debug!(container = self.record.name, %error, "exec not signalled");
                }
            }
            Message::Still { until, reply } => self.still(until, reply).await,
            Message::Idle { until, reply } => {
                answer(reply, Ok(()));
                if !self.record.phase.is_alive() {
                    drop(until.await);
                }
            }
            _ => {}
        }
    }

    /// A created container keeps its clients until the start, so that they see the first byte.
    async fn attach(&mut self, attach: Attach, stream: Stream) -> Result<()> {
        if !self.record.phase.is_alive() {
            self.pending.push((attach, stream));
            return Ok(());
        }
        let Stream { fd, leftover } = stream;
        let attach = Attach { leftover, ..attach };
        self.on_shim("attach", move |shim| shim.attach(attach, fd))
            .await?;
        self.event("attach", &[]);
        Ok(())
    }

    async fn exec(
        &mut self,
        ticket: ExecTicket,
        stream: Option<Stream>,
        capture: Option<std::os::fd::OwnedFd>,
    ) -> Result<i32> {
        if self.record.phase == Phase::Paused {
            let message = format!(
                "container {} is paused, unpause the container before exec",
                self.record.id
            );
            return Err(Error::conflict(message));
        }
        let shim = self.running()?;
        let id = ticket.id.clone();
        let command = ticket.create.cmd.join(" ");
        let plan = self.exec_plan(ticket)?;
        let started = tokio::task::spawn_blocking(move || match capture {
            Some(output) => shim.exec_captured(&plan, output),
            None => {
                let mut plan = plan;
                let fd = stream.map(|stream| {
                    plan.attach.leftover = stream.leftover;
                    stream.fd
                });
                shim.exec(&plan, fd)
            }
        });
        let started = started
            .await
            .map_err(|error| Error::failed("run the exec", &error))?;
        match started {
            Ok(started) => {
                self.engine.execs().started(&id, started.pid);
                self.event(&format!("exec_start: {command}"), &[("execID", id)]);
                Ok(started.pid)
            }
            Err(error) => {
                self.engine.execs().ended(&id, error.code);
                Err(super::start::exec_failure(&error))
            }
        }
    }

    fn exec_plan(&self, ticket: ExecTicket) -> Result<ExecPlan> {
        let ExecTicket {
            id,
            create,
            console_size,
        } = ticket;
        let unsound = |error: &dyn std::error::Error| Error::failed("prepare the exec", error);
        let base = spec::document(&self.record, &spec::Context::default())
            .map_err(|error| unsound(&error))?;
        let mut environment = spec::environment(&self.record);
        if create.tty && !environment.iter().any(|entry| entry.starts_with("TERM=")) {
            environment.push("TERM=xterm".into());
        }
        for entry in &create.env {
            let name = entry.split('=').next().unwrap_or_default();
            environment.retain(|have| have.split('=').next() != Some(name));
            environment.push(entry.clone());
        }
        let mut process = serde_json::to_value(base.process()).map_err(|error| unsound(&error))?;
        process["args"] = json!(*create.cmd);
        process["env"] = json!(environment);
        process["terminal"] = json!(create.tty);
        if !create.working_dir.is_empty() {
            process["cwd"] = json!(create.working_dir);
        }
        let process: Process = serde_json::from_value(process).map_err(|error| unsound(&error))?;
        let user = if create.user.is_empty() {
            self.record.config.user.clone()
        } else {
            create.user
        };
        Ok(ExecPlan {
            id,
            process,
            user,
            additional_groups: self.record.host.group_add.clone(),
            tty: create.tty,
            attach: Attach {
                streams: AttachedStreams {
                    stdin: create.attach_stdin,
                    stdout: create.attach_stdout,
                    stderr: create.attach_stderr,
                },
                detach_keys: (!create.detach_keys.is_empty()).then_some(create.detach_keys),
                multiplexed: !create.tty,
                leftover: Vec::new(),
            },
            privileged: create.privileged || self.record.host.privileged,
            console_size,
        })
    }

    async fn on_shim<T: Send + 'static>(
        &self,
        what: &'static str,
        ask: impl FnOnce(&Shim) -> std::result::Result<T, bowline_runtime::Error> + Send + 'static,
    ) -> Result<T> {
        let shim: Arc<Shim> = self.running()?;
        let asked = tokio::task::spawn_blocking(move || ask(&shim)).await;
        asked
            .map_err(|error| Error::failed(what, &error))?
            .map_err(|error| Error::failed(what, &error))
    }
}
