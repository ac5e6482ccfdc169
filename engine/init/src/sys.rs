//! The system calls between clone and exec, each once, with arguments that cannot be wrong in kind.
//!
//! Descriptors are plain numbers here: none is ever closed one by one, `close_range` before exec takes them all.

use core::ffi::CStr;
use core::ptr;

use crate::arch::{O_DIRECTORY, O_NOFOLLOW, common, number, syscall};

/// A descriptor's number.
pub(crate) type Fd = i32;
/// The kernel's word, positive.
pub(crate) type Errno = i32;
pub(crate) type Result<T> = core::result::Result<T, Errno>;

pub(crate) const ENOENT: Errno = 2;
pub(crate) const EACCES: Errno = 13;
pub(crate) const EEXIST: Errno = 17;
pub(crate) const ENOTDIR: Errno = 20;
pub(crate) const EISDIR: Errno = 21;
pub(crate) const EINVAL: Errno = 22;
pub(crate) const ENAMETOOLONG: Errno = 36;
pub(crate) const ENOSYS: Errno = 38;
pub(crate) const ELOOP: Errno = 40;

pub(crate) const AT_FDCWD: Fd = -100;
const AT_EMPTY_PATH: usize = 0x1000;
const AT_SYMLINK_NOFOLLOW: usize = 0x100;
const AT_RECURSIVE: usize = 0x8000;
const AT_EACCESS: usize = 0x200;
const O_CLOEXEC: u64 = 0o2_000_000;

pub(crate) const O_PATH: u64 = 0o10_000_000 | O_CLOEXEC;
pub(crate) const O_PATH_DIRECTORY: u64 = O_PATH | O_DIRECTORY;
pub(crate) const O_WRITE: u64 = 1 | O_CLOEXEC;
/// For devices that might be anything: never wait for them, never take them for our terminal.
pub(crate) const O_TERMINAL: u64 = 2 | 0o400 | 0o4000 | O_CLOEXEC | O_NOFOLLOW;
/// Blocking later, unlike the above, for it becomes a stream of the program's.
pub(crate) const O_READ_WRITE: u64 = 2 | 0o400 | O_CLOEXEC | O_NOFOLLOW;
/// A file that is not there yet.
pub(crate) const O_NEW: u64 = 1 | 0o100 | 0o200 | O_CLOEXEC | O_NOFOLLOW;

pub(crate) const NO_MAGICLINKS: u64 = 2;
pub(crate) const NO_SYMLINKS: u64 = 4;
pub(crate) const BENEATH: u64 = 8;
pub(crate) const IN_ROOT: u64 = 16;

pub(crate) const RDONLY: u64 = 1;

fn result(value: isize) -> Result<usize> {
    usize::try_from(value).map_err(|_| Errno::try_from(-value).unwrap_or(EINVAL))
}

fn descriptor(value: isize) -> Result<Fd> {
    result(value).and_then(|fd| Fd::try_from(fd).map_err(|_| EINVAL))
}

/// As the kernel reads a signed argument: by its bits, sign-extended.
const fn int(value: i32) -> usize {
    #[expect(
        clippy::cast_sign_loss,
        reason = "two's complement is what the kernel expects in the register"
    )]
    let bits = value as isize as usize;
    bits
}

const fn word(value: u32) -> usize {
    value as usize
}

const fn long(value: u64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "both architectures have 64 bits"
    )]
    let bits = value as usize;
    bits
}

fn path(text: &CStr) -> usize {
    text.as_ptr().expose_provenance()
}

/// Ends the process at once.
pub(crate) fn exit(code: i32) -> ! {
    loop {
        // SAFETY: takes no pointers and does not return.
        unsafe { syscall(number::EXIT_GROUP, [int(code), 0, 0, 0, 0, 0]) };
    }
}

/// A new process like this one, with memory of its own. Its number to the parent, zero to itself.
pub(crate) fn clone(flags: u64, cgroup: Option<Fd>) -> Result<(i32, Fd)> {
    const PIDFD: u64 = 0x1000;
    const INTO_CGROUP: u64 = 0x2_0000_0000;
    const SIGCHLD: u64 = 17;
    let mut pidfd: Fd = -1;
    let address = ptr::from_mut(&mut pidfd).expose_provenance() as u64;
    let mut args = [flags | PIDFD, address, 0, 0, SIGCHLD, 0, 0, 0, 0, 0, 0_u64];
    if let Some(fd) = cgroup {
        args[0] |= INTO_CGROUP;
        args[10] = int(fd) as u64;
    }
    let size = size_of_val(&args);
    // SAFETY: the arguments live on this frame; without CLONE_VM the child gets a copy of everything and goes on here.
    let pid = unsafe {
        syscall(
            common::CLONE3,
            [args.as_ptr().expose_provenance(), size, 0, 0, 0, 0],
        )
    };
    Ok((descriptor(pid)?, pidfd))
}

