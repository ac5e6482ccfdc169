//! What is mounted where.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use super::CgroupError;

/// How the machine's control groups are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One tree.
    V2,
    /// A tree per controller.
    V1,
    /// v1 trees and a v2 tree beside them.
    Hybrid,
}

/// The hierarchies of this machine. Read once, shared by reference.
#[derive(Clone, Debug)]
pub struct Hierarchies {
    pub(super) v1: Vec<V1>,
    pub(super) v2: Option<PathBuf>,
}

/// A v1 tree: where it is and what it controls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct V1 {
    pub(super) mount: PathBuf,
    pub(super) controllers: Vec<String>,
}

impl Hierarchies {
    /// Reads /proc/self/mountinfo and /proc/self/cgroup.
    pub fn detect() -> Result<Self, CgroupError> {
        Err(CgroupError::NothingMounted)
    }

    /// Which of the three.
    #[must_use]
    pub fn layout(&self) -> Layout {
        match (&self.v2, self.v1.is_empty()) {
            (Some(_), true) => Layout::V2,
            (Some(_), false) => Layout::Hybrid,
            (None, _) => Layout::V1,
        }
    }

    /// Moves this process, which must have one thread, into `path` in every hierarchy, systemd's too, making the
    /// directories as needed. Where it is already, nothing is written.
    pub fn leave_to(&self, path: &str) -> Result<(), CgroupError> {
        Err(CgroupError::BadPath(path.to_owned()))
    }

    /// The fds a process about to be spawned needs to be born in `path` (made as needed), instead of moving later.
    pub fn join_at(&self, path: &str) -> Result<super::Join, CgroupError> {
        Err(CgroupError::BadPath(path.to_owned()))
    }

    /// Removes the directory `path` and what is below it from every hierarchy; processes inside are an error.
    pub fn remove_path(&self, path: &str) -> Result<(), CgroupError> {
        Err(CgroupError::BadPath(path.to_owned()))
    }
}

#[expect(dead_code, reason = "placeholder")]
type Fd = OwnedFd;
