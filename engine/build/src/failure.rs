//! How a build ends when it does not end well.

use std::io;
use std::sync::Arc;

use bowline_image::{Hold, ImageError, Scratch};

use crate::caches::CacheGuard;
use crate::copy::CopyError;
use crate::progress::Place;
use crate::run::{RunError, RunStep};

/// A build did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A step failed.
    #[error(transparent)]
    Step(Box<Failed>),
    /// Nobody wants it any more.
    #[error("cancelled")]
    Cancelled,
    /// The results could not be made visible.
    #[error("commit the build")]
    Commit(#[source] ImageError),
    /// An image's configuration cannot be written.
    #[error("write the configuration of an image")]
    Config(#[source] serde_json::Error),
}

/// A step that failed.
#[derive(Debug, thiserror::Error)]
#[error("{name}")]
pub struct Failed {
    /// The step as people see it.
    pub name: String,
    /// Where it is written.
    pub place: Option<Place>,
    /// Its exit code, if a process of it ended.
    pub exit: Option<i32>,
    /// The last lines it wrote.
    pub output: Vec<String>,
    /// What was there when it failed, for a look around: of processes only.
    pub state: Option<Box<FailedState>>,
    /// Why.
    #[source]
    pub source: StepError,
}

/// The files of a failed step as it left them. They go when this is dropped.
#[derive(Debug)]
pub struct FailedState {
    /// What was run, and where: a shell can be run there just so.
    pub step: RunStep,
    /// Keeps what `step` names.
    #[expect(dead_code, reason = "it is there to be dropped")]
    pub(crate) kept: Kept,
}

/// What a process needs as long as it runs.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) scratch: Option<Scratch>,
    pub(crate) scratches: Vec<Scratch>,
    pub(crate) caches: Vec<CacheGuard>,
    pub(crate) holds: Vec<Arc<Hold>>,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// Its process ended badly.
    #[error("process \"{command}\" did not complete successfully: exit code: {code}")]
    Exit {
        /// The command.
        command: String,
        /// Its exit code.
        code: i32,
    },
    /// The kernel killed its process for lack of memory.
    #[error("process \"{command}\" was killed: out of memory")]
    OutOfMemory {
        /// The command.
        command: String,
    },
    /// Its process could not be run.
    #[error(transparent)]
    Run(RunError),
    /// Files could not be copied.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// A secret that must be there was not given.
    #[error("secret `{0}` was not given")]
    Secret(String),
    /// An SSH agent that must be there was not given.
    #[error("no SSH agent `{0}` was given")]
    Ssh(String),
    /// A context that the caller did not provide.
    #[error("the context `{0}` was not given")]
    NoContext(String),
    /// A context that cannot be read.
    #[error("open the context `{path}`")]
    Context {
        /// Where.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A cache folder.
    #[error("prepare the cache `{id}`")]
    Cache {
        /// Its id.
        id: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] ImageError),
    /// The tree below the step.
    #[error("look into the files below the step")]
    Tree(#[source] io::Error),
    /// The tree below the step could not be mounted.
    #[error("mount the files below the step")]
    Mount(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The thread that did the work panicked.
    #[error("the step broke off; this is a fault of the builder")]
    Broken,
    /// Given up.
    #[error("cancelled")]
    Cancelled,
}
