//! What a container changed of its image: the writable directory of its overlay against what lies below.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use bowline_sys::root::{Dir, FileKind, Root, Stat};
use bowline_sys::xattr;

use super::{At, Pack, TreeError};

/// How a path differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// Other contents or attributes, or something in it differs.
    Modified,
    /// Only in the container.
    Added,
    /// Only in the image.
    Deleted,
}

/// One path that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// From the top, with a slash in front.
    pub path: PathBuf,
    /// How.
    pub kind: ChangeKind,
}

/// All paths that differ between the image `below` and it with `upper` on top, sorted. What Bowline itself puts into a
/// container's root to mount things on is left out.
///
/// # Errors
/// See [`TreeError`].
pub fn changes(upper: &Dir, below: &Root) -> Result<Vec<Change>, TreeError> {
    let mut walk = Walk {
        below: below.without_symlinks().at("open", Path::new("/"))?,
        found: Vec::new(),
    };
    walk.directory(upper, Path::new("/"), true)?;
    walk.found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(walk.found)
}

/// Packs the changes as a layer of an image.
///
/// # Errors
/// See [`TreeError`].
pub(crate) fn pack_changes(
    upper: &Dir,
    changes: &[Change],
    out: impl Write,
) -> Result<(), TreeError> {
    let mut pack = Pack::new(out);
    let root = Root::from_dir(upper.try_clone().at("open", Path::new("/"))?);
    let root = root.without_symlinks().at("open", Path::new("/"))?;
    let top = Stat::of(upper).at("look at", Path::new("/"))?;
    for change in changes {
        let path = change.path.strip_prefix("/").unwrap_or(&change.path);
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            continue;
        };
        let bytes = path.as_os_str().as_bytes();
        if change.kind == ChangeKind::Deleted {
            let mark = [b".wh.", name.as_bytes()].concat();
            let mark = parent.join(OsStr::from_bytes(&mark));
            pack.mark(mark.as_os_str().as_bytes(), &top)?;
            continue;
        }
        let dir = root.open_dir(parent).at("open", parent)?;
        let stat = dir.stat(name).at("look at", path)?;
        if stat.kind == FileKind::Directory {
            pack.folder(&dir.open_dir(name).at("open", path)?, bytes, path)?;
        } else {
            pack.leaf(&dir, name, &stat, bytes, path)?;
        }
    }
    pack.end()
}

struct Walk {
    below: Root,
    found: Vec<Change>,
}

impl Walk {
    /// Whether anything in the directory counts; `covers` where the image has a directory there that shows through.
    fn directory(&mut self, dir: &Dir, path: &Path, covers: bool) -> Result<bool, TreeError> {
        let mut counts = false;
        let opaque = covers && path != Path::new("/") && is_opaque(dir).at("read", path)?;
        let mut names = Vec::new();
        for (name, _) in dir.entries().at("list", path)? {
            counts |= self.entry(dir, &name, path, covers)?;
            names.push(name);
        }
        if opaque {
            counts |= self.hidden(path, &names)?;
        }
        Ok(counts)
    }

    fn entry(
        &mut self,
        dir: &Dir,
        name: &OsString,
        parent: &Path,
        covers: bool,
    ) -> Result<bool, TreeError> {
        let path = parent.join(name);
        let stat = dir.stat(name).at("look at", &path)?;
        let before = match covers {
            true => self.before(&path)?,
            false => None,
        };
        if stat.is_whiteout() {
            if before.is_some() {
                self.note(&path, ChangeKind::Deleted);
            }
            return Ok(before.is_some());
        }
        if stat.kind != FileKind::Directory {
            if before.is_none() && is_stub_file(&path, &stat) {
                return Ok(false);
            }
            let kind = match before {
                Some(_) => ChangeKind::Modified,
                None => ChangeKind::Added,
            };
            self.note(&path, kind);
            return Ok(true);
        }
        let inner = dir.open_dir(name).at("open", &path)?;
        let was_directory = before.is_some_and(|stat| stat.kind == FileKind::Directory);
        let at = self.found.len();
        let counts = self.directory(&inner, &path, was_directory)?;
        let kind = match before {
            None if is_stub_folder(&path) && !counts => return Ok(false),
            None => ChangeKind::Added,
            // Copied up for what is in it, which does not count.
            Some(before) if !counts && same_attributes(&before, &stat) && stub_inside(&path) => {
                return Ok(false);
            }
            Some(_) => ChangeKind::Modified,
        };
        self.found.insert(at, Change { path, kind });
        Ok(true)
    }

