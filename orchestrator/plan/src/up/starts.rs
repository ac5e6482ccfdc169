//! Starting containers in dependency order, and what they wait for.

use crate::desired::Dependency;
use crate::error::{PlanError, Result};
use crate::graph::Id;
use crate::observed::{Container, Health, State};
use crate::op::{Await, Condition, Op, Target};

use super::rolling;
use super::verdict::{Slot, Verdict};
use super::{Builder, existing};

pub(super) fn services(builder: &mut Builder<'_>) -> Result<()> {
    for service in builder.order.clone() {
        rolling::exchange(builder, service)?;
        start(builder, service)?;
    }
    dependents_outside(builder)?;
    if builder.choices.wait {
        for service in builder.order.clone() {
            ready(builder, service);
        }
    }
    Ok(())
}

fn start<'a>(builder: &mut Builder<'a>, service: &'a str) -> Result<()> {
    let slots = builder.slots[service].clone();
    let starting: Vec<(&Slot<'a>, String)> = slots
        .iter()
        .filter(|slot| !is_rolled(builder, service, slot))
        .filter_map(|slot| Some((slot, start_cause(builder, service, slot)?)))
        .collect();
    // What is spared here is started by somebody else, who needs the same conditions met.
    if starting.is_empty() && !builder.spares(service) {
        return Ok(());
    }
    let before = conditions(builder, service)?;
    let mut chains = Vec::new();
    for (slot, _) in &starting {
        let mut after = before.clone();
        after.extend(builder.made.get(&slot.name));
        if slot.verdict.renews() {
            wait_for_ports(builder, service, &mut after);
        }
        chains.push(after);
    }
    let fresh: Vec<usize> = (0..starting.len())
        .filter(|index| is_fresh(starting[*index].0))
        .collect();
    let targets: Vec<Target> = starting
        .iter()
        .map(|(slot, _)| slot_target(builder, service, slot))
        .collect();
    pre_start(builder, service, &targets, &fresh, &mut chains);
    for (((slot, cause), target), after) in starting.into_iter().zip(targets).zip(chains) {
        let kept = slot.old.filter(|_| !slot.verdict.renews());
        add(builder, service, target, kept, after, &cause);
    }
    Ok(())
}

/// Whether the replica was made and started one after the other.
fn is_rolled(builder: &Builder<'_>, service: &str, slot: &Slot<'_>) -> bool {
    let exchanged = matches!(slot.verdict, Verdict::Recreate(_)) && slot.old.is_some();
    exchanged && builder.rolling.contains_key(service)
}

/// Whether the container has never run. One that ran before keeps what was prepared for it.
fn is_fresh(slot: &Slot<'_>) -> bool {
    slot.verdict.renews() || slot.old.is_some_and(|old| old.state == State::Created)
}

/// The steps before the start, in the order of the file for every replica: those that run once do so
/// only where nothing of the service runs yet.
fn pre_start(
    builder: &mut Builder<'_>,
    service: &str,
    targets: &[Target],
    fresh: &[usize],
    chains: &mut [Vec<Id>],
) {
    let Some(&lead) = fresh.first() else { return };
    let hooks = &builder.service(service).hooks.pre_start;
    let alone = !hooks.is_empty() && !runs_already(builder, service);
    let cleared = match hooks.is_empty() {
        true => Vec::new(),
        false => clear_hooks(builder, service),
    };
    let mut cause = "hook";
    for (hook, per_replica) in hooks.iter().enumerate() {
        if *per_replica {
            for index in fresh {
                let target = targets[*index].clone();
                let after = chains[*index].iter().chain(&cleared).copied();
                let op = Op::PreStart { target, hook };
                let id = builder
                    .plan
                    .add(after.collect::<Vec<_>>(), op, "hook, for each replica");
                chains[*index] = vec![id];
            }
        } else if alone {
            let after: Vec<Id> = chains.iter().flatten().chain(&cleared).copied().collect();
            let target = targets[lead].clone();
            let id = builder
                .plan
                .add(after, Op::PreStart { target, hook }, cause);
            chains.iter_mut().for_each(|chain| *chain = vec![id]);
        }
        cause = "hook, after the one before";
    }
}

fn runs_already(builder: &Builder<'_>, service: &str) -> bool {
    builder.slots[service].iter().any(|slot| {
        let kept = matches!(slot.verdict, Verdict::Keep | Verdict::Rename);
        let runs = |old: &Container| {
            old.state == State::Running && !builder.stopped.contains_key(old.id.as_str())
        };
        kept && slot.old.is_some_and(runs)
    })
}

