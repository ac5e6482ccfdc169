//! Compiled programs, kept by content.

use super::{CompileError, Profile, Program, Target};

/// Compiles `profile` for a container whose bounding set is `caps`, or takes the program compiled before.
pub fn compile(profile: &Profile, caps: u64, target: Target) -> Result<Program, CompileError> {
    let _ = (profile, caps, target);
    Err(CompileError::TooLong(0))
}