/// [`clone`] by the older call, which filters know how to judge: under Docker's the newer does not exist.
pub(crate) fn fork() -> Result<i32> {
    const SIGCHLD: usize = 17;
    // SAFETY: without CLONE_VM the child gets a copy of everything and goes on here.
    descriptor(unsafe { syscall(number::CLONE, [SIGCHLD, 0, 0, 0, 0, 0]) })
}

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

pub(crate) fn setsid() -> Result<()> {
    // SAFETY: takes no pointers.
    result(unsafe { syscall(number::SETSID, [0; 6]) }).map(drop)
}

pub(crate) fn setpgid() -> Result<()> {
    // SAFETY: takes no pointers.
    result(unsafe { syscall(number::SETPGID, [0; 6]) }).map(drop)
}

pub(crate) fn setns(fd: Fd, kinds: i32) -> Result<()> {
    // SAFETY: takes no pointers.
    result(unsafe { syscall(number::SETNS, [int(fd), int(kinds), 0, 0, 0, 0]) }).map(drop)
}

pub(crate) fn unshare(kinds: i32) -> Result<()> {
    // SAFETY: takes no pointers.
    result(unsafe { syscall(number::UNSHARE, [int(kinds), 0, 0, 0, 0, 0]) }).map(drop)
}

/// A session keyring of our own: without one the process would inherit that of whoever started the engine.
pub(crate) fn join_keyring(name: &CStr) -> Result<()> {
    const JOIN_SESSION_KEYRING: usize = 1;
    // SAFETY: the kernel reads a C string.
    result(unsafe {
        syscall(
            number::KEYCTL,
            [JOIN_SESSION_KEYRING, path(name), 0, 0, 0, 0],
        )
    })
    .map(drop)
}

pub(crate) fn prctl(option: usize, value: usize) -> Result<usize> {
    // SAFETY: only options whose arguments are numbers are used.
    result(unsafe { syscall(number::PRCTL, [option, value, 0, 0, 0, 0]) })
}

pub(crate) fn set_name(name: &CStr) {
    const SET_NAME: usize = 15;
    // SAFETY: the kernel reads at most 16 bytes up to the null.
    unsafe { syscall(number::PRCTL, [SET_NAME, path(name), 0, 0, 0, 0]) };
}

pub(crate) fn raise_ambient(cap: usize) -> Result<()> {
    // SAFETY: PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE and numbers.
    result(unsafe { syscall(number::PRCTL, [47, 2, cap, 0, 0, 0]) }).map(drop)
}

pub(crate) fn umask(mask: u32) {
    // SAFETY: takes no pointers.
    unsafe { syscall(number::UMASK, [word(mask), 0, 0, 0, 0, 0]) };
}

pub(crate) fn set_host_name(name: &[u8]) -> Result<()> {
    // SAFETY: the kernel reads `name`.
    result(unsafe {
        syscall(
            number::SETHOSTNAME,
            [name.as_ptr().expose_provenance(), name.len(), 0, 0, 0, 0],
        )
    })
    .map(drop)
}

pub(crate) fn set_domain_name(name: &[u8]) -> Result<()> {
    // SAFETY: the kernel reads `name`.
    result(unsafe {
        syscall(
            number::SETDOMAINNAME,
            [name.as_ptr().expose_provenance(), name.len(), 0, 0, 0, 0],
        )
    })
    .map(drop)
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

pub(crate) const TYPE: u32 = 0o170_000;
pub(crate) const DIRECTORY: u32 = 0o040_000;
pub(crate) const CHARACTER: u32 = 0o020_000;
pub(crate) const FIFO: u32 = 0o010_000;

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

pub(crate) fn set_groups(groups: &[u32]) -> Result<()> {
    // SAFETY: the kernel reads `groups`.
    result(unsafe {
        syscall(
            number::SETGROUPS,
            [
                groups.len(),
                groups.as_ptr().expose_provenance(),
                0,
                0,
                0,
                0,
            ],
        )
    })
    .map(drop)
}

pub(crate) fn set_gid(gid: u32) -> Result<()> {
    // SAFETY: takes no pointers.
    result(unsafe {
        syscall(
            number::SETRESGID,
            [word(gid), word(gid), word(gid), 0, 0, 0],
        )
    })
    .map(drop)
}

pub(crate) fn set_uid(uid: u32) -> Result<()> {
    // SAFETY: takes no pointers.
    result(unsafe {
        syscall(
            number::SETRESUID,
            [word(uid), word(uid), word(uid), 0, 0, 0],
        )
    })
    .map(drop)
}

pub(crate) fn capset(effective: u64, permitted: u64, inheritable: u64) -> Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0];
    let (low, high) = (|set: u64| set & 0xffff_ffff, |set: u64| set >> 32);
    let half = |part: u64| u32::try_from(part).unwrap_or(0);
    let data = [
        half(low(effective)),
        half(low(permitted)),
        half(low(inheritable)),
        half(high(effective)),
        half(high(permitted)),
        half(high(inheritable)),
    ];
    let addresses = [
        header.as_ptr().expose_provenance(),
        data.as_ptr().expose_provenance(),
    ];
    // SAFETY: the kernel reads a header of two words and two sets of three.
    result(unsafe { syscall(number::CAPSET, [addresses[0], addresses[1], 0, 0, 0, 0]) }).map(drop)
}

