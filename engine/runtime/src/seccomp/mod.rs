//! Seccomp: Docker's default profile, custom profiles in Docker's format, and the compiler to classic BPF.
//!
//! A [`Profile`] is text read. Resolved for a container's capabilities and a machine ([`Target`]) it becomes a
//! verdict per system call and architecture; that becomes one program, a balanced tree of comparisons, so that loading
//! and running it stay cheap. Programs are kept in memory by content: a second container pays nothing.
//!
//! Nothing here talks to the kernel but [`Target::native`]; `bowline_sys::seccomp::install` loads what comes out.

mod arch;
mod assemble;
mod cache;
#[cfg(test)]
mod confined;
mod profile;
mod resolve;
mod syscalls;
#[cfg(test)]
mod tests;

pub use arch::{Arch, KernelVersion, Target};
pub use bowline_sys::seccomp::SockFilter;
pub use cache::compile;
pub use profile::{Profile, ProfileError};

use std::sync::Arc;

/// A compiled filter. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program(Arc<[SockFilter]>);

impl Program {
    /// The instructions.
    #[must_use]
    pub fn instructions(&self) -> &[SockFilter] {
        &self.0
    }

    /// The instructions as bytes in the kernel's layout.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        bowline_sys::seccomp::to_bytes(&self.0)
    }
}

/// Why a profile could not become a program.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The kernel takes at most 4096 instructions.
    #[error("the seccomp profile needs {0} instructions, the kernel takes at most 4096")]
    TooLong(usize),
    /// A condition names an argument a system call cannot have.
    #[error(
        "the seccomp rule for `{syscall}` looks at argument {index}, but there are only 0 to 5"
    )]
    NoSuchArgument {
        /// The system call the rule is for.
        syscall: String,
        /// The argument it asks about.
        index: u32,
    },
}
