//! The system-call instruction and the numbers of the calls we make, per architecture.

#[cfg(target_arch = "x86_64")]
mod native {
    use core::arch::asm;

    /// # Safety
    /// As the system call itself demands of its arguments.
    pub(crate) unsafe fn syscall(number: usize, a: [usize; 6]) -> isize {
        let result;
        // SAFETY: the instruction clobbers what is named; the rest is the caller's promise.
        unsafe {
            asm!(
                "syscall",
                inlateout("rax") number => result,
                in("rdi") a[0], in("rsi") a[1], in("rdx") a[2], in("r10") a[3], in("r8") a[4], in("r9") a[5],
                lateout("rcx") _, lateout("r11") _,
                options(nostack),
            );
        }
        result
    }

    pub(crate) mod number {
        pub(crate) const CAPSET: usize = 126;
        pub(crate) const CHDIR: usize = 80;
        pub(crate) const CLONE: usize = 56;
        pub(crate) const DUP3: usize = 292;
        pub(crate) const EXECVE: usize = 59;
        pub(crate) const EXECVEAT: usize = 322;
        pub(crate) const EXIT_GROUP: usize = 231;
        pub(crate) const FCHDIR: usize = 81;
        pub(crate) const FCHMODAT: usize = 268;
        pub(crate) const FCHOWN: usize = 93;
        pub(crate) const FCHOWNAT: usize = 260;
        pub(crate) const FCNTL: usize = 72;
        pub(crate) const FSTATFS: usize = 138;
        pub(crate) const GETCWD: usize = 79;
        pub(crate) const GETPID: usize = 39;
        pub(crate) const IOCTL: usize = 16;
        pub(crate) const KEYCTL: usize = 250;
        pub(crate) const KILL: usize = 62;
        pub(crate) const MKDIRAT: usize = 258;
        pub(crate) const MKNODAT: usize = 259;
        pub(crate) const MOUNT: usize = 165;
        pub(crate) const OPENAT: usize = 257;
        pub(crate) const PIVOT_ROOT: usize = 155;
        pub(crate) const PRCTL: usize = 157;
        pub(crate) const READLINKAT: usize = 267;
        pub(crate) const RECVFROM: usize = 45;
        pub(crate) const RT_SIGACTION: usize = 13;
        pub(crate) const RT_SIGPROCMASK: usize = 14;
        pub(crate) const RT_SIGTIMEDWAIT: usize = 128;
        pub(crate) const SECCOMP: usize = 317;
        pub(crate) const SENDMSG: usize = 46;
        pub(crate) const SETDOMAINNAME: usize = 171;
        pub(crate) const SETGROUPS: usize = 116;
        pub(crate) const SETHOSTNAME: usize = 170;
        pub(crate) const SETNS: usize = 308;
        pub(crate) const SETPGID: usize = 109;
        pub(crate) const SETRESGID: usize = 119;
        pub(crate) const SETRESUID: usize = 117;
        pub(crate) const SETSID: usize = 112;
        pub(crate) const STATX: usize = 332;
        pub(crate) const SYMLINKAT: usize = 266;
        pub(crate) const UMASK: usize = 95;
        pub(crate) const UMOUNT2: usize = 166;
        pub(crate) const UNSHARE: usize = 272;
        pub(crate) const WAIT4: usize = 61;
        pub(crate) const WRITE: usize = 1;
    }

    /// `O_DIRECTORY` and `O_NOFOLLOW` are among the few flags that architectures number differently.
    pub(crate) const O_DIRECTORY: u64 = 0o200_000;
    pub(crate) const O_NOFOLLOW: u64 = 0o400_000;
}

#[cfg(target_arch = "aarch64")]
mod native {
    use core::arch::asm;

