//! The file system of a container as it is, or as it would be when it runs: its root with everything mounted in it.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use bowline_sys::mount::{self, Attributes};
use bowline_sys::overlay::{Overlay, OverlayError};
use bowline_sys::root::{Dir, FileKind, Root, Stat};

use super::extract::{Extraction, extract};
use super::pack::{base, pack};
use super::{At, TreeError};
use crate::snapshot::Snapshot;

/// A container's file system; no path leads out of it.
#[derive(Debug)]
pub struct View {
    root: Root,
}

/// A file of a container.
#[derive(Clone, Debug)]
pub struct Found {
    /// The last part of the path it was asked for by.
    pub name: String,
    /// What it is; a symbolic link at the end of the path is looked at, not through.
    pub stat: Stat,
    /// Where a symbolic link leads in the end, as far as that exists.
    pub link_target: Option<PathBuf>,
}

/// Something mounted in a container that does not run.
#[derive(Clone, Debug)]
pub struct Mounted {
    /// What, on the host.
    pub source: PathBuf,
    /// A path in it that is mounted in its stead.
    pub subpath: PathBuf,
    /// Where.
    pub on: PathBuf,
    /// Whether it can be written to.
    pub writable: bool,
}

/// The file system of a container that does not run could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The layers.
    #[error("mount the container's layers")]
    Layers(#[source] OverlayError),
    /// A mount namespace for the moment.
    #[error("{0}")]
    Namespace(&'static str, #[source] io::Error),
    /// One of its mounts.
    #[error("mount {} on {}", source_path.display(), on.display())]
    Mount {
        /// What.
        source_path: PathBuf,
        /// Where.
        on: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
}

impl View {
    /// What the process `pid` sees.
    ///
    /// # Errors
    /// It is gone.
    pub fn of_process(pid: i32) -> io::Result<Self> {
        let dir = Dir::open(Path::new(&format!("/proc/{pid}/root")))?;
        Ok(Self {
            root: Root::from_dir(dir),
        })
    }

    /// Only the root of the process `pid`, without what is mounted in it.
    ///
    /// # Errors
    /// It is gone.
    pub fn root_of_process(pid: i32) -> io::Result<Self> {
        let namespace = PathBuf::from(format!("/proc/{pid}/ns/mnt"));
        // A thread of its own, which goes: entering a namespace is not for one that others share a root with.
        let enter = move || mount::top_elsewhere(&namespace);
        let tree = std::thread::spawn(enter).join();
        let tree = tree.unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))?;
        Ok(Self {
            root: Root::from_fd(tree),
        })
    }

    /// A tree that is mounted nowhere.
    pub fn of_tree(tree: OwnedFd) -> Self {
        Self {
            root: Root::from_fd(tree),
        }
    }

    /// Directories on each other, top first, for reading.
    ///
    /// # Errors
    /// See [`ViewError`].
    pub fn of_layers(layers: &[PathBuf]) -> Result<Self, ViewError> {
        let overlay = Overlay {
            lowers: layers,
            upper: None,
        };
        overlay
            .mount()
            .map(Self::of_tree)
            .map_err(ViewError::Layers)
    }

    /// Runs `work` on the file system of a container that does not run. It exists in a mount namespace of its own, so
    /// nobody sees it, and it is gone with the answer whatever happens.
    ///
    /// # Errors
    /// See [`ViewError`].
    pub fn offline<T: Send>(
        snapshot: &Snapshot,
        read_only: bool,
        mounts: &[Mounted],
        work: impl FnOnce(&Self) -> T + Send,
    ) -> Result<T, ViewError> {
        let on_its_own = || -> Result<T, ViewError> {
            let view = Self::assemble(snapshot, read_only, mounts)?;
            Ok(work(&view))
        };
        std::thread::scope(|scope| match scope.spawn(on_its_own).join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    fn assemble(
        snapshot: &Snapshot,
        read_only: bool,
        mounts: &[Mounted],
    ) -> Result<Self, ViewError> {
        mount::own_namespace()
            .map_err(|error| ViewError::Namespace("make a mount namespace", error))?;
        let overlay = Overlay {
            lowers: &snapshot.lowers,
            upper: Some((&snapshot.upper, &snapshot.work)),
        };
        let tree = overlay.mount().map_err(ViewError::Layers)?;
        let place = |error| ViewError::Namespace("place the container's root", error);
        // Over the scratch directory: a place that is there, and that nobody else sees covered.
        let on = Dir::open(&snapshot.work).map_err(place)?;
        mount::attach(tree.as_fd(), on.as_fd()).map_err(place)?;
        let view = Self::of_tree(tree.try_clone().map_err(place)?);
        for one in mounts {
            view.attach(one).map_err(|source| ViewError::Mount {
                source_path: one.source.clone(),
                on: one.on.clone(),
                source,
            })?;
        }
        if read_only {
            let made = mount::set(
                tree.as_fd(),
                Attributes(Attributes::READ_ONLY),
                Attributes::default(),
                None,
                false,
            );
            made.map_err(place)?;
        }
        Ok(view)
    }

    fn attach(&self, one: &Mounted) -> io::Result<()> {
        let tree = mount::bind_inside(&one.source, &one.subpath, true)?;
        let kind = Stat::of(&tree)?.kind;
        if !one.writable {
            let none = Attributes::default();
            mount::set(
                tree.as_fd(),
                Attributes(Attributes::READ_ONLY),
                none,
                None,
                true,
            )?;
        }
        let on = self.root.locate(&one.on)?;
        if kind == FileKind::Directory {
            drop(self.root.mkdir_all(&on, 0o755)?);
        } else if self.root.open_path(&on).is_err() {
            let (parent, name) = split(&on)?;
            let parent = self.root.mkdir_all(parent, 0o755)?;
            drop(parent.create_file(name, 0o644)?);
        }
        mount::attach(tree.as_fd(), self.root.open_path(&on)?.as_fd())
    }

    /// Looks at a path. One that ends in a slash or `/.` means the directory a link there leads to.
    ///
    /// # Errors
    /// Nothing is there.
    pub fn stat(&self, path: &str) -> Result<Found, TreeError> {
        let at = Path::new(path);
        let through = is_through(path);
        let stat = match through {
            true => self.root.open_dir(at).and_then(Stat::of),
            false => self.root.stat_nofollow(at),
        };
        let stat = stat.at("look at", at)?;
        let link_target = match stat.kind {
            FileKind::Symlink => Some(Path::new("/").join(self.root.locate(at).at("follow", at)?)),
            _ => None,
        };
        Ok(Found {
            name: base(path).to_string_lossy().into_owned(),
            stat,
            link_target,
        })
    }

    /// Packs what is at a path, named by the path's last part.
    ///
    /// # Errors
    /// See [`TreeError`].
    pub fn pack(&self, path: &str, out: impl Write) -> Result<(), TreeError> {
        let found = self.stat(path)?;
        let at = Path::new(path);
        let name = base(path).into_os_string();
        if found.stat.kind == FileKind::Directory {
            let dir = self.root.open_dir(at).at("open", at)?;
            return pack(&dir, OsStr::new(""), name.as_encoded_bytes(), out, false);
        }
        let (parent, last) = self.root.parent(at).at("open the folder of", at)?;
        pack(&parent, &last, name.as_encoded_bytes(), out, false)
    }

    /// Packs the whole, without what is mounted in it.
    ///
    /// # Errors
    /// See [`TreeError`].
    pub fn export(&self, out: impl Write) -> Result<(), TreeError> {
        // The root itself may be open only as a place, not for listing.
        let top = Path::new("/");
        pack_children(&self.root.open_dir(top).at("open", top)?, out)
    }

    /// Unpacks an archive, in whatever compression, into the directory at a path; a link there is followed.
    ///
    /// # Errors
    /// See [`TreeError`]; what was unpacked before stays.
    pub fn extract(
        &self,
        path: &str,
        archive: impl Read,
        how: &Extraction,
    ) -> Result<(), TreeError> {
        let at = Path::new(path);
        let dir = self.root.locate(at).at("follow", at)?;
        extract(&self.root, &dir, archive, how)
    }

    /// Whether a directory is at a path, links followed.
    ///
    /// # Errors
    /// Nothing is there.
    pub fn is_directory(&self, path: &str) -> Result<bool, TreeError> {
        let at = Path::new(path);
        let stat = self.root.stat(at).at("look at", at)?;
        Ok(stat.kind == FileKind::Directory)
    }

    /// A small file's text, links followed.
    pub fn read(&self, path: &str) -> Option<String> {
        let mut text = String::new();
        let file = self.root.open_file(path).ok()?;
        file.take(1 << 20).read_to_string(&mut text).ok()?;
        Some(text)
    }
}

fn pack_children(dir: &Dir, mut out: impl Write) -> Result<(), TreeError> {
    let mut pack = super::Pack::new(&mut out);
    pack.one_file_system = true;
    pack.children(dir)?;
    pack.end()
}

/// Whether a path means the directory itself, not a link to it.
fn is_through(path: &str) -> bool {
    path.ends_with('/') || path.ends_with("/.") || path == "."
}

fn split(path: &Path) -> io::Result<(&Path, OsString)> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok((parent, name.to_owned())),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}
