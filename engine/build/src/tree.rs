//! Trees that files are taken from: a person's folder, read where it lies, or the layers of a result.
//!
//! Paths are resolved here, step by step with descriptors and without following links, so that what an ignore file
//! hides is nowhere to be seen, not even behind a link, and no link leads out.

use std::collections::{HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bowline_image::Digest;
use bowline_sys::root::{Dir, FileKind, Root, Stat};
use bowline_sys::xattr;

use crate::ignore::{Ignore, Seen};

mod stats;

pub(crate) use stats::{Content, StatCache, read, same, write};

/// How many symbolic links one path may pass.
const LINK_LIMIT: usize = 255;

/// A tree to read from.
#[derive(Debug)]
pub(crate) struct Tree {
    root: Root,
    ignore: Option<Arc<Ignore>>,
    /// Whether files belong to root, whoever owns them on this machine.
    reset_owner: bool,
    /// What is known of the contents of files; layers need none, for their results are remembered as a whole.
    stats: Option<Arc<StatCache>>,
    lists: Mutex<HashMap<PathBuf, Arc<Vec<Entry>>>>,
}

/// Something in a tree.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Where it really is, relative to the top; empty is the top itself.
    pub(crate) path: PathBuf,
    pub(crate) stat: Stat,
    seen: Seen,
}

/// A name in a directory.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: OsString,
    pub(crate) node: Node,
}

impl Tree {
    /// A folder of the machine, less what `ignore` hides. Files belong to root unless `keep_owner`.
    pub(crate) fn folder(
        path: &Path,
        ignore: Option<Arc<Ignore>>,
        keep_owner: bool,
        stats: Arc<StatCache>,
    ) -> io::Result<Self> {
        Ok(Self {
            root: Root::open(path)?,
            ignore: ignore.filter(|ignore| !ignore.is_empty()),
            reset_owner: !keep_owner,
            stats: Some(stats),
            lists: Mutex::default(),
        })
    }

    /// The mounted layers of a result.
    pub(crate) fn layers(mount: std::os::fd::OwnedFd) -> Self {
        Self {
            root: Root::from_fd(mount),
            ignore: None,
            reset_owner: false,
            stats: None,
            lists: Mutex::default(),
        }
    }

    /// Forgets what was listed, since it has changed.
    pub(crate) fn look_again(&self) {
        self.lists().clear();
    }

    /// Writes down what is known of its files.
    pub(crate) fn save(&self) {
        if let Some(stats) = &self.stats {
            stats.save();
        }
    }

    /// Whether files may change while they are read.
    pub(crate) fn is_live(&self) -> bool {
        self.stats.is_some()
    }

    fn top(&self) -> io::Result<Node> {
        Ok(Node {
            path: PathBuf::new(),
            stat: self.adjusted(Stat::of(&self.root)?),
            seen: Seen::default(),
        })
    }

    fn adjusted(&self, stat: Stat) -> Stat {
        if self.reset_owner {
            Stat {
                uid: 0,
                gid: 0,
                ..stat
            }
        } else {
            stat
        }
    }

    /// What `path` leads to, all links followed; `None` if nothing is there to be seen.
    pub(crate) fn resolve(&self, path: &Path) -> io::Result<Option<Node>> {
        self.walk(path, true)
    }

    fn walk(&self, path: &Path, follow_last: bool) -> io::Result<Option<Node>> {
        let mut at = vec![self.top()?];
        let mut left: VecDeque<OsString> = steps(path);
        let mut links = 0;
        while let Some(name) = left.pop_front() {
            if name == ".." {
                if at.len() > 1 {
                    at.pop();
                }
                continue;
            }
            let Some(above) = at.last() else {
                return Ok(None);
            };
            if above.stat.kind != FileKind::Directory {
                return Ok(None);
            }
            let Some(node) = self.child(above, &name)? else {
                return Ok(None);
            };
            if node.stat.kind == FileKind::Symlink && (follow_last || !left.is_empty()) {
                links += 1;
                if links > LINK_LIMIT {
                    return Err(io::Error::other("too many links"));
                }
                let target = self.read_link(&node.path)?;
                if target.is_absolute() {
                    at.truncate(1);
                }
                for step in steps(&target).into_iter().rev() {
                    left.push_front(step);
                }
                continue;
            }
            at.push(node);
        }
        Ok(at.pop())
    }

