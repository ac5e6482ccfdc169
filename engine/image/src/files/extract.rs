//! A tar archive into a tree that others control.
//!
//! Parents are resolved by the kernel with the tree's top as root, so a link in the tree is followed as a process inside
//! would, and none leads out. Names are made and replaced relative to their parent and never followed.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use bowline_sys::root::{Dir, FileKind, Node, Root, Timestamp, set_times};
use bowline_sys::xattr;

use super::{At, TreeError};
use crate::compression::Unpacked;
use crate::tar::{Archive, Entry, Kind};

/// Whom the extracted files belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// How an archive is extracted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extraction {
    /// A file does not take a directory's place, nor the other way round.
    pub keep_kinds: bool,
    /// Everything belongs to this owner, instead of whom the archive says.
    pub owner: Option<Owner>,
}

/// Extracts the archive, in whatever compression, into the directory `folder` below `root`.
///
/// # Errors
/// See [`TreeError`]; what was extracted before stays.
pub fn extract(
    root: &Root,
    folder: &Path,
    archive: impl Read,
    how: &Extraction,
) -> Result<(), TreeError> {
    let plain = BufReader::with_capacity(64 * 1024, Unpacked::sniff(archive)?);
    let mut archive = Archive::new(plain);
    let mut work = Work {
        root,
        folder,
        how,
        times: Vec::new(),
    };
    while let Some(entry) = archive.next_entry()? {
        work.entry(&mut archive, &entry)?;
    }
    // Go's tar writers pad the end; a sender that is not read to the end takes it for a failure.
    drop(io::copy(&mut archive.into_source(), &mut io::sink()));
    work.set_directory_times()
}

struct Work<'a> {
    root: &'a Root,
    folder: &'a Path,
    how: &'a Extraction,
    /// Each entry made in a directory changes its time, so that comes last.
    times: Vec<(PathBuf, Timestamp)>,
}

