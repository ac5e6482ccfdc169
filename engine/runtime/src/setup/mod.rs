//! From a launch or an exec to a process that waits before its program.
//!
//! [`container`] and [`further`] draw up a [`Draft`]: everything that allocates, reads files or can fail for a reason
//! worth a good sentence happens there. [`Pending`] is the process on its way.

mod birth;
mod container;
mod defaults;
mod devices;
mod failure;
mod further;
mod mounts;
mod order;
mod program;
mod user;

pub(crate) use birth::{Pending, Progress};
pub(crate) use container::{Supplies, container};
pub(crate) use further::{Surroundings, further};
pub(crate) use program::candidates;

use std::ffi::CString;
use std::os::fd::OwnedFd;

use bowline_init::Instruction;

/// A process, ready to be made.
#[derive(Debug)]
pub(crate) struct Draft {
    /// `CLONE_NEW*`.
    namespaces: u64,
    /// The v2 cgroup to be born in.
    cgroup: Option<OwnedFd>,
    /// The pid namespace to be born in, when it is not one of its own: a namespace file or a pidfd.
    pid_namespace: Option<OwnedFd>,
    orders: Vec<order::Order>,
    /// None for a terminal.
    stdio: Option<[OwnedFd; 3]>,
    program: program::Program,
    rights: Rights,
    /// Resource, soft, hard.
    limits: Vec<(u32, u64, u64)>,
    oom_score_adj: Option<i32>,
    user: String,
    additional_groups: Vec<String>,
    /// Where the user is looked up, once the mounts are in place.
    root: OwnedFd,
}

/// What a process may do.
#[derive(Debug, Default)]
struct Rights {
    bounding: u64,
    effective: u64,
    permitted: u64,
    inheritable: u64,
    ambient: u64,
    no_new_privileges: bool,
    filter: Vec<Instruction>,
}

impl Rights {
    fn new(
        process: Option<&oci_spec::runtime::Process>,
        default: u64,
        filter: Vec<Instruction>,
    ) -> Self {
        use crate::spawn::capability_bits as bits;
        let no_new_privileges = process
            .and_then(oci_spec::runtime::Process::no_new_privileges)
            .unwrap_or(false);
        let Some(named) = process.and_then(|process| process.capabilities().as_ref()) else {
            let (bounding, effective, permitted) = (default, default, default);
            return Self {
                bounding,
                effective,
                permitted,
                inheritable: 0,
                ambient: 0,
                no_new_privileges,
                filter,
            };
        };
        let set = |set: &Option<_>| set.as_ref().map(bits).unwrap_or_default();
        Self {
            bounding: set(named.bounding()),
            effective: set(named.effective()),
            permitted: set(named.permitted()),
            inheritable: set(named.inheritable()),
            ambient: set(named.ambient()),
            no_new_privileges,
            filter,
        }
    }
}

fn c_string(text: impl Into<Vec<u8>>, what: &str) -> Result<CString, crate::StartError> {
    CString::new(text).map_err(|_| {
        crate::StartError::new(
            crate::StartStep::Plan,
            format!("{what} must not contain a null"),
        )
    })
}
