//! Starting a process of our own from a big, threaded one, and finding out how any process ended.
//!
//! `fork` would copy the page tables of the whole engine and run with locks that other threads hold. [`spawn`] instead
//! borrows the caller's memory until the new process has executed its program (`CLONE_VM | CLONE_VFORK`), runs on a
//! stack of its own meanwhile, and makes nothing but system calls there.
#![expect(
    unsafe_code,
    reason = "clone3(2) with a stack of its own, and what may run there"
)]

use std::ffi::{CStr, c_char, c_int, c_long, c_void};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::ptr;

use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};

/// A process to start.
#[derive(Debug)]
pub struct Spawn<'a> {
    /// Its executable, an ELF file; the descriptor need not be inheritable.
    pub exe: BorrowedFd<'a>,
    /// Its arguments, its name first.
    pub argv: &'a [&'a CStr],
    /// Its whole environment.
    pub envp: &'a [&'a CStr],
    /// Its descriptors, from 0 on; it gets no others.
    pub fds: &'a [BorrowedFd<'a>],
    /// Where it is counted.
    pub cgroup: IntoCgroup<'a>,
    /// Whether it becomes a child of our own parent instead of ours, so that we need not wait for it.
    pub sibling: bool,
}

/// How a new process gets into its cgroup without the system-wide wait that moving a running one costs. Both may be
/// given, on a host with both versions; neither leaves it in the caller's.
#[derive(Debug, Clone, Copy, Default)]
pub struct IntoCgroup<'a> {
    /// cgroup v2: born in the cgroup whose directory this is.
    pub born: Option<BorrowedFd<'a>>,
    /// cgroup v1: it writes itself into each of these `tasks` files.
    pub tasks: &'a [OwnedFd],
}

/// A process that has executed its program.
#[derive(Debug)]
pub struct Spawned {
    /// Its pid.
    pub pid: i32,
    /// A handle that never means another process.
    pub pidfd: OwnedFd,
}

/// Starts a process in a session of its own, in `/`, with umask 022, default signal dispositions and none blocked.
///
/// Returns when its program runs, or with the error that kept it from doing so.
pub fn spawn(plan: &Spawn<'_>) -> io::Result<Spawned> {
    let stack = Stack::new()?;
    let argv = pointers(plan.argv);
    let envp = pointers(plan.envp);
    let mut moved = vec![-1; plan.fds.len()];
    let fds: Vec<RawFd> = plan.fds.iter().map(AsRawFd::as_raw_fd).collect();
    let tasks: Vec<RawFd> = plan.cgroup.tasks.iter().map(AsRawFd::as_raw_fd).collect();
    let mut child = Child {
        exe: plan.exe.as_raw_fd(),
        argv: argv.as_ptr(),
        envp: envp.as_ptr(),
        fds: &fds,
        moved: &mut moved,
        tasks: &tasks,
        error: 0,
    };
    let mut pidfd: RawFd = -1;
    let mut args = CloneArgs::new(&stack, &mut pidfd, plan);
    // A handler of the caller's must not run in the new process: it would see the caller's memory from the wrong pid.
    let blocked = BlockedSignals::all();
    // SAFETY: the stack is ours and unused, `args` and `child` live on this frame, which the kernel suspends until the
    // child has executed or exited; `child_main` never returns.
    let pid = unsafe { clone3_on_stack(&mut args, &raw mut child) };
    drop(blocked);
    if pid < 0 {
        return Err(io::Error::from_raw_os_error(
            i32::try_from(-pid).unwrap_or(libc::EINVAL),
        ));
    }
    // SAFETY: clone3 stored a new descriptor there, which nobody else knows.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    // SAFETY: the child wrote it through shared memory behind the compiler's back.
    let error = unsafe { ptr::read_volatile(&raw const child.error) };
    if error != 0 {
        reap(pidfd.as_fd());
        return Err(io::Error::from_raw_os_error(error));
    }
    Ok(Spawned {
        pid: i32::try_from(pid).map_err(io::Error::other)?,
        pidfd,
    })
}