/// The steps before the start of one that is exchanged while others serve: those that run once do so
/// with the first.
pub(super) fn each_hook<'a>(
    builder: &mut Builder<'a>,
    service: &'a str,
    target: &Target,
    after: Vec<Id>,
) -> Vec<Id> {
    let mut chain = after;
    let first = !builder.hooked.contains_key(service);
    chain.extend(builder.hooked.get(service));
    for (hook, per_replica) in builder.service(service).hooks.pre_start.iter().enumerate() {
        if *per_replica || first {
            let target = target.clone();
            let id = builder
                .plan
                .add(chain, Op::PreStart { target, hook }, "hook");
            chain = vec![id];
            if !per_replica {
                builder.hooked.insert(service, id);
            }
        }
    }
    chain
}

/// Containers of earlier hooks that failed were kept to be looked at, and make room now.
fn clear_hooks(builder: &mut Builder<'_>, service: &str) -> Vec<Id> {
    let left = builder.observed.containers.iter();
    let left = left.filter(|container| container.hook && container.service == service);
    let mut cleared = Vec::new();
    for container in left {
        let cause = "left by a hook that failed";
        let stopped = super::resources::stop(builder, container, cause);
        let target = existing(container);
        let op = Op::Remove {
            target,
            volumes: false,
        };
        cleared.push(builder.plan.add(stopped, op, cause));
    }
    cleared
}

/// Runs the commands after the start, where there are some; returns what counts as started.
pub(super) fn post_start(
    builder: &mut Builder<'_>,
    service: &str,
    target: &Target,
    started: Id,
    group: Option<&str>,
) -> Id {
    let known = builder.desired.services.get(service);
    match known.is_some_and(|service| service.hooks.post_start) {
        false => started,
        true => {
            let target = target.clone();
            let op = Op::PostStart { target };
            builder.plan.add_in([started], op, "hook", group)
        }
    }
}

/// A port of the host is free only when whoever holds it in this project has stopped.
pub(super) fn wait_for_ports(builder: &Builder<'_>, service: &str, after: &mut Vec<Id>) {
    let wanted = &builder.service(service).ports;
    let holders = builder.observed.containers.iter();
    let holders = holders.filter(|holder| holder.ports.iter().any(|port| wanted.contains(port)));
    let stops = holders.filter_map(|holder| builder.stopped.get(holder.id.as_str()));
    for stop in stops {
        if !after.contains(stop) {
            after.push(*stop);
        }
    }
}

/// Services that are not in play, but had to stop for one that is.
fn dependents_outside<'a>(builder: &mut Builder<'a>) -> Result<()> {
    let observed = builder.observed;
    let outside: Vec<&'a Container> = observed
        .containers
        .iter()
        .filter(|container| builder.stopped.contains_key(container.id.as_str()))
        .filter(|container| !builder.removed.contains_key(container.id.as_str()))
        .filter(|container| container.is_replica() && !builder.plays(&container.service))
        .collect();
    for container in outside {
        let mut after = match builder.desired.services.contains_key(&container.service) {
            true => conditions(builder, &container.service)?,
            false => Vec::new(),
        };
        after.extend(builder.stopped.get(container.id.as_str()));
        let target = existing(container);
        add(
            builder,
            &container.service,
            target,
            Some(container),
            after,
            "was running",
        );
    }
    Ok(())
}

fn add<'a>(
    builder: &mut Builder<'a>,
    service: &'a str,
    target: Target,
    old: Option<&'a Container>,
    mut after: Vec<Id>,
    cause: &str,
) {
    if let Some(old) = old {
        after.extend(builder.stopped.get(old.id.as_str()));
        let reattached = builder.reattached.get(old.id.as_str());
        after.extend(reattached.into_iter().flatten());
    }
    let frozen = old.is_some_and(|old| {
        old.state == State::Paused && !builder.stopped.contains_key(old.id.as_str())
    });
    let id = if frozen {
        builder.plan.add(after, Op::Unpause { target }, cause)
    } else {
        let op = Op::Start {
            target: target.clone(),
        };
        let id = builder.plan.add(after, op, cause);
        post_start(builder, service, &target, id, None)
    };
    builder.started.entry(service).or_default().push(id);
}

pub(super) fn slot_target(builder: &Builder<'_>, service: &str, slot: &Slot<'_>) -> Target {
    let reference = match (&slot.verdict, slot.old) {
        (Verdict::Keep | Verdict::Rename, Some(old)) => old.id.clone(),
        _ => builder.desired.container_name(service, slot.number),
    };
    Target {
        service: service.into(),
        number: slot.number,
        name: slot.name.clone(),
        reference,
    }
}

