//! Where a step's own files lie while it runs: below the run root, gone when it has ended.
//!
//! ```text
//! builds/<id>/                 as a container's run folder: the shim's socket, pipes, exit record
//! builds/<id>/hosts …          what is mounted over /etc
//! builds/<id>/stubs/           see bowline_runtime::make_stubs
//! builds/<id>/trees/<n>/       mounts that others' results are bound from
//! builds/<id>/memory/          a tmpfs: secrets, scripts, sockets of agents
//! ```

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use bowline_build::run::Secret;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// One step's folder.
#[derive(Debug)]
pub(super) struct Place {
    folder: PathBuf,
    mounted: Vec<PathBuf>,
    memory: Option<PathBuf>,
    files: usize,
}

/// Who may do what with a file that is made for a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Place {
    /// Makes the folder, for root alone.
    pub(super) fn make(folder: PathBuf) -> io::Result<Self> {
        private(&folder)?;
        Ok(Self {
            folder,
            mounted: Vec::new(),
            memory: None,
            files: 0,
        })
    }

    /// A file that is mounted into the root, readable by everybody there.
    pub(super) fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.folder.join(name);
        std::fs::write(&path, text)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644))?;
        Ok(path)
    }

    /// An empty folder for stubs.
    pub(super) fn stubs(&self) -> io::Result<PathBuf> {
        let path = self.folder.join("stubs");
        private(&path)?;
        Ok(path)
    }

    /// Shows an overlay at a folder of its own.
    pub(super) fn tree(
        &mut self,
        lowers: &[PathBuf],
        writable: Option<(&Path, &Path)>,
    ) -> io::Result<PathBuf> {
        let at = self
            .folder
            .join("trees")
            .join(self.mounted.len().to_string());
        private(&at)?;
        bowline_runtime::attach_tree(lowers, writable, &at)?;
        self.mounted.push(at.clone());
        Ok(at)
    }

    /// A file that never reaches a disk.
    pub(super) fn secret(&mut self, contents: &Secret, access: Access) -> io::Result<PathBuf> {
        let path = self.memory_path()?;
        std::fs::write(&path, &contents.0)?;
        grant(&path, access)?;
        Ok(path)
    }

    /// Where a socket can be made; see [`grant`].
    pub(super) fn memory_path(&mut self) -> io::Result<PathBuf> {
        let memory = match &self.memory {
            Some(memory) => memory.clone(),
            None => self.mount_memory()?,
        };
        self.files += 1;
        Ok(memory.join(self.files.to_string()))
    }

    fn mount_memory(&mut self) -> io::Result<PathBuf> {
        let at = self.folder.join("memory");
        private(&at)?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some("tmpfs"), &at, Some("tmpfs"), flags, Some("mode=0700"))?;
        self.mounted.push(at.clone());
        self.memory = Some(at.clone());
        Ok(at)
    }

    /// Unmounts and removes everything.
    pub(super) fn clear(self) {
        if let Err(error) = clear(&self.folder) {
            tracing::warn!(%error, folder = %self.folder.display(), "a build's folder is left behind");
        }
    }
}

/// Gives a file its owner and its bits; the bits last, since a change of owner takes some away.
pub(super) fn grant(path: &Path, access: Access) -> io::Result<()> {
    chown(path, Some(access.uid), Some(access.gid))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(access.mode))
}

/// Unmounts what is mounted in a step's folder, and removes it: it may be that of an engine that died.
pub(super) fn clear(folder: &Path) -> io::Result<()> {
    let mut points = vec![folder.join("memory")];
    if let Ok(trees) = std::fs::read_dir(folder.join("trees")) {
        points.extend(trees.flatten().map(|entry| entry.path()));
    }
    for point in points {
        // Not mounted, or not there: both are fine.
        let _gone = umount2(&point, MntFlags::MNT_DETACH);
    }
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn private(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}
