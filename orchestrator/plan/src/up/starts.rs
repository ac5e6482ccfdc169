//! Starting containers in dependency order, and what they wait for.

use std::collections::BTreeMap;

use crate::desired::Dependency;
use crate::error::{PlanError, Result};
use crate::graph::Id;
use crate::observed::{Container, Health, State};
use crate::op::{Await, Condition, Op, Target};

use super::verdict::{Slot, Verdict};
use super::{Builder, existing};

/// Waits are shared by all dependents with the same condition.
type Waits = BTreeMap<(String, Await), Id>;

pub(super) fn services(builder: &mut Builder<'_>) -> Result<()> {
    let mut waits = Waits::new();
    for service in builder.order.clone() {
        start(builder, service, &mut waits)?;
    }
    dependents_outside(builder, &mut waits)?;
    if builder.choices.wait {
        for service in builder.order.clone() {
            ready(builder, service);
        }
    }
    Ok(())
}

fn start<'a>(builder: &mut Builder<'a>, service: &'a str, waits: &mut Waits) -> Result<()> {
    let slots = builder.slots[service].clone();
    let starting: Vec<(&Slot<'a>, String)> = slots
        .iter()
        .filter_map(|slot| Some((slot, start_cause(builder, service, slot)?)))
        .collect();
    // What is spared here is started by somebody else, who needs the same conditions met.
    if starting.is_empty() && !builder.spares(service) {
        return Ok(());
    }
    let before = conditions(builder, service, waits)?;
    for (slot, cause) in starting {
        let mut after = before.clone();
        after.extend(builder.made.get(&slot.name));
        let kept = slot.old.filter(|_| !slot.verdict.renews());
        let target = slot_target(builder, service, slot);
        add(builder, service, target, kept, after, &cause);
    }
    Ok(())
}

/// Services that are not in play, but had to stop for one that is.
fn dependents_outside<'a>(builder: &mut Builder<'a>, waits: &mut Waits) -> Result<()> {
    let observed = builder.observed;
    let outside: Vec<&'a Container> = observed
        .containers
        .iter()
        .filter(|container| builder.stopped.contains_key(container.id.as_str()))
        .filter(|container| !builder.removed.contains_key(container.id.as_str()))
        .filter(|container| !builder.plays(&container.service))
        .collect();
    for container in outside {
        let mut after = match builder.desired.services.contains_key(&container.service) {
            true => conditions(builder, &container.service, waits)?,
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
        after.extend(
            builder
                .reattached
                .get(old.id.as_str())
                .into_iter()
                .flatten(),
        );
    }
    let frozen = old.is_some_and(|old| {
        old.state == State::Paused && !builder.stopped.contains_key(old.id.as_str())
    });
    let op = if frozen {
        Op::Unpause { target }
    } else {
        Op::Start { target }
    };
    let id = builder.plan.add(after, op, cause);
    builder.started.entry(service).or_default().push(id);
}

fn slot_target(builder: &Builder<'_>, service: &str, slot: &Slot<'_>) -> Target {
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
fn conditions(builder: &mut Builder<'_>, service: &str, waits: &mut Waits) -> Result<Vec<Id>> {
    let needs: Vec<&Dependency> = builder.needs(service).collect();
    let mut after = Vec::new();
    for need in needs {
        // Nothing to wait for where nothing shall run.
        if builder.service(&need.service).scale == 0 {
            continue;
        }
        let until = match need.condition {
            Condition::Started => {
                after.extend(
                    builder
                        .started
                        .get(need.service.as_str())
                        .into_iter()
                        .flatten(),
                );
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
        after.extend(wait(builder, need, until, &cause, waits));
    }
    Ok(after)
}

fn wait(
    builder: &mut Builder<'_>,
    need: &Dependency,
    until: Await,
    cause: &str,
    waits: &mut Waits,
) -> Option<Id> {
    let key = (need.service.clone(), until);
    if let Some(id) = waits.get(&key) {
        return Some(*id);
    }
    let op = wait_op(builder, &need.service, until, !need.required)?;
    let after = builder
        .started
        .get(need.service.as_str())
        .cloned()
        .unwrap_or_default();
    let id = builder.plan.add(after, op, cause);
    waits.insert(key, id);
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
