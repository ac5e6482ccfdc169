//! Making and removing directories of a hierarchy.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use super::detect::Mount;
use super::{CgroupError, files};

/// Makes `path` and what leads to it, ready to be joined.
pub(super) fn make(mount: &Mount, path: &str) -> Result<PathBuf, CgroupError> {
    let mut dir = mount.point.clone();
    for part in path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
    {
        dir.push(part);
        match fs::create_dir(&dir) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(source) => return Err(CgroupError::Create { path: dir, source }),
        }
        prepare(mount, &dir)?;
    }
    Ok(dir)
}

/// Makes the last directory of `path` anew; one left over from before must be empty of processes.
pub(super) fn make_fresh(mount: &Mount, path: &str) -> Result<PathBuf, CgroupError> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let dir = make(mount, parent)?.join(name);
    match fs::create_dir(&dir) {
        Ok(()) => prepare(mount, &dir)?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            remove(&dir)
                .and_then(|()| fs::create_dir(&dir))
                .map_err(|source| CgroupError::InUse {
                    path: dir.clone(),
                    source,
                })?;
            prepare(mount, &dir)?;
        }
        Err(source) => return Err(CgroupError::Create { path: dir, source }),
    }
    Ok(dir)
}

/// A new v1 cpuset has no CPU and no memory node, and refuses tasks until it has both.
fn prepare(mount: &Mount, dir: &Path) -> Result<(), CgroupError> {
    if !mount.controllers.iter().any(|name| name == "cpuset") {
        return Ok(());
    }
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let own = dir.join(file);
        if files::read(&own)?.trim().is_empty() {
            let above = dir.parent().unwrap_or(dir).join(file);
            files::write(&own, files::read(&above)?.trim())?;
        }
    }
    Ok(())
}

/// Directories below `dir`, deepest first, then `dir`. One that is not there counts as none.
pub(super) fn subtree(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(dir, &mut found);
    found
}

fn collect(dir: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), found);
        }
    }
    found.push(dir.to_owned());
}

/// Removes each tree, going on past failures, and reports the first of them.
pub(super) fn remove_all<'a>(dirs: impl Iterator<Item = &'a Path>) -> Result<(), CgroupError> {
    let mut result = Ok(());
    for dir in dirs {
        if let Err(source) = remove(dir)
            && result.is_ok()
        {
            result = Err(CgroupError::Remove {
                path: dir.to_owned(),
                source,
            });
        }
    }
    result
}

/// How long the kernel may take to let go of a group whose last process has just ended: 1 + 2 + 4 … + 128 ms.
const PATIENCE: u32 = 8;

/// Removes `dir` and the groups made below it (by whatever ran inside).
pub(super) fn remove(dir: &Path) -> io::Result<()> {
    for attempt in 0..=PATIENCE {
        match subtree(dir).iter().try_for_each(|dir| rmdir(dir)) {
            Err(error) if error.kind() == ErrorKind::ResourceBusy && attempt < PATIENCE => {
                sleep(Duration::from_millis(1 << attempt));
            }
            result => return result,
        }
    }
    Ok(())
}

fn rmdir(dir: &Path) -> io::Result<()> {
    fs::remove_dir(dir).or_else(|error| {
        if files::is_gone(&error) {
            Ok(())
        } else {
            Err(error)
        }
    })
}
