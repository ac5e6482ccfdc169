//! The engine's own life as its shims may know it: `engine.json` in the run root.
//!
//! The engine writes it with state `running` once it holds the lock, and with `leaving` before it goes on purpose.
//! A shim whose engine connection ended, and that was launched with `revive`, reads it: only when it says `running`
//! and `revive`, and nobody holds the lock, does the shim take the lock and start the engine again from its own sealed
//! executable, in a session and cgroup of its own. The locked file is passed as an open descriptor whose number is in
//! [`LOCK_FD_VARIABLE`]; the lock belongs to the open file, so there is no moment in which nobody holds it.

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use crate::record;

/// Environment variable that tells a revived engine which descriptor holds the lock.
pub const LOCK_FD_VARIABLE: &str = "BOWLINE_LOCK_FD";

/// Contents of `engine.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineLife {
    /// Whether the engine means to be there.
    pub state: EngineState,
    /// Whether shims may start it again.
    #[serde(default)]
    pub revive: bool,
    /// The file whose `flock` makes an engine the only one.
    pub lock: PathBuf,
    /// The command line to start it with, its own name first.
    pub argv: Vec<String>,
    /// Its whole environment, `NAME=value` each.
    #[serde(default)]
    pub env: Vec<String>,
    /// Its cgroup, the same path in every hierarchy; none leaves it in the reviving shim's.
    #[serde(default)]
    pub cgroup: Option<String>,
}

/// Whether the engine means to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineState {
    /// It does: when it is gone, it died.
    Running,
    /// It is going, or went, on purpose.
    Leaving,
}

impl EngineLife {
    /// Reads the file, if there is one.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        match fs::read(path) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file in one step.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        record::write(path, self)
    }
}
