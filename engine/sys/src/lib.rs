//! See ARCHITECTURE.md for what this crate is for.

pub mod overlay;
pub mod root;
pub mod xattr;

pub mod netns;

pub mod bpf;
pub mod fdpass;
pub mod memfd;
pub mod memory;
pub mod mount;
pub mod net;
pub mod process;
pub mod seccomp;
pub mod sockfilter;
pub mod terminal;
