//! The default profile loaded into the real kernel, in a process of its own, for there is no way back.

use std::os::fd::OwnedFd;
use std::process::Command;
use std::{env, thread};

use nix::errno::Errno;
use nix::sys::prctl::set_no_new_privs;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::unistd::pivot_root;

use super::{Profile, Target, compile};
use crate::caps::CapSet;

const MARK: &str = "BOWLINE_TEST_CONFINED";
const CHILD: &str = "seccomp::confined::what_a_container_may_do";

#[test]
fn the_kernel_takes_the_default_profile_and_holds_to_it() {
    let test = env::current_exe().unwrap();
    let child = Command::new(test)
        .args([CHILD, "--exact", "--nocapture"])
        .env(MARK, "1")
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stderr) + String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && output.contains("1 passed"),
        "{output}"
    );
}

/// Runs only when the test above calls for it.
#[test]
fn what_a_container_may_do() {
    if env::var_os(MARK).is_none() {
        return;
    }
    let program = compile(
        &Profile::docker_default(),
        CapSet::DEFAULT.bits(),
        Target::native(),
    )
    .unwrap();
    set_no_new_privs().unwrap();
    bowline_sys::seccomp::install(program.instructions()).unwrap();

    let open = |family| socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None);
    let _unix: OwnedFd = open(AddressFamily::Unix).unwrap();
    assert_eq!(open(AddressFamily::Vsock).unwrap_err(), Errno::EPERM);
    // Unfiltered this would be ENOENT for root.
    assert_eq!(
        pivot_root("/nonexistent", "/nonexistent"),
        Err(Errno::EPERM)
    );

    // A thread and a process: the C library tries clone3, is told ENOSYS, and takes clone. EPERM would end it.
    thread::spawn(|| ()).join().unwrap();
    assert!(
        Command::new("/proc/self/exe")
            .arg("--list")
            .output()
            .unwrap()
            .status
            .success()
    );
}
