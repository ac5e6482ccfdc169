//! Control groups: three layouts behind one interface.
//!
//! - **v2**: one tree does everything.
//! - **v1**: a tree per controller.
//! - **hybrid**: v1 trees hold the controllers, and a v2 tree beside them, though it can limit (nearly) nothing, kills
//!   and freezes without races and says when a group is empty.
//!
//! [`Hierarchies::detect`] reads what is mounted. A [`Cgroup`] is one container's directory in every hierarchy; it is
//! made *with its limits* before anything joins. What a limit means for which file is decided by pure functions
//! (`v1.rs`, `v2.rs`) and only then written. Paths are as a container's manager sees them: `/bowline-x/abc` lies right
//! below each hierarchy's mount point. Everything blocks; nothing here knows tokio.
//!
//! *Invariant:* joining never moves a running process by `cgroup.procs` where that can be avoided, for the kernel
//! makes the mover wait 6 to 15 ms for an RCU grace period (see [`Join`]).

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

mod apply;
mod detect;
mod devices;
mod files;
mod group;
#[cfg(test)]
mod live;
mod processes;
mod setting;
mod stats;
mod tree;
mod v1;
mod v2;
mod wish;

pub use detect::{Hierarchies, Layout};
pub use group::Cgroup;

/// How a new process gets into a [`Cgroup`] without waiting for a grace period. Hybrid uses both halves.
#[derive(Debug)]
pub struct Join {
    /// The v2 directory, for `clone3(CLONE_INTO_CGROUP)`: the child is born inside.
    pub into: Option<OwnedFd>,
    /// v1 `tasks` files. The child, while it has one thread, writes `0` into each: moving the writer itself takes no
    /// lock that needs a grace period (`cgroup.procs` would).
    pub tasks: Vec<OwnedFd>,
}

/// Something asked for that this machine cannot give. The container starts all the same, as with Docker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What was asked for, in the words of the API (`memory swappiness`).
    pub wish: &'static str,
    /// Why it is not given.
    pub reason: String,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is not applied: {}", self.wish, self.reason)
    }
}

/// What `stats` shows. Fields a machine cannot tell stay zero or `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// CPU time.
    pub cpu: CpuStats,
    /// Memory.
    pub memory: MemoryStats,
    /// Tasks.
    pub pids: PidsStats,
    /// Block devices that saw any traffic.
    pub io: Vec<IoStats>,
}

/// CPU time, in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuStats {
    /// Altogether.
    pub usage_ns: u64,
    /// In user mode.
    pub user_ns: u64,
    /// In the kernel.
    pub system_ns: u64,
    /// Per CPU, where the kernel counts it (v1).
    pub per_cpu_ns: Vec<u64>,
    /// Periods in which a quota was enforced.
    pub periods: u64,
    /// Of them, those in which the group had to wait.
    pub throttled_periods: u64,
    /// How long it waited.
    pub throttled_ns: u64,
}

/// Memory, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// Charged to the group, page cache included.
    pub usage: u64,
    /// Page cache that would go first: Docker shows `usage - inactive_file`.
    pub inactive_file: u64,
    /// The highest usage seen, where the kernel keeps it.
    pub max_usage: Option<u64>,
    /// `None`: no limit.
    pub limit: Option<u64>,
    /// Swap in use.
    pub swap: u64,
    /// How often an allocation hit the limit.
    pub failures: u64,
    /// `memory.stat` as the kernel gives it.
    pub details: Vec<(String, u64)>,
}

/// Tasks: processes and their threads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PidsStats {
    /// Now.
    pub current: u64,
    /// `None`: no limit.
    pub limit: Option<u64>,
}

/// Traffic with one block device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IoStats {
    /// Device number, major.
    pub major: u64,
    /// Device number, minor.
    pub minor: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub write_bytes: u64,
    /// Read operations.
    pub reads: u64,
    /// Write operations.
    pub writes: u64,
}

/// Which step with control groups failed.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// /proc does not tell what is mounted or where this process is.
    #[error("read {path}")]
    Proc {
        /// Which file.
        path: &'static str,
        /// The kernel's word.
        source: io::Error,
    },
    /// No cgroup file system at all.
    #[error("no cgroup hierarchy is mounted: mount cgroup2 on /sys/fs/cgroup")]
    NothingMounted,
    /// A path that would leave the hierarchy.
    #[error("`{0}` is not a cgroup path: it must be absolute and without `..`")]
    BadPath(String),
    /// A directory could not be made.
    #[error("create cgroup {}", path.display())]
    Create {
        /// Which directory.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// The container's cgroup is there already and holds processes.
    #[error("cgroup {} is in use", path.display())]
    InUse {
        /// Which directory.
        path: PathBuf,
        /// Why it could not be cleared.
        source: io::Error,
    },
    /// A limit or a command was refused.
    #[error("write `{value}` to {}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// What was to be written.
        value: String,
        /// The kernel's word.
        source: io::Error,
    },
    /// A file could not be read.
    #[error("read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// A directory or file could not be opened for a joining process.
    #[error("open {}", path.display())]
    Open {
        /// Which one.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// A v2 group cannot hand controllers down while processes are in it.
    #[error("hand controllers down from cgroup {}, which holds processes: move them to a group below it", path.display())]
    HoldsProcesses {
        /// Which directory.
        path: PathBuf,
    },
    /// A limit makes no sense, whatever the machine.
    #[error("{0}")]
    Invalid(String),
    /// The device rules' program did not load or attach.
    #[error("apply device rules to {}", path.display())]
    Devices {
        /// Which directory.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// Freezing did not finish in time.
    #[error("cgroup {} did not {wanted} in time", path.display())]
    Freezer {
        /// Which directory.
        path: PathBuf,
        /// `freeze` or `thaw`.
        wanted: &'static str,
    },
    /// Processes kept appearing faster than they could be killed, or could not be killed.
    #[error("cgroup {} still holds processes after they were killed", path.display())]
    Unkillable {
        /// Which directory.
        path: PathBuf,
    },
    /// A directory could not be removed.
    #[error("remove cgroup {}", path.display())]
    Remove {
        /// Which directory.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
}

impl CgroupError {
    /// Did the hierarchy refuse us as a whole (read-only, or somebody else's)?
    fn is_refusal(&self) -> bool {
        use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
        let (Self::Create { source, .. } | Self::Write { source, .. } | Self::Read { source, .. }) =
            self
        else {
            return false;
        };
        matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem)
    }
}
