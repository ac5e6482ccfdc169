//! An archive's entries, put into a directory in the form overlayfs reads.
//!
//! Nothing an archive says can reach beyond that directory: every parent is resolved by the kernel with the directory as
//! its root, and every name is then made, linked or replaced relative to that parent without following links.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bowline_sys::root::{Dir, FileKind, Node, Root, Timestamp, set_times};
use bowline_sys::xattr;

use super::LayerError;
use super::parents::{Parent, Parents, make_opaque, uncover};
use super::path::{bytes, place, shorten};
use super::recipe::Recorder;
use crate::tar::{Archive, Entry, Kind};

/// A name that starts so removes the rest of it from the layers below.
const WHITEOUT: &[u8] = b".wh.";
/// This one hides everything the layers below have in its directory.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// An older union file system's own bookkeeping.
const PRIVATE: &[u8] = b".wh..wh.";
/// Files from this size on are compared with the free space before they are written.
const LARGE: u64 = 16 * 1024 * 1024;

/// What was unpacked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    pub(super) size: u64,
    pub(super) entries: u64,
}

/// Unpacks one archive.
#[derive(Debug)]
pub(super) struct Unpacker<'a> {
    /// Holds `diff` and, when needed, `replaced`.
    staging: &'a Dir,
    parents: Parents,
    /// Directories, whose time changes with each entry made in them, so that it is set last.
    times: Vec<(PathBuf, Timestamp)>,
    /// Hard links whose target had not come yet.
    pending: Vec<Entry>,
    replaced: u64,
    buffer: Vec<u8>,
    done: Done,
}

type Result<T, E = LayerError> = std::result::Result<T, E>;

impl<'a> Unpacker<'a> {
    pub(super) fn new(staging: &'a Dir) -> io::Result<Self> {
        let root = Root::from_dir(staging.open_dir("diff")?);
        Ok(Self {
            staging,
            parents: Parents::new(root)?,
            times: Vec::new(),
            pending: Vec::new(),
            replaced: 0,
            buffer: vec![0; 128 * 1024],
            done: Done::default(),
        })
    }

    pub(super) fn unpack<R: Read>(&mut self, archive: &mut Archive<Recorder<R>>) -> Result<Done> {
        while let Some(entry) = archive.next_entry()? {
            self.done.entries += 1;
            self.entry(archive, entry)?;
        }
        for link in std::mem::take(&mut self.pending) {
            if !self.hard_link(archive.source(), &link)? {
                let target = shorten(&link.link);
                return Err(LayerError::Link {
                    path: shorten(&link.path),
                    target,
                });
            }
        }
        self.set_directory_times()?;
        Ok(self.done)
    }

    fn entry<R: Read>(&mut self, archive: &mut Archive<Recorder<R>>, entry: Entry) -> Result<()> {
        let at = |step| failed(step, &entry);
        let Some((parent, name)) = place(&entry.path)? else {
            return self.top(&entry);
        };
        let parent = self
            .parents
            .get(&parent)
            .map_err(at("make the parent of"))?;
        if let Some(hidden) = name.as_bytes().strip_prefix(WHITEOUT) {
            return whiteout(
                &parent.dir,
                name.as_bytes(),
                OsStr::from_bytes(hidden),
                &entry,
            );
        }
        match entry.kind {
            Kind::Directory => self.directory(archive.source(), &parent, &name, &entry),
            Kind::HardLink => {
                if !self.hard_link(archive.source(), &entry)? {
                    self.pending.push(entry);
                }
                Ok(())
            }
            Kind::File => {
                self.clear(archive.source(), &parent, &name)
                    .map_err(at("replace"))?;
                self.file(archive, &parent, &name, &entry)
            }
            Kind::Symlink | Kind::Character | Kind::Block | Kind::Fifo => {
                self.clear(archive.source(), &parent, &name)
                    .map_err(at("replace"))?;
                special(&parent.dir, &name, &entry)
            }
        }
    }

    /// The entry of the layer's top directory gives its attributes.
    fn top(&mut self, entry: &Entry) -> Result<()> {
        if entry.kind != Kind::Directory {
            let reason = "the top of a layer can only be a directory";
            return Err(LayerError::Path {
                path: shorten(&entry.path),
                reason,
            });
        }
        let top = self
            .parents
            .root()
            .dir()
            .try_clone()
            .map_err(failed("open", entry))?;
        self.times.push((PathBuf::new(), entry.modified));
        attributes(&top, entry)
    }