    /// What the image has in a directory that was made anew.
    fn hidden(&mut self, path: &Path, names: &[OsString]) -> Result<bool, TreeError> {
        let inside = path.strip_prefix("/").unwrap_or(path);
        let Ok(dir) = self.below.open_dir(inside) else {
            return Ok(false);
        };
        let mut any = false;
        for (name, _) in dir.entries().at("list", path)? {
            if !names.contains(&name) {
                self.note(&path.join(name), ChangeKind::Deleted);
                any = true;
            }
        }
        Ok(any)
    }

    fn before(&self, path: &Path) -> Result<Option<Stat>, TreeError> {
        let inside = path.strip_prefix("/").unwrap_or(path);
        match self.below.stat_nofollow(inside) {
            Ok(stat) => Ok(Some(stat)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error).at("look in the image at", path),
        }
    }

    fn note(&mut self, path: &Path, kind: ChangeKind) {
        self.found.push(Change {
            path: path.to_owned(),
            kind,
        });
    }
}

/// ELOOP is a link on the way, which hides what is behind it.
fn is_absent(error: &io::Error) -> bool {
    const ELOOP: i32 = 40;
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    ) || error.raw_os_error() == Some(ELOOP)
}

fn is_opaque(dir: &Dir) -> io::Result<bool> {
    let value = xattr::get(dir, "trusted.overlay.opaque".as_ref())?;
    Ok(value.as_deref() == Some(b"y"))
}

fn same_attributes(a: &Stat, b: &Stat) -> bool {
    (a.mode, a.uid, a.gid) == (b.mode, b.uid, b.gid)
}

/// Files that are there to have a container's own mounted on them.
const STUB_FILES: [&str; 4] = [
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/dev/console",
];

fn is_stub_file(path: &Path, stat: &Stat) -> bool {
    stat.kind == FileKind::File
        && stat.size == 0
        && STUB_FILES.iter().any(|stub| path == Path::new(stub))
}

fn is_stub_folder(path: &Path) -> bool {
    [
        "/dev",
        "/dev/pts",
        "/dev/shm",
        "/dev/mqueue",
        "/proc",
        "/sys",
        "/etc",
    ]
    .iter()
    .any(|stub| path == Path::new(stub))
}

fn stub_inside(path: &Path) -> bool {
    is_stub_folder(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bowline_sys::root::Node;

    fn kinds(upper: &Path, below: &Path) -> Vec<(String, ChangeKind)> {
        let found = changes(&Dir::open(upper).unwrap(), &Root::open(below).unwrap()).unwrap();
        let shown = |change: Change| (change.path.display().to_string(), change.kind);
        found.into_iter().map(shown).collect()
    }

    #[test]
    fn additions_edits_and_removals_are_told_apart_and_stubs_left_out() {
        use ChangeKind::{Added, Deleted, Modified};
        let [upper, below] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let make = |root: &Path, files: &[&str]| {
            for file in files {
                let path = root.join(file);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, "").unwrap();
            }
        };
        make(below.path(), &["etc/passwd", "a/old", "a/gone", "swap/x"]);
        make(
            upper.path(),
            &["etc/hosts", "a/old", "b/new", "swap", "dev/console"],
        );
        let dir = Dir::open(&upper.path().join("a")).unwrap();
        if dir.mknod("gone", Node::Character(0, 0), 0).is_err() {
            return;
        }
        let expected = [
            ("/a", Modified),
            ("/a/gone", Deleted),
            ("/a/old", Modified),
            ("/b", Added),
            ("/b/new", Added),
            ("/swap", Modified),
        ];
        assert_eq!(
            kinds(upper.path(), below.path()),
            expected.map(|(path, kind)| (path.to_owned(), kind))
        );
    }
}
