//! What runs between clone and exec.
//!
//! The parent draws up a [`Birth`]: a straight list of [`Step`]s with every number and string ready. [`Birth::begin`]
//! makes the process and carries it out there; the child allocates nothing, takes no lock, reads no file that was not
//! named, and decides nothing. What fails comes back as a place in the list and the kernel's word ([`Report`]); the
//! sentence for people is the parent's business.
//!
//! The child stops twice: after its file system is in place, to be told who it is (the parent looks the user up in the
//! container's own files, which exist only now), and before its program, to be told to go.
//!
//! *Invariant:* no dependency, no allocation, no standard library.
#![no_std]
#![expect(
    unsafe_code,
    reason = "raw system calls: the C library's wrappers lock, allocate and tell other threads"
)]

mod arch;
mod child;
mod paths;
mod reaper;
mod report;
mod steps;
mod strings;
mod sys;

pub use reaper::reap_for;
pub use report::{IdentityStep, Persona, PersonaTooLong, Phase, Report};
pub use steps::{IN_PROC, Place, Step, UNEXPECTED};
pub use strings::{Arg, Home, Vector};
pub use sys::Instruction;

use core::ffi::CStr;

/// A process to be.
#[derive(Debug)]
pub struct Birth<'a> {
    /// Namespaces to be born into (`CLONE_NEW*`).
    pub namespaces: u64,
    /// The v2 cgroup to be born in.
    pub cgroup: Option<i32>,
    /// The child's end of a packet socket to the parent.
    pub sync: i32,
    /// All descriptors that the child uses, rising; every other one is closed at once, so that a child which waits
    /// long keeps none of the parent's connections open.
    pub keep: &'a [i32],
    /// Up to the point where the file system is in place.
    pub setup: &'a [Step<'a>],
    /// From there to the program.
    pub identity: Identity<'a>,
    /// The program.
    pub program: Program<'a>,
}

/// Who the process will be, but for user and groups, which come as a [`Persona`].
#[derive(Debug)]
pub struct Identity<'a> {
    /// Its input, output and error; a terminal, made by [`Step::Terminal`], where there are none.
    pub stdio: Option<[i32; 3]>,
    /// Its working directory.
    pub cwd: &'a CStr,
    /// Capabilities that it and its children may ever have.
    pub bounding: u64,
    /// Capabilities in force.
    pub effective: u64,
    /// Capabilities it may put in force.
    pub permitted: u64,
    /// Capabilities that survive the execution of a marked file.
    pub inheritable: u64,
    /// Capabilities that survive the execution of any file.
    pub ambient: u64,
    /// Whether executing a file may never give more rights.
    pub no_new_privileges: bool,
    /// The system-call filter; none when empty.
    pub filter: &'a [Instruction],
}

/// What is executed.
#[derive(Debug)]
pub struct Program<'a> {
    /// Paths to try, in order.
    pub candidates: &'a [&'a CStr],
    /// Whether the candidates come from a search path: then what cannot be executed is passed over.
    pub searched: bool,
    /// Arguments.
    pub argv: Vector<'a>,
    /// Environment.
    pub envp: Vector<'a>,
    /// Where the home directory is filled in, if the environment refers to it.
    pub home: Option<&'a Home>,
    /// An executable that runs in front of the program and gets its arguments.
    pub reaper: Option<i32>,
}

/// A process that is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Born {
    /// Its pid.
    pub pid: i32,
    /// A new descriptor, a handle on it. The caller owns it.
    pub pidfd: i32,
}

impl Birth<'_> {
    /// Makes the process. Its reports arrive at the parent's end of `sync`.
    ///
    /// # Errors
    /// The kernel's word when it could not even be made.
    pub fn begin(&self) -> Result<Born, i32> {
        match sys::clone(self.namespaces, self.cgroup)? {
            (0, _) => child::live(self),
            (pid, pidfd) => Ok(Born { pid, pidfd }),
        }
    }
}
