//! What the engine needs of the kernel beside shims: descriptors it inherits, and the end of a process nobody reaped.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

use bowline_sys::process::{self, Ended};

/// Takes ownership of the open descriptor `number`, close-on-exec. Call it once a number, at the start of `main`.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    let taken = process::inherited(number, 1)?;
    taken
        .into_iter()
        .next()
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// How a process ended that is not our child, as a shell counts it; none where the kernel does not tell (before 6.15).
#[must_use]
pub fn exit_code(process: BorrowedFd<'_>) -> Option<i32> {
    process::exit_of_stranger(process).map(|ended| match ended {
        Ended::Code(code) => code,
        Ended::Signal(signal) => 128 + signal,
    })
}
