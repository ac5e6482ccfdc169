//! See ARCHITECTURE.md for what this crate is for.

pub mod bpf;
pub mod seccomp;
