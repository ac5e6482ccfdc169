//! The end of a container, in the order that lets nothing be lost: its last output is read, its ports are let go, its
//! log is written, the record lies on disk; then it is told.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use bowline_sys::process::{self, Ended};

use super::keeper::{Keeper, Life, Running};
use crate::record::{self, EXIT};
use crate::wire::Status;
use crate::{ExitRecord, ShimEvent, time};

/// How long others may hold the container's pipes open after its end.
const DRAIN: Duration = Duration::from_secs(1);
/// How long the log's disk may take for the last lines.
const FLUSH: Duration = Duration::from_secs(2);

/// A container that has ended and is not written down yet.
#[derive(Debug)]
pub(super) struct Ending {
    pid: i32,
    record: ExitRecord,
    /// Its streams are read to their end.
    drained: bool,
    /// When the present part is cut short.
    pub(super) deadline: Instant,
}

/// How often, and for how long, the kernel is asked how a stranger ended. It tells once the stranger's parent, which
/// may be slow, has taken note.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(5);
/// The code of an end that nobody saw.
const UNKNOWN: i32 = 255;

/// How it ended; the inner none means that nobody will ever know, the outer that it is too early.
fn how(running: &mut Running) -> Option<Option<Ended>> {
    let Some(seen) = &mut running.stranger else {
        return process::try_wait(running.process.as_fd())
            .ok()
            .flatten()
            .map(Some);
    };
    let since = *seen.get_or_insert_with(Instant::now);
    match process::exit_of_stranger(running.process.as_fd()) {
        Some(ended) => Some(Some(ended)),
        None => (since.elapsed() >= PATIENCE).then_some(None),
    }
}

impl Ending {
    /// Until its record lies on disk nothing has happened.
    pub(super) fn status(&self) -> Status {
        Status::Running {
            pid: self.pid,
            started_at: self.record.started_at.clone(),
        }
    }
}

/// The code that a shell would show.
pub(super) fn code(ended: Ended) -> (i32, Option<i32>) {
    match ended {
        Ended::Code(code) => (code, None),
        Ended::Signal(signal) => (128 + signal, Some(signal)),
    }
}

impl Keeper {
    /// The container's first process has ended.
    pub(super) fn end(&mut self) {
        let Life::Running(running) = &mut self.life else {
            return;
        };
        let Some(ended) = how(running) else { return };
        let (code, signal) = ended.map_or((UNKNOWN, None), code);
        let Running {
            pid, started_at, ..
        } = running;
        let (pid, started_at) = (*pid, started_at.clone());
        let error = "the shim that had started it died, and with it whoever is told the exit code";
        let record = ExitRecord {
            code,
            signal,
            oom_killed: false,
            started_at,
            finished_at: time::now(),
            error: ended.is_none().then(|| error.to_owned()),
            boot_id: record::boot_id(),
        };
        // With a pid namespace of its own everything else is dead already; without, it would live on uncounted.
        if let Some(cgroup) = &self.cgroup {
            let _empty = cgroup.kill();
        }
        self.forwards.clear();
        self.root = None;
        self.hub.process_ended();
        self.life = Life::Ending(Ending {
            pid,
            record,
            drained: false,
            deadline: Instant::now() + DRAIN,
        });
    }

    /// The next part of the ending, as far as it can be done now.
    pub(super) fn go_on_ending(&mut self) {
        let Life::Ending(ending) = &mut self.life else {
            return;
        };
        let late = Instant::now() >= ending.deadline;
        if !ending.drained {
            self.hub.drain();
            if !self.hub.is_silent() && !late {
                return;
            }
            ending.drained = true;
            ending.deadline = Instant::now() + FLUSH;
            self.hub.finish();
        }
        let written = self.hub.log.as_ref().is_none_or(super::log::Log::is_done);
        if written || Instant::now() >= ending.deadline {
            let mut record = ending.record.clone();
            if !written {
                record.error =
                    Some("the last lines of the log were not written in time".to_owned());
            }
            self.write_down(record);
        }
    }

    /// Tells once for every time the kernel was found to have killed something for want of memory.
    pub(super) fn look_for_oom(&mut self) {
        let kills = self
            .cgroup
            .as_ref()
            .and_then(|cgroup| cgroup.oom_kills().ok())
            .unwrap_or(0);
        let kills = kills.saturating_sub(self.oom_before);
        if kills > self.oom_kills {
            self.oom_kills = kills;
            self.tell(&ShimEvent::Oom);
        }
    }

    fn write_down(&mut self, mut record: ExitRecord) {
        self.look_for_oom();
        record.oom_killed = self.oom_kills > 0;
        if let Err(error) = record::write(&self.settings.run_dir.join(EXIT), &record) {
            // Then the message is all there is, and it says so.
            record.error = Some(format!("the exit record could not be written: {error}"));
        }
        self.tell(&ShimEvent::Exited(record.clone()));
        self.life = Life::Exited(record);
        self.linger();
    }
}