    /// # Safety
    /// As the system call itself demands of its arguments.
    pub(crate) unsafe fn syscall(number: usize, a: [usize; 6]) -> isize {
        let result;
        // SAFETY: the instruction clobbers what is named; the rest is the caller's promise.
        unsafe {
            asm!(
                "svc 0",
                in("x8") number,
                inlateout("x0") a[0] => result,
                in("x1") a[1], in("x2") a[2], in("x3") a[3], in("x4") a[4], in("x5") a[5],
                options(nostack),
            );
        }
        result
    }

    pub(crate) mod number {
        pub(crate) const CAPSET: usize = 91;
        pub(crate) const CHDIR: usize = 49;
        pub(crate) const CLONE: usize = 220;
        pub(crate) const DUP3: usize = 24;
        pub(crate) const EXECVE: usize = 221;
        pub(crate) const EXECVEAT: usize = 281;
        pub(crate) const EXIT_GROUP: usize = 94;
        pub(crate) const FCHDIR: usize = 50;
        pub(crate) const FCHMODAT: usize = 53;
        pub(crate) const FCHOWN: usize = 55;
        pub(crate) const FCHOWNAT: usize = 54;
        pub(crate) const FCNTL: usize = 25;
        pub(crate) const FSTATFS: usize = 44;
        pub(crate) const GETCWD: usize = 17;
        pub(crate) const GETPID: usize = 172;
        pub(crate) const IOCTL: usize = 29;
        pub(crate) const KEYCTL: usize = 219;
        pub(crate) const KILL: usize = 129;
        pub(crate) const MKDIRAT: usize = 34;
        pub(crate) const MKNODAT: usize = 33;
        pub(crate) const MOUNT: usize = 40;
        pub(crate) const OPENAT: usize = 56;
        pub(crate) const PIVOT_ROOT: usize = 41;
        pub(crate) const PRCTL: usize = 167;
        pub(crate) const READLINKAT: usize = 78;
        pub(crate) const RECVFROM: usize = 207;
        pub(crate) const RT_SIGACTION: usize = 134;
        pub(crate) const RT_SIGPROCMASK: usize = 135;
        pub(crate) const RT_SIGTIMEDWAIT: usize = 137;
        pub(crate) const SECCOMP: usize = 277;
        pub(crate) const SENDMSG: usize = 211;
        pub(crate) const SETDOMAINNAME: usize = 162;
        pub(crate) const SETGROUPS: usize = 159;
        pub(crate) const SETHOSTNAME: usize = 161;
        pub(crate) const SETNS: usize = 268;
        pub(crate) const SETPGID: usize = 154;
        pub(crate) const SETRESGID: usize = 149;
        pub(crate) const SETRESUID: usize = 147;
        pub(crate) const SETSID: usize = 157;
        pub(crate) const STATX: usize = 291;
        pub(crate) const SYMLINKAT: usize = 36;
        pub(crate) const UMASK: usize = 166;
        pub(crate) const UMOUNT2: usize = 39;
        pub(crate) const UNSHARE: usize = 97;
        pub(crate) const WAIT4: usize = 260;
        pub(crate) const WRITE: usize = 64;
    }

    /// `O_DIRECTORY` and `O_NOFOLLOW` are among the few flags that architectures number differently.
    pub(crate) const O_DIRECTORY: u64 = 0o40_000;
    pub(crate) const O_NOFOLLOW: u64 = 0o100_000;
}

pub(crate) use native::{O_DIRECTORY, O_NOFOLLOW, number, syscall};

/// Numbers given since all architectures share them.
pub(crate) mod common {
    pub(crate) const CLONE3: usize = 435;
    pub(crate) const CLOSE_RANGE: usize = 436;
    pub(crate) const FACCESSAT2: usize = 439;
    pub(crate) const FSCONFIG: usize = 431;
    pub(crate) const FSMOUNT: usize = 432;
    pub(crate) const FSOPEN: usize = 430;
    pub(crate) const MOUNT_SETATTR: usize = 442;
    pub(crate) const MOVE_MOUNT: usize = 429;
    pub(crate) const OPEN_TREE: usize = 428;
    pub(crate) const OPENAT2: usize = 437;
}
