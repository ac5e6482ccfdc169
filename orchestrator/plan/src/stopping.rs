//! Stopping a container, with what has to be said to it before.

use crate::desired::Desired;
use crate::graph::{Id, Plan};
use crate::observed::{Container, State};
use crate::op::Op;
use crate::up::existing;

/// Adds the node that stops a live container, after the one that runs its `pre_stop` commands where
/// the service has some. A frozen container cannot run any, one that is about to restart has no
/// process to run them beside.
pub(crate) fn stop(
    plan: &mut Plan,
    desired: &Desired,
    container: &Container,
    after: Vec<Id>,
    cause: &str,
    group: Option<&str>,
) -> Id {
    let after = before(plan, desired, container, after, group);
    let target = existing(container);
    plan.add_in(after, Op::Stop { target }, cause, group)
}

/// What a stop, or a restart, of this container has to wait for.
pub(crate) fn before(
    plan: &mut Plan,
    desired: &Desired,
    container: &Container,
    after: Vec<Id>,
    group: Option<&str>,
) -> Vec<Id> {
    let service = desired.services.get(&container.service);
    let talks = container.is_replica() && container.state == State::Running;
    if !talks || !service.is_some_and(|service| service.hooks.pre_stop) {
        return after;
    }
    let target = existing(container);
    vec![plan.add_in(after, Op::PreStop { target }, "hook", group)]
}