fn pointers(strings: &[&CStr]) -> Vec<*const c_char> {
    strings
        .iter()
        .map(|text| text.as_ptr())
        .chain([ptr::null()])
        .collect()
}

/// What the child needs, on the parent's frame.
struct Child<'a> {
    exe: RawFd,
    argv: *const *const c_char,
    envp: *const *const c_char,
    fds: &'a [RawFd],
    moved: &'a mut [RawFd],
    tasks: &'a [RawFd],
    error: c_int,
}

/// `struct clone_args` as of Linux 5.7.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

impl CloneArgs {
    fn new(stack: &Stack, pidfd: &mut RawFd, plan: &Spawn<'_>) -> Self {
        let mut args = Self {
            flags: wide(libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD),
            pidfd: ptr::from_mut(pidfd).addr() as u64,
            exit_signal: wide(libc::SIGCHLD),
            stack: stack.base.addr() as u64,
            stack_size: Stack::SIZE as u64,
            ..Self::default()
        };
        if plan.sibling {
            // The kernel demands no signal of its own here: the sibling's death signals as ours would.
            args.flags |= wide(libc::CLONE_PARENT);
            args.exit_signal = 0;
        }
        if let Some(cgroup) = plan.cgroup.born {
            args.flags |= CLONE_INTO_CGROUP;
            args.cgroup = wide(cgroup.as_raw_fd());
        }
        args
    }
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

fn wide(value: c_int) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

/// The stack that the child runs on while it borrows our memory.
struct Stack {
    base: *mut c_void,
}

impl Stack {
    const SIZE: usize = 64 * 1024;

    fn new() -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        // SAFETY: a fresh anonymous mapping touches nothing that exists.
        let base = unsafe { libc::mmap(ptr::null_mut(), Self::SIZE, protection, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            Err(io::Error::last_os_error())
        } else {
            Ok(Self { base })
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and the child that used it has its own memory by now.
        unsafe { libc::munmap(self.base, Self::SIZE) };
    }
}

/// All signals blocked for the calling thread, until dropped.
struct BlockedSignals {
    before: libc::sigset_t,
}

impl BlockedSignals {
    fn all() -> Self {
        let mut set = empty_set();
        let mut before = empty_set();
        // SAFETY: the set is a valid out-pointer.
        unsafe { libc::sigfillset(&raw mut set) };
        // SAFETY: both sets are valid; only this thread's mask changes.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const set, &raw mut before) };
        Self { before }
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: the set is what the kernel gave us.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, ptr::null_mut())
        };
    }
}

fn empty_set() -> libc::sigset_t {
    // SAFETY: all zeroes is the empty set on Linux.
    unsafe { std::mem::zeroed() }
}