    fn directory<R: Read>(
        &mut self,
        recorder: &mut Recorder<R>,
        parent: &Rc<Parent>,
        name: &OsStr,
        entry: &Entry,
    ) -> Result<()> {
        let at = |step| failed(step, entry);
        match parent.dir.stat(name) {
            Ok(stat) if stat.kind == FileKind::Directory => {}
            Ok(stat) if stat.is_whiteout() => {
                uncover(&parent.dir, name).map_err(at("replace"))?;
            }
            _ => {
                self.clear(recorder, parent, name).map_err(at("replace"))?;
                parent
                    .dir
                    .mkdir(name, 0o700)
                    .map_err(at("create the directory"))?;
            }
        }
        let dir = parent
            .dir
            .open_dir(name)
            .map_err(at("open the directory"))?;
        self.times.push((parent.path.join(name), entry.modified));
        attributes(&dir, entry)
    }

    fn file<R: Read>(
        &mut self,
        archive: &mut Archive<Recorder<R>>,
        parent: &Parent,
        name: &OsStr,
        entry: &Entry,
    ) -> Result<()> {
        let at = |step| failed(step, entry);
        if entry.size >= LARGE {
            self.check_space(entry.size).map_err(at("find space for"))?;
        }
        let mut file = parent.dir.create_file(name, 0o600).map_err(at("create"))?;
        archive.source().begin_contents();
        let size = copy(archive, &mut file, &mut self.buffer, entry)?;
        let noted = archive.source().end_contents(size, &parent.path.join(name));
        noted.map_err(LayerError::RecipeFile)?;
        self.done.size += size;
        attributes(&file, entry)?;
        set_times(&file, entry.modified).map_err(at("set the time of"))
    }