/// One instruction of a filter, as the kernel lays it out.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// How far to jump when the comparison holds.
    pub jt: u8,
    /// How far to jump when it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

pub(crate) fn set_filter(filter: &[Instruction]) -> Result<()> {
    const SET_MODE_FILTER: usize = 1;
    let program = [filter.len(), filter.as_ptr().expose_provenance()];
    let address = program.as_ptr().expose_provenance();
    // SAFETY: a `struct sock_fprog`, its length little-endian in the first word as on both architectures.
    result(unsafe { syscall(number::SECCOMP, [SET_MODE_FILTER, 0, address, 0, 0, 0]) }).map(drop)
}

/// The kernel's defaults for all signals, and none blocked: both survive an execve.
pub(crate) fn reset_signals() {
    let default = [0_u64; 4];
    for signal in 1..=64 {
        let address = default.as_ptr().expose_provenance();
        // SAFETY: a `struct sigaction` of zeroes is SIG_DFL; the two signals that refuse it are left as they are.
        unsafe { syscall(number::RT_SIGACTION, [signal, address, 0, 8, 0, 0]) };
    }
    set_blocked(0);
}

pub(crate) fn set_blocked(mask: u64) {
    const SETMASK: usize = 2;
    let address = ptr::from_ref(&mask).expose_provenance();
    // SAFETY: the kernel reads eight bytes.
    unsafe { syscall(number::RT_SIGPROCMASK, [SETMASK, address, 0, 8, 0, 0]) };
}

/// Waits for any of the signals in `mask`, which must be blocked.
pub(crate) fn wait_signal(mask: u64) -> Result<usize> {
    let address = ptr::from_ref(&mask).expose_provenance();
    // SAFETY: the kernel reads eight bytes.
    result(unsafe { syscall(number::RT_SIGTIMEDWAIT, [address, 0, 0, 8, 0, 0]) })
}

/// Reaps any child that has ended: its pid (zero when none has) and status.
pub(crate) fn reap_any() -> Result<(i32, i32)> {
    const NOHANG: usize = 1;
    let mut status = 0_i32;
    let address = ptr::from_mut(&mut status).expose_provenance();
    // SAFETY: the kernel writes an int.
    let pid = descriptor(unsafe { syscall(number::WAIT4, [int(-1), address, NOHANG, 0, 0, 0]) })?;
    Ok((pid, status))
}

pub(crate) fn own_pid() -> i32 {
    // SAFETY: takes no pointers.
    descriptor(unsafe { syscall(number::GETPID, [0; 6]) }).unwrap_or(0)
}

pub(crate) fn kill(pid: i32, signal: usize) {
    // SAFETY: takes no pointers.
    unsafe { syscall(number::KILL, [int(pid), signal, 0, 0, 0, 0]) };
}

/// Executes the file at `program`. Returns only when it cannot.
pub(crate) fn execve(program: &CStr, argv: &[crate::Arg<'_>], envp: &[crate::Arg<'_>]) -> Errno {
    let [argv, envp] = [
        argv.as_ptr().expose_provenance(),
        envp.as_ptr().expose_provenance(),
    ];
    // SAFETY: both arrays end in a null (`Vector` sees to it) and hold C strings.
    let value = unsafe { syscall(number::EXECVE, [path(program), argv, envp, 0, 0, 0]) };
    result(value).err().unwrap_or(EINVAL)
}

/// Executes the file behind `program`. Returns only when it cannot.
pub(crate) fn fexecve(program: Fd, argv: &[crate::Arg<'_>], envp: &[crate::Arg<'_>]) -> Errno {
    let [argv, envp] = [
        argv.as_ptr().expose_provenance(),
        envp.as_ptr().expose_provenance(),
    ];
    let call = [int(program), path(c""), argv, envp, AT_EMPTY_PATH, 0];
    // SAFETY: both arrays end in a null (`Vector` sees to it) and hold C strings.
    let value = unsafe { syscall(number::EXECVEAT, call) };
    result(value).err().unwrap_or(EINVAL)
}
