//! An upper directory over a read-only tree, written as overlayfs would write it.
//!
//! What is here is what a mounted overlay would show: names in the upper directory first, then those below unless a
//! whiteout or an opaque directory hides them. Directories are taken up with their attributes when something is put
//! into them.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bowline_sys::root::{Dir, FileKind, Node, Stat};
use bowline_sys::xattr;

use crate::tree::attributes;

/// The mark of a directory that hides what lies below.
const OPAQUE: &str = "trusted.overlay.opaque";
/// How many symbolic links one path may pass.
const LINK_LIMIT: usize = 255;
/// Directories kept open.
const OPEN_LIMIT: usize = 64;

/// The whole.
#[derive(Debug)]
pub(crate) struct Canvas {
    top: Arc<Folder>,
    open: HashMap<PathBuf, Arc<Folder>>,
}

/// One directory that is in the upper tree.
#[derive(Debug)]
pub(crate) struct Folder {
    /// Relative to the top.
    pub(crate) path: PathBuf,
    /// Where to write.
    pub(crate) upper: Dir,
    lower: Option<Dir>,
}

impl Canvas {
    /// `upper` over `lower`.
    pub(crate) fn new(upper: Dir, lower: Option<Dir>) -> Self {
        let path = PathBuf::new();
        Self {
            top: Arc::new(Folder { path, upper, lower }),
            open: HashMap::new(),
        }
    }

    /// What is at a path without links, not followed.
    pub(crate) fn stat(&self, real: &Path) -> io::Result<Option<Stat>> {
        let (Some(parent), Some(name)) = (real.parent(), real.file_name()) else {
            return Stat::of(&self.top.upper).map(Some);
        };
        match self.view(parent)? {
            Some(view) => view.lookup(name),
            None => Ok(None),
        }
    }

    /// The target of the link at a path without links above it; `None` if there is no link.
    pub(crate) fn link(&self, real: &Path) -> io::Result<Option<PathBuf>> {
        let (Some(parent), Some(name)) = (real.parent(), real.file_name()) else {
            return Ok(None);
        };
        match self.view(parent)? {
            Some(view) => view.link(name),
            None => Ok(None),
        }
    }

    /// The path without links that `path` leads to; its tail need not exist. No link leads out of the top.
    pub(crate) fn locate(&self, path: &Path) -> io::Result<PathBuf> {
        let mut found = PathBuf::new();
        let mut left = steps(path);
        let mut links = 0;
        while let Some(name) = left.pop() {
            if name == ".." {
                found.pop();
                continue;
            }
            let target = match self.view(&found)? {
                Some(view) => view.link(&name)?,
                None => None,
            };
            let Some(target) = target else {
                found.push(name);
                continue;
            };
            links += 1;
            if links > LINK_LIMIT {
                return Err(io::Error::other("too many links"));
            }
            if target.is_absolute() {
                found.clear();
            }
            left.extend(steps(&target));
        }
        Ok(found)
    }

    /// A look into a directory; `None` if there is none.
    fn view(&self, real: &Path) -> io::Result<Option<View>> {
        let mut view = View {
            upper: Some(self.top.upper.try_clone()?),
            lower: self.top.lower.as_ref().map(Dir::try_clone).transpose()?,
        };
        for name in real {
            match view.enter(name)? {
                Some(inside) => view = inside,
                None => return Ok(None),
            }
        }
        Ok(Some(view))
    }

