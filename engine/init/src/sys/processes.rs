//! Processes, namespaces and signals.

use core::ffi::CStr;
use core::ptr;

use super::{AT_EMPTY_PATH, EINVAL, Errno, Fd, Result, descriptor, int, path, result};
use crate::arch::{common, number, syscall};

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

pub(crate) fn set_name(name: &CStr) {
    const SET_NAME: usize = 15;
    // SAFETY: the kernel reads at most 16 bytes up to the null.
    unsafe { syscall(number::PRCTL, [SET_NAME, path(name), 0, 0, 0, 0]) };
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
