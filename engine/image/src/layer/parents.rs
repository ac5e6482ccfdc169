//! The directories that entries go into: opened once, made where the archive forgot them.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bowline_sys::root::{Dir, FileKind, Root};
use bowline_sys::xattr;

use super::path::DEPTH_LIMIT;

/// Directories kept open. Archives are mostly in depth-first order, so few are enough, and several layers are unpacked
/// at once under one limit of descriptors.
const OPEN_LIMIT: usize = 48;

/// An open directory, and where it really is once every symbolic link on the way is resolved.
#[derive(Debug)]
pub(super) struct Parent {
    pub(super) dir: Dir,
    pub(super) path: PathBuf,
}

/// The layer's directories.
#[derive(Debug)]
pub(super) struct Parents {
    root: Root,
    top: PathBuf,
    open: HashMap<PathBuf, Rc<Parent>>,
}

impl Parents {
    pub(super) fn new(root: Root) -> io::Result<Self> {
        let top = root.dir().path()?;
        Ok(Self {
            root,
            top,
            open: HashMap::new(),
        })
    }

    pub(super) fn root(&self) -> &Root {
        &self.root
    }

    /// The directory `path`, made with all above it if it is not there.
    pub(super) fn get(&mut self, path: &Path) -> io::Result<Rc<Parent>> {
        if let Some(parent) = self.open.get(path) {
            return Ok(Rc::clone(parent));
        }
        let dir = match self.root.open_dir(path) {
            Ok(dir) => dir,
            Err(error) if is_missing(&error) => self.make(path)?,
            Err(error) => return Err(error),
        };
        let real = dir.path()?;
        let real = real
            .strip_prefix(&self.top)
            .map_err(io::Error::other)?
            .to_owned();
        if real.components().count() > DEPTH_LIMIT {
            return Err(io::Error::other("links make the directory too deep"));
        }
        if self.open.len() >= OPEN_LIMIT {
            self.open.clear();
        }
        let parent = Rc::new(Parent { dir, path: real });
        self.open.insert(path.to_owned(), Rc::clone(&parent));
        Ok(parent)
    }

    /// The directory `path` if it is there.
    pub(super) fn existing(&self, path: &Path) -> io::Result<Dir> {
        self.root.open_dir(path)
    }

    /// Forgets what it knows: a name on the way to a directory has changed.
    pub(super) fn forget(&mut self) {
        self.open.clear();
    }

    fn make(&mut self, path: &Path) -> io::Result<Dir> {
        let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
            return self.root.open_dir(path);
        };
        let above = self.get(above)?;
        match above.dir.stat(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                above.dir.mkdir(name, 0o755)?;
            }
            Err(error) => return Err(error),
            Ok(stat) if stat.is_whiteout() => {
                uncover(&above.dir, name)?;
            }
            // A link whose target is not there yet: make that, as the finished tree will have it.
            Ok(stat) if stat.kind == FileKind::Symlink => return self.root.mkdir_all(path, 0o755),
            Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
        }
        above.dir.open_dir(name)
    }
}

/// Puts a directory where a whiteout is. The whiteout hides what lower layers have there and must go on doing so: an
/// opaque directory does.
pub(super) fn uncover(dir: &Dir, name: impl AsRef<std::ffi::OsStr>) -> io::Result<()> {
    let name = name.as_ref();
    dir.remove_file(name)?;
    dir.mkdir(name, 0o755)?;
    make_opaque(&dir.open_dir(name)?)
}

/// Hides whatever lower layers have in this directory.
pub(super) fn make_opaque(dir: &Dir) -> io::Result<()> {
    xattr::set(dir, "trusted.overlay.opaque".as_ref(), b"y")
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
