//! One container's control group: made, limited, joined, removed.

use std::fs::File;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use oci_spec::runtime::LinuxResources;

use super::apply::{Homes, apply};
use super::detect::{Mount, check_path};
use super::{CgroupError, Hierarchies, Join, Warning, files, tree};

/// A container's directory in every hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    pub(super) path: String,
    pub(super) v1: Vec<Dir>,
    pub(super) v2: Option<PathBuf>,
}

/// The directory in one v1 hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dir {
    pub(super) controllers: Vec<String>,
    pub(super) path: PathBuf,
}

/// Controllers of v2 that every group gets: for limits, and for what `stats` shows without any.
const ALWAYS: [&str; 5] = ["cpu", "cpuset", "io", "memory", "pids"];

impl Cgroup {
    /// Makes `parent/name` with its limits in place. A leftover of the same name is replaced if it is empty.
    ///
    /// Hierarchies that refuse us (read-only, or not ours) are left out; a limit that would have needed them becomes a
    /// warning, device rules an error. When a limit is refused, what was made is removed again.
    pub fn create(
        hierarchies: &Hierarchies,
        parent: &str,
        name: &str,
        resources: &LinuxResources,
    ) -> Result<(Self, Vec<Warning>), CgroupError> {
        let path = child_path(parent, name)?;
        let mut group = Self {
            path,
            v1: Vec::new(),
            v2: None,
        };
        let made = group.make(hierarchies).and_then(|mut refused| {
            if let Some(mount) = hierarchies.v2.as_ref().filter(|_| group.v2.is_some()) {
                refused.extend(delegate(mount, &group.path, resources));
            }
            apply(&group, &Homes::of(&group, &refused)?, resources)
        });
        match made {
            Ok(warnings) => Ok((group, warnings)),
            Err(error) => {
                // What went wrong first is what counts; remains are reported by the ledger.
                drop(group.remove());
                Err(error)
            }
        }
    }

    /// Returns what was refused and why.
    fn make(&mut self, hierarchies: &Hierarchies) -> Result<Vec<Refusal>, CgroupError> {
        let mut refused = Vec::new();
        for mount in &hierarchies.v1 {
            let made = tree::make_fresh(mount, &self.path);
            if let Some(path) = unless_refused(made, mount, &mut refused)? {
                self.v1.push(Dir {
                    controllers: mount.controllers.clone(),
                    path,
                });
            }
        }
        if let Some(mount) = &hierarchies.v2 {
            let made = tree::make_fresh(mount, &self.path);
            self.v2 = unless_refused(made, mount, &mut refused)?;
        }
        if self.v1.is_empty() && self.v2.is_none() {
            return Err(refused
                .pop()
                .map_or(CgroupError::NothingMounted, |refusal| refusal.error));
        }
        Ok(refused)
    }

    /// The group that was made earlier. Hierarchies where it does not exist are left out, were it all of them.
    pub fn open(hierarchies: &Hierarchies, parent: &str, name: &str) -> Result<Self, CgroupError> {
        let path = child_path(parent, name)?;
        let there = |mount: &Mount| Some(mount.dir(&path)).filter(|dir| dir.is_dir());
        let dir = |mount: &Mount| {
            Some(Dir {
                controllers: mount.controllers.clone(),
                path: there(mount)?,
            })
        };
        Ok(Self {
            v1: hierarchies.v1.iter().filter_map(dir).collect(),
            v2: hierarchies.v2.as_ref().and_then(there),
            path,
        })
    }

    /// `parent/name`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What a new process needs to get in.
    pub fn join(&self) -> Result<Join, CgroupError> {
        Join::open(self.dirs())
    }

    /// Changes limits of a living group; what `resources` leaves out stays.
    pub fn update(&self, resources: &LinuxResources) -> Result<Vec<Warning>, CgroupError> {
        apply(self, &Homes::of(self, &[])?, resources)
    }

    /// Removes the directories and those made below them. Gone already is fine; a living process is an error.
    pub fn remove(&self) -> Result<(), CgroupError> {
        tree::remove_all(self.dirs().map(|(dir, _)| dir))
    }

