//! A layer of nothing but what mounts need to lie on.
//!
//! A mount needs a file or a folder under it. Made in the container's own writable layer it would stay there when the
//! container has gone, and be a part of an image made of that layer. So what is missing goes into a read-only layer of
//! its own, right below the writable one, which is thrown away: the writable layer then holds what the process did and
//! nothing else. Folders that are there already are repeated with all their attributes, since overlayfs shows the
//! topmost ones, and copies those up.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use bowline_sys::overlay::Overlay;
use bowline_sys::root::{Dir, FileKind, Root, Stat, Timestamp};
use bowline_sys::xattr;

/// A place that something is to be mounted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Absolute, links in it followed inside of the root.
    pub path: PathBuf,
    /// A file rather than a folder.
    pub file: bool,
}

/// Makes in `layer`, an empty folder, what `points` need and `lowers` (topmost first) lack. `false`: nothing was
/// missing, and the layer can be left out.
///
/// # Errors
/// The layers cannot be read or the layer cannot be written.
pub fn make_stubs(lowers: &[PathBuf], points: &[Point], layer: &Path) -> io::Result<bool> {
    let below = match lowers {
        [] => None,
        [one] => Some(Root::open(one)?),
        several => {
            let overlay = Overlay {
                lowers: several,
                upper: None,
            };
            Some(Root::from_fd(overlay.mount().map_err(io::Error::other)?))
        }
    };
    let mut stubs = Stubs {
        below,
        layer: Dir::open(layer)?,
        repeated: Vec::new(),
        made: false,
    };
    for point in points {
        stubs.make(point)?;
    }
    stubs.date()?;
    Ok(stubs.made)
}

struct Stubs {
    below: Option<Root>,
    layer: Dir,
    /// Folders that repeat one below, and when that was changed.
    repeated: Vec<(PathBuf, Timestamp)>,
    made: bool,
}

impl Stubs {
    fn make(&mut self, point: &Point) -> io::Result<()> {
        let path = match &self.below {
            Some(below) => below.locate(&point.path)?,
            None => clean(&point.path),
        };
        if path.as_os_str().is_empty() || self.stat(&path)?.is_some() {
            return Ok(());
        }
        let mut dir = self.layer.try_clone()?;
        let mut walked = PathBuf::new();
        let mut names: Vec<&OsStr> = path.iter().collect();
        let last = names.pop();
        for name in names {
            walked.push(name);
            dir = self.folder(&dir, name, &walked)?;
        }
        self.made = true;
        match (last, point.file) {
            (Some(name), true) => exists(dir.create_file(name, 0o644).map(drop)),
            (Some(name), false) => exists(dir.mkdir(name, 0o755)),
            (None, _) => Ok(()),
        }
    }

    /// The folder `name` of `dir`: as it is below, or new.
    fn folder(&mut self, dir: &Dir, name: &OsStr, path: &Path) -> io::Result<Dir> {
        match dir.mkdir(name, 0o755) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return dir.open_dir(name);
            }
            Err(error) => return Err(error),
        }
        let made = dir.open_dir(name)?;
        if let Some((fd, stat)) = self.stat(path)? {
            dir.chown(name, stat.uid, stat.gid)?;
            dir.chmod(name, stat.mode)?;
            if stat.kind == FileKind::Directory {
                attributes(&fd, &made)?;
            }
            self.repeated.push((path.to_owned(), stat.modified));
        }
        Ok(made)
    }

    fn stat(&self, path: &Path) -> io::Result<Option<(OwnedFd, Stat)>> {
        let Some(below) = &self.below else {
            return Ok(None);
        };
        match below.open_path_nofollow(path) {
            Ok(fd) => {
                let stat = Stat::of(&fd)?;
                Ok((!stat.is_whiteout()).then_some((fd, stat)))
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Times come last and from the inside out, since making something in a folder changes it.
    fn date(&self) -> io::Result<()> {
        let root = Root::from_dir(self.layer.try_clone()?);
        let mut repeated: Vec<_> = self.repeated.iter().collect();
        repeated.sort_by_key(|(path, _)| std::cmp::Reverse(path.components().count()));
        for (path, time) in repeated {
            root.open_dir(path)?.set_own_times(*time)?;
        }
        Ok(())
    }
}

/// Attributes of the folder `from`, less those that mean something to overlayfs.
fn attributes(from: &OwnedFd, to: &Dir) -> io::Result<()> {
    // Attributes are not read through a handle that only names the folder.
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(from));
    let from = Dir::open(Path::new(&path))?;
    for name in xattr::list(&from)? {
        if name.as_bytes().starts_with(b"trusted.overlay.") {
            continue;
        }
        if let Some(value) = xattr::get(&from, &name)? {
            xattr::set(to, &name, &value)?;
        }
    }
    Ok(())
}

fn exists(made: io::Result<()>) -> io::Result<()> {
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};

    use super::*;

    fn point(path: &str, file: bool) -> Point {
        Point {
            path: path.into(),
            file,
        }
    }

    #[test]
    fn only_what_is_missing_is_made_and_folders_keep_their_attributes() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let [low, high, layer] = ["low", "high", "layer"].map(|name| dir.path().join(name));
        for path in [&low, &high, &layer] {
            std::fs::create_dir(path).unwrap();
        }
        std::fs::create_dir(low.join("etc")).unwrap();
        std::fs::write(low.join("etc/hosts"), "").unwrap();
        std::fs::create_dir(high.join("run")).unwrap();
        std::fs::set_permissions(low.join("etc"), PermissionsExt::from_mode(0o751)).unwrap();
        symlink("/run", high.join("var")).unwrap();
        let old = Timestamp {
            seconds: 1_000_000,
            nanoseconds: 5,
        };
        Dir::open(&low.join("etc"))
            .unwrap()
            .set_own_times(old)
            .unwrap();
        let points = [
            point("/etc/hosts", true),
            point("/etc/resolv.conf", true),
            point("/var/cache/apt", false),
        ];
        assert!(make_stubs(&[high.clone(), low.clone()], &points, &layer).unwrap());
        assert!(!layer.join("etc/hosts").exists());
        assert!(layer.join("etc/resolv.conf").is_file());
        assert!(layer.join("run/cache/apt").is_dir());
        let etc = layer.join("etc").metadata().unwrap();
        assert_eq!((etc.mode() & 0o7777, etc.mtime()), (0o751, 1_000_000));
    }

    #[test]
    fn nothing_is_made_where_nothing_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let [low, layer] = ["low", "layer"].map(|name| dir.path().join(name));
        std::fs::create_dir_all(low.join("etc/hosts")).unwrap();
        std::fs::create_dir(&layer).unwrap();
        let points = [point("/etc/hosts", true), point("/", false)];
        assert!(!make_stubs(&[low], &points, &layer).unwrap());
        assert_eq!(layer.read_dir().unwrap().count(), 0);
        assert!(make_stubs(&[], &[point("/proc", false)], &layer).unwrap());
        assert!(layer.join("proc").is_dir());
    }
}
