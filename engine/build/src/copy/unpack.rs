//! `ADD` of an archive: what a tar holds goes into the destination, and nothing it says leads out of there.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use bowline_image::{TarArchive, TarEntry, TarError, TarKind};
use bowline_sys::root::{FileKind, Node as Special};

use super::files::best_effort;
use super::lay::Laying;
use super::{At, Canvas, CopyError, shown};
use crate::tree::{Node, Tree};

/// An archive could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It is damaged.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// A path outside of the destination.
    #[error("refusing `{path}`: it leads out of the archive's place")]
    Escape {
        /// Which.
        path: String,
    },
    /// The kernel refused.
    #[error("unpack `{path}`")]
    Entry {
        /// Which entry.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Deepest path in an archive: trees beyond could be made and hardly be removed.
const DEPTH: usize = 256;

/// Unpacks the file if it is an archive.
pub(super) fn try_archive(
    canvas: &mut Canvas,
    tree: &Tree,
    node: &Node,
    how: &Laying<'_>,
) -> Result<bool, CopyError> {
    if node.stat.kind != FileKind::File {
        return Ok(false);
    }
    let open = || tree.open_file(&node.path).at("open", &node.path);
    // As the stock builder has it: an archive is what begins like one.
    let begins = stream(open()?)
        .ok()
        .map(|stream| TarArchive::new(stream).next_entry());
    if !matches!(begins, Some(Ok(Some(_)))) {
        return Ok(false);
    }
    let dest = Path::new(how.dest);
    let top = canvas.locate(dest).at("find", dest)?;
    canvas
        .make_dirs(&top, 0o755, how.owner)
        .at("create", &top)?;
    let stream = stream(open()?).at("read", &node.path)?;
    let mut unpacking = Unpacking {
        canvas,
        top,
        owner: how.owner,
        times: Vec::new(),
    };
    let done = unpacking.all(TarArchive::new(stream));
    done.map_err(|source| CopyError::Unpack {
        path: shown(&node.path),
        source,
    })?;
    Ok(true)
}

/// The file as a tar stream, unpacked by what its first bytes say.
fn stream(mut file: File) -> io::Result<Box<dyn Read>> {
    let mut start = Vec::new();
    (&mut file).take(6).read_to_end(&mut start)?;
    let magic = start.clone();
    let whole = BufReader::with_capacity(128 * 1024, Cursor::new(start).chain(file));
    Ok(match magic.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(whole)),
        [b'B', b'Z', b'h', ..] => Box::new(bzip2::bufread::MultiBzDecoder::new(whole)),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Box::new(lzma_rust2::XzReader::new(whole, true)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            Box::new(zstd::Decoder::with_buffer(whole)?)
        }
        _ => Box::new(whole),
    })
}

struct Unpacking<'a> {
    canvas: &'a mut Canvas,
    top: PathBuf,
    owner: Option<(u32, u32)>,
    times: Vec<(PathBuf, bowline_sys::root::Timestamp)>,
}

