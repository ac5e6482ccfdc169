//! Further commands in the container.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use bowline_sys::process;

use super::ending::code;
use super::hub::{Hub, Rules};
use super::keeper::{Keeper, Life};
use super::poll::{Event, Interests, Part, Token};
use super::streams;
use crate::setup::{self, Pending, Progress, Surroundings};
use crate::wire::Reply;
use crate::{Attach, ExecPlan, ExecRecord, ShimEvent, StartError, StartStep, record};

/// How long others may hold an exec's pipes open after its end.
const DRAIN: Duration = Duration::from_millis(500);

/// How many execs' records are kept.
const MOST_RECORDS: usize = 64;

/// One command.
#[derive(Debug)]
pub(super) struct Exec {
    number: u64,
    pub(super) id: String,
    pub(super) hub: Hub,
    tty: bool,
    input: bool,
    size: Option<(u16, u16)>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The client comes in when the command runs: until then its socket is the engine's to explain a failure on.
    Starting {
        pending: Box<Pending>,
        asker: u64,
        client: Option<(OwnedFd, Attach)>,
    },
    Running {
        pid: i32,
        process: OwnedFd,
    },
    /// It has ended and is written down; its streams may still hold something.
    Over {
        until: Instant,
        finished: bool,
    },
}

impl Exec {
    pub(super) fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        match &self.stage {
            Stage::Starting { pending, .. } => {
                into.add(
                    Token::Exec(self.number, Part::Birth),
                    pending.sync_fd(),
                    true,
                    false,
                );
            }
            Stage::Running { process, .. } => {
                into.add(
                    Token::Exec(self.number, Part::End),
                    process.as_fd(),
                    true,
                    false,
                );
            }
            Stage::Over { until, finished } => {
                if !finished {
                    into.wake_at(*until);
                }
            }
        }
        self.hub
            .interests(|part| Token::Exec(self.number, part), into);
    }

    /// Reads what it left, and once that is all, or it took too long, lets its clients go.
    fn go_on_ending(&mut self) {
        let Stage::Over { until, finished } = &mut self.stage else {
            return;
        };
        if *finished {
            return;
        }
        self.hub.drain();
        if self.hub.is_silent() || Instant::now() >= *until {
            *finished = true;
            self.hub.finish();
        }
    }

    /// Its process, while it has one.
    pub(super) fn process(&self) -> Option<&OwnedFd> {
        match &self.stage {
            Stage::Starting { pending, .. } => Some(&pending.process),
            Stage::Running { process, .. } => Some(process),
            Stage::Over { .. } => None,
        }
    }
}

impl Keeper {
    /// Begins a command. The answer follows when it runs, or does not.
    pub(super) fn begin_exec(
        &mut self,
        asker: u64,
        plan: ExecPlan,
        captured: bool,
        stream: Option<OwnedFd>,
    ) -> Result<(), StartError> {
        let Life::Running(running) = &self.life else {
            return Err(StartError::new(
                StartStep::Setup,
                "container is not running",
            ));
        };
        let (Some(cgroup), Some(root)) = (&self.cgroup, &self.root) else {
            return Err(StartError::new(
                StartStep::Setup,
                "container is not running",
            ));
        };
        let failed = |error: std::io::Error| {
            StartError::io(StartStep::Shim, "make the command's pipes", &error)
        };
        let (client, output) = if captured {
            (None, stream)
        } else {
            (stream, None)
        };
        let (ours, theirs) = match (output, plan.tty) {
            (Some(output), _) => streams::captured(output),
            // Without a client nobody ever reads.
            (None, _) if client.is_none() => streams::exec(crate::AttachedStreams::default()),
            (None, _) => streams::exec(plan.attach.streams),
        }
        .map_err(failed)?;
        let around = Surroundings {
            id: &self.settings.id,
            process: &running.process,
            cgroup,
            root,
            filter: self.plan.filter().map_err(failed)?,
            capabilities: self.settings.capabilities,
        };
        let draft = setup::further(&plan, around, (!plan.tty).then_some(theirs))?;
        let pending = Box::new(Pending::begin(draft)?);
        let rules = Rules {
            tty: plan.tty,
            ends_input: true,
            ends_client: false,
        };
        let ours = if plan.tty {
            super::hub::Streams::default()
        } else {
            ours
        };
        self.next += 1;
        self.execs.push(Exec {
            number: self.next,
            id: plan.id,
            hub: Hub::new(ours, rules, None),
            tty: plan.tty,
            input: plan.attach.streams.stdin,
            size: plan.console_size,
            stage: Stage::Starting {
                pending,
                asker,
                client: client.map(|client| (client, plan.attach)),
            },
        });
        Ok(())
    }

