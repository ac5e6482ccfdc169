//! Files, directories, descriptors and terminals.

use core::ffi::CStr;
use core::ptr;

use super::{
    AT_EACCESS, AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, ENOSYS, Fd, Result, descriptor, int,
    long, path, result, word,
};
use crate::arch::{common, number, syscall};

pub(crate) fn write(fd: Fd, bytes: &[u8]) -> Result<usize> {
    // SAFETY: the kernel reads `bytes` and no more.
    result(unsafe {
        syscall(
            number::WRITE,
            [
                int(fd),
                bytes.as_ptr().expose_provenance(),
                bytes.len(),
                0,
                0,
                0,
            ],
        )
    })
}

/// One packet, waiting for it. Zero bytes mean that the other side has closed.
pub(crate) fn receive(fd: Fd, buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: the kernel writes into `buffer` and no further.
    result(unsafe {
        syscall(
            number::RECVFROM,
            [
                int(fd),
                buffer.as_mut_ptr().expose_provenance(),
                buffer.len(),
                0,
                0,
                0,
            ],
        )
    })
}

/// One packet, with at most one descriptor beside it.
pub(crate) fn send(socket: Fd, bytes: &[u8], passed: Option<Fd>) -> Result<()> {
    const NOSIGNAL: usize = 0x4000;
    const RIGHTS: u64 = 1 | 1 << 32; // SOL_SOCKET, SCM_RIGHTS
    let vector = [bytes.as_ptr().expose_provenance(), bytes.len()];
    let bits = int(passed.unwrap_or(-1)) as u64;
    let control: [u64; 3] = [20, RIGHTS, bits];
    let length = if passed.is_some() {
        size_of_val(&control)
    } else {
        0
    };
    let header = [
        0,
        0,
        vector.as_ptr().expose_provenance(),
        1,
        control.as_ptr().expose_provenance(),
        length,
        0,
    ];
    // SAFETY: a `struct msghdr` of 64-bit Linux, whose parts live on this frame and are only read.
    result(unsafe {
        syscall(
            number::SENDMSG,
            [
                int(socket),
                header.as_ptr().expose_provenance(),
                NOSIGNAL,
                0,
                0,
                0,
            ],
        )
    })
    .map(drop)
}

pub(crate) fn close_range(first: u32, last: u32, on_exec: bool) -> Result<()> {
    let flags = if on_exec { 4 } else { 0 };
    // SAFETY: takes no pointers; nothing in this process owns descriptors by type.
    result(unsafe {
        syscall(
            common::CLOSE_RANGE,
            [word(first), word(last), flags, 0, 0, 0],
        )
    })
    .map(drop)
}

pub(crate) fn duplicate(from: Fd, to: Fd) -> Result<()> {
    // SAFETY: takes no pointers.
    result(unsafe { syscall(number::DUP3, [int(from), int(to), 0, 0, 0, 0]) }).map(drop)
}

/// A copy with a number of at least `least`.
pub(crate) fn duplicate_above(fd: Fd, least: Fd) -> Result<Fd> {
    const DUPFD_CLOEXEC: usize = 1030;
    // SAFETY: takes no pointers.
    descriptor(unsafe { syscall(number::FCNTL, [int(fd), DUPFD_CLOEXEC, int(least), 0, 0, 0]) })
}

pub(crate) fn inheritable(fd: Fd) -> Result<()> {
    const SETFD: usize = 2;
    // SAFETY: takes no pointers.
    result(unsafe { syscall(number::FCNTL, [int(fd), SETFD, 0, 0, 0, 0]) }).map(drop)
}

pub(crate) fn umask(mask: u32) {
    // SAFETY: takes no pointers.
    unsafe { syscall(number::UMASK, [word(mask), 0, 0, 0, 0, 0]) };
}

pub(crate) fn chdir(to: &CStr) -> Result<()> {
    // SAFETY: the kernel reads a C string.
    result(unsafe { syscall(number::CHDIR, [path(to), 0, 0, 0, 0, 0]) }).map(drop)
}