fn start_cause(builder: &Builder<'_>, service: &str, slot: &Slot<'_>) -> Option<String> {
    let old = match (&slot.verdict, slot.old) {
        (Verdict::Remove(_), _) => return None,
        (Verdict::Create(_), _) | (_, None) => return Some("new".into()),
        (Verdict::Recreate(_), _) => return Some("replaced".into()),
        (Verdict::Keep | Verdict::Rename, Some(old)) => old,
    };
    if builder.stopped.contains_key(old.id.as_str()) {
        return Some("was running".into());
    }
    match old.state {
        State::Running | State::Restarting | State::Removing => None,
        State::Paused => Some("paused".into()),
        State::Created => Some("never started".into()),
        // A job that others wait for has reached its goal: running it again at every `up` would make
        // a stack that is complete look as if it were not.
        State::Exited(0) if builder.desired.is_one_shot(service) => None,
        State::Exited(code) => Some(format!("exited with code {code}")),
        State::Dead => Some("dead".into()),
    }
}

/// What a start of this service waits for: the starts or the conditions of what it depends on.
pub(super) fn conditions(builder: &mut Builder<'_>, service: &str) -> Result<Vec<Id>> {
    let needs: Vec<&Dependency> = builder.needs(service).collect();
    let mut after = Vec::new();
    for need in needs {
        // Nothing to wait for where nothing shall run.
        if builder.service(&need.service).scale == 0 {
            continue;
        }
        let until = match need.condition {
            Condition::Started => {
                let started = builder.started.get(need.service.as_str());
                after.extend(started.into_iter().flatten());
                continue;
            }
            Condition::Healthy => Await::Healthy,
            Condition::Completed => Await::Completed,
        };
        if until == Await::Healthy && builder.service(&need.service).healthcheck == Some(false) {
            let (service, dependent) = (need.service.clone(), service.to_owned());
            return Err(PlanError::NoHealthcheck { service, dependent });
        }
        let cause = format!("`{service}` depends on it");
        after.extend(wait(builder, need, until, &cause));
    }
    Ok(after)
}

fn wait(builder: &mut Builder<'_>, need: &Dependency, until: Await, cause: &str) -> Option<Id> {
    // Whoever may do without the dependency and whoever may not need different waits.
    let name = match need.required {
        true => need.service.clone(),
        false => format!("{}?", need.service),
    };
    let key = (name, until);
    if let Some(id) = builder.waits.get(&key) {
        return Some(*id);
    }
    let op = wait_op(builder, &need.service, until, !need.required)?;
    let after = builder.started.get(need.service.as_str());
    let after = after.cloned().unwrap_or_default();
    let id = builder.plan.add(after, op, cause);
    builder.waits.insert(key, id);
    Some(id)
}

/// A wait for those containers that have not reached the state in the snapshot, or start anew.
fn wait_op(builder: &Builder<'_>, service: &str, until: Await, optional: bool) -> Option<Op> {
    let staying = builder.slots[service].iter().filter(|slot| {
        !matches!(slot.verdict, Verdict::Remove(_))
            && (start_cause(builder, service, slot).is_some()
                || slot.old.is_some_and(|old| !has_reached(old, until)))
    });
    let targets: Vec<Target> = staying
        .map(|slot| slot_target(builder, service, slot))
        .collect();
    let service = service.to_owned();
    (!targets.is_empty()).then_some(Op::Wait {
        service,
        until,
        targets,
        optional,
    })
}

fn has_reached(container: &Container, until: Await) -> bool {
    match (until, container.state, container.health) {
        (Await::Healthy, State::Running, health) => health == Health::Healthy,
        (Await::Ready, State::Running, health) => matches!(health, Health::Healthy | Health::None),
        (Await::Completed, State::Exited(code), _) => code == 0,
        _ => false,
    }
}

/// `up --wait`: a service is ready when it runs and is healthy; a job when it has ended well.
fn ready<'a>(builder: &mut Builder<'a>, service: &'a str) {
    let until = match builder.desired.is_one_shot(service) {
        true => Await::Completed,
        false => Await::Ready,
    };
    if let Some(op) = wait_op(builder, service, until, false) {
        let after = builder.started.get(service).cloned().unwrap_or_default();
        builder.plan.add(after, op, "`--wait`");
    }
}