impl Unpacking<'_> {
    fn all<R: Read>(&mut self, mut archive: TarArchive<R>) -> Result<(), UnpackError> {
        while let Some(entry) = archive.next_entry()? {
            let shown = entry.shown();
            let Some(path) = inside(Path::new(std::ffi::OsStr::from_bytes(&entry.path))) else {
                return Err(UnpackError::Escape { path: shown });
            };
            if path.as_os_str().is_empty() {
                continue;
            }
            let done = self.one(&mut archive, &entry, &path);
            done.map_err(|source| UnpackError::Entry {
                path: shown,
                source,
            })?;
        }
        for (path, time) in std::mem::take(&mut self.times) {
            let folder = match self.canvas.stat(&path) {
                Ok(Some(stat)) if stat.kind == FileKind::Directory => self.canvas.folder(&path),
                _ => continue,
            };
            let set = folder.and_then(|folder| folder.upper.set_own_times(time));
            set.map_err(|source| UnpackError::Entry {
                path: shown(&path),
                source,
            })?;
        }
        Ok(())
    }

    /// Where a path of the archive lies: links on the way are followed with the destination as root.
    fn place(&self, path: &Path) -> io::Result<PathBuf> {
        let mut at = PathBuf::new();
        let mut left: Vec<_> = path.iter().rev().map(ToOwned::to_owned).collect();
        let mut links = 0;
        while let Some(name) = left.pop() {
            if name == ".." {
                at.pop();
                continue;
            }
            let here = self.top.join(&at).join(&name);
            match self.canvas.link(&here)? {
                Some(target) if links < 255 => {
                    links += 1;
                    if target.is_absolute() {
                        at.clear();
                    }
                    left.extend(target.components().rev().filter_map(|step| match step {
                        Component::Normal(name) => Some(name.to_owned()),
                        Component::ParentDir => Some("..".into()),
                        _ => None,
                    }));
                }
                Some(_) => return Err(io::Error::other("too many links")),
                None => at.push(name),
            }
        }
        Ok(self.top.join(at))
    }

    fn one<R: Read>(
        &mut self,
        archive: &mut TarArchive<R>,
        entry: &TarEntry,
        path: &Path,
    ) -> io::Result<()> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = self.place(path.parent().unwrap_or(Path::new("")))?;
        self.canvas.make_dirs(&parent, 0o755, None)?;
        let folder = self.canvas.folder(&parent)?;
        let target = parent.join(name);
        let there = folder.lookup(name)?;
        let merges = there.is_some_and(|stat| stat.kind == FileKind::Directory)
            && entry.kind == TarKind::Directory;
        if there.is_some() && !merges {
            self.canvas.forget(&target);
            folder.remove(name)?;
        }
        match entry.kind {
            TarKind::Directory if merges => drop(self.canvas.folder(&target)?),
            TarKind::Directory => folder.make_dir(name)?,
            TarKind::HardLink => self.hard_link(&target, entry)?,
            _ => folder.clear(name)?,
        }
        let (uid, gid) = self.owner.unwrap_or((entry.uid, entry.gid));
        let upper = &folder.upper;
        match entry.kind {
            TarKind::File => {
                let mut file = upper.create_file(name, 0o600)?;
                copy(archive, &mut file)?;
            }
            TarKind::Symlink => {
                upper.symlink(std::ffi::OsStr::from_bytes(&entry.link), name)?;
            }
            TarKind::Character => {
                let node = Special::Character(entry.device.0, entry.device.1);
                upper.mknod(name, node, 0o600)?;
            }
            TarKind::Block => {
                let node = Special::Block(entry.device.0, entry.device.1);
                upper.mknod(name, node, 0o600)?;
            }
            TarKind::Fifo => upper.mknod(name, Special::Fifo, 0o600)?,
            TarKind::Directory | TarKind::HardLink => {}
        }
        upper.chown(name, uid, gid)?;
        if entry.kind != TarKind::Symlink {
            upper.chmod(name, entry.mode & 0o7777)?;
        }
        for (key, value) in &entry.xattrs {
            if key.starts_with(b"trusted.overlay.") || key.starts_with(b"user.overlay.") {
                continue;
            }
            let key = std::ffi::OsStr::from_bytes(key);
            best_effort(upper.set_xattr(name, key, value))?;
        }
        if entry.kind == TarKind::Directory {
            self.times.push((target, entry.modified));
            return Ok(());
        }
        upper.set_times(name, entry.modified)
    }

    /// As with the stock builder, the destination is the root of the target's path, and the link's owner and mode are
    /// those of the file from then on. A file of the base is taken up first, for links do not cross file systems.
    fn hard_link(&mut self, target: &Path, entry: &TarEntry) -> io::Result<()> {
        let link = Path::new("/").join(std::ffi::OsStr::from_bytes(&entry.link));
        let link = inside(&link).ok_or(io::ErrorKind::InvalidInput)?;
        let old = self.place(link.parent().unwrap_or(Path::new("")))?;
        let old_name = link.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let old = self.canvas.folder(&old)?;
        old.take_up_file(old_name)?;
        let (parent, name) = (target.parent(), target.file_name());
        let new = self.canvas.folder(parent.unwrap_or(Path::new("")))?;
        let name = name.ok_or(io::ErrorKind::InvalidInput)?;
        new.clear(name)?;
        new.upper.hard_link(name, &old.upper, old_name)
    }
}

/// A path of the archive without `.` and `..`; `None` if it leads out or too deep.
fn inside(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for step in path.components() {
        match step {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir if path.is_absolute() => drop(clean.pop()),
            Component::ParentDir if !clean.pop() => return None,
            _ => {}
        }
    }
    (clean.components().count() <= DEPTH).then_some(clean)
}

fn copy(from: &mut impl Read, to: &mut File) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => to.write_all(&buffer[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