impl Work<'_> {
    fn entry<R: Read>(&mut self, archive: &mut Archive<R>, entry: &Entry) -> Result<(), TreeError> {
        let path = clean(&entry.path)?;
        let Some((parent, name)) = parts(&path) else {
            return self.top(entry);
        };
        let dir = self.parent(parent)?;
        if !self.clear(&dir, &name, entry, &path)? {
            // A directory that is there already only gets new attributes.
            let inner = dir.open_dir(&name).at("open", &path)?;
            self.times.push((path.clone(), entry.modified));
            return self.dress(&inner, entry).at("set the attributes of", &path);
        }
        match entry.kind {
            Kind::Directory => {
                dir.mkdir(&name, 0o700).at("make", &path)?;
                let inner = dir.open_dir(&name).at("open", &path)?;
                self.times.push((path.clone(), entry.modified));
                self.dress(&inner, entry).at("set the attributes of", &path)
            }
            Kind::File => {
                let mut file = dir.create_file(&name, 0o600).at("make", &path)?;
                io::copy(archive, &mut file).at("write", &path)?;
                self.dress(&file, entry)
                    .at("set the attributes of", &path)?;
                set_times(&file, entry.modified).at("set the time of", &path)
            }
            Kind::HardLink => self.link(&dir, &name, entry, &path),
            Kind::Symlink => {
                let target = Path::new(OsStr::from_bytes(&entry.link));
                dir.symlink(target, &name).at("make", &path)?;
                self.bare(&dir, &name, entry)
                    .at("set the attributes of", &path)
            }
            Kind::Character | Kind::Block | Kind::Fifo => {
                let (major, minor) = entry.device;
                let node = match entry.kind {
                    Kind::Character => Node::Character(major, minor),
                    Kind::Block => Node::Block(major, minor),
                    _ => Node::Fifo,
                };
                dir.mknod(&name, node, 0o600).at("make", &path)?;
                self.bare(&dir, &name, entry)
                    .at("set the attributes of", &path)
            }
        }
    }

    /// The entry `.` gives the folder's own attributes, as Docker has it.
    fn top(&mut self, entry: &Entry) -> Result<(), TreeError> {
        let top = Path::new("");
        if entry.kind != Kind::Directory {
            return Err(TreeError::Escape { path: top.into() });
        }
        let dir = self.root.open_dir(self.folder).at("open", self.folder)?;
        self.times.push((PathBuf::new(), entry.modified));
        self.dress(&dir, entry)
            .at("set the attributes of", self.folder)
    }

    /// The folder an entry goes to; made where the archive does not bring it.
    fn parent(&self, path: &Path) -> Result<Dir, TreeError> {
        let place = self.folder.join(path);
        match self.root.open_dir(&place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = self.root.mkdir_all(&place, 0o755).at("make", &place)?;
                if let Some(owner) = self.how.owner {
                    chown(&made, owner).at("set the owner of", &place)?;
                }
                Ok(made)
            }
            other => other.at("open", &place),
        }
    }

    /// Makes room for an entry. False where a directory stays for one.
    fn clear(
        &self,
        dir: &Dir,
        name: &OsStr,
        entry: &Entry,
        path: &Path,
    ) -> Result<bool, TreeError> {
        let stat = match dir.stat(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            other => other.at("look at", path)?,
        };
        let folder = stat.kind == FileKind::Directory;
        let new_folder = entry.kind == Kind::Directory;
        if folder && new_folder {
            return Ok(false);
        }
        if self.how.keep_kinds && folder != new_folder {
            let word = |folder| if folder { "directory" } else { "non-directory" };
            return Err(TreeError::InTheWay {
                have: word(folder),
                new: word(new_folder),
                path: Path::new("/").join(self.folder).join(path),
                entry: PathBuf::from(OsStr::from_bytes(&entry.path)),
            });
        }
        dir.remove_all(name).at("replace", path)?;
        Ok(true)
    }

    fn link(&self, dir: &Dir, name: &OsStr, entry: &Entry, path: &Path) -> Result<(), TreeError> {
        let target = clean(&entry.link)?;
        let (parent, last) = parts(&target).ok_or_else(|| TreeError::Escape {
            path: target.clone(),
        })?;
        let place = self.folder.join(parent);
        let old = self.root.open_dir(&place).at("open", &place)?;
        dir.hard_link(name, &old, &last).at("link", path)
    }

    fn dress(&self, file: &impl AsFd, entry: &Entry) -> io::Result<()> {
        chown(file, self.owner(entry))?;
        let own = File::from(file.as_fd().try_clone_to_owned()?);
        own.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(entry.mode))?;
        for (key, value) in &entry.xattrs {
            if key.starts_with(b"trusted.") {
                // Those steer the file system itself, overlayfs among them.
                continue;
            }
            match xattr::set(file, OsStr::from_bytes(key), value) {
                Err(error) if is_unsupported(&error) => {}
                other => other?,
            }
        }
        Ok(())
    }

    fn bare(&self, dir: &Dir, name: &OsStr, entry: &Entry) -> io::Result<()> {
        let owner = self.owner(entry);
        dir.chown(name, owner.uid, owner.gid)?;
        if entry.kind != Kind::Symlink {
            dir.chmod(name, entry.mode)?;
        }
        dir.set_times(name, entry.modified)
    }

    fn owner(&self, entry: &Entry) -> Owner {
        self.how.owner.unwrap_or(Owner {
            uid: entry.uid,
            gid: entry.gid,
        })
    }

    fn set_directory_times(&self) -> Result<(), TreeError> {
        for (path, time) in &self.times {
            let place = self.folder.join(path);
            // A directory that a later entry replaced is not there any more.
            if let Ok(dir) = self.root.open_dir(&place) {
                dir.set_own_times(*time).at("set the time of", &place)?;
            }
        }
        Ok(())
    }
}