    fn check_space(&self, size: u64) -> io::Result<()> {
        if self.staging.available_bytes()? < size {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    /// Links a file that is there already; `false` if it is not (yet). The target must be in this layer: what lies in
    /// the layers below is another file system to this one.
    fn hard_link<R: Read>(&mut self, recorder: &mut Recorder<R>, entry: &Entry) -> Result<bool> {
        let at = |step| failed(step, entry);
        let (Some((old_parent, old_name)), Some((parent, name))) =
            (place(&entry.link)?, place(&entry.path)?)
        else {
            let target = shorten(&entry.link);
            return Err(LayerError::Link {
                path: shorten(&entry.path),
                target,
            });
        };
        let Ok(old) = self.parents.existing(&old_parent) else {
            return Ok(false);
        };
        let target = match old.stat(&old_name) {
            Ok(stat) if stat.is_whiteout() => return Ok(false),
            Ok(stat) if stat.kind == FileKind::Directory => {
                let target = shorten(&entry.link);
                return Err(LayerError::Link {
                    path: shorten(&entry.path),
                    target,
                });
            }
            Ok(stat) => stat,
            Err(_) => return Ok(false),
        };
        let parent = self
            .parents
            .get(&parent)
            .map_err(at("make the parent of"))?;
        if parent
            .dir
            .stat(&name)
            .is_ok_and(|stat| stat.identity == target.identity)
        {
            return Ok(true);
        }
        self.clear(recorder, &parent, &name)
            .map_err(at("replace"))?;
        // Clearing may have moved the directory that holds the target.
        let linked = parent.dir.hard_link(&name, &old, &old_name);
        linked.map_err(at("link"))?;
        Ok(true)
    }

    /// Makes room for an entry: what an earlier one put there moves aside, for the recipe still needs its contents.
    fn clear<R: Read>(
        &mut self,
        recorder: &mut Recorder<R>,
        parent: &Parent,
        name: &OsStr,
    ) -> io::Result<()> {
        match parent.dir.stat(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
            Ok(stat) if stat.is_whiteout() => return parent.dir.remove_file(name),
            Ok(_) => {}
        }
        if self.replaced == 0 {
            self.staging.mkdir("replaced", 0o700)?;
        }
        let aside = self.staging.open_dir("replaced")?;
        parent.dir.rename(name, &aside, self.replaced.to_string())?;
        recorder.replaced(&parent.path.join(name), self.replaced)?;
        self.replaced += 1;
        self.parents.forget();
        Ok(())
    }

    fn set_directory_times(&mut self) -> Result<()> {
        let root = self.parents.root().without_symlinks();
        let root = root.map_err(|source| step_failed("open", Path::new(""), source))?;
        for (path, time) in &self.times {
            // A directory that a later entry replaced is not there any more.
            if let Ok(dir) = root.open_dir(path) {
                let set = dir.set_own_times(*time);
                set.map_err(|source| step_failed("set the time of", path, source))?;
            }
        }
        Ok(())
    }
}

fn whiteout(dir: &Dir, name: &[u8], hidden: &OsStr, entry: &Entry) -> Result<()> {
    let at = |step| failed(step, entry);
    if name == OPAQUE {
        return make_opaque(dir).map_err(at("make opaque by"));
    }
    if name.starts_with(PRIVATE) {
        return Ok(());
    }
    if hidden.is_empty() || hidden == "." || hidden == ".." {
        let reason = "a whiteout must name a file";
        return Err(LayerError::Path {
            path: shorten(&entry.path),
            reason,
        });
    }
    // What this very layer brings stays: a whiteout speaks about the layers below.
    match dir.stat(hidden) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => dir
            .mknod(hidden, Node::Character(0, 0), 0)
            .map_err(at("make the whiteout")),
        Err(error) => Err(at("look at")(error)),
        Ok(stat) if stat.kind == FileKind::Directory => {
            let hidden = dir.open_dir(hidden).map_err(at("open the directory"))?;
            make_opaque(&hidden).map_err(at("make opaque by"))
        }
        Ok(_) => Ok(()),
    }
}

fn special(dir: &Dir, name: &OsStr, entry: &Entry) -> Result<()> {
    let at = |step| failed(step, entry);
    let (major, minor) = entry.device;
    let node = match entry.kind {
        Kind::Character => Some(Node::Character(major, minor)),
        Kind::Block => Some(Node::Block(major, minor)),
        Kind::Fifo => Some(Node::Fifo),
        _ => None,
    };
    match node {
        Some(node) => dir
            .mknod(name, node, 0o600)
            .map_err(at("make the device"))?,
        None => {
            let target = Path::new(OsStr::from_bytes(&entry.link));
            dir.symlink(target, name)
                .map_err(at("make the symbolic link"))?;
        }
    }
    dir.chown(name, entry.uid, entry.gid)
        .map_err(at("set the owner of"))?;
    if node.is_some() {
        dir.chmod(name, entry.mode).map_err(at("set the mode of"))?;
    }
    xattrs(entry, |key, value| dir.set_xattr(name, key, value))?;
    dir.set_times(name, entry.modified)
        .map_err(at("set the time of"))
}

/// Owner before mode, for changing the owner clears the setuid bit; attributes last, for it also drops capabilities.
fn attributes(file: &impl AsFd, entry: &Entry) -> Result<()> {
    let at = |step| failed(step, entry);
    fchown(file, Some(entry.uid), Some(entry.gid)).map_err(at("set the owner of"))?;
    let own = file
        .as_fd()
        .try_clone_to_owned()
        .map_err(at("set the mode of"))?;
    let permissions = Permissions::from_mode(entry.mode);
    File::from(own)
        .set_permissions(permissions)
        .map_err(at("set the mode of"))?;
    xattrs(entry, |key, value| xattr::set(file, key, value))
}

fn xattrs(entry: &Entry, set: impl Fn(&OsStr, &[u8]) -> io::Result<()>) -> Result<()> {
    for (key, value) in &entry.xattrs {
        // These steer the overlay itself: from an archive they could name any path as a file's contents.
        if key.starts_with(b"trusted.overlay.") || key.starts_with(b"user.overlay.") {
            continue;
        }
        match set(OsStr::from_bytes(key), value) {
            // File systems and file types differ in what they can carry; images must not depend on it.
            Err(error) if is_unsupported(&error) => {
                let name = String::from_utf8_lossy(key);
                tracing::debug!(path = entry.shown(), %name, "an extended attribute is left out");
            }
            other => other.map_err(failed("set an extended attribute of", entry))?,
        }
    }
    Ok(())
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied
    )
}

fn copy(from: &mut impl Read, to: &mut File, buffer: &mut [u8], entry: &Entry) -> Result<u64> {
    let mut copied = 0;
    loop {
        let read = match from.read(buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(crate::tar::TarError::Read(error).into()),
        };
        to.write_all(&buffer[..read])
            .map_err(failed("write", entry))?;
        copied += read as u64;
    }
    Ok(copied)
}

fn failed(step: &'static str, entry: &Entry) -> impl Fn(io::Error) -> LayerError + use<> {
    let path = shorten(&entry.path);
    move |source| LayerError::Entry {
        step,
        path: path.clone(),
        source,
    }
}

fn step_failed(step: &'static str, path: &Path, source: io::Error) -> LayerError {
    LayerError::Entry {
        step,
        path: shorten(bytes(path)),
        source,
    }
}
