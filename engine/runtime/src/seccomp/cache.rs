//! Compiled programs, kept by content.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use super::assemble::assemble;
use super::resolve::Resolved;
use super::{CompileError, Profile, Program, Target};
use crate::caps::CapSet;

/// Containers of one machine use a handful of profiles and capability sets. Past this many the store starts anew.
const MOST: usize = 64;

type Key = (Profile, u64, Target);

static COMPILED: LazyLock<Mutex<HashMap<Key, Program>>> = LazyLock::new(Mutex::default);

/// Compiles `profile` for a container whose bounding set is `caps`, or takes the program compiled before.
pub fn compile(profile: &Profile, caps: u64, target: Target) -> Result<Program, CompileError> {
    let key = (profile.clone(), caps, target);
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(program) = compiled.get(&key) {
        return Ok(program.clone());
    }
    let program = fresh(profile, caps, target)?;
    if compiled.len() == MOST {
        compiled.clear();
    }
    compiled.insert(key, program.clone());
    Ok(program)
}

pub(super) fn fresh(profile: &Profile, caps: u64, target: Target) -> Result<Program, CompileError> {
    let resolved = Resolved::new(profile, CapSet::from_bits(caps), target)?;
    Ok(Program(assemble(&resolved)?.into()))
}