fn chown(file: &impl AsFd, owner: Owner) -> io::Result<()> {
    std::os::unix::fs::fchown(file, Some(owner.uid), Some(owner.gid))
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied
    )
}

/// A name of the archive as a path below the folder: slashes in front, `.` and what `..` takes back are gone. One that
/// leads above the folder is refused.
fn clean(name: &[u8]) -> Result<PathBuf, TreeError> {
    let mut clean = PathBuf::new();
    for part in Path::new(OsStr::from_bytes(name)).components() {
        match part {
            Component::Normal(part) => clean.push(part),
            Component::ParentDir if !clean.pop() => {
                return Err(TreeError::Escape {
                    path: OsStr::from_bytes(name).into(),
                });
            }
            _ => {}
        }
    }
    Ok(clean)
}

fn parts(path: &Path) -> Option<(&Path, OsString)> {
    Some((path.parent()?, path.file_name()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::super::pack;
    use super::*;

    fn write(root: &Path, archive: &[u8], how: &Extraction) -> Result<(), TreeError> {
        extract(&Root::open(root).unwrap(), Path::new("in"), archive, how)
    }

    fn tar_of(path: &Path, name: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        pack(
            &Dir::open(path).unwrap(),
            OsStr::new(""),
            name,
            &mut out,
            false,
        )
        .unwrap();
        out
    }

    #[test]
    fn what_was_packed_comes_out_the_same() {
        let [from, to] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let long = "a name that is longer than the hundred bytes a header has room for ".repeat(2);
        std::fs::create_dir_all(from.path().join("sub")).unwrap();
        std::fs::write(from.path().join("sub").join(&long), "text").unwrap();
        std::fs::hard_link(from.path().join("sub").join(&long), from.path().join("two")).unwrap();
        std::os::unix::fs::symlink(&long, from.path().join("link")).unwrap();
        std::fs::create_dir(to.path().join("in")).unwrap();
        write(
            to.path(),
            &tar_of(from.path(), b"top"),
            &Extraction::default(),
        )
        .unwrap();
        let top = to.path().join("in/top");
        assert_eq!(std::fs::read_to_string(top.join("two")).unwrap(), "text");
        assert_eq!(std::fs::metadata(top.join("two")).unwrap().nlink(), 2);
        assert_eq!(
            std::fs::read_link(top.join("link")).unwrap(),
            Path::new(&long)
        );
    }

    #[test]
    fn links_in_the_tree_are_followed_inside_it_only() {
        let [from, to] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        std::fs::write(from.path().join("file"), "new").unwrap();
        std::fs::create_dir(to.path().join("in")).unwrap();
        std::os::unix::fs::symlink("/etc", to.path().join("in/out")).unwrap();
        write(
            to.path(),
            &tar_of(from.path(), b"out/sub"),
            &Extraction::default(),
        )
        .unwrap();
        assert_eq!(
            std::fs::read_to_string(to.path().join("etc/sub/file")).unwrap(),
            "new"
        );
        let error = write(
            to.path(),
            &tar_of(from.path(), b"../up"),
            &Extraction::default(),
        );
        assert!(matches!(error, Err(TreeError::Escape { .. })));
    }

    #[test]
    fn kinds_are_kept_where_that_is_asked_for() {
        let [from, to] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        std::fs::write(from.path().join("x"), "file").unwrap();
        std::fs::create_dir_all(to.path().join("in/top/x")).unwrap();
        let keep = Extraction {
            keep_kinds: true,
            ..Extraction::default()
        };
        let error = write(to.path(), &tar_of(from.path(), b"top"), &keep).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot overwrite directory \"/in/top/x\" with non-directory \"top/x\""
        );
        write(
            to.path(),
            &tar_of(from.path(), b"top"),
            &Extraction::default(),
        )
        .unwrap();
        assert!(to.path().join("in/top/x").is_file());
    }
}
