//! One container's control group.

use std::time::Duration;

use oci_spec::runtime::LinuxResources;

use super::{CgroupError, Hierarchies, Join, Stats, Warning};

/// A container's directory in every hierarchy.
#[derive(Clone, Debug)]
pub struct Cgroup {
    path: String,
}

impl Cgroup {
    /// Makes `parent/name` with its limits in place. A leftover of the same name is replaced if it is empty.
    pub fn create(
        hierarchies: &Hierarchies,
        parent: &str,
        name: &str,
        resources: &LinuxResources,
    ) -> Result<(Self, Vec<Warning>), CgroupError> {
        let _ = (hierarchies, parent, name, resources);
        Err(CgroupError::NothingMounted)
    }

    /// The group that was made earlier. Hierarchies where it does not exist are left out.
    pub fn open(hierarchies: &Hierarchies, parent: &str, name: &str) -> Result<Self, CgroupError> {
        let _ = (hierarchies, parent, name);
        Err(CgroupError::NothingMounted)
    }

    /// `parent/name`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What a new process needs to get in.
    pub fn join(&self) -> Result<Join, CgroupError> {
        Err(CgroupError::NothingMounted)
    }

    /// Changes limits of a living group; what `resources` leaves out stays.
    pub fn update(&self, resources: &LinuxResources) -> Result<Vec<Warning>, CgroupError> {
        let _ = resources;
        Err(CgroupError::NothingMounted)
    }

    /// Kills every process in the group and below, frozen or not.
    pub fn kill(&self) -> Result<(), CgroupError> {
        Err(CgroupError::NothingMounted)
    }

    /// Stops every process; returns when all have stopped.
    pub fn freeze(&self) -> Result<(), CgroupError> {
        Err(CgroupError::NothingMounted)
    }

    /// Lets them go on.
    pub fn thaw(&self) -> Result<(), CgroupError> {
        Err(CgroupError::NothingMounted)
    }

    /// Process ids in the group and below, sorted, in our pid namespace.
    pub fn pids(&self) -> Result<Vec<i32>, CgroupError> {
        Err(CgroupError::NothingMounted)
    }

    /// Waits until no process is left; `false` when the time was not enough.
    pub fn wait_empty(&self, timeout: Duration) -> Result<bool, CgroupError> {
        let _ = timeout;
        Err(CgroupError::NothingMounted)
    }

    /// How many processes the OOM killer took.
    pub fn oom_kills(&self) -> Result<u64, CgroupError> {
        Err(CgroupError::NothingMounted)
    }

    /// Usage.
    pub fn stats(&self) -> Result<Stats, CgroupError> {
        Err(CgroupError::NothingMounted)
    }

    /// Removes the directories and those made below them. Gone already is fine; a living process is an error.
    pub fn remove(&self) -> Result<(), CgroupError> {
        Err(CgroupError::NothingMounted)
    }
}
