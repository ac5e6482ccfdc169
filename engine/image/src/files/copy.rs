//! A copy of a tree: owners, modes, times, attributes, hard links.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use bowline_sys::root::{Dir, FileKind, Node, Stat, Timestamp, set_times, share_blocks};
use bowline_sys::xattr;

use super::{At, TreeError};

/// The step that fails where a file system cannot share blocks.
pub(super) const SHARE: &str = "share the blocks of";

/// How the contents of files get into a copy.
#[derive(Clone, Copy, Debug)]
pub enum Transfer<'a> {
    /// Byte by byte.
    Bytes,
    /// By sharing blocks, which takes neither time nor space; where the file system cannot, the copy fails.
    Share,
    /// As [`Transfer::Bytes`], but a file that was not touched since an earlier copy of the tree was made is linked
    /// from there. Both copies must be such that nobody writes to them any more.
    Since {
        /// The earlier copy.
        copy: &'a Dir,
        /// When making it began.
        begun: Timestamp,
    },
}

/// What a copy took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Files written.
    pub files: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Files linked or shared instead.
    pub shared: u64,
}

/// Changes to a file that come this soon after a look at it may leave its times as they were.
const MARGIN: i64 = 2;

/// Copies what is in `from`, and what `from` itself has of owner, mode, times and attributes, to the empty directory
/// `to`. Sockets are left out: without their listener they are nothing.
///
/// # Errors
/// See [`TreeError`]; `to` is left as far as it came.
pub fn copy_tree(from: &Dir, to: &Dir, transfer: Transfer<'_>) -> Result<Copied, TreeError> {
    let mut copy = Copy {
        top: to,
        links: HashMap::new(),
        done: Copied::default(),
    };
    let whole = Path::new("");
    let earlier = match transfer {
        Transfer::Since { copy, .. } => Some(copy.try_clone().at("open", whole)?),
        _ => None,
    };
    copy.directory(from, to, earlier.as_ref(), transfer, whole)?;
    Ok(copy.done)
}

struct Copy<'a> {
    top: &'a Dir,
    /// Files with several names: the first one's place.
    links: HashMap<(u64, u64), (PathBuf, OsString)>,
    done: Copied,
}

/// A directory on both sides.
struct Pair<'a> {
    from: &'a Dir,
    to: &'a Dir,
    earlier: Option<&'a Dir>,
    path: &'a Path,
}

impl Copy<'_> {
    fn directory(
        &mut self,
        from: &Dir,
        to: &Dir,
        earlier: Option<&Dir>,
        transfer: Transfer<'_>,
        path: &Path,
    ) -> Result<(), TreeError> {
        let stat = Stat::of(from).at("look at", path)?;
        let pair = Pair {
            from,
            to,
            earlier,
            path,
        };
        for (name, _) in from.entries().at("list", path)? {
            self.entry(&pair, &name, transfer)?;
        }
        // Last: each entry made in it changed its time, and it may have no right to be written to.
        dress(from, to, &stat).at("set the attributes of", path)
    }

    fn entry(
        &mut self,
        pair: &Pair<'_>,
        name: &OsStr,
        transfer: Transfer<'_>,
    ) -> Result<(), TreeError> {
        let path = pair.path.join(name);
        let stat = match pair.from.stat(name) {
            // Gone since the directory was read: nobody was stopped from removing it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.at("look at", &path)?,
        };
        if stat.links > 1 && stat.kind != FileKind::Directory {
            if let Some((folder, first)) = self.links.get(&stat.identity) {
                let old = walk(self.top, folder).at("open", folder)?;
                return pair.to.hard_link(name, &old, first).at("link", &path);
            }
            let place = (pair.path.to_owned(), name.to_owned());
            self.links.insert(stat.identity, place);
        }
        match stat.kind {
            FileKind::Directory => {
                pair.to.mkdir(name, 0o700).at("make", &path)?;
                let from = pair.from.open_dir(name).at("open", &path)?;
                let to = pair.to.open_dir(name).at("open", &path)?;
                let earlier = pair.earlier.and_then(|dir| dir.open_dir(name).ok());
                self.directory(&from, &to, earlier.as_ref(), transfer, &path)
            }
            FileKind::File => self.file(pair, name, &stat, transfer, &path),
            FileKind::Symlink => {
                let target = pair.from.read_link(name).at("read the link", &path)?;
                pair.to.symlink(target, name).at("make", &path)?;
                bare(pair.to, name, &stat).at("set the attributes of", &path)
            }
            FileKind::Character | FileKind::Block | FileKind::Fifo => {
                let (major, minor) = stat.device;
                let node = match stat.kind {
                    FileKind::Character => Node::Character(major, minor),
                    FileKind::Block => Node::Block(major, minor),
                    _ => Node::Fifo,
                };
                pair.to.mknod(name, node, 0o600).at("make", &path)?;
                bare(pair.to, name, &stat).at("set the attributes of", &path)
            }
            FileKind::Socket | FileKind::Unknown => Ok(()),
        }
    }

    fn file(
        &mut self,
        pair: &Pair<'_>,
        name: &OsStr,
        stat: &Stat,
        transfer: Transfer<'_>,
        path: &Path,
    ) -> Result<(), TreeError> {
        if let (Transfer::Since { begun, .. }, Some(earlier)) = (transfer, pair.earlier)
            && untouched(stat, earlier.stat(name).ok().as_ref(), begun)
            && pair.to.hard_link(name, earlier, name).is_ok()
        {
            self.done.shared += 1;
            return Ok(());
        }
        let mut from = pair.from.open_file(name).at("open", path)?;
        let mut to = pair.to.create_file(name, 0o600).at("make", path)?;
        if matches!(transfer, Transfer::Share) {
            share_blocks(&from, &to).at(SHARE, path)?;
            self.done.shared += 1;
        } else {
            // Copied within the kernel, holes and shared blocks kept where the file system can.
            self.done.bytes += io::copy(&mut from, &mut to).at("copy", path)?;
            self.done.files += 1;
        }
        dress(&from, &to, stat).at("set the attributes of", path)
    }
}