/// clone3 whose child calls [`child_main`] on the stack given in `args`. Returns the pid or a negative errno.
///
/// # Safety
/// `args` names an unused stack; `child` outlives the child's use of it, which `CLONE_VFORK` sees to.
#[cfg(target_arch = "x86_64")]
unsafe fn clone3_on_stack(args: &mut CloneArgs, child: *mut Child<'_>) -> isize {
    let result: isize;
    // SAFETY: the parent only loses the registers named; the child starts on its own stack with r12 and r13 kept, calls
    // a function that never returns, and so never runs the parent's code on a foreign stack.
    unsafe {
        core::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 => result,
            in("rdi") ptr::from_mut(args),
            in("rsi") size_of::<CloneArgs>(),
            in("r12") child,
            in("r13") child_main as unsafe extern "C" fn(*mut Child<'_>) -> !,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// clone3 whose child calls [`child_main`] on the stack given in `args`. Returns the pid or a negative errno.
///
/// # Safety
/// `args` names an unused stack; `child` outlives the child's use of it, which `CLONE_VFORK` sees to.
#[cfg(target_arch = "aarch64")]
unsafe fn clone3_on_stack(args: &mut CloneArgs, child: *mut Child<'_>) -> isize {
    let result: isize;
    // SAFETY: the parent only loses x0; the child starts on its own stack with x20 and x21 kept, calls a function that
    // never returns, and so never runs the parent's code on a foreign stack.
    unsafe {
        core::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x30, xzr",
            "mov x0, x20",
            "blr x21",
            "brk 1",
            "2:",
            in("x8") libc::SYS_clone3,
            inlateout("x0") ptr::from_mut(args) => result,
            in("x1") size_of::<CloneArgs>(),
            in("x20") child,
            in("x21") child_main as unsafe extern "C" fn(*mut Child<'_>) -> !,
        );
    }
    result
}

/// The child's whole life before its program. Only system calls: it shares the memory of a process whose other threads
/// go on running, so it may take no lock and allocate nothing.
unsafe extern "C" fn child_main(child: *mut Child<'_>) -> ! {
    // SAFETY: the parent gave a pointer to its frame and is suspended.
    let child = unsafe { &mut *child };
    let errno = match prepare(child) {
        Ok(()) => execute(child),
        Err(errno) => errno,
    };
    child.error = errno;
    // SAFETY: ends this process without running the parent's exit handlers.
    unsafe { libc::_exit(127) }
}

fn prepare(child: &mut Child<'_>) -> Result<(), c_int> {
    for fd in child.tasks {
        // SAFETY: writes one byte from a constant.
        check(unsafe { libc::write(*fd, c"0".as_ptr().cast(), 1) } as c_long)?;
    }
    default_signals();
    // SAFETY: takes no pointers.
    check(c_long::from(unsafe { libc::setsid() }))?;
    // SAFETY: the path is a constant.
    check(c_long::from(unsafe { libc::chdir(c"/".as_ptr()) }))?;
    // SAFETY: takes no pointers.
    unsafe { libc::umask(0o022) };
    place_fds(child)
}

/// Moves the wanted descriptors to 0, 1, 2 and so on, and marks all others to be closed. First out of the way: a
/// wanted one may sit on a number that another is to get.
fn place_fds(child: &mut Child<'_>) -> Result<(), c_int> {
    let count = c_int::try_from(child.fds.len()).unwrap_or(c_int::MAX);
    child.exe = duplicate_above(child.exe, count)?;
    for (from, moved) in child.fds.iter().zip(child.moved.iter_mut()) {
        *moved = duplicate_above(*from, count)?;
    }
    for (number, moved) in (0..count).zip(child.moved.iter()) {
        // SAFETY: takes no pointers; this process has a descriptor table of its own.
        check(c_long::from(unsafe { libc::dup2(*moved, number) }))?;
    }
    // SAFETY: takes no pointers.
    check(unsafe {
        libc::syscall(
            libc::SYS_close_range,
            count,
            c_int::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    })
    .map(drop)
}

fn duplicate_above(fd: RawFd, least: c_int) -> Result<RawFd, c_int> {
    // SAFETY: takes no pointers.
    let new = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, least) };
    check(c_long::from(new)).map(|_| new)
}

/// Dispositions survive a clone, ignored ones even an execve: the new program starts with the kernel's defaults.
fn default_signals() {
    for signal in 1..=64 {
        // SAFETY: sets a disposition of this process alone; those that cannot be set answer with an error.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let none = empty_set();
    // SAFETY: the set is valid; the mask is this thread's.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut()) };
}

fn execute(child: &Child<'_>) -> c_int {
    let empty = c"".as_ptr();
    // SAFETY: argv and envp are null-terminated arrays of C strings that the suspended parent keeps alive.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            child.exe,
            empty,
            child.argv,
            child.envp,
            libc::AT_EMPTY_PATH,
        )
    };
    last_errno()
}

fn check(result: c_long) -> Result<c_long, c_int> {
    if result < 0 {
        Err(last_errno())
    } else {
        Ok(result)
    }
}

fn last_errno() -> c_int {
    // SAFETY: the address of this thread's errno is always valid; the thread that owns it is suspended.
    let address = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    unsafe { *address }
}

/// A handle on a process by pid.
pub fn pidfd(pid: i32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or(rustix::io::Errno::SRCH)?;
    Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
}

/// Sends a signal, by number, to the process behind a handle.
pub fn signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: no info structure is passed; the kernel fills its own.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            ptr::null::<c_void>(),
            0,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It returned this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

/// Reaps our child behind `pidfd` if it has ended.
pub fn try_wait(pidfd: BorrowedFd<'_>) -> io::Result<Option<Ended>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let status =
        rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::PidFd(pidfd), options))?;
    Ok(status.map(
        |status| match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Ended::Code(code),
            (None, signal) => Ended::Signal(signal.unwrap_or(libc::SIGKILL)),
        },
    ))
}

