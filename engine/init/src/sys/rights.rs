//! Names, users, capabilities, filters and keys.

use core::ffi::CStr;

use super::{Result, path, result, word};
use crate::arch::{number, syscall};

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

pub(crate) fn raise_ambient(cap: usize) -> Result<()> {
    // SAFETY: PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE and numbers.
    result(unsafe { syscall(number::PRCTL, [47, 2, cap, 0, 0, 0]) }).map(drop)
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
