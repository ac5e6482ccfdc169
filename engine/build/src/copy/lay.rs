//! Laying what was selected into an upper directory, as the stock builder copies.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bowline_sys::root::{Dir, FileKind, Node, Stat, Timestamp};
use bowline_sys::xattr;

use super::files::{Job, best_effort};
use super::select::{Picked, Picking};
use super::twins::{Linking, Look};
use super::{At, Canvas, CopyError, chmod, files, shown, unpack};
use crate::graph::Chmod;
use crate::tree::Tree;

/// Mode of directories that have to be made.
const MADE: u32 = 0o755;
/// Files that wait to be copied together; each keeps two directories open.
const BATCH: usize = 2048;
/// Directories that files waiting to be copied keep open.
const OPEN: usize = 128;

/// How to lay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Laying<'a> {
    /// In the image, absolute; a slash at the end says that it is a directory.
    pub(crate) dest: &'a str,
    /// Who owns what is copied, unless whoever did.
    pub(crate) owner: Option<(u32, u32)>,
    /// Modes.
    pub(crate) chmod: Option<&'a Chmod>,
    /// Whether archives are unpacked.
    pub(crate) unpack: bool,
}

/// Lays one source into the canvas.
pub(crate) fn lay(
    canvas: &mut Canvas,
    tree: &Tree,
    picked: &Picked,
    how: &Laying<'_>,
    linking: Option<&mut Linking<'_>>,
) -> Result<(), CopyError> {
    let Some(top) = picked.files.first() else {
        return Ok(());
    };
    if how.unpack && unpack::try_archive(canvas, tree, &top.node, how)? {
        return Ok(());
    }
    let dest = Path::new(how.dest);
    let made = match how.chmod {
        Some(Chmod::Octal(bits)) => *bits & 0o7777,
        _ => MADE,
    };
    let above = if how.dest.ends_with('/') {
        dest
    } else {
        dest.parent().unwrap_or(dest)
    };
    let above = canvas.locate(above).at("find", above)?;
    canvas
        .make_dirs(&above, made, how.owner)
        .at("create", &above)?;
    let mut target = canvas.locate(dest).at("find", dest)?;
    let there = canvas.stat(&target).at("look at", &target)?;
    let directory = top.node.stat.kind == FileKind::Directory;
    if !directory && there.is_some_and(|stat| stat.kind == FileKind::Directory) {
        target.push(&picked.name);
    }
    let needed = if directory && there.is_none() {
        target.as_path()
    } else {
        target.parent().unwrap_or(Path::new(""))
    };
    canvas
        .make_dirs(needed, made, how.owner)
        .at("create", needed)?;
    let mut layer = Layer {
        canvas,
        tree,
        how,
        target,
        picked,
        jobs: Vec::new(),
        folders: 0,
        links: Vec::new(),
        dirs: Vec::new(),
        source: None,
        linking,
    };
    for file in &picked.files {
        layer.one(file)?;
    }
    layer.finish()
}

struct Layer<'a, 'p, 'l> {
    canvas: &'a mut Canvas,
    tree: &'a Tree,
    how: &'a Laying<'a>,
    target: PathBuf,
    picked: &'p Picked,
    jobs: Vec<Job<'p>>,
    folders: usize,
    /// Further names of files, which can be made when the files are there.
    links: Vec<(PathBuf, &'p Picking)>,
    /// Directories whose attributes come last, for what is put into them changes their time.
    dirs: Vec<(PathBuf, &'p Picking, Attributes)>,
    source: Option<(PathBuf, Arc<Dir>)>,
    linking: Option<&'a mut Linking<'l>>,
}

/// What a directory takes over from its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attributes {
    All,
    Time,
}