    /// Every directory, and whether it is the v2 one.
    fn dirs(&self) -> impl Iterator<Item = (&Path, bool)> {
        let v1 = self.v1.iter().map(|dir| (dir.path.as_path(), false));
        v1.chain(self.v2.as_deref().map(|dir| (dir, true)))
    }

    /// The directory of the v1 hierarchy that holds `controller`.
    pub(super) fn v1_dir(&self, controller: &str) -> Option<&Path> {
        let holds = |dir: &&Dir| dir.controllers.iter().any(|name| name == controller);
        self.v1.iter().find(holds).map(|dir| dir.path.as_path())
    }
}

impl Join {
    pub(super) fn open<'a>(
        dirs: impl Iterator<Item = (&'a Path, bool)>,
    ) -> Result<Self, CgroupError> {
        let mut join = Self {
            into: None,
            tasks: Vec::new(),
        };
        for (dir, unified) in dirs {
            if unified {
                let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
                let opened = open(dir, flags, Mode::empty());
                join.into = Some(opened.map_err(|errno| failed(dir.into(), errno.into()))?);
            } else {
                let path = dir.join("tasks");
                let opened = File::options().write(true).open(&path);
                join.tasks
                    .push(opened.map_err(|source| failed(path, source))?.into());
            }
        }
        Ok(join)
    }
}

fn failed(path: PathBuf, source: std::io::Error) -> CgroupError {
    CgroupError::Open { path, source }
}

/// A hierarchy that would not have us.
pub(super) struct Refusal {
    pub(super) controllers: Vec<String>,
    pub(super) error: CgroupError,
}

fn unless_refused(
    made: Result<PathBuf, CgroupError>,
    mount: &Mount,
    refused: &mut Vec<Refusal>,
) -> Result<Option<PathBuf>, CgroupError> {
    match made {
        Ok(dir) => Ok(Some(dir)),
        Err(error) if error.is_refusal() => {
            refused.push(Refusal {
                controllers: mount.controllers.clone(),
                error,
            });
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Hands controllers down from the top of the v2 tree to the group's parent; returns those that were refused.
///
/// One at a time: a single one that is missing or busy would refuse them all. Never in the group itself, which holds
/// processes and could not. A refusal counts only for limits that need the controller.
fn delegate(mount: &Mount, path: &str, resources: &LinuxResources) -> Vec<Refusal> {
    let huge = resources
        .hugepage_limits()
        .as_ref()
        .is_some_and(|limits| !limits.is_empty());
    let wanted = || ALWAYS.into_iter().chain(huge.then_some("hugetlb"));
    let mut refused = Vec::new();
    let mut dir = mount.point.clone();
    let (parents, _) = path.rsplit_once('/').unwrap_or_default();
    for part in parents.split('/') {
        dir.push(part);
        let list = |file: &str| files::read(&dir.join(file)).unwrap_or_default();
        let (offered, enabled) = (list("cgroup.controllers"), list("cgroup.subtree_control"));
        let has = |list: &str, name: &str| list.split_whitespace().any(|other| other == name);
        for name in wanted().filter(|name| has(&offered, name) && !has(&enabled, name)) {
            if let Err(error) = enable(&dir, name) {
                refused.push(Refusal {
                    controllers: vec![name.to_owned()],
                    error,
                });
            }
        }
    }
    refused
}

/// A group below the real root (which alone has no `cgroup.type`) cannot hand down what its own processes use: so it is
/// inside another container whose top group we share. The kernel refuses memory and io then, but would accept cpu and
/// pids, by making the groups below fit for threads only: no process could join them. So nothing is enabled there.
fn enable(dir: &Path, controller: &str) -> Result<(), CgroupError> {
    let below_root = files::read_if_there(&dir.join("cgroup.type"))?.is_some();
    if below_root && !files::read(&dir.join("cgroup.procs"))?.is_empty() {
        return Err(CgroupError::HoldsProcesses {
            path: dir.to_owned(),
        });
    }
    files::write(
        &dir.join("cgroup.subtree_control"),
        &format!("+{controller}"),
    )
}

fn child_path(parent: &str, name: &str) -> Result<String, CgroupError> {
    if name.is_empty() || name.contains('/') {
        return Err(CgroupError::BadPath(name.to_owned()));
    }
    let path = format!("{}/{name}", parent.trim_end_matches('/'));
    check_path(&path)?;
    Ok(path)
}
