//! Stopping, killing, pausing: signals with deadlines, never a blocked mailbox.

use std::time::Duration;

use bowline_runtime::Target;
use nix::sys::signal::Signal;
use tokio::time::Instant;

use super::Reply;
use super::actor::{Actor, Flow, answer};
use crate::error::{Error, Result};
use crate::record::Phase;

/// Docker's grace period.
const GRACE: i64 = 10;
/// How long a KILL may take before the container counts as stuck.
const KILL_TAKES: Duration = Duration::from_secs(10);

/// Who waits for the end, and what follows it.
#[derive(Debug)]
pub(crate) enum Then {
    Stopped(Reply<bool>),
    Restart(Reply<()>),
    Killed(Reply<()>),
    Remove { volumes: bool, reply: Reply<()> },
}

/// A stop under way.
#[derive(Debug)]
pub(crate) struct Stopping {
    /// When the next step is due; `None` waits for ever.
    at: Option<Instant>,
    killed: bool,
    pub(super) then: Vec<Then>,
}

impl Stopping {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.at
    }

    /// Whether a stop by request, not only a kill by a person's signal, is under way.
    pub(super) fn stops(&self) -> bool {
        self.then
            .iter()
            .any(|then| matches!(then, Then::Stopped(_) | Then::Restart(_)))
    }
}

impl Actor {
    pub(super) async fn stop(
        &mut self,
        signal: Option<String>,
        timeout: Option<i64>,
        then: Then,
    ) -> Flow {
        if self.record.phase == Phase::Restarting {
            self.cancel_restart().await;
            return self.after_stop(vec![then]).await;
        }
        if !self.record.phase.is_alive() {
            return match then {
                Then::Stopped(reply) => {
                    answer(reply, Ok(false));
                    Flow::On
                }
                other => self.after_stop(vec![other]).await,
            };
        }
        let signal = match self.signal_number(
            signal.as_deref().unwrap_or(&self.record.config.stop_signal),
            "TERM",
        ) {
            Ok(signal) => signal,
            Err(error) => return refuse(then, error),
        };
        let timeout = timeout.or(self.record.config.stop_timeout).unwrap_or(GRACE);
        self.record.stopped_by_hand = true;
        if let Err(error) = self.save() {
            return refuse(then, error);
        }
        if let Err(error) = self.deliver(signal).await {
            return refuse(then, error);
        }
        // A negative timeout waits for ever.
        let grace = u64::try_from(timeout).ok().map(Duration::from_secs);
        let stopping = self.stopping.get_or_insert(Stopping {
            at: None,
            killed: false,
            then: Vec::new(),
        });
        stopping.then.push(then);
        if !stopping.killed {
            stopping.at = grace.map(|grace| Instant::now() + grace);
        }
        Flow::On
    }

    /// The grace period is over, or KILL did not help.
    pub(super) async fn escalate(&mut self) -> Flow {
        let Some(stopping) = &mut self.stopping else {
            return Flow::On;
        };
        if stopping.killed {
            let stuck = "tried to kill container, but did not receive an exit event";
            for then in self
                .stopping
                .take()
                .into_iter()
                .flat_map(|stopping| stopping.then)
            {
                let _on = refuse(then, Error::internal(stuck));
            }
            return Flow::On;
        }
        stopping.killed = true;
        stopping.at = Some(Instant::now() + KILL_TAKES);
        if let Err(error) = self.deliver(Signal::SIGKILL as i32).await {
            tracing::warn!(container = self.record.name, %error, "kill failed");
        }
        Flow::On
    }

    pub(super) async fn kill(&mut self, signal: Option<String>, reply: Reply<()>) -> Flow {
        if !self.record.phase.is_alive() {
            let message = format!(
                "cannot kill container: {0}: container {0} is not running",
                self.record.id
            );
            answer(reply, Err(Error::conflict(message)));
            return Flow::On;
        }
        let signal = match self.signal_number(signal.as_deref().unwrap_or_default(), "KILL") {
            Ok(signal) => signal,
            Err(error) => {
                answer(reply, Err(error));
                return Flow::On;
            }
        };
        // Any signal sent by hand counts as a manual stop where it is one that ends the container
        // (moby `daemon/kill.go`): KILL, the configured stop signal, or any where none is configured.
        let stop = self.record.config.stop_signal.as_str();
        let ends = signal == Signal::SIGKILL as i32
            || stop.is_empty()
            || self
                .signal_number(stop, "TERM")
                .is_ok_and(|stop| stop == signal);
        if ends {
            self.record.stopped_by_hand = true;
            self.save_what_is();
        }
        if let Err(error) = self.deliver(signal).await {
            answer(reply, Err(error));
            return Flow::On;
        }
        if signal == Signal::SIGKILL as i32 {
            self.await_kill(Then::Killed(reply));
        } else {
            answer(reply, Ok(()));
        }
        Flow::On
    }

    /// A KILL was sent: `then` follows the end.
    pub(super) fn await_kill(&mut self, then: Then) {
        let stopping = self.stopping.get_or_insert(Stopping {
            at: None,
            killed: false,
            then: Vec::new(),
        });
        stopping.killed = true;
        stopping.at = Some(Instant::now() + KILL_TAKES);
        stopping.then.push(then);
    }

    /// Sends a signal; a frozen container is thawed, since it could not act on it.
    pub(super) async fn deliver(&mut self, signal: i32) -> Result<()> {
        let shim = self.running()?;
        let sent =
            tokio::task::spawn_blocking(move || shim.signal(Target::Container, signal)).await;
        match sent {
            Ok(Ok(())) => {}
            // The shim is gone or going: its end is on the way through the mailbox.
            Ok(Err(error)) => tracing::debug!(container = self.record.name, %error, "signal"),
            Err(error) => return Err(Error::failed("send the signal", &error)),
        }
        self.event("kill", &[("signal", signal.to_string())]);
        if self.record.phase == Phase::Paused {
            self.pause(false)?;
        }
        Ok(())
    }

