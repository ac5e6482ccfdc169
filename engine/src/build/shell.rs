//! A shell where a step failed: its files, its mounts, its network, its environment.

use std::path::Path;
use std::sync::Arc;

use bowline_build::run::{Canceller, RunError, RunStep};

use super::runner::look;
use crate::Stream;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::ids;

/// What people expect to find.
const SHELL: &str = "/bin/sh";

/// A shell that can be opened.
#[derive(Debug)]
pub(crate) struct Shell {
    engine: Arc<Engine>,
    step: RunStep,
}

impl Engine {
    /// The shell of the failed step that was kept under `id`.
    ///
    /// # Errors
    /// 404 where there is none (any more).
    pub(crate) fn build_shell(self: &Arc<Self>, id: &str) -> Result<Shell> {
        let Some(mut step) = self.builds().failed_step(id) else {
            return Err(Error::not_found(format!("no failed step was kept as {id}")));
        };
        step.id = ids::fresh().map_err(|error| Error::failed("make an id", &error))?;
        step.args = vec![SHELL.to_owned()];
        step.env.push("TERM=xterm".into());
        again(&step.rootfs.work)
            .map_err(|error| Error::failed("prepare the files of the failed step", &error))?;
        Ok(Shell {
            engine: Arc::clone(self),
            step,
        })
    }
}

impl Shell {
    /// Runs it on a client's connection until one of the two ends.
    ///
    /// # Errors
    /// There is no shell in the image.
    pub(crate) async fn run(self, stream: Stream) -> Result<()> {
        let (_canceller, cancel) = Canceller::new();
        match Box::pin(look(&self.engine, self.step, stream, cancel)).await {
            Ok(_) | Err(RunError::Cancelled) => Ok(()),
            Err(RunError::Start { reason, .. }) => Err(Error::invalid(format!(
                "the image has no shell to look with: {reason}"
            ))),
            Err(error) => Err(Error::internal(crate::error::chain(&error))),
        }
    }
}

/// A root that nothing was written out for is not mounted twice, for a crash in between could not be seen. There was
/// none: the step has just ended.
fn again(work: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(work.join("work").join("incompat")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
