//! The system calls between clone and exec, each once, with arguments that cannot be wrong in kind.
//!
//! Descriptors are plain numbers here: none is ever closed one by one, `close_range` before exec takes them all.

mod files;
mod mounts;
mod processes;
mod rights;

pub(crate) use files::*;
pub(crate) use mounts::*;
pub(crate) use processes::*;
pub use rights::Instruction;
pub(crate) use rights::*;

use core::ffi::CStr;

use crate::arch::{O_DIRECTORY, O_NOFOLLOW};

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

pub(crate) const TYPE: u32 = 0o170_000;
pub(crate) const DIRECTORY: u32 = 0o040_000;
pub(crate) const CHARACTER: u32 = 0o020_000;
pub(crate) const FIFO: u32 = 0o010_000;
