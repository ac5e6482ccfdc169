//! The mount API of file descriptors: a mount is made and configured before it is anywhere, so that no path is looked
//! at twice and nobody sees a half-made one.
#![expect(unsafe_code, reason = "mount_setattr(2) has no safe wrapper")]

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

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

/// [`bind`], of what `inside` leads to within `path`, resolved so that no link in there leads out. An empty one is
/// `path` itself.
pub fn bind_inside(path: &Path, inside: &Path, recursive: bool) -> io::Result<OwnedFd> {
    if inside.as_os_str().is_empty() {
        return bind(path, recursive);
    }
    let found = crate::root::Root::open(path)?.open_path(inside)?;
    copy(found.as_fd(), recursive)
}

/// Gives the calling thread a mount namespace of its own, in which nothing reaches the one it came from or back.
///
/// For a thread that was made for this: no other may share its working directory.
pub fn own_namespace() -> io::Result<()> {
    use rustix::thread::{UnshareFlags, unshare_unsafe};
    // SAFETY: the flags part this thread's mounts, working directory, root and umask from the others'; neither memory
    // nor descriptors are touched.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::FS)? };
    let private =
        rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
    Ok(rustix::mount::mount_change("/", private)?)
}

/// A copy of the root of the mount namespace behind `/proc/PID/ns/mnt`, without what is mounted in it. The calling
/// thread stays there, so it is for one made for this.
pub fn top_elsewhere(namespace: &Path) -> io::Result<OwnedFd> {
    use rustix::thread::{UnshareFlags, unshare_unsafe};
    let theirs = rustix::fs::open(namespace, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    // SAFETY: the flag parts this thread's working directory, root and umask from the others'; neither memory nor
    // descriptors are touched.
    unsafe { unshare_unsafe(UnshareFlags::FS)? };
    process::setns(theirs.as_fd(), libc::CLONE_NEWNS)?;
    bind(Path::new("/"), false)
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

/// Puts a mount that is nowhere yet onto the open file or directory `on`.
pub fn attach(mount: BorrowedFd<'_>, on: BorrowedFd<'_>) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(mount, "", on, "", flags)?)
}

/// A copy of the mount that an open directory is the top of or lies in; attached nowhere.
pub fn copy(of: BorrowedFd<'_>, recursive: bool) -> io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    Ok(open_tree(of, "", flags)?)
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
