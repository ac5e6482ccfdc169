//! Pid 1 for programs that were not made to be it: passes signals on and reaps orphans.

use core::ffi::CStr;

use crate::strings::Vector;
use crate::sys::{self, EACCES, ENOENT, TYPE};

const SIGCHLD: usize = 17;
const ALL: u64 = u64::MAX;

/// Runs the first of `candidates` that can be executed as a child, passes every signal on to it, reaps whatever is
/// orphaned, and ends as the child ended. The kernel then ends all that is left in the pid namespace.
pub fn reap_for(candidates: &[&CStr], argv: Vector<'_>, envp: Vector<'_>) -> ! {
    sys::set_name(c"bowline-init");
    // Blocked before the child is there: not one signal may fall between. A blocked signal also reaches a first
    // process, which the kernel spares all others.
    sys::set_blocked(ALL);
    match sys::fork() {
        Ok(0) => run(candidates, argv, envp),
        Ok(child) => watch(child),
        Err(_) => sys::exit(128),
    }
}

/// The child leads a group of its own in the foreground of the terminal, if there is one, so that keys reach it and not
/// us. Being in the background for a moment, it would be stopped for that, were the signal not still blocked.
fn run(candidates: &[&CStr], argv: Vector<'_>, envp: Vector<'_>) -> ! {
    let _ = sys::setpgid();
    let _ = sys::set_foreground(0, sys::own_pid());
    sys::reset_signals();
    let mut errno = ENOENT;
    for candidate in candidates {
        let file = sys::stat_path(candidate).is_ok_and(|stat| stat.mode & TYPE != sys::DIRECTORY);
        if file {
            errno = sys::execve(candidate, argv.args, envp.args);
        }
    }
    let _ = sys::write(2, b"bowline-init: cannot execute the command\n");
    sys::exit(if errno == EACCES { 126 } else { 127 })
}

fn watch(child: i32) -> ! {
    loop {
        match sys::wait_signal(ALL) {
            Ok(SIGCHLD) => reap(child),
            Ok(signal) => sys::kill(child, signal),
            Err(_) => {}
        }
    }
}

/// Several deaths may be one signal.
fn reap(child: i32) {
    while let Ok((pid, status)) = sys::reap_any() {
        if pid == 0 {
            return;
        }
        if pid == child {
            let signal = status & 0x7f;
            sys::exit(if signal == 0 {
                (status >> 8) & 0xff
            } else {
                128 + signal
            });
        }
    }
}
