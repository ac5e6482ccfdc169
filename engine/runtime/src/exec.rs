//! Requests about a running container: attaching to it, and running a further command in it.

use oci_spec::runtime::Process;
use serde::{Deserialize, Serialize};

/// A client that wants the container's streams. Its socket travels beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// Which streams it wants.
    pub streams: AttachedStreams,
    /// Keys that end the attachment on a terminal, as `ctrl-p,ctrl-q`; none means these.
    #[serde(default)]
    pub detach_keys: Option<String>,
    /// Whether frames mark the streams; a terminal's output never has them.
    #[serde(default)]
    pub multiplexed: bool,
    /// Bytes that the client had sent before its socket was handed over.
    #[serde(default)]
    pub leftover: Vec<u8>,
}

/// A choice of streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedStreams {
    /// What the client types goes to the process.
    pub stdin: bool,
    /// Standard output, and all of a terminal's.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
}

/// A further command in a running container.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExecPlan {
    /// The exec's id.
    pub id: String,
    /// Arguments, environment, directory, capabilities, no-new-privileges.
    pub process: Process,
    /// As in [`crate::Launch`].
    #[serde(default)]
    pub user: String,
    /// As in [`crate::Launch`].
    #[serde(default)]
    pub additional_groups: Vec<String>,
    /// A terminal of its own.
    #[serde(default)]
    pub tty: bool,
    /// Which streams the client's socket carries; all others are `/dev/null`.
    #[serde(default)]
    pub attach: Attach,
    /// All capabilities and no filter.
    #[serde(default)]
    pub privileged: bool,
    /// Height and width of the terminal.
    #[serde(default)]
    pub console_size: Option<(u16, u16)>,
}

/// A command that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecStarted {
    /// Its pid as the host sees it.
    pub pid: i32,
}

/// Whom a signal or a window size is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// The container's first process.
    Container,
    /// The exec of this id.
    Exec(String),
}
