//! See ARCHITECTURE.md for what this crate is for.

pub mod root;
pub mod xattr;

pub mod netns;

pub mod bpf;
pub mod seccomp;
