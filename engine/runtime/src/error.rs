//! What can go wrong, as the engine sees it.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A container or an exec that could not be started.
///
/// `message` is the sentence Docker's clients look for (`exec: "foo": executable file not found in $PATH`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct StartError {
    /// What was being done.
    pub step: StartStep,
    /// The kernel's word, where it was the kernel that refused.
    #[serde(default)]
    pub errno: Option<i32>,
    /// 125 the engine's fault, 126 not executable, 127 not found, 128 anything else.
    pub code: i32,
    /// For people.
    pub message: String,
}

/// The part of a start that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StartStep {
    /// Starting or reaching the shim.
    Shim,
    /// Reading or checking the plan.
    Plan,
    /// The cgroup and its limits.
    Cgroup,
    /// Layers and mount sources.
    Rootfs,
    /// Inside the new process, before its identity.
    Setup,
    /// User and groups.
    User,
    /// Inside the new process, after its identity.
    Identity,
    /// The program itself.
    Exec,
}

impl StartError {
    pub(crate) fn new(step: StartStep, message: impl Into<String>) -> Self {
        Self {
            step,
            errno: None,
            code: 125,
            message: message.into(),
        }
    }

    pub(crate) fn io(step: StartStep, what: &str, error: &io::Error) -> Self {
        Self {
            step,
            errno: error.raw_os_error(),
            code: 125,
            message: format!("{what}: {error}"),
        }
    }
}

/// A request to a shim that failed.
#[derive(Debug, thiserror::Error)]
pub enum ShimError {
    /// The running executable could not be copied and sealed.
    #[error("seal the executable")]
    Seal(#[source] io::Error),
    /// The shim's socket refused a frame.
    #[error("send to the shim")]
    Send(#[source] io::Error),
    /// The shim's socket gave no frame.
    #[error("receive from the shim")]
    Receive(#[source] io::Error),
    /// The shim has left or died.
    #[error("the shim is gone")]
    Gone,
    /// The shim sent what this engine cannot read.
    #[error("read the shim's answer")]
    Frame(#[source] serde_json::Error),
    /// The shim said no.
    #[error("{0}")]
    Refused(String),
}

/// A container that could not be adopted.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// The shim speaks a newer protocol than this engine.
    #[error("the shim in `{}` speaks protocol {theirs}, this engine {ours}: use the newer engine", run_dir.display())]
    Newer {
        /// Where the shim is.
        run_dir: PathBuf,
        /// Its protocol.
        theirs: u32,
        /// Ours.
        ours: u32,
    },
    /// A record could not be read.
    #[error("read the records in `{}`", run_dir.display())]
    Record {
        /// Where they are.
        run_dir: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The shim's socket is there, but talking failed.
    #[error("talk to the shim in `{}`", run_dir.display())]
    Talk {
        /// Where the shim is.
        run_dir: PathBuf,
        /// Why not.
        source: ShimError,
    },
}