impl<'p> Layer<'_, 'p, '_> {
    fn one(&mut self, file: &'p Picking) -> Result<(), CopyError> {
        let target = if file.path.as_os_str().is_empty() {
            self.target.clone()
        } else {
            self.target.join(&file.path)
        };
        if file.node.stat.kind == FileKind::Directory {
            return self.directory(target, file);
        }
        let (parent, name) = (target.parent(), target.file_name());
        let (Some(parent), Some(name)) = (parent, name) else {
            return Err(CopyError::Directory {
                path: shown(&target),
            });
        };
        let folder = self.canvas.folder(parent).at("open", parent)?;
        match folder.lookup(name).at("look at", &target)? {
            Some(stat) if stat.kind == FileKind::Directory => {
                return Err(CopyError::Directory {
                    path: shown(&target),
                });
            }
            _ => folder.clear(name).at("replace", &target)?,
        }
        match file.node.stat.kind {
            FileKind::File if file.link.is_some() => self.links.push((target, file)),
            FileKind::File => {
                let from = self.source_dir(&file.node.path)?;
                if self
                    .jobs
                    .last()
                    .is_none_or(|last| !Arc::ptr_eq(&last.to, &folder))
                {
                    self.folders += 1;
                }
                let twin = self.twin(file, &target);
                self.jobs.push(Job {
                    file,
                    from,
                    to: Arc::clone(&folder),
                    name: name.to_owned(),
                    mode: self.mode(&file.node.stat),
                    owner: self.owner(&file.node.stat),
                    twin,
                });
                if self.jobs.len() >= BATCH || self.folders >= OPEN {
                    self.flush()?;
                }
            }
            _ => self.special(&folder.upper, name, &target, file)?,
        }
        Ok(())
    }

    /// The same file in another layer. Only of files whose contents are known for sure.
    fn twin(&mut self, file: &Picking, target: &Path) -> Option<(Arc<Dir>, std::ffi::OsString)> {
        let content = file.content.as_ref()?;
        if !self.tree.is_live() || !content.settled || content.attributes.is_some() {
            return None;
        }
        let look = Look {
            contents: content.digest.clone(),
            mode: self.mode(&file.node.stat),
            owner: self.owner(&file.node.stat),
            modified: file.node.stat.modified,
        };
        let linking = self.linking.as_mut()?;
        let found = linking.find(&look);
        linking.laid.push((look, target.to_owned()));
        found
    }

    fn directory(&mut self, target: PathBuf, file: &'p Picking) -> Result<(), CopyError> {
        let (parent, name) = (target.parent(), target.file_name());
        let nested = !file.path.as_os_str().is_empty();
        let (Some(parent), Some(name)) = (parent, name) else {
            self.dirs.push((target, file, Attributes::Time));
            return Ok(());
        };
        let folder = self.canvas.folder(parent).at("open", parent)?;
        let made = match folder.lookup(name).at("look at", &target)? {
            Some(stat) if stat.kind == FileKind::Directory => false,
            Some(_) => {
                return Err(CopyError::NotDirectory {
                    path: shown(&target),
                });
            }
            None => {
                folder.make_dir(name).at("create", &target)?;
                true
            }
        };
        // Makes sure that the directory is in the upper tree, where its attributes are set.
        self.canvas.folder(&target).at("open", &target)?;
        if nested && !made {
            let mode = file.node.stat.mode;
            folder
                .upper
                .chmod(name, mode)
                .at("set the mode of", &target)?;
        }
        let attributes = match (nested, made) {
            (true, true) => Attributes::All,
            (true, false) if !file.implied => Attributes::All,
            (true, false) => return Ok(()),
            (false, true) => Attributes::All,
            (false, false) => Attributes::Time,
        };
        self.dirs.push((target, file, attributes));
        Ok(())
    }

    fn mode(&self, stat: &Stat) -> u32 {
        chmod::apply(self.how.chmod, stat.mode, stat.kind == FileKind::Directory)
    }

    fn owner(&self, stat: &Stat) -> (u32, u32) {
        self.how.owner.unwrap_or((stat.uid, stat.gid))
    }

