//! Overlay file systems as detached mounts: made through `fsopen`, visible nowhere until someone attaches them, gone
//! when the last descriptor closes.

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};

/// The directories of an overlay.
#[derive(Clone, Copy, Debug)]
pub struct Overlay<'a> {
    /// The read-only directories, top first.
    pub lowers: &'a [PathBuf],
    /// The writable directory on top and the scratch directory beside it; without, the mount is read-only and needs two
    /// lowers.
    pub upper: Option<(&'a Path, &'a Path)>,
}

/// An overlay could not be made.
#[derive(Debug)]
pub struct OverlayError {
    step: &'static str,
    said: String,
    source: Errno,
}

impl Overlay<'_> {
    /// Makes the mount.
    pub fn mount(self) -> Result<OwnedFd, OverlayError> {
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
        self.set_lowers(&context)
            .map_err(fail("add the lower directories"))?;
        if let Some((upper, work)) = self.upper {
            set_path(&context, "upperdir", upper).map_err(fail("set the upper directory"))?;
            set_path(&context, "workdir", work).map_err(fail("set the work directory"))?;
        } else {
            fsconfig_set_flag(&context, "ro").map_err(fail("make it read-only"))?;
        }
        fsconfig_create(&context).map_err(fail("create the file system"))?;
        let attributes = match self.upper {
            Some(_) => MountAttrFlags::empty(),
            None => MountAttrFlags::MOUNT_ATTR_RDONLY,
        };
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(fail("mount it"))
    }

    /// One by one where the kernel can (6.8): no limit on the length, no characters to escape. Older kernels get one
    /// string, kept short and free of colons by going through `/proc`.
    fn set_lowers(&self, context: &OwnedFd) -> Result<(), Errno> {
        for lower in self.lowers {
            match set_path(context, "lowerdir+", lower) {
                Err(Errno::INVAL) if std::ptr::eq(lower, &raw const self.lowers[0]) => {
                    return self.set_lowers_at_once(context);
                }
                other => other?,
            }
        }
        Ok(())
    }

    fn set_lowers_at_once(&self, context: &OwnedFd) -> Result<(), Errno> {
        use std::os::fd::AsRawFd;
        let open = |path: &PathBuf| {
            openat(
                CWD,
                path,
                OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )
        };
        let fds = self
            .lowers
            .iter()
            .map(open)
            .collect::<Result<Vec<_>, _>>()?;
        let paths: Vec<String> = fds
            .iter()
            .map(|fd| format!("/proc/self/fd/{}", fd.as_raw_fd()))
            .collect();
        fsconfig_set_string(context, "lowerdir", paths.join(":"))
    }
}

/// Every value is a path of at most 255 bytes for the kernel; a longer one is reached through its descriptor.
fn set_path(context: &OwnedFd, key: &str, path: &Path) -> Result<(), Errno> {
    use std::os::fd::AsRawFd;
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