    /// A directory to write into: it is there, and from now on in the upper tree too.
    pub(crate) fn folder(&mut self, real: &Path) -> io::Result<Arc<Folder>> {
        if real.as_os_str().is_empty() {
            return Ok(Arc::clone(&self.top));
        }
        if let Some(known) = self.open.get(real) {
            return Ok(Arc::clone(known));
        }
        let (Some(parent), Some(name)) = (real.parent(), real.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let folder = Arc::new(self.folder(parent)?.enter(name)?);
        if self.open.len() >= OPEN_LIMIT {
            self.open.clear();
        }
        self.open.insert(real.to_owned(), Arc::clone(&folder));
        Ok(folder)
    }

    /// Forgets what it knows of a path that is being replaced.
    pub(crate) fn forget(&mut self, real: &Path) {
        self.open.retain(|path, _| !path.starts_with(real));
    }

    /// Makes a directory and those above it. What is there stays as it is.
    pub(crate) fn make_dirs(
        &mut self,
        real: &Path,
        mode: u32,
        owner: Option<(u32, u32)>,
    ) -> io::Result<()> {
        match self.stat(real)? {
            Some(stat) if stat.kind == FileKind::Directory => return Ok(()),
            Some(_) => return Err(io::ErrorKind::NotADirectory.into()),
            None => {}
        }
        let (Some(parent), Some(name)) = (real.parent(), real.file_name()) else {
            return Ok(());
        };
        self.make_dirs(parent, mode, owner)?;
        let folder = self.folder(parent)?;
        folder.make_dir(name)?;
        if let Some((uid, gid)) = owner {
            folder.upper.chown(name, uid, gid)?;
        }
        folder.upper.chmod(name, mode)
    }
}

fn steps(path: &Path) -> Vec<OsString> {
    let steps = path.components().rev().filter_map(|step| match step {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    steps.collect()
}

/// A directory, or what would be one, in one or both trees.
struct View {
    upper: Option<Dir>,
    lower: Option<Dir>,
}

impl View {
    fn lookup(&self, name: &OsStr) -> io::Result<Option<Stat>> {
        lookup(self.upper.as_ref(), self.lower.as_ref(), name)
            .map(|found| found.map(|(stat, _)| stat))
    }

    fn link(&self, name: &OsStr) -> io::Result<Option<PathBuf>> {
        match lookup(self.upper.as_ref(), self.lower.as_ref(), name)? {
            Some((stat, dir)) if stat.kind == FileKind::Symlink => dir.read_link(name).map(Some),
            _ => Ok(None),
        }
    }

    fn enter(&self, name: &OsStr) -> io::Result<Option<Self>> {
        let upper = self
            .upper
            .as_ref()
            .map(|dir| optional(dir.stat(name)))
            .transpose()?;
        let upper_is_dir = match upper.flatten() {
            Some(stat) if stat.kind == FileKind::Directory => true,
            Some(_) => return Ok(None),
            None => false,
        };
        let upper = match &self.upper {
            Some(dir) if upper_is_dir => Some(dir.open_dir(name)?),
            _ => None,
        };
        let hidden = upper.as_ref().map(is_opaque).transpose()?.unwrap_or(false);
        let lower = match &self.lower {
            Some(dir) if !hidden => below(dir, name)?,
            _ => None,
        };
        Ok((upper.is_some() || lower.is_some()).then_some(Self { upper, lower }))
    }
}

fn optional(found: io::Result<Stat>) -> io::Result<Option<Stat>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

fn is_opaque(dir: &Dir) -> io::Result<bool> {
    Ok(xattr::get(dir, OPAQUE.as_ref())?.is_some_and(|value| value == b"y"))
}

/// The directory of this name in the lower tree.
fn below(lower: &Dir, name: &OsStr) -> io::Result<Option<Dir>> {
    match optional(lower.stat(name))? {
        Some(stat) if stat.kind == FileKind::Directory => lower.open_dir(name).map(Some),
        _ => Ok(None),
    }
}

fn lookup<'d>(
    upper: Option<&'d Dir>,
    lower: Option<&'d Dir>,
    name: &OsStr,
) -> io::Result<Option<(Stat, &'d Dir)>> {
    if let Some(dir) = upper
        && let Some(stat) = optional(dir.stat(name))?
    {
        return Ok((!stat.is_whiteout()).then_some((stat, dir)));
    }
    match lower {
        Some(dir) => Ok(optional(dir.stat(name))?.map(|stat| (stat, dir))),
        None => Ok(None),
    }
}

impl Folder {
    /// What has this name.
    pub(crate) fn lookup(&self, name: &OsStr) -> io::Result<Option<Stat>> {
        let found = lookup(Some(&self.upper), self.lower.as_ref(), name)?;
        Ok(found.map(|(stat, _)| stat))
    }

    /// The directory of this name, taken up if it was only below.
    fn enter(&self, name: &OsStr) -> io::Result<Self> {
        let path = self.path.join(name);
        let in_upper = optional(self.upper.stat(name))?;
        let lower = match &self.lower {
            Some(dir) => below(dir, name)?,
            None => None,
        };
        if in_upper.is_none() {
            let lower = lower.as_ref().ok_or(io::ErrorKind::NotFound)?;
            self.take_up(name, lower)?;
        }
        let upper = self.upper.open_dir(name)?;
        let lower = match lower {
            Some(_) if is_opaque(&upper)? => None,
            other => other,
        };
        Ok(Self { path, upper, lower })
    }

    fn take_up(&self, name: &OsStr, lower: &Dir) -> io::Result<()> {
        let stat = Stat::of(lower)?;
        self.upper.mkdir(name, 0o700)?;
        self.upper.chown(name, stat.uid, stat.gid)?;
        self.upper.chmod(name, stat.mode)?;
        let copy = self.upper.open_dir(name)?;
        for (key, value) in attributes(lower)? {
            xattr::set(&copy, &key, &value)?;
        }
        self.upper.set_times(name, stat.modified)
    }

    /// Copies a file up, whole, if it is only below.
    pub(crate) fn take_up_file(&self, name: &OsStr) -> io::Result<()> {
        if optional(self.upper.stat(name))?.is_some() {
            return Ok(());
        }
        let lower = self.lower.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let stat = lower.stat(name)?;
        if stat.kind != FileKind::File {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let mut from = lower.open_file(name)?;
        let mut to = self.upper.create_file(name, 0o600)?;
        io::copy(&mut from, &mut to)?;
        self.upper.chown(name, stat.uid, stat.gid)?;
        self.upper.chmod(name, stat.mode)?;
        for (key, value) in attributes(&from)? {
            xattr::set(&to, &key, &value)?;
        }
        self.upper.set_times(name, stat.modified)
    }

    /// Makes a directory where nothing is to be seen.
    pub(crate) fn make_dir(&self, name: &OsStr) -> io::Result<()> {
        if optional(self.upper.stat(name))?.is_some() {
            self.upper.remove_file(name)?;
        }
        self.upper.mkdir(name, 0o700)?;
        // A directory below was hidden until now and must stay so.
        if let Some(lower) = &self.lower
            && below(lower, name)?.is_some()
        {
            let dir = self.upper.open_dir(name)?;
            xattr::set(&dir, OPAQUE.as_ref(), b"y")?;
        }
        Ok(())
    }

    /// Makes room for something that is no directory: the upper tree has nothing of this name any more, and what the
    /// lower one has will be hidden by what comes.
    pub(crate) fn clear(&self, name: &OsStr) -> io::Result<()> {
        self.upper.remove_all(name)
    }

    /// Removes whatever has this name.
    pub(crate) fn remove(&self, name: &OsStr) -> io::Result<()> {
        self.clear(name)?;
        match &self.lower {
            Some(lower) if optional(lower.stat(name))?.is_some() => {
                self.upper.mknod(name, Node::Character(0, 0), 0)
            }
            _ => Ok(()),
        }
    }
}