    /// What was promised for the end of the container.
    pub(super) async fn after_stop(&mut self, promises: Vec<Then>) -> Flow {
        for then in promises {
            match then {
                Then::Stopped(reply) => answer(reply, Ok(true)),
                Then::Killed(reply) => answer(reply, Ok(())),
                Then::Restart(reply) => {
                    let result = self.start().await.map(drop);
                    if result.is_ok() {
                        self.event("restart", &[]);
                    }
                    answer(reply, result);
                }
                Then::Remove { volumes, reply } => {
                    let result = self.erase(volumes).await;
                    let gone = result.is_ok();
                    answer(reply, result);
                    if gone {
                        return Flow::Gone;
                    }
                }
            }
        }
        Flow::On
    }

    pub(super) async fn cancel_restart(&mut self) {
        self.restart_at = None;
        self.record.stopped_by_hand = true;
        self.record.phase = Phase::Exited;
        self.release_network().await;
        self.save_what_is();
        self.event("stop", &[]);
    }

    pub(super) fn pause(&mut self, freeze: bool) -> Result<()> {
        let id = &self.record.id;
        match (freeze, self.record.phase) {
            (true, Phase::Running) | (false, Phase::Paused) => {}
            (true, Phase::Paused) => {
                return Err(Error::conflict(format!("Container {id} is already paused")));
            }
            (false, Phase::Running) => {
                return Err(Error::conflict(format!("Container {id} is not paused")));
            }
            _ => return Err(Error::conflict(format!("Container {id} is not running"))),
        }
        let done = self.cgroup().and_then(|cgroup| {
            let done = if freeze {
                cgroup.freeze()
            } else {
                cgroup.thaw()
            };
            done.map_err(|error| Error::failed("freeze or thaw", &error))
        });
        done?;
        self.record.phase = if freeze {
            Phase::Paused
        } else {
            Phase::Running
        };
        self.save_what_is();
        if freeze {
            self.stop_probes();
        } else {
            self.start_probes();
        }
        self.event(if freeze { "pause" } else { "unpause" }, &[]);
        Ok(())
    }

    /// Stands still for a while. Not a state of the container: nobody is told, and an engine that comes back after a
    /// crash thaws what runs.
    pub(super) async fn still(
        &mut self,
        until: tokio::sync::oneshot::Receiver<()>,
        reply: Reply<()>,
    ) {
        let freezes = self.record.phase == Phase::Running;
        let freeze = |freeze: bool| {
            let cgroup = self.cgroup()?;
            let done = if freeze {
                cgroup.freeze()
            } else {
                cgroup.thaw()
            };
            done.map_err(|error| Error::failed("freeze or thaw the container", &error))
        };
        if freezes && let Err(error) = tokio::task::block_in_place(|| freeze(true)) {
            // Some of its processes may have stopped already.
            drop(freeze(false));
            answer(reply, Err(error));
            return;
        }
        answer(reply, Ok(()));
        // The other end says nothing: it goes.
        drop(until.await);
        if freezes && let Err(error) = tokio::task::block_in_place(|| freeze(false)) {
            tracing::error!(container = self.record.name, %error, "still frozen");
        }
    }

    /// `TERM`, `SIGTERM`, `15`, `RTMIN+3`; an empty text is `default`.
    fn signal_number(&self, text: &str, default: &str) -> Result<i32> {
        let text = if text.is_empty() { default } else { text };
        parse_signal(text).ok_or_else(|| Error::invalid(format!("invalid signal: {text}")))
    }
}

fn refuse(then: Then, error: Error) -> Flow {
    match then {
        Then::Stopped(reply) => answer(reply, Err(error)),
        Then::Restart(reply) | Then::Killed(reply) | Then::Remove { reply, .. } => {
            answer(reply, Err(error));
        }
    }
    Flow::On
}

/// A signal by name or number, real-time ones included.
pub(crate) fn parse_signal(text: &str) -> Option<i32> {
    // As the kernel counts them; glibc keeps the first two real-time signals for itself.
    const RTMIN: i32 = 34;
    const RTMAX: i32 = 64;
    if let Ok(number) = text.parse::<i32>() {
        return (1..=RTMAX).contains(&number).then_some(number);
    }
    let name = text.to_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let offset = |rest: &str| {
        if rest.is_empty() {
            Some(0)
        } else {
            rest[1..].parse::<i32>().ok()
        }
    };
    let number = if let Some(rest) = name.strip_prefix("RTMIN") {
        RTMIN + offset(rest)?
    } else if let Some(rest) = name.strip_prefix("RTMAX") {
        RTMAX - offset(rest)?
    } else {
        let full = format!("SIG{name}");
        full.parse::<Signal>().ok()? as i32
    };
    (1..=RTMAX).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::parse_signal;

    #[test]
    fn signals_have_names_numbers_and_offsets() {
        let read = ["TERM", "sigterm", "9", "RTMIN+3", "SIGRTMAX-1", "RTMIN"].map(parse_signal);
        assert_eq!(
            read,
            [Some(15), Some(15), Some(9), Some(37), Some(63), Some(34)]
        );
        for wrong in ["", "0", "65", "NOPE", "RTMIN+x", "RTMAX-99"] {
            assert_eq!(parse_signal(wrong), None, "{wrong}");
        }
    }
}
