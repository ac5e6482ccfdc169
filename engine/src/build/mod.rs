//! Building images: the engine's part of it. What a Dockerfile means and what has to be done for it is decided in
//! `bowline-build`; here its steps are run as containers, and requests become builds.

mod agent;
mod bases;
mod context;
mod job;
mod launch;
mod network;
mod place;
mod plan;
mod prune;
mod runner;
mod shell;
mod sweep;
mod told;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use job::{Job, Running};
pub(crate) use runner::Steps;
pub(crate) use sweep::sweep;

use bowline_build::FailedState;
use bowline_build::run::RunStep;

use crate::engine::Engine;

/// What is being built.
#[derive(Debug, Default)]
pub(crate) struct Builds {
    steps: Mutex<BTreeSet<String>>,
    runner: Arc<Steps>,
    /// What failed steps left, for a look at it.
    kept: Mutex<HashMap<String, Box<FailedState>>>,
}

impl Builds {
    /// Ids of steps that run, or whose traces are being removed.
    pub(crate) fn steps(&self) -> BTreeSet<String> {
        self.lock().clone()
    }

    fn keep(&self, id: &str, state: Box<FailedState>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(id.to_owned(), state);
    }

    fn forget(&self, id: &str) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        drop(kept.remove(id));
    }

    /// The step that failed, if it was kept.
    fn failed_step(&self, id: &str) -> Option<RunStep> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(id).map(|state| state.step.clone())
    }

    /// What steps run through.
    pub(crate) fn runner(&self) -> Arc<Steps> {
        Arc::clone(&self.runner)
    }

    /// Steps run in `engine` from now on.
    pub(crate) fn run_in(&self, engine: &Arc<Engine>) {
        self.runner.run_in(engine);
    }

    fn enter(&self, id: &str) {
        self.lock().insert(id.to_owned());
    }

    fn leave(&self, id: &str) {
        self.lock().remove(id);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
