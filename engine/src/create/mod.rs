//! What a create request asks for, worked out before anything is made.

pub mod merge;
pub mod mounts;