/// Whether a file is the one that an earlier copy, begun then, was made of. Its owner cannot set the time of the last
/// change, and whatever moved another file to its place changed that one's.
fn untouched(now: &Stat, copied: Option<&Stat>, begun: Timestamp) -> bool {
    let Some(copied) = copied else { return false };
    let same = |stat: &Stat| {
        let owner = (stat.uid, stat.gid);
        (stat.kind, stat.size, stat.modified, stat.mode, owner)
    };
    now.links == 1
        && same(now) == same(copied)
        && now.changed.seconds.saturating_add(MARGIN) < begun.seconds
}

fn walk(top: &Dir, path: &Path) -> io::Result<Dir> {
    path.iter()
        .try_fold(top.try_clone()?, |dir, name| dir.open_dir(name))
}

/// Owner before mode, since a change of owner takes setuid bits away; attributes after both, since it drops
/// capabilities too; times last.
fn dress(from: &impl AsFd, to: &impl AsFd, stat: &Stat) -> io::Result<()> {
    std::os::unix::fs::fchown(to, Some(stat.uid), Some(stat.gid))?;
    let own = File::from(to.as_fd().try_clone_to_owned()?);
    own.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(stat.mode))?;
    for key in xattr::list(from)? {
        if !travels(&key) {
            continue;
        }
        if let Some(value) = xattr::get(from, &key)? {
            match xattr::set(to, &key, &value) {
                // Not every file system can carry every kind.
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
                other => other?,
            }
        }
    }
    set_times(to, stat.modified)
}

/// Of overlayfs' own attributes only those that say what a directory hides: the others are about the file they are on.
fn travels(key: &OsStr) -> bool {
    let key = key.as_encoded_bytes();
    !key.starts_with(b"trusted.overlay.")
        || matches!(key, b"trusted.overlay.opaque" | b"trusted.overlay.redirect")
}

fn bare(to: &Dir, name: &OsStr, stat: &Stat) -> io::Result<()> {
    to.chown(name, stat.uid, stat.gid)?;
    if stat.kind != FileKind::Symlink {
        to.chmod(name, stat.mode)?;
    }
    to.set_times(name, stat.modified)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn open(path: &Path) -> Dir {
        std::fs::create_dir_all(path).unwrap();
        Dir::open(path).unwrap()
    }

    const NEVER: Timestamp = Timestamp {
        seconds: 0,
        nanoseconds: 0,
    };
    const LATER: Timestamp = Timestamp {
        seconds: i64::MAX,
        nanoseconds: 0,
    };

    #[test]
    fn links_modes_and_times_travel() {
        let folder = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
        let (a, b) = (open(&from), open(&to));
        std::fs::create_dir(from.join("sub")).unwrap();
        std::fs::write(from.join("sub/one"), "text").unwrap();
        std::fs::hard_link(from.join("sub/one"), from.join("two")).unwrap();
        std::os::unix::fs::symlink("nowhere", from.join("link")).unwrap();
        let old = Timestamp {
            seconds: 1_000_000,
            nanoseconds: 5,
        };
        a.set_times("two", old).unwrap();
        a.chmod("sub", 0o2751).unwrap();
        let done = copy_tree(&a, &b, Transfer::Bytes).unwrap();
        assert_eq!((done.files, done.bytes), (1, 4));
        let copied = std::fs::metadata(to.join("two")).unwrap();
        assert_eq!(
            copied.ino(),
            std::fs::metadata(to.join("sub/one")).unwrap().ino()
        );
        assert_eq!((copied.mtime(), copied.mtime_nsec()), (1_000_000, 5));
        assert_eq!(
            std::fs::metadata(to.join("sub")).unwrap().mode() & 0o7777,
            0o2751
        );
        assert_eq!(
            std::fs::read_link(to.join("link")).unwrap(),
            Path::new("nowhere")
        );
    }

    #[test]
    fn an_untouched_file_is_linked_from_the_earlier_copy_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let [from, first, second, third] =
            ["from", "1", "2", "3"].map(|name| folder.path().join(name));
        let source = open(&from);
        std::fs::write(from.join("kept"), "same").unwrap();
        std::fs::write(from.join("edited"), "old").unwrap();
        let copy = open(&first);
        copy_tree(&source, &copy, Transfer::Bytes).unwrap();
        std::fs::write(from.join("edited"), "newer").unwrap();
        let since = |begun| Transfer::Since { copy: &copy, begun };
        let done = copy_tree(&source, &open(&second), since(LATER)).unwrap();
        assert_eq!((done.shared, done.files), (1, 1));
        let inode = |path: PathBuf| std::fs::metadata(path).unwrap().ino();
        assert_eq!(inode(second.join("kept")), inode(first.join("kept")));
        assert_eq!(
            std::fs::read_to_string(second.join("edited")).unwrap(),
            "newer"
        );
        // What changed about when the first copy began may have changed after it was read.
        let done = copy_tree(&source, &open(&third), since(NEVER)).unwrap();
        assert_eq!((done.shared, done.files), (0, 2));
    }
}
