//! What a shim leaves on disk: who the process is, and how it ended. A record appears whole or not at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// How the container ended; `exit.json` in its run directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// The process's code, or 128 plus the signal's number.
    pub code: i32,
    /// The signal that ended it.
    #[serde(default)]
    pub signal: Option<i32>,
    /// Whether the kernel killed anything in the cgroup for want of memory.
    #[serde(default)]
    pub oom_killed: bool,
    /// RFC 3339 with nanoseconds, UTC; empty when it never started.
    #[serde(default)]
    pub started_at: String,
    /// RFC 3339 with nanoseconds, UTC.
    pub finished_at: String,
    /// What went wrong beside the process itself.
    #[serde(default)]
    pub error: Option<String>,
    /// The boot in which it happened; a record of another boot still tells how it ended.
    #[serde(default)]
    pub boot_id: String,
}

/// How an exec ended; `exec-<id>.json` in the container's run directory, there before its stream closes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecRecord {
    /// The exec's id.
    pub id: String,
    /// Its pid on the host.
    pub pid: i32,
    /// The process's code, or 128 plus the signal's number.
    pub code: i32,
}

/// Which process the container is; `state.json` in its run directory. It outlives the shim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Pid as the host sees it.
    pub pid: i32,
    /// Ticks since boot at its birth, which tells it from a later process with the same pid.
    pub start_time: u64,
    /// The boot that pid and start time belong to.
    pub boot_id: String,
    /// The process's number in pidfs, unique for the boot; zero where the kernel has none (before 6.9).
    #[serde(default)]
    pub pidfd_inode: u64,
    /// The shim's own pid.
    pub shim: i32,
    /// When its program began; empty while it is only prepared.
    #[serde(default)]
    pub started_at: String,
}

impl ExitRecord {
    /// The record in `run_dir`, if the container has ended.
    pub fn read(run_dir: &Path) -> io::Result<Option<Self>> {
        read(&run_dir.join(EXIT))
    }
}

impl ExecRecord {
    /// The record of exec `id` in `run_dir`, if it has ended.
    pub fn read(run_dir: &Path, id: &str) -> io::Result<Option<Self>> {
        read(&Self::path(run_dir, id))
    }

    pub(crate) fn path(run_dir: &Path, id: &str) -> PathBuf {
        run_dir.join(format!("exec-{id}.json"))
    }
}

impl Identity {
    /// The record in `run_dir`, if a process was ever made.
    pub fn read(run_dir: &Path) -> io::Result<Option<Self>> {
        read(&run_dir.join(STATE))
    }
}

/// File name of the exit record.
pub(crate) const EXIT: &str = "exit.json";
/// File name of the identity.
pub(crate) const STATE: &str = "state.json";
/// File name of the control socket.
pub(crate) const SOCKET: &str = "shim.sock";

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes `value` beside `path` and renames it there, so that a reader sees the old or the new, never a half.
pub(crate) fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    fs::write(&temporary, serde_json::to_vec(value)?)?;
    fs::rename(&temporary, path)
}

/// Which boot this is; empty where the kernel does not say.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// The process's birth in ticks, field 22 of its `stat`. The name in parentheses may hold spaces and parentheses.
pub(crate) fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}