    fn source_dir(&mut self, path: &Path) -> Result<Arc<Dir>, CopyError> {
        let parent = path.parent().unwrap_or(Path::new(""));
        if let Some((known, dir)) = &self.source
            && known == parent
        {
            return Ok(Arc::clone(dir));
        }
        let dir = Arc::new(self.tree.open_dir(parent).at("open", parent)?);
        self.source = Some((parent.to_owned(), Arc::clone(&dir)));
        Ok(dir)
    }

    fn special(
        &self,
        upper: &Dir,
        name: &OsStr,
        target: &Path,
        file: &Picking,
    ) -> Result<(), CopyError> {
        let stat = &file.node.stat;
        let node = match stat.kind {
            FileKind::Character => Some(Node::Character(stat.device.0, stat.device.1)),
            FileKind::Block => Some(Node::Block(stat.device.0, stat.device.1)),
            FileKind::Fifo => Some(Node::Fifo),
            _ => None,
        };
        match node {
            Some(node) => upper.mknod(name, node, 0o600).at("create", target)?,
            None => {
                let link = self.tree.read_link(&file.node.path);
                let link = link.at("read the link", &file.node.path)?;
                upper.symlink(link, name).at("create", target)?;
            }
        }
        let (uid, gid) = self.owner(stat);
        upper.chown(name, uid, gid).at("set the owner of", target)?;
        if node.is_some() {
            upper
                .chmod(name, self.mode(stat))
                .at("set the mode of", target)?;
        }
        upper
            .set_times(name, stat.modified)
            .at("set the time of", target)
    }

    fn flush(&mut self) -> Result<(), CopyError> {
        files::copy(self.tree, &self.jobs)?;
        self.jobs.clear();
        self.folders = 0;
        Ok(())
    }

    fn finish(mut self) -> Result<(), CopyError> {
        self.flush()?;
        for (target, file) in std::mem::take(&mut self.links) {
            self.link(&target, file)?;
        }
        while let Some((target, file, attributes)) = self.dirs.pop() {
            self.attributes(&target, file, attributes)?;
        }
        Ok(())
    }

    fn link(&mut self, target: &Path, file: &Picking) -> Result<(), CopyError> {
        let first = file.link.and_then(|number| self.picked.files.get(number));
        let first = first.map_or_else(
            || self.target.clone(),
            |first| self.target.join(&first.path),
        );
        let split = |path: &Path| Some((path.parent()?.to_owned(), path.file_name()?.to_owned()));
        let (Some((old_parent, old_name)), Some((parent, name))) = (split(&first), split(target))
        else {
            return Ok(());
        };
        let old = self.canvas.folder(&old_parent).at("open", &old_parent)?;
        let new = self.canvas.folder(&parent).at("open", &parent)?;
        new.upper
            .hard_link(name, &old.upper, old_name)
            .at("link", target)
    }

    fn attributes(
        &mut self,
        target: &Path,
        file: &Picking,
        attributes: Attributes,
    ) -> Result<(), CopyError> {
        let folder = self.canvas.folder(target).at("open", target)?;
        let stat = &file.node.stat;
        if attributes == Attributes::All && !target.as_os_str().is_empty() {
            let (uid, gid) = self.owner(stat);
            std::os::unix::fs::fchown(&folder.upper, Some(uid), Some(gid))
                .at("set the owner of", target)?;
            let name = target.file_name().unwrap_or_default();
            let parent = target.parent().unwrap_or(Path::new(""));
            let above = self.canvas.folder(parent).at("open", parent)?;
            above
                .upper
                .chmod(name, self.mode(stat))
                .at("set the mode of", target)?;
            let all = self.tree.xattrs(&file.node);
            for (key, value) in all.at("read the attributes of", &file.node.path)? {
                best_effort(xattr::set(&folder.upper, &key, &value))
                    .at("set an attribute of", target)?;
            }
        }
        set_own_times(&folder.upper, stat.modified, target)
    }
}

fn set_own_times(dir: &Dir, time: Timestamp, path: &Path) -> Result<(), CopyError> {
    dir.set_own_times(time).at("set the time of", path)
}
