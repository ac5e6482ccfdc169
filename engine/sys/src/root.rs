//! Paths inside a directory tree whose contents others control, resolved by the kernel.
//!
//! A container's file system may hold any symbolic link, and may change while it is being walked. So no path is ever
//! checked as a string: `openat2` resolves it with the tree as its root, atomically, and everything else happens
//! relative to the directory it returned. There is no way to leave the tree, whatever the links say.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

mod dir;
mod stat;

pub use dir::{Dir, Node, set_times, share_blocks};
pub use stat::{FileKind, Stat, Timestamp};

/// How many symbolic links one path may pass, as in the kernel.
const LINK_LIMIT: usize = 40;
/// `openat2` answers EAGAIN when a rename elsewhere made it unsure of `..`; the next try nearly always succeeds.
const RACE_RETRIES: usize = 64;

/// A directory tree that paths cannot leave.
#[derive(Debug)]
pub struct Root {
    dir: Dir,
    resolve: ResolveFlags,
}

impl Root {
    /// The tree at `path`. Symbolic links in it are followed as a process with this root would see them.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self::from_dir(Dir::open(path)?))
    }

    /// The tree below a directory that is already open (a detached mount, for one).
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self::from_dir(Dir::from_fd(fd))
    }

    /// The tree below `dir`.
    pub fn from_dir(dir: Dir) -> Self {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        Self { dir, resolve }
    }

    /// The same tree, refusing (ELOOP) every path with a symbolic link in it.
    pub fn without_symlinks(&self) -> io::Result<Self> {
        let dir = self.dir.try_clone()?;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        Ok(Self { dir, resolve })
    }

    /// The directory at the top.
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Opens the directory at `path`.
    pub fn open_dir(&self, path: impl AsRef<Path>) -> io::Result<Dir> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        Ok(Dir::from_fd(self.resolve(path.as_ref(), flags)?))
    }

    /// Opens a file for reading. Never blocks, so a fifo planted at `path` cannot hold the caller.
    pub fn open_file(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        Ok(File::from(self.resolve(path.as_ref(), flags)?))
    }

    /// A handle (`O_PATH`) on whatever `path` leads to; fit for `/proc/self/fd`, `open_tree` and `fstat`.
    pub fn open_path(&self, path: impl AsRef<Path>) -> io::Result<OwnedFd> {
        self.resolve(path.as_ref(), OFlags::PATH)
    }

    /// As [`Root::open_path`], but a symbolic link at the end is the result and is not followed.
    pub fn open_path_nofollow(&self, path: impl AsRef<Path>) -> io::Result<OwnedFd> {
        self.resolve(path.as_ref(), OFlags::PATH | OFlags::NOFOLLOW)
    }

    /// The directory that holds `path`'s last component, and that component. ENOTSUP when there is no last component to
    /// speak of (`/`, `a/..`).
    pub fn parent(&self, path: impl AsRef<Path>) -> io::Result<(Dir, OsString)> {
        let (parent, name) = split(path.as_ref())?;
        Ok((self.open_dir(parent)?, name.to_owned()))
    }

    /// What is at `path`, symbolic links followed.
    pub fn stat(&self, path: impl AsRef<Path>) -> io::Result<Stat> {
        Stat::of(self.open_path(path)?)
    }

    /// What is at `path`; a symbolic link at the end is looked at, not through.
    pub fn stat_nofollow(&self, path: impl AsRef<Path>) -> io::Result<Stat> {
        Stat::of(self.open_path_nofollow(path)?)
    }

    /// Makes the directory `path` and every missing one above it, and opens it. Dangling links on the way get the
    /// directories they point to, inside the tree, as `mkdir -p` under a chroot would not but every runtime must:
    /// images ship links such as `/etc/resolv.conf` whose target only exists at run time.
    pub fn mkdir_all(&self, path: impl AsRef<Path>, mode: u32) -> io::Result<Dir> {
        if let Ok(dir) = self.open_dir(path.as_ref()) {
            return Ok(dir);
        }
        let mut dir = self.dir.try_clone()?;
        for name in &self.locate(path)? {
            match dir.mkdir(name, mode) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            dir = dir.open_dir(name)?;
        }
        Ok(dir)
    }

    /// The path without symbolic links that `path` leads to, relative to the top; its tail need not exist.
    ///
    /// The answer may be out of date at once, so use it with calls that follow no links: those fail then, and cannot
    /// be led elsewhere.
    pub fn locate(&self, path: impl AsRef<Path>) -> io::Result<PathBuf> {
        let mut found = PathBuf::new();
        let mut left = components(path.as_ref());
        let mut links = 0;
        while let Some(name) = left.pop() {
            if name == ".." {
                found.pop();
                continue;
            }
            match self.link_at(&found, &name)? {
                None => found.push(name),
                Some(target) => {
                    links += 1;
                    if links > LINK_LIMIT {
                        return Err(Errno::LOOP.into());
                    }
                    if target.is_absolute() {
                        found.clear();
                    }
                    left.extend(components(&target));
                }
            }
        }
        Ok(found)
    }

    fn link_at(&self, parent: &Path, name: &OsStr) -> io::Result<Option<PathBuf>> {
        let dir = match self.open_dir(parent) {
            Ok(dir) => dir,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match dir.read_link(name) {
            Ok(target) => Ok(Some(target)),
            Err(error) if is_errno(&error, Errno::INVAL) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn resolve(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let path = path.strip_prefix("/").unwrap_or(path);
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        for _ in 0..RACE_RETRIES {
            match openat2(
                &self.dir,
                path,
                flags | OFlags::CLOEXEC,
                Mode::empty(),
                self.resolve,
            ) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other.map_err(Into::into),
            }
        }
        Err(Errno::AGAIN.into())
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

fn is_errno(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok((parent, name)),
        _ => Err(Errno::NOTSUP.into()),
    }
}

/// The steps of a path, the first one last, so that they can be popped and a link's own be pushed before the rest.
fn components(path: &Path) -> Vec<OsString> {
    let steps = path.components().rev().filter_map(|step| match step {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    steps.collect()
}

#[cfg(test)]
mod tests;
