//! What follows the end of a container's process.

use bowline_runtime::{ExitRecord, ShimEvent};
use tokio::time::Instant;

use super::actor::{Actor, Flow};
use crate::clock;
use crate::health::Status;
use crate::record::Phase;
use bowline_api::WaitCondition;

impl Actor {
    pub(super) async fn shim_event(&mut self, event: Option<ShimEvent>) -> Flow {
        match event {
            Some(ShimEvent::Exited(exit)) => self.ended(&exit).await,
            Some(ShimEvent::ExecExited { id, code }) => {
                if self.engine.execs().ended(&id, code) {
                    let more = [("execID", id), ("exitCode", code.to_string())];
                    self.event("exec_die", &more);
                }
                Flow::On
            }
            Some(ShimEvent::Oom) => {
                self.event("oom", &[]);
                Flow::On
            }
            Some(_) => Flow::On,
            None => self.shim_lost().await,
        }
    }

    /// Records the end, decides on a restart, keeps every promise that waited for it.
    pub(super) async fn ended(&mut self, exit: &ExitRecord) -> Flow {
        self.stop_probes();
        let lasted = clock::since(&self.record.run.started_at);
        self.note(exit);
        let promises = self.stopping.take();
        let policy = self.policy();
        let pace = self.pace();
        self.record.restarts = pace.counted(self.record.restarts, lasted);
        let restart =
            !self.record.stopped_by_hand && policy.restarts_after(exit.code, self.record.restarts);
        if restart {
            self.record.phase = Phase::Restarting;
            self.restart_at = Some(Instant::now() + pace.after(&mut self.back_off, lasted));
        } else {
            self.record.phase = Phase::Exited;
            self.release_network().await;
        }
        self.remove_cgroup();
        self.save_what_is();
        self.engine.release_volumes(&self.record);
        self.terminal = None;
        if let Some(shim) = self.shim.take() {
            // The end is recorded, so the shim's own record of it is no longer needed.
            if let Err(error) = shim.dismiss() {
                tracing::debug!(container = self.record.name, %error, "shim not dismissed");
            }
        }
        self.launch += 1;
        self.engine.execs().container_ended(&self.record.id);
        let duration = lasted.as_secs().to_string();
        let code = exit.code.to_string();
        self.event("die", &[("exitCode", code), ("execDuration", duration)]);
        if promises.as_ref().is_some_and(super::stop::Stopping::stops) {
            self.event("stop", &[]);
        }
        self.handle.answer_waiters(
            |condition| condition != WaitCondition::Removed,
            &self.record,
        );
        let promises = promises.map(|stopping| stopping.then).unwrap_or_default();
        if self.after_stop(promises).await == Flow::Gone {
            return Flow::Gone;
        }
        if self.record.host.auto_remove && self.record.phase == Phase::Exited {
            return self.auto_remove().await;
        }
        Flow::On
    }

    fn note(&mut self, exit: &ExitRecord) {
        let run = &mut self.record.run;
        run.pid = 0;
        run.code = exit.code;
        run.oom_killed = exit.oom_killed;
        run.finished_at.clone_from(&exit.finished_at);
        if run.finished_at.is_empty() {
            run.finished_at = clock::now();
        }
        run.error = exit.error.clone().unwrap_or_default();
        // moby closes the monitor like this: a container that is not running is not healthy.
        if let Some(health) = &mut self.record.health {
            health.status = Status::Unhealthy;
        }
    }
}
