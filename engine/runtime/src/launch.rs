//! What the engine asks a shim to run. Plain data, told apart by a protocol version.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};

/// One container, ready to be started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Launch {
    /// [`crate::PROTOCOL`] of the engine that wrote it.
    pub protocol: u32,
    /// The container's id.
    pub id: String,
    /// Process, user mounts, namespaces, resources. What [`crate::Launch`] says itself wins over what the spec says.
    ///
    /// The mounts are those beside Docker's own (`/proc`, `/dev`, `/dev/pts`, `/dev/shm`, `/dev/mqueue`, `/sys`,
    /// `/sys/fs/cgroup`), which are always made; one with the same destination replaces Docker's. Masked and read-only
    /// paths are Docker's unless the spec names its own; `Some(empty)` means none.
    pub spec: Spec,
    /// `user`, `user:group`, `uid`, `uid:gid`, or nothing, in the container's own words.
    #[serde(default)]
    pub user: String,
    /// Names or numbers of further groups.
    #[serde(default)]
    pub additional_groups: Vec<String>,
    /// Where the container's files lie.
    pub rootfs: Rootfs,
    /// Which system calls the process may make.
    #[serde(default)]
    pub seccomp: Seccomp,
    /// All devices, nothing masked, `/sys` and cgroups writable, no filter.
    #[serde(default)]
    pub privileged: bool,
    /// Whether a reaper of ours is pid 1 and the command its child.
    #[serde(default)]
    pub init: bool,
    /// Size of `/dev/shm`; none means Docker's 64 MiB.
    #[serde(default)]
    pub shm_size: Option<u64>,
    /// Where the process is counted and limited.
    pub cgroup: CgroupPlan,
    /// The process's own input and output.
    #[serde(default)]
    pub stdio: StdioPlan,
    /// Where its output is kept.
    #[serde(default)]
    pub log: LogPlan,
    /// Directory of the control socket, the FIFOs and the records.
    pub run_dir: PathBuf,
    /// The pinned network namespace to join; none means the host's.
    #[serde(default)]
    pub netns: Option<PathBuf>,
    /// Namespaces that are not the container's own.
    #[serde(default)]
    pub join: JoinNamespaces,
    /// Ports that the shim relays in user space.
    #[serde(default)]
    pub forwards: Vec<Forward>,
    /// Whether a dead engine is to be started again, as `engine.json` allows.
    #[serde(default)]
    pub revive: bool,
    /// Path of `engine.json`; without it no engine is started again.
    #[serde(default)]
    pub engine_life: Option<PathBuf>,
}

/// The layers of a root file system.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rootfs {
    /// Read-only layers, the topmost first.
    pub lowers: Vec<PathBuf>,
    /// Where changes go.
    pub upper: PathBuf,
    /// Overlay's scratch directory, on the same file system as `upper`.
    pub work: PathBuf,
    /// Whether the process may write to it.
    #[serde(default)]
    pub readonly: bool,
    /// Whether `upper` is worth nothing after a crash: then nothing is written out to disk for it.
    #[serde(default)]
    pub volatile: bool,
}

/// The system-call filter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seccomp {
    /// Docker's default profile.
    #[default]
    Default,
    /// None.
    Unconfined,
    /// A profile as Docker's JSON has it.
    Profile(String),
}

/// Where the container and its shim are counted. Paths as `/bowline-xyz`, the same in every hierarchy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupPlan {
    /// The cgroup above the container's.
    pub parent: String,
    /// The container's own cgroup below `parent`.
    pub name: String,
    /// The cgroup that all shims share; none leaves the shim in the engine's.
    #[serde(default)]
    pub shims: Option<String>,
}

/// Input and output of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StdioPlan {
    /// A terminal instead of three streams.
    #[serde(default)]
    pub tty: bool,
    /// Whether its input stays open.
    #[serde(default)]
    pub open_stdin: bool,
    /// Whether its input ends with the first client's.
    #[serde(default)]
    pub stdin_once: bool,
    /// Height and width of the terminal.
    #[serde(default)]
    pub console_size: Option<(u16, u16)>,
}

/// Where output is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogPlan {
    /// Docker's `json-file`.
    JsonFile {
        /// The newest file.
        path: PathBuf,
        /// Bytes after which a new one begins; none means never.
        #[serde(default)]
        max_size: Option<u64>,
        /// How many files there may be, the newest included.
        #[serde(default = "one")]
        max_file: u32,
        /// Whether files are compressed once they are not the newest; only with a `max_size`.
        #[serde(default)]
        compress: bool,
        /// What every line carries beside its text (labels, environment, tag).
        #[serde(default)]
        attrs: BTreeMap<String, String>,
    },
    /// Nowhere.
    #[default]
    None,
}

fn one() -> u32 {
    1
}

/// Namespaces of somebody else, by the path of a namespace file (`/proc/PID/ns/ipc`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinNamespaces {
    /// Another container's processes.
    #[serde(default)]
    pub pid: Option<PathBuf>,
    /// Another container's shared memory, `/dev/shm` included.
    #[serde(default)]
    pub ipc: Option<PathBuf>,
    /// Another container's host name.
    #[serde(default)]
    pub uts: Option<PathBuf>,
    /// The host's processes.
    #[serde(default)]
    pub host_pid: bool,
    /// The host's shared memory.
    #[serde(default)]
    pub host_ipc: bool,
    /// The host's name.
    #[serde(default)]
    pub host_uts: bool,
    /// The host's view of cgroups.
    #[serde(default)]
    pub host_cgroup: bool,
}

/// A port that the shim listens on and relays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// Which of the passed listeners it is.
    pub listener: usize,
    /// Stream or datagrams.
    pub protocol: ForwardProtocol,
    /// Whom the peers reach.
    pub target: SocketAddr,
}

/// What a forward carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ForwardProtocol {
    /// A listening stream socket.
    Tcp,
    /// A bound datagram socket.
    Udp,
}