pub(crate) fn fchdir(fd: Fd) -> Result<()> {
    // SAFETY: takes no pointers.
    result(unsafe { syscall(number::FCHDIR, [int(fd), 0, 0, 0, 0, 0]) }).map(drop)
}

/// The working directory as the kernel sees it, with its null.
pub(crate) fn getcwd(buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: the kernel writes into `buffer` and no further.
    result(unsafe {
        syscall(
            number::GETCWD,
            [
                buffer.as_mut_ptr().expose_provenance(),
                buffer.len(),
                0,
                0,
                0,
                0,
            ],
        )
    })
}

/// Opens `name` from `at` under the given rules of resolution, all of which the kernel enforces step by step.
pub(crate) fn openat2(at: Fd, name: &CStr, flags: u64, resolve: u64) -> Result<Fd> {
    let how = [flags, 0, resolve];
    let how = [how.as_ptr().expose_provenance(), size_of_val(&how)];
    // SAFETY: the kernel reads a C string and a `struct open_how` of 24 bytes.
    descriptor(unsafe { syscall(common::OPENAT2, [int(at), path(name), how[0], how[1], 0, 0]) })
}

/// Opens `name` from `at`, making it when the flags say so.
pub(crate) fn openat(at: Fd, name: &CStr, flags: u64, mode: u32) -> Result<Fd> {
    // SAFETY: the kernel reads a C string.
    descriptor(unsafe {
        syscall(
            number::OPENAT,
            [int(at), path(name), long(flags), word(mode), 0, 0],
        )
    })
}

pub(crate) fn mkdirat(at: Fd, name: &CStr, mode: u32) -> Result<()> {
    // SAFETY: the kernel reads a C string.
    result(unsafe { syscall(number::MKDIRAT, [int(at), path(name), word(mode), 0, 0, 0]) })
        .map(drop)
}

pub(crate) fn mknodat(at: Fd, name: &CStr, mode: u32, device: u64) -> Result<()> {
    // SAFETY: the kernel reads a C string.
    result(unsafe {
        syscall(
            number::MKNODAT,
            [int(at), path(name), word(mode), long(device), 0, 0],
        )
    })
    .map(drop)
}

pub(crate) fn symlinkat(target: &CStr, at: Fd, name: &CStr) -> Result<()> {
    // SAFETY: the kernel reads C strings.
    result(unsafe {
        syscall(
            number::SYMLINKAT,
            [path(target), int(at), path(name), 0, 0, 0],
        )
    })
    .map(drop)
}

pub(crate) fn readlinkat(at: Fd, name: &CStr, buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: the kernel reads a C string and writes into `buffer` and no further.
    result(unsafe {
        let room = buffer.as_mut_ptr().expose_provenance();
        syscall(
            number::READLINKAT,
            [int(at), path(name), room, buffer.len(), 0, 0],
        )
    })
}

pub(crate) fn chmodat(at: Fd, name: &CStr, mode: u32) -> Result<()> {
    // SAFETY: the kernel reads a C string.
    result(unsafe { syscall(number::FCHMODAT, [int(at), path(name), word(mode), 0, 0, 0]) })
        .map(drop)
}

pub(crate) fn chownat(at: Fd, name: &CStr, uid: u32, gid: u32) -> Result<()> {
    // SAFETY: the kernel reads a C string.
    result(unsafe {
        syscall(
            number::FCHOWNAT,
            [
                int(at),
                path(name),
                word(uid),
                word(gid),
                AT_SYMLINK_NOFOLLOW,
                0,
            ],
        )
    })
    .map(drop)
}

pub(crate) fn fchown(fd: Fd, uid: u32, gid: u32) -> Result<()> {
    // SAFETY: takes no pointers.
    result(unsafe { syscall(number::FCHOWN, [int(fd), word(uid), word(gid), 0, 0, 0]) }).map(drop)
}