    fn child(&self, above: &Node, name: &OsStr) -> io::Result<Option<Node>> {
        let dir = self.open_dir(&above.path)?;
        let stat = match dir.stat(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => self.adjusted(other?),
        };
        let path = above.path.join(name);
        let (hidden, seen) = self.enter(&path, &above.seen);
        let node = Node { path, stat, seen };
        if hidden && !self.shows_below(&node)? {
            return Ok(None);
        }
        Ok(Some(node))
    }

    fn enter(&self, path: &Path, above: &Seen) -> (bool, Seen) {
        match (&self.ignore, path.to_str()) {
            (Some(ignore), Some(text)) => ignore.enter(text, above),
            // Patterns are text; a name that is none matches no pattern.
            _ => (false, Seen::default()),
        }
    }

    /// Whether a hidden directory is there all the same, for something in it that is brought back.
    fn shows_below(&self, node: &Node) -> io::Result<bool> {
        let Some(ignore) = &self.ignore else {
            return Ok(true);
        };
        let text = node.path.to_string_lossy();
        if node.stat.kind != FileKind::Directory || !ignore.may_bring_back_below(&text) {
            return Ok(false);
        }
        Ok(!self.list(node)?.is_empty())
    }

    /// What is to be seen in a directory, sorted by name.
    pub(crate) fn list(&self, node: &Node) -> io::Result<Arc<Vec<Entry>>> {
        if let Some(known) = self.lists().get(&node.path) {
            return Ok(Arc::clone(known));
        }
        let dir = self.open_dir(&node.path)?;
        let mut entries = Vec::new();
        for (name, _) in dir.entries()? {
            let stat = match dir.stat(&name) {
                // Gone since the directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => self.adjusted(other?),
            };
            let path = node.path.join(&name);
            let (hidden, seen) = self.enter(&path, &node.seen);
            let node = Node { path, stat, seen };
            if hidden && !self.shows_below(&node)? {
                continue;
            }
            entries.push(Entry { name, node });
        }
        entries.sort_unstable_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        let entries = Arc::new(entries);
        self.lists().insert(node.path.clone(), Arc::clone(&entries));
        Ok(entries)
    }

    fn lists(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, Arc<Vec<Entry>>>> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a real directory: one whose path holds no link.
    pub(crate) fn open_dir(&self, path: &Path) -> io::Result<Dir> {
        self.root.without_symlinks()?.open_dir(path)
    }

    /// Opens a real file.
    pub(crate) fn open_file(&self, path: &Path) -> io::Result<std::fs::File> {
        self.root.without_symlinks()?.open_file(path)
    }

    /// The target of a real link.
    pub(crate) fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        let (parent, name) = (path.parent(), path.file_name());
        let (Some(parent), Some(name)) = (parent, name) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        self.open_dir(parent)?.read_link(name)
    }

    /// Digest and attributes of a file's contents, without reading it where it is known.
    pub(crate) fn content(&self, node: &Node) -> io::Result<Content> {
        match &self.stats {
            Some(stats) => stats.content(self, node),
            None => stats::read(&mut self.open_file(&node.path)?),
        }
    }

    /// The attributes of a directory or a link.
    pub(crate) fn xattrs(&self, node: &Node) -> io::Result<Vec<(OsString, Vec<u8>)>> {
        match node.stat.kind {
            FileKind::Directory => attributes(self.open_dir(&node.path)?),
            FileKind::File => attributes(self.open_file(&node.path)?),
            _ => Ok(Vec::new()),
        }
    }
}

/// What a copy takes along: neither overlay's own marks nor SELinux' labels.
pub(crate) fn attributes(file: impl std::os::fd::AsFd) -> io::Result<Vec<(OsString, Vec<u8>)>> {
    let mut found = Vec::new();
    for key in xattr::list(&file)? {
        let bytes = key.as_bytes();
        let machine = bytes.starts_with(b"trusted.overlay.")
            || bytes.starts_with(b"user.overlay.")
            || bytes == b"security.selinux";
        if !machine && let Some(value) = xattr::get(&file, &key)? {
            found.push((key, value));
        }
    }
    found.sort();
    Ok(found)
}

/// A digest of attributes; empty for none.
fn attributes_digest(attributes: &[(OsString, Vec<u8>)]) -> Option<Digest> {
    if attributes.is_empty() {
        return None;
    }
    let mut bytes = Vec::new();
    for (key, value) in attributes {
        for part in [key.as_bytes(), value] {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part);
        }
    }
    Some(Digest::of(&bytes))
}

fn steps(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|step| match step {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests;
