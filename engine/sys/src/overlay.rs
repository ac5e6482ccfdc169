//! Overlay file systems as detached mounts: made through `fsopen`, visible nowhere until someone attaches them, gone
//! when the last descriptor closes.
#![expect(unsafe_code, reason = "unshare is unsafe for flags that we do not use")]

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};
use rustix::process::chdir;
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// The directories of an overlay.
#[derive(Clone, Copy, Debug)]
pub struct Overlay<'a> {
    /// The read-only directories, top first.
    pub lowers: &'a [PathBuf],
    /// The writable directory on top and the scratch directory beside it; without, the mount is read-only and needs two
    /// lowers.
    pub upper: Option<(&'a Path, &'a Path)>,
}

/// Keys of overlayfs, each with its value; an empty one for a key that has none.
pub type Options<'a> = &'a [(&'a str, &'a str)];

/// An overlay could not be made.
#[derive(Debug)]
pub struct OverlayError {
    step: &'static str,
    said: String,
    source: Errno,
}

impl Overlay<'_> {
    /// Makes the mount.
    ///
    /// Lower directories are added one by one where the kernel can (6.7): no limit on the length, no characters to
    /// escape. Older kernels take one string; whether this is one shows in EINVAL, at once or (before 6.5) only at the
    /// end.
    pub fn mount(self) -> Result<OwnedFd, OverlayError> {
        self.mount_with(&[])
    }

    /// As [`Overlay::mount`], with more of overlayfs' own options (`redirect_dir`, `on`).
    pub fn mount_with(self, options: Options<'_>) -> Result<OwnedFd, OverlayError> {
        match self.attempt(&Names::One(self.lowers), options) {
            Err(error) if error.source == Errno::INVAL => {
                self.mount_by_number(options).unwrap_or(Err(error))
            }
            other => other,
        }
    }

    /// The option's string has room for 255 bytes, so each directory is opened and named by its descriptor's number,
    /// seen from `/proc/self/fd`: that needs a working directory of its own, hence a thread that has one.
    ///
    /// `None` when the preparations fail: then what failed first is what counts.
    fn mount_by_number(self, options: Options<'_>) -> Option<Result<OwnedFd, OverlayError>> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = |path: &Path| openat(CWD, path, flags, Mode::empty()).ok();
        let number = |fd: &OwnedFd| PathBuf::from(fd.as_raw_fd().to_string());
        let fds = self
            .lowers
            .iter()
            .map(|path| open(path))
            .collect::<Option<Vec<_>>>()?;
        let upper = match self.upper {
            Some((upper, work)) => Some((open(upper)?, open(work)?)),
            None => None,
        };
        let upper = upper
            .as_ref()
            .map(|(upper, work)| (number(upper), number(work)));
        let all: Vec<String> = fds.iter().map(|fd| fd.as_raw_fd().to_string()).collect();
        let numbered = Overlay {
            lowers: self.lowers,
            upper: upper
                .as_ref()
                .map(|(upper, work)| (upper.as_path(), work.as_path())),
        };
        let attempt = || {
            own_directory().ok()?;
            chdir("/proc/self/fd").ok()?;
            Some(numbered.attempt(&Names::All(&all.join(":")), options))
        };
        std::thread::scope(|scope| scope.spawn(attempt).join()).ok()?
    }

    fn attempt(self, lowers: &Names<'_>, options: Options<'_>) -> Result<OwnedFd, OverlayError> {
        let context =
            fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(|source| OverlayError {
                step: "open the overlay file system",
                said: String::new(),
                source,
            })?;
        let fail = |step| {
            let context = &context;
            move |source| OverlayError {
                step,
                said: said(context),
                source,
            }
        };
        fsconfig_set_string(&context, "source", "overlay").map_err(fail("name the source"))?;
        lowers
            .set(&context)
            .map_err(fail("add the lower directories"))?;
        if let Some((upper, work)) = self.upper {
            set_path(&context, "upperdir", upper).map_err(fail("set the upper directory"))?;
            set_path(&context, "workdir", work).map_err(fail("set the work directory"))?;
        } else {
            fsconfig_set_flag(&context, "ro").map_err(fail("make it read-only"))?;
        }
        for (key, value) in options {
            match *value {
                "" => fsconfig_set_flag(&context, *key),
                value => fsconfig_set_string(&context, *key, value),
            }
            .map_err(fail("set an option"))?;
        }
        fsconfig_create(&context).map_err(fail("create the file system"))?;
        let attributes = match self.upper {
            Some(_) => MountAttrFlags::empty(),
            None => MountAttrFlags::MOUNT_ATTR_RDONLY,
        };
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(fail("mount it"))
    }
}

/// How the lower directories are named to the kernel.
enum Names<'a> {
    One(&'a [PathBuf]),
    All(&'a str),
}

impl Names<'_> {
    fn set(&self, context: &OwnedFd) -> Result<(), Errno> {
        match self {
            Self::One(paths) => paths
                .iter()
                .try_for_each(|path| set_path(context, "lowerdir+", path)),
            Self::All(list) => fsconfig_set_string(context, "lowerdir", *list),
        }
    }
}

/// Gives the calling thread a working directory apart from its process's.
fn own_directory() -> Result<(), Errno> {
    // SAFETY: the flag parts this thread's working directory, root and umask from the others'; neither memory nor
    // descriptors are touched.
    unsafe { unshare_unsafe(UnshareFlags::FS) }
}

/// Every value is a path of at most 255 bytes for the kernel; a longer one is reached through its descriptor.
fn set_path(context: &OwnedFd, key: &str, path: &Path) -> Result<(), Errno> {
    let plain = path.as_os_str();
    if plain.len() < 256 && !plain.as_encoded_bytes().contains(&b'\\') {
        return fsconfig_set_string(context, key, path);
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = openat(CWD, path, flags, Mode::empty())?;
    fsconfig_set_string(context, key, format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// What the kernel has to say about a failed step: it can be read from the context, a line a message.
fn said(context: &OwnedFd) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(read @ 1..) = rustix::io::read(context.as_fd(), &mut buffer) {
        text.extend_from_slice(&buffer[..read]);
        text.push(b' ');
    }
    String::from_utf8_lossy(&text).trim().to_owned()
}

impl fmt::Display for OverlayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.said.as_str() {
            "" => f.write_str(self.step),
            said => write!(f, "{}: {said}", self.step),
        }
    }
}

impl std::error::Error for OverlayError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Thirty layers with long names, so that together they are far longer than one option may be.
    #[test]
    fn both_ways_of_naming_layers_make_the_same_mount() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let layer = |number: usize| {
            let path = dir.path().join(format!("{}{number}", "a,b:c ".repeat(20)));
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join("top"), number.to_string()).unwrap();
            std::fs::write(path.join(number.to_string()), "").unwrap();
            path
        };
        let lowers: Vec<PathBuf> = (0..30).map(layer).collect();
        let overlay = Overlay {
            lowers: &lowers,
            upper: None,
        };
        for mount in [overlay.mount(), overlay.mount_by_number(&[]).unwrap()] {
            let mount = mount.unwrap();
            let path = |name: &str| format!("/proc/self/fd/{}/{name}", mount.as_raw_fd());
            assert_eq!(std::fs::read_to_string(path("top")).unwrap(), "0");
            assert_eq!(std::fs::read_dir(path("")).unwrap().count(), 31);
        }
    }
}
