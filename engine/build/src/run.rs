//! What a `RUN` needs of the engine.
//!
//! The solver decides everything: which directories make up the root, which command runs as whom, what is mounted where.
//! Whoever implements [`Runner`] carries it out and decides nothing, and cleans up what it made but the upper directory:
//! that one is the solver's, who turns it into a layer or keeps it for a look at what failed.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;

use crate::graph::{Network, Ulimit};
use crate::progress::{Events, StepId, Stream};

/// Runs the processes of a build.
pub trait Runner: Send + Sync + fmt::Debug {
    /// Runs one process to its end and answers how it ended; whatever it started is gone by then, and nothing is mounted
    /// any more. The solver never drops the future: it cancels through `cancel` and waits, so that nobody writes into a
    /// directory that is being removed.
    fn run(&self, step: RunStep, output: RunOutput, cancel: Cancel) -> RunFuture;
}

/// What [`Runner::run`] answers.
pub type RunFuture = Pin<Box<dyn Future<Output = Result<Exit, RunError>> + Send>>;

/// One process to run.
#[derive(Clone, Debug)]
pub struct RunStep {
    /// Unique within the engine: 64 hexadecimal digits, fit as a container's id.
    pub id: String,
    /// The root file system.
    pub rootfs: RunRootfs,
    /// The program and its arguments.
    pub args: Vec<String>,
    /// `KEY=value`, complete: `PATH` is there, later entries win.
    pub env: Vec<String>,
    /// As [`RunStep::env`], from secrets: never to be printed or stored.
    pub secret_env: Vec<(String, Secret)>,
    /// Working directory, absolute. Made (0755, root) where it does not exist.
    pub cwd: PathBuf,
    /// `user[:group]` by name or number, to be looked up in the root; empty is root.
    pub user: String,
    /// Mounts beside the usual ones (`/proc`, `/dev`, `/sys`, `/dev/shm`, resolver files), in order: parents come before
    /// what lies in them. Missing mount points are made; the solver takes them away again.
    pub mounts: Vec<RunMount>,
    /// Which network it sees.
    pub network: Network,
    /// Lines of `/etc/hosts`: name and address; `host-gateway` stands for an address too.
    pub extra_hosts: Vec<(String, String)>,
    /// The host name.
    pub hostname: String,
    /// Bytes of `/dev/shm`.
    pub shm_size: Option<u64>,
    /// Resource limits.
    pub ulimits: Vec<Ulimit>,
    /// Under which cgroup it runs, unless the engine's own.
    pub cgroup_parent: Option<String>,
}

/// The directories of a root file system: an overlay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRootfs {
    /// Read-only directories, top first; at least one.
    pub lowers: Vec<PathBuf>,
    /// What is written goes here.
    pub upper: PathBuf,
    /// The overlay's scratch directory.
    pub work: PathBuf,
}

/// One more mount.
#[derive(Clone, Debug)]
pub struct RunMount {
    /// Absolute path inside the root.
    pub target: PathBuf,
    /// Whether writing is refused.
    pub readonly: bool,
    /// What is mounted.
    pub kind: RunMountKind,
}

/// What a [`RunMount`] mounts.
#[derive(Clone, Debug)]
pub enum RunMountKind {
    /// A part of a tree: overlay of `lowers` (top first, always two at least), writable where there is a `scratch`
    /// (upper and work directory).
    Tree {
        /// Read-only directories, top first.
        lowers: Vec<PathBuf>,
        /// Where writes go; they are thrown away afterwards.
        scratch: Option<(PathBuf, PathBuf)>,
        /// The directory or file in the tree, relative to its top, to be resolved inside it; empty is all of it.
        source: PathBuf,
    },
    /// A directory of the host: a cache. The solver holds its lock.
    Directory {
        /// Where it is; trusted, no links on the way.
        path: PathBuf,
    },
    /// Memory.
    Tmpfs {
        /// Its limit in bytes.
        size: Option<u64>,
    },
    /// A file with these contents, kept in memory only: a secret, or a script.
    File {
        /// Its contents.
        contents: Secret,
        /// Permission bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// The socket of an SSH agent. A process of any user in the root must be able to use it by `uid` and `mode`.
    Ssh {
        /// The agent's socket on the host.
        socket: PathBuf,
        /// Permission bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
}

/// Bytes that never appear in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Arc<[u8]>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

impl From<&[u8]> for Secret {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Exit code; 128 + signal when a signal ended it.
    pub code: i32,
    /// Whether the kernel killed it for lack of memory.
    pub out_of_memory: bool,
}

/// A process that could not be run at all.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It was cancelled, and is gone.
    #[error("cancelled")]
    Cancelled,
    /// The program could not be started (not found, not executable, no such user): the person's to mend. `code` is
    /// what a shell would answer: 127 or 126.
    #[error("{reason}")]
    Start {
        /// In a sentence.
        reason: String,
        /// 126 or 127.
        code: i32,
    },
    /// The engine's own trouble.
    #[error("run the step")]
    Engine(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Where a process's output goes. Clones write to the same step.
#[derive(Clone, Debug)]
pub struct RunOutput {
    events: Events,
    step: StepId,
}

impl RunOutput {
    /// Output of `step`.
    pub fn new(events: Events, step: StepId) -> Self {
        Self { events, step }
    }

    /// Takes bytes as they come; nothing is clipped, and lines may be cut anywhere: the channel puts them together.
    pub fn write(&self, stream: Stream, bytes: &[u8]) {
        self.events.log(&self.step, stream, bytes);
    }
}

/// Tells that a build is not wanted any more.
#[derive(Clone, Debug)]
pub struct Cancel(watch::Receiver<bool>);

/// Cancels what looks at the matching [`Cancel`]; dropping it cancels too.
#[derive(Debug)]
pub struct Canceller(watch::Sender<bool>);

impl Canceller {
    /// A pair of both ends.
    pub fn new() -> (Self, Cancel) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Cancel(receiver))
    }

    /// Cancels.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }
}

impl Cancel {
    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Waits until it is.
    pub async fn cancelled(&mut self) {
        // An error means that the other end is gone, and nobody waits for the result.
        drop(self.0.wait_for(|cancelled| *cancelled).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn leaving_cancels_as_well_as_saying_so() {
        let (canceller, mut cancel) = Canceller::new();
        assert!(!cancel.is_cancelled());
        canceller.cancel();
        assert!(cancel.is_cancelled());
        cancel.cancelled().await;
        let (canceller, mut cancel) = Canceller::new();
        drop(canceller);
        assert!(cancel.is_cancelled());
        cancel.cancelled().await;
    }

    #[test]
    fn a_secret_is_not_printed() {
        let printed = format!("{:?}", Secret::from(&b"hunter2"[..]));
        assert_eq!(printed, "Secret(7 bytes)");
    }
}
