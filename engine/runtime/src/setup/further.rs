//! The draft of a further process in a running container.

use std::os::fd::{AsFd as _, OwnedFd};

use bowline_init::Instruction;
use nix::libc::{CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWUTS};

use super::order::Order;
use super::program::Program;
use super::{Draft, Rights, c_string, container};
use crate::caps::CapSet;
use crate::cgroup::Cgroup;
use crate::spawn::chain;
use crate::{ExecPlan, StartError, StartStep};

/// The container that the process is to run in.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) id: &'a str,
    /// A handle on its first process.
    pub(crate) process: &'a OwnedFd,
    pub(crate) cgroup: &'a Cgroup,
    /// Its root, for looking users up.
    pub(crate) root: &'a OwnedFd,
    pub(crate) filter: Vec<Instruction>,
    pub(crate) capabilities: u64,
}

/// Draws up the process. It joins the cgroup first, so that not a moment of it goes uncounted, then everything else.
pub(crate) fn further(
    plan: &ExecPlan,
    around: Surroundings<'_>,
    stdio: Option<[OwnedFd; 3]>,
) -> Result<Draft, StartError> {
    let copy = |fd: &OwnedFd| {
        fd.as_fd()
            .try_clone_to_owned()
            .map_err(|error| StartError::io(StartStep::Shim, "copy a descriptor", &error))
    };
    let join = around
        .cgroup
        .join()
        .map_err(|error| StartError::new(StartStep::Cgroup, chain(&error)))?;
    let mut orders: Vec<Order> = join.tasks.into_iter().map(Order::JoinTasks).collect();
    let kinds = CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS;
    orders.push(Order::Enter {
        fd: copy(around.process)?,
        kinds,
        what: "container's namespaces",
    });
    orders.push(Order::Session);
    orders.push(Order::Keyring(c_string(
        format!("bowline-{}", around.id),
        "the id",
    )?));
    if plan.tty {
        orders.push(Order::CurrentRoot);
        orders.push(Order::Terminal { console: false });
    }
    let (capabilities, filter) = if plan.privileged {
        (CapSet::available().bits(), Vec::new())
    } else {
        (around.capabilities, around.filter)
    };
    Ok(Draft {
        namespaces: 0,
        cgroup: join.into,
        pid_namespace: Some(copy(around.process)?),
        orders,
        stdio,
        program: Program::new(&plan.process, None)?,
        rights: Rights::new(Some(&plan.process), capabilities, filter),
        limits: container::limits(&plan.process),
        oom_score_adj: plan.process.oom_score_adj(),
        user: plan.user.clone(),
        additional_groups: plan.additional_groups.clone(),
        root: copy(around.root)?,
    })
}