/// What a file is: mode with type, and device number where it is one.
pub(crate) struct Stat {
    pub(crate) mode: u32,
    pub(crate) device: (u32, u32),
}

pub(crate) fn stat(fd: Fd) -> Result<Stat> {
    statx(fd, c"", AT_EMPTY_PATH)
}

pub(crate) fn stat_at(at: Fd, name: &CStr) -> Result<Stat> {
    statx(at, name, AT_SYMLINK_NOFOLLOW)
}

pub(crate) fn stat_path(name: &CStr) -> Result<Stat> {
    statx(AT_FDCWD, name, 0)
}

fn statx(at: Fd, name: &CStr, flags: usize) -> Result<Stat> {
    const BASIC: usize = 0x7ff;
    // `struct statx`, of which only the mode and the device numbers are read.
    let mut words = [0_u32; 64];
    let address = words.as_mut_ptr().expose_provenance();
    // SAFETY: the kernel reads a C string and writes 256 bytes.
    result(unsafe {
        syscall(
            number::STATX,
            [int(at), path(name), flags, BASIC, address, 0],
        )
    })?;
    Ok(Stat {
        mode: words[7] & 0xffff,
        device: (words[32], words[33]),
    })
}

/// Which kind of file system `fd` lies on.
pub(crate) fn file_system(fd: Fd) -> Result<u64> {
    let mut words = [0_u64; 16];
    // SAFETY: the kernel writes a `struct statfs` of 120 bytes.
    result(unsafe {
        syscall(
            number::FSTATFS,
            [int(fd), words.as_mut_ptr().expose_provenance(), 0, 0, 0, 0],
        )
    })?;
    Ok(words[0])
}

/// Whether the caller, as it is now, may execute `name`.
pub(crate) fn may_execute(name: &CStr) -> Result<()> {
    const X_OK: usize = 1;
    // SAFETY: the kernel reads a C string.
    let answer = result(unsafe {
        syscall(
            common::FACCESSAT2,
            [int(AT_FDCWD), path(name), X_OK, AT_EACCESS, 0, 0],
        )
    });
    match answer {
        // A custom filter may not know the call: then execve has the word.
        Err(ENOSYS) => Ok(()),
        other => other.map(drop),
    }
}

/// The other end of a terminal, by its master alone: no path is involved that somebody could have prepared.
pub(crate) fn terminal_peer(master: Fd) -> Result<Fd> {
    const UNLOCK: usize = 0x4004_5431;
    const GET_PEER: usize = 0x5441;
    const READ_WRITE_NOCTTY_CLOEXEC: usize = 2 | 0o400 | 0o2_000_000;
    let unlocked = 0_i32;
    // SAFETY: the kernel reads an int.
    result(unsafe {
        syscall(
            number::IOCTL,
            [
                int(master),
                UNLOCK,
                ptr::from_ref(&unlocked).expose_provenance(),
                0,
                0,
                0,
            ],
        )
    })?;
    // SAFETY: takes no pointers.
    descriptor(unsafe {
        syscall(
            number::IOCTL,
            [int(master), GET_PEER, READ_WRITE_NOCTTY_CLOEXEC, 0, 0, 0],
        )
    })
}

pub(crate) fn take_terminal(fd: Fd) -> Result<()> {
    const SET_CONTROLLING: usize = 0x540e;
    // SAFETY: takes no pointers.
    result(unsafe { syscall(number::IOCTL, [int(fd), SET_CONTROLLING, 0, 0, 0, 0]) }).map(drop)
}

pub(crate) fn set_foreground(terminal: Fd, group: i32) -> Result<()> {
    const SET_GROUP: usize = 0x5410;
    // SAFETY: the kernel reads an int.
    result(unsafe {
        syscall(
            number::IOCTL,
            [
                int(terminal),
                SET_GROUP,
                ptr::from_ref(&group).expose_provenance(),
                0,
                0,
                0,
            ],
        )
    })
    .map(drop)
}
