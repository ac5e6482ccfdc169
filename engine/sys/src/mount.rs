//! The mount API of file descriptors: a mount is made and configured before it is anywhere, so that no path is looked
//! at twice and nobody sees a half-made one.
#![expect(unsafe_code, reason = "mount_setattr(2) has no safe wrapper")]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_string,
    fsmount, fsopen, open_tree,
};

use crate::process;

/// What a mount allows. Bits are the kernel's `MOUNT_ATTR_*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes(pub u64);

impl Attributes {
    /// No writing.
    pub const READ_ONLY: u64 = 0x1;
    /// Set-user-id and file capabilities do not count.
    pub const NO_SUID: u64 = 0x2;
    /// Devices cannot be opened.
    pub const NO_DEV: u64 = 0x4;
    /// Nothing can be executed.
    pub const NO_EXEC: u64 = 0x8;
    /// Access times are never updated.
    pub const NO_ATIME: u64 = 0x10;
    /// Access times are always updated.
    pub const STRICT_ATIME: u64 = 0x20;
    /// Access times of directories are never updated.
    pub const NO_DIR_ATIME: u64 = 0x80;
    /// Which bits say when access times are updated: they can only be set together.
    pub const ATIME: u64 = 0x70;
}

/// How later mounts travel between this mount and its copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// Not at all.
    Private,
    /// From the original here.
    Slave,
    /// Both ways.
    Shared,
}

/// Options of [`overlay`] are strings of at most this length (the kernel copies 256 bytes with the null).
const LONGEST: usize = 255;

/// An overlay of `lowers`, the topmost first, with changes in `upper`; attached nowhere yet.
///
/// # Errors
/// What the kernel says; its log has more.
pub fn overlay(lowers: &[PathBuf], upper: &Path, work: &Path) -> io::Result<OwnedFd> {
    let long = |path: &Path| path.as_os_str().len() > LONGEST;
    if long(upper) || long(work) || lowers.iter().any(|path| long(path)) {
        return overlay_by_number(lowers, upper, work);
    }
    let fs = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for lower in lowers {
        match fsconfig_set_string(&fs, "lowerdir+", lower) {
            // Before Linux 6.7 all layers share one option.
            Err(Errno::INVAL) => return overlay_by_number(lowers, upper, work),
            other => other?,
        }
    }
    match finish_overlay(&fs, upper, work) {
        // And before Linux 6.5 an unknown option is noticed only when all are put together.
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
            overlay_by_number(lowers, upper, work)
        }
        other => other,
    }
}

/// The same with each directory opened and named by its descriptor's number, seen from `/proc/self/fd`: a name of two
/// or three characters, of which some eighty fit into one option, and paths of any length and with any characters.
///
/// The working directory changes for a moment: for a process with a single thread only.
fn overlay_by_number(lowers: &[PathBuf], upper: &Path, work: &Path) -> io::Result<OwnedFd> {
    let open = |path: &Path| {
        rustix::fs::open(
            path,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
    };
    let lowers = lowers
        .iter()
        .map(|path| open(path))
        .collect::<Result<Vec<_>, _>>()?;
    let (upper, work) = (open(upper)?, open(work)?);
    let number = |fd: &OwnedFd| PathBuf::from(fd.as_raw_fd().to_string());
    let all: Vec<String> = lowers.iter().map(|fd| fd.as_raw_fd().to_string()).collect();
    rustix::process::chdir("/proc/self/fd")?;
    let mounted = (|| {
        let fs = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(&fs, "lowerdir", all.join(":"))?;
        finish_overlay(&fs, &number(&upper), &number(&work))
    })();
    rustix::process::chdir("/")?;
    mounted
}

fn finish_overlay(fs: &OwnedFd, upper: &Path, work: &Path) -> io::Result<OwnedFd> {
    fsconfig_set_string(fs, "source", "overlay")?;
    fsconfig_set_string(fs, "upperdir", upper)?;
    fsconfig_set_string(fs, "workdir", work)?;
    // An index would tie the upper directory to exactly these layers and refuse it beside others.
    fsconfig_set_string(fs, "index", "off")?;
    fsconfig_create(fs)?;
    Ok(fsmount(
        fs,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::empty(),
    )?)
}

/// A copy of what is mounted at `path`, with everything below it if `recursive`; attached nowhere yet.
pub fn bind(path: &Path, recursive: bool) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let flags = if recursive {
        flags | OpenTreeFlags::AT_RECURSIVE
    } else {
        flags
    };
    Ok(open_tree(
        rustix::fs::CWD,
        path.as_os_str().as_bytes(),
        flags,
    )?)
}

/// [`bind`], of a path in the mount namespace behind `/proc/PID/ns/mnt`.
///
/// This process is there for a moment: for a process with a single thread only.
pub fn bind_elsewhere(namespace: &Path, path: &Path) -> io::Result<OwnedFd> {
    let open =
        |path: &Path| rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let own = open(Path::new("/proc/self/ns/mnt"))?;
    let theirs = open(namespace)?;
    process::setns(theirs.as_fd(), libc::CLONE_NEWNS)?;
    let copy = bind(path, true);
    process::setns(own.as_fd(), libc::CLONE_NEWNS)?;
    copy
}

/// Changes what a mount allows and how it propagates.
pub fn set(
    mount: BorrowedFd<'_>,
    add: Attributes,
    remove: Attributes,
    propagation: Option<Propagation>,
    recursive: bool,
) -> io::Result<()> {
    #[repr(C)]
    struct MountAttr {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    let propagation = match propagation {
        None => 0,
        Some(Propagation::Private) => 1 << 18,
        Some(Propagation::Slave) => 1 << 19,
        Some(Propagation::Shared) => 1 << 20,
    };
    let attributes = MountAttr {
        set: add.0,
        clear: remove.0,
        propagation,
        user_namespace: 0,
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the kernel reads an empty C string and a `struct mount_attr` of the size given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<MountAttr>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(mount: &OwnedFd, name: &str) -> Vec<u8> {
        let file = rustix::fs::openat(mount, name, OFlags::RDONLY, Mode::empty()).unwrap();
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut fs::File::from(file), &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn layers_lie_over_each_other_in_the_order_given() {
        let base = std::env::temp_dir().join(format!("bowline-overlay-{}", std::process::id()));
        let path = |name: &str| base.join(name);
        for name in ["one", "two", "upper", "work", "upper2", "work2"] {
            fs::create_dir_all(path(name)).unwrap();
        }
        fs::write(path("one/both"), "one").unwrap();
        fs::write(path("two/both"), "two").unwrap();
        fs::write(path("two/only"), "two").unwrap();
        let lowers = [path("one"), path("two")];
        let made = overlay(&lowers, &path("upper"), &path("work")).unwrap();
        assert_eq!(read(&made, "both"), b"one");
        assert_eq!(read(&made, "only"), b"two");
        let numbered = overlay_by_number(&lowers, &path("upper2"), &path("work2")).unwrap();
        assert_eq!(read(&numbered, "both"), b"one");
        drop((made, numbered));
        fs::remove_dir_all(base).unwrap();
    }
}
