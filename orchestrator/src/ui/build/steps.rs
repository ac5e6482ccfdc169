//! The steps of a build and where each stands.

use std::collections::{HashMap, VecDeque};

use bowline_api::{BuildEvent, BuildEventKind};

/// Lines of output that are kept of each step, for when it fails.
const KEPT: usize = 200;

/// Where a step stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing was done for it yet.
    #[default]
    Waiting,
    /// It is being done.
    Running,
    /// Its result was there.
    Cached,
    /// It is done.
    Done,
    /// It failed.
    Failed,
    /// Somebody else failed.
    GivenUp,
}

/// One step.
#[derive(Clone, Debug, Default)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) standing: Standing,
    /// Milliseconds.
    pub(super) began: u64,
    pub(super) ended: Option<u64>,
    pub(super) why: Vec<String>,
    pub(super) moved: Option<(u64, Option<u64>)>,
    pub(super) output: VecDeque<String>,
}

/// All steps in the order in which they were planned.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps {
    steps: Vec<Step>,
    index: HashMap<String, usize>,
    began: Option<u64>,
    now: u64,
}

impl Steps {
    pub(super) fn take(&mut self, event: &BuildEvent) {
        self.advance(event.at);
        let at = event.at;
        match &event.kind {
            BuildEventKind::Planned { step, name, .. } => {
                if !self.index.contains_key(step) {
                    self.index.insert(step.clone(), self.steps.len());
                    self.steps.push(Step {
                        name: name.clone(),
                        ..Step::default()
                    });
                }
            }
            BuildEventKind::Started { step } => self.change(step, |step| {
                step.standing = Standing::Running;
                step.began = at;
            }),
            BuildEventKind::Cached { step } => self.end(step, Standing::Cached, at),
            BuildEventKind::Finished { step } => self.end(step, Standing::Done, at),
            BuildEventKind::Failed { step, .. } => self.end(step, Standing::Failed, at),
            BuildEventKind::Cancelled { step } => self.end(step, Standing::GivenUp, at),
            BuildEventKind::Missed { step, reasons } => {
                self.change(step, |step| step.why.clone_from(reasons));
            }
            BuildEventKind::Transferred {
                step, bytes, total, ..
            } => self.change(step, |step| step.moved = Some((*bytes, *total))),
            BuildEventKind::Log { step, line, .. } => self.change(step, |step| {
                if step.output.len() == KEPT {
                    step.output.pop_front();
                }
                step.output.push_back(line.clone());
            }),
            BuildEventKind::Warning { .. }
            | BuildEventKind::Image { .. }
            | BuildEventKind::End { .. } => {}
        }
    }

    fn change(&mut self, id: &str, change: impl FnOnce(&mut Step)) {
        if let Some(step) = self.index.get(id).and_then(|at| self.steps.get_mut(*at)) {
            change(step);
        }
    }

    fn end(&mut self, id: &str, standing: Standing, at: u64) {
        self.change(id, |step| {
            if step.standing == Standing::Waiting {
                step.began = at;
            }
            // What was found in the cache stays so, whatever else is said of it.
            if step.standing != Standing::Cached {
                step.standing = standing;
            }
            step.ended = Some(at);
        });
    }

    /// It is at least so late.
    pub(super) fn advance(&mut self, now: u64) {
        self.now = self.now.max(now);
        if now > 0 {
            self.began.get_or_insert(now);
        }
    }

    pub(super) fn all(&self) -> &[Step] {
        &self.steps
    }

    pub(super) fn last_lines(&self, id: &str) -> Vec<String> {
        let step = self.index.get(id).and_then(|at| self.steps.get(*at));
        step.map(|step| step.output.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// Milliseconds since the first event.
    pub(super) fn elapsed(&self) -> u64 {
        self.now.saturating_sub(self.began.unwrap_or(self.now))
    }

    /// Milliseconds that a step took, or takes so far.
    pub(super) fn took(&self, step: &Step) -> u64 {
        step.ended.unwrap_or(self.now).saturating_sub(step.began)
    }
}
