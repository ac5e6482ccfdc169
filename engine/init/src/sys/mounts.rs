//! Mounts, by the API of descriptors.

use core::ffi::CStr;

use super::{AT_EMPTY_PATH, AT_RECURSIVE, Fd, Result, descriptor, int, long, path, result};
use crate::arch::{common, number, syscall};

/// Makes all mounts of this namespace its own: nothing done here shows outside, nothing outside shows here.
pub(crate) fn make_private() -> Result<()> {
    const REC_PRIVATE: usize = 0x4000 | 1 << 18;
    // SAFETY: the kernel reads C strings; source and data are not used.
    result(unsafe { syscall(number::MOUNT, [0, path(c"/"), 0, REC_PRIVATE, 0, 0]) }).map(drop)
}

/// Lets the old root below us neither pass on nor feel what we do to it.
pub(crate) fn make_slave_here() -> Result<()> {
    const REC_SLAVE: usize = 0x4000 | 1 << 19;
    // SAFETY: the kernel reads C strings; source and data are not used.
    result(unsafe { syscall(number::MOUNT, [0, path(c"."), 0, REC_SLAVE, 0, 0]) }).map(drop)
}

pub(crate) fn detach_here() -> Result<()> {
    const DETACH: usize = 2;
    // SAFETY: the kernel reads a C string.
    result(unsafe { syscall(number::UMOUNT2, [path(c"."), DETACH, 0, 0, 0, 0]) }).map(drop)
}

pub(crate) fn pivot_here() -> Result<()> {
    // SAFETY: the kernel reads C strings.
    result(unsafe { syscall(number::PIVOT_ROOT, [path(c"."), path(c"."), 0, 0, 0, 0]) }).map(drop)
}

pub(crate) fn fsopen(kind: &CStr) -> Result<Fd> {
    // SAFETY: the kernel reads a C string.
    descriptor(unsafe { syscall(common::FSOPEN, [path(kind), 1, 0, 0, 0, 0]) })
}

/// Sets an option: a flag without a value, a string with one.
pub(crate) fn fsconfig(fs: Fd, key: &CStr, value: Option<&CStr>) -> Result<()> {
    let (command, value) = value.map_or((0, 0), |value| (1, path(value)));
    // SAFETY: the kernel reads C strings.
    result(unsafe { syscall(common::FSCONFIG, [int(fs), command, path(key), value, 0, 0]) })
        .map(drop)
}

pub(crate) fn fsconfig_create(fs: Fd) -> Result<()> {
    // SAFETY: takes no pointers.
    result(unsafe { syscall(common::FSCONFIG, [int(fs), 6, 0, 0, 0, 0]) }).map(drop)
}

pub(crate) fn fsmount(fs: Fd, attributes: u64) -> Result<Fd> {
    // SAFETY: takes no pointers.
    descriptor(unsafe { syscall(common::FSMOUNT, [int(fs), 1, long(attributes), 0, 0, 0]) })
}

/// A copy of what is mounted at `fd`, attached nowhere yet.
pub(crate) fn copy_tree(fd: Fd) -> Result<Fd> {
    const CLONE: usize = 1;
    const CLOEXEC: usize = 0o2_000_000;
    let flags = CLONE | CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE;
    // SAFETY: the kernel reads a C string.
    descriptor(unsafe { syscall(common::OPEN_TREE, [int(fd), path(c""), flags, 0, 0, 0]) })
}

/// Attaches a detached mount on top of what `onto` is.
pub(crate) fn attach(mount: Fd, onto: Fd) -> Result<()> {
    const BOTH_EMPTY: usize = 0x4 | 0x40;
    // SAFETY: the kernel reads C strings.
    result(unsafe {
        syscall(
            common::MOVE_MOUNT,
            [int(mount), path(c""), int(onto), path(c""), BOTH_EMPTY, 0],
        )
    })
    .map(drop)
}

/// Sets and clears attributes of a mount.
pub(crate) fn set_attributes(fd: Fd, set: u64, recursive: bool) -> Result<()> {
    let attributes = [set, 0, 0, 0];
    let flags = AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    let address = attributes.as_ptr().expose_provenance();
    let size = size_of_val(&attributes);
    // SAFETY: the kernel reads a C string and a `struct mount_attr` of 32 bytes.
    result(unsafe {
        syscall(
            common::MOUNT_SETATTR,
            [int(fd), path(c""), flags, address, size, 0],
        )
    })
    .map(drop)
}