/// Waits for our child behind `pidfd`, whatever became of it.
pub fn reap(pidfd: BorrowedFd<'_>) {
    let wait = || rustix::process::waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED);
    // Somebody else's child, or one reaped already, is none of our business.
    let _nobody = rustix::io::retry_on_intr(wait);
}

/// How a process that is not our child ended, where the kernel tells (`PIDFD_GET_INFO`, Linux 6.15). None before it has
/// been reaped, and on older kernels.
#[must_use]
pub fn exit_of_stranger(pidfd: BorrowedFd<'_>) -> Option<Ended> {
    const PIDFD_INFO_EXIT: u64 = 1 << 3;
    // _IOWR(0xFF, 11, struct pidfd_info) with the 64 bytes that hold the exit code.
    const PIDFD_GET_INFO: libc::c_ulong = 0xc040_ff0b;
    #[repr(C)]
    struct Info {
        mask: u64,
        rest: [u32; 12],
        exit_code: i32,
        reserved: u32,
    }
    let mut info = Info {
        mask: PIDFD_INFO_EXIT,
        rest: [0; 12],
        exit_code: 0,
        reserved: 0,
    };
    // SAFETY: the request's size field says 64 bytes, which `Info` has.
    let result = unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_INFO, &raw mut info) };
    if result != 0 || info.mask & PIDFD_INFO_EXIT == 0 {
        return None;
    }
    let signal = info.exit_code & 0x7f;
    Some(if signal == 0 {
        Ended::Code((info.exit_code >> 8) & 0xff)
    } else {
        Ended::Signal(signal)
    })
}

/// Makes orphans of our children our own children, so that nothing below us escapes to an init that may be slow.
pub fn become_subreaper() -> io::Result<()> {
    // SAFETY: takes no pointers.
    let result = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Joins the namespaces `kinds` (`CLONE_NEW*`) of the process behind a pidfd, or the one behind a namespace file.
pub fn setns(namespace: BorrowedFd<'_>, kinds: i32) -> io::Result<()> {
    // SAFETY: takes no pointers.
    let result = unsafe { libc::setns(namespace.as_raw_fd(), kinds) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Sets a limit of another process.
pub fn set_limit(pid: i32, resource: u32, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit64 {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: the new limit is a valid structure, the old one is not asked for.
    let result = unsafe { libc::prlimit64(pid, resource, &raw const limit, ptr::null_mut()) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Takes ownership of the descriptors that [`spawn`] placed from `first` on, `count` of them, close-on-exec.
///
/// # Errors
/// `EBADF` where one is not open; call it once, at the start of `main`.
pub fn inherited(first: RawFd, count: usize) -> io::Result<Vec<OwnedFd>> {
    let last = first + RawFd::try_from(count).map_err(io::Error::other)?;
    (first..last).map(inherit).collect()
}

fn inherit(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers; a closed number is an error here, before anything owns it.
    let result = unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, was placed for us by whoever started this process, and each number is taken once.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
