//! What is in an upper directory, in the order of a layer's tar.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bowline_sys::root::{Dir, FileKind, Stat};
use bowline_sys::xattr;

use crate::Result;
use crate::error::Context;

/// One entry.
#[derive(Debug)]
pub(super) struct Entry {
    /// Relative to the top.
    pub(super) path: PathBuf,
    pub(super) stat: Stat,
    pub(super) what: What,
}

/// What it is to a layer.
#[derive(Debug)]
pub(super) enum What {
    /// A directory; `opaque` if it hides what lies below.
    Directory { opaque: bool, xattrs: Xattrs },
    /// A file with contents of its own.
    File,
    /// Another name of this file, which came before.
    HardLink(PathBuf),
    /// A symbolic link.
    Symlink(PathBuf),
    /// A device or a fifo.
    Node,
    /// Something below is gone.
    Whiteout,
}

/// Extended attributes.
pub(super) type Xattrs = Vec<(OsString, Vec<u8>)>;

/// The mark of a directory that hides what lies below.
const OPAQUE: &str = "trusted.overlay.opaque";

/// Everything in `upper`, sorted, parents before children. Sockets are taken out: without their listener they are
/// nothing, and no archive can hold one.
pub(super) fn list(upper: &Dir) -> Result<Vec<Entry>> {
    let mut list = List::default();
    let walked = list.walk(upper, Path::new(""));
    walked.file("list", &upper.path().unwrap_or_default())?;
    Ok(list.entries)
}

#[derive(Default)]
struct List {
    entries: Vec<Entry>,
    links: HashMap<(u64, u64), PathBuf>,
}

impl List {
    fn walk(&mut self, dir: &Dir, path: &Path) -> io::Result<()> {
        let mut names: Vec<OsString> = dir.entries()?.into_iter().map(|(name, _)| name).collect();
        names.sort_unstable_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        for name in names {
            let stat = dir.stat(&name)?;
            let path = path.join(&name);
            let what = match stat.kind {
                FileKind::Socket => {
                    dir.remove_file(&name)?;
                    continue;
                }
                FileKind::Directory => {
                    self.directory(&dir.open_dir(&name)?, path, stat)?;
                    continue;
                }
                _ if stat.is_whiteout() => What::Whiteout,
                _ => self.other(dir, &name, &path, &stat)?,
            };
            self.entries.push(Entry { path, stat, what });
        }
        Ok(())
    }

    fn directory(&mut self, dir: &Dir, path: PathBuf, stat: Stat) -> io::Result<()> {
        let what = What::Directory {
            opaque: is_opaque(dir)?,
            xattrs: xattrs(dir)?,
        };
        let inside = path.clone();
        self.entries.push(Entry { path, stat, what });
        self.walk(dir, &inside)
    }

    fn other(&mut self, dir: &Dir, name: &OsString, path: &Path, stat: &Stat) -> io::Result<What> {
        if stat.links > 1 {
            if let Some(first) = self.links.get(&stat.identity) {
                return Ok(What::HardLink(first.clone()));
            }
            self.links.insert(stat.identity, path.to_owned());
        }
        Ok(match stat.kind {
            FileKind::Symlink => What::Symlink(dir.read_link(name)?),
            FileKind::File => What::File,
            _ => What::Node,
        })
    }
}

/// Whether the directory hides what lies below it.
pub(super) fn is_opaque(dir: &Dir) -> io::Result<bool> {
    Ok(xattr::get(dir, OPAQUE.as_ref())?.is_some_and(|value| value == b"y"))
}

/// The attributes that belong to the file and not to the machine it is on: neither overlay's own nor SELinux' labels.
pub(super) fn xattrs(file: impl std::os::fd::AsFd) -> io::Result<Xattrs> {
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

/// Gives the top of an upper directory the owner and mode of the one below, for an overlay shows its upper's.
pub(super) fn adopt_top(upper: &Path, below: Option<&PathBuf>) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let (uid, gid, mode) = match below {
        Some(below) => {
            let stat = Stat::of(Dir::open(below)?)?;
            (stat.uid, stat.gid, stat.mode)
        }
        None => (0, 0, 0o755),
    };
    std::os::unix::fs::lchown(upper, Some(uid), Some(gid))?;
    std::fs::set_permissions(upper, std::fs::Permissions::from_mode(mode))
}
