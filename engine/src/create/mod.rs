//! What a create request asks for, worked out before anything is made.

pub(crate) mod merge;
pub(crate) mod mounts;
pub(crate) mod propagation;