    pub(super) fn handle_exec(&mut self, number: u64, part: Part, event: Event) {
        let Some(index) = self.execs.iter().position(|exec| exec.number == number) else {
            return;
        };
        match part {
            Part::Birth => self.advance_exec(index),
            Part::End => self.end_exec(index),
            part => {
                let exec = &mut self.execs[index];
                let (closed, id) = (exec.hub.handle(part, event), exec.id.clone());
                self.tell_closed(closed, Some(&id));
            }
        }
    }

    fn advance_exec(&mut self, index: usize) {
        let exec = &mut self.execs[index];
        let Stage::Starting {
            pending,
            asker,
            client,
        } = &mut exec.stage
        else {
            return;
        };
        let asker = *asker;
        let failure = match pending.advance() {
            Progress::Working => return,
            Progress::Ready => match (pending.terminal.take(), exec.tty) {
                (Some(master), true) => exec
                    .hub
                    .set_terminal(master, exec.size, exec.input)
                    .map_err(|error| {
                        StartError::io(StartStep::Setup, "set the terminal up", &error)
                    })
                    .and_then(|()| pending.go()),
                _ => pending.go(),
            }
            .inspect_err(|_| pending.abandon())
            .err(),
            Progress::Failed(error) => Some(error),
            Progress::Running => {
                let (pid, client) = (pending.pid, client.take());
                let Ok(process) = pending.process.try_clone() else {
                    return;
                };
                exec.stage = Stage::Running { pid, process };
                let closed = client.and_then(|(socket, attach)| exec.hub.attach(socket, attach));
                let id = exec.id.clone();
                self.answer(
                    Some(asker),
                    &Reply::Started {
                        pid,
                        started_at: crate::time::now(),
                    },
                );
                self.tell_closed(closed, Some(&id));
                return;
            }
        };
        if let Some(error) = failure {
            drop(self.execs.remove(index));
            self.answer(Some(asker), &Reply::Failed(error));
        }
    }

    /// The record lies on disk before the stream closes: whoever sees the end of the stream can ask for the code.
    fn end_exec(&mut self, index: usize) {
        let exec = &mut self.execs[index];
        let Stage::Running { pid, process } = &exec.stage else {
            return;
        };
        let Ok(Some(ended)) = process::try_wait(process.as_fd()) else {
            return;
        };
        let (code, _) = code(ended);
        let id = exec.id.clone();
        let record = ExecRecord {
            id: id.clone(),
            pid: *pid,
            code,
        };
        exec.hub.process_ended();
        exec.stage = Stage::Over {
            until: Instant::now() + DRAIN,
            finished: false,
        };
        // The event below carries the code too; the record is for an engine that is not there now.
        let _told_instead = record::write(&ExecRecord::path(&self.settings.run_dir, &id), &record);
        self.forget_old_records(id.clone());
        self.look_for_oom();
        self.tell(&ShimEvent::ExecExited { id, code });
    }

    /// A container that is probed twice a minute must not fill its run directory.
    fn forget_old_records(&mut self, newest: String) {
        self.recorded.push_back(newest);
        if self.recorded.len() > MOST_RECORDS
            && let Some(oldest) = self.recorded.pop_front()
        {
            let path = ExecRecord::path(&self.settings.run_dir, &oldest);
            let _gone_already = std::fs::remove_file(path);
        }
    }

    pub(super) fn sweep_execs(&mut self) {
        for index in (0..self.execs.len()).rev() {
            let exec = &mut self.execs[index];
            exec.go_on_ending();
            let (closed, id) = (exec.hub.sweep(), exec.id.clone());
            if matches!(exec.stage, Stage::Over { finished: true, .. }) && !exec.hub.has_clients() {
                drop(self.execs.remove(index));
            }
            for closed in closed {
                self.tell_closed(Some(closed), Some(&id));
            }
        }
    }
}
