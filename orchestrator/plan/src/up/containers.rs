//! Making, replacing and removing containers.

use std::collections::BTreeMap;

use crate::graph::{Id, number};
use crate::observed::Container;
use crate::op::{Inherited, Op, Target};
use crate::stopping;

use super::resources::{stop, stop_after};
use super::verdict::{Slot, Verdict};
use super::{Builder, existing};

pub(super) fn services(builder: &mut Builder<'_>) {
    for service in builder.order.clone() {
        for slot in builder.slots[service].clone() {
            let exchanged = matches!(slot.verdict, Verdict::Recreate(_)) && slot.old.is_some();
            if !(exchanged && builder.rolling.contains_key(service)) {
                container(builder, service, &slot);
            }
        }
    }
}

pub(super) fn container<'a>(builder: &mut Builder<'a>, service: &'a str, slot: &Slot<'a>) {
    match (&slot.verdict, slot.old) {
        (Verdict::Keep, _) => {}
        (Verdict::Rename, Some(old)) => {
            let op = Op::Rename {
                target: renamed(existing(old), &slot.name),
            };
            let after = name_is_free(builder, &slot.name);
            let cause = "an interrupted recreation is finished";
            let id = builder.plan.add(after, op, cause);
            builder.made.insert(slot.name.clone(), id);
        }
        (Verdict::Remove(cause), Some(old)) => {
            remove(builder, old, cause, true);
        }
        (Verdict::Create(cause) | Verdict::Recreate(cause), None) => {
            create(builder, service, slot, cause);
        }
        (Verdict::Create(cause) | Verdict::Recreate(cause), Some(old)) => {
            match builder.removed.contains_key(old.id.as_str()) {
                true => create(builder, service, slot, cause),
                false => recreate(builder, service, slot, old, cause),
            }
        }
        (Verdict::Rename | Verdict::Remove(_), None) => {}
    }
}

fn renamed(target: Target, name: &str) -> Target {
    Target {
        name: name.into(),
        ..target
    }
}

fn target(service: &str, slot: &Slot<'_>, reference: String) -> Target {
    Target {
        service: service.into(),
        number: slot.number,
        name: slot.name.clone(),
        reference,
    }
}

/// What a container of this service needs before it can be made.
fn prerequisites(builder: &Builder<'_>, name: &str) -> Vec<Id> {
    let service = builder.service(name);
    let networks = service
        .networks
        .iter()
        .filter_map(|key| builder.networks.get(key.as_str()));
    let volumes = service
        .volumes
        .iter()
        .filter_map(|key| builder.volumes.get(key.as_str()));
    let parents = service
        .joins
        .iter()
        .filter_map(|parent| builder.slots.get(parent.as_str()));
    let parents = parents
        .flatten()
        .filter_map(|slot| builder.made.get(&slot.name));
    networks.chain(volumes).chain(parents).copied().collect()
}

/// A name is free only when whoever bears it is gone.
fn name_is_free(builder: &Builder<'_>, name: &str) -> Option<Id> {
    let mut all = builder.observed.containers.iter();
    let bearer = all.find(|container| container.name == name)?;
    builder.removed.get(bearer.id.as_str()).copied()
}

fn create<'a>(builder: &mut Builder<'a>, service: &'a str, slot: &Slot<'a>, cause: &str) {
    let mut after = prerequisites(builder, service);
    after.extend(name_is_free(builder, &slot.name));
    after.extend(
        slot.old
            .and_then(|old| builder.removed.get(old.id.as_str())),
    );
    let inherit = slot
        .old
        .map(|old| inherited(builder, service, old))
        .unwrap_or_default();
    let op = Op::Create {
        target: target(service, slot, slot.name.clone()),
        replaces: None,
        inherit,
        joins: joined(builder, service),
    };
    let id = builder.plan.add(after, op, cause);
    builder.made.insert(slot.name.clone(), id);
}

/// The successor is complete before the old container is touched, so that a failure to make it leaves
/// the service as it was. Ports are bound at start and do not collide.
fn recreate<'a>(
    builder: &mut Builder<'a>,
    service: &'a str,
    slot: &Slot<'a>,
    old: &'a Container,
    cause: &str,
) {
    let exchange = Exchange::new(service, slot, old);
    let created = exchange.create(builder, Vec::new(), cause);
    let done = exchange.retire(builder, created, Vec::new());
    builder.made.insert(slot.name.clone(), done);
}

/// One container and its successor.
pub(super) struct Exchange<'s, 'a> {
    service: &'a str,
    slot: &'s Slot<'a>,
    old: &'a Container,
    group: String,
}

impl<'s, 'a> Exchange<'s, 'a> {
    pub(super) fn new(service: &'a str, slot: &'s Slot<'a>, old: &'a Container) -> Self {
        let group = format!("recreate:{service}:{}", slot.number);
        Self {
            service,
            slot,
            old,
            group,
        }
    }

    pub(super) fn group(&self) -> &str {
        &self.group
    }

    /// The successor under the name that it has until the old container is gone.
    pub(super) fn successor(&self) -> Target {
        let short: String = self.old.id.chars().take(12).collect();
        target(
            self.service,
            self.slot,
            format!("{short}_{}", self.slot.name),
        )
    }

    pub(super) fn create(&self, builder: &mut Builder<'a>, mut after: Vec<Id>, cause: &str) -> Id {
        let successor = self.successor();
        after.extend(prerequisites(builder, self.service));
        after.extend(name_is_free(builder, &successor.reference));
        let op = Op::Create {
            target: successor,
            replaces: Some(self.old.name.clone()),
            inherit: inherited(builder, self.service, self.old),
            joins: joined(builder, self.service),
        };
        builder.plan.add_in(after, op, cause, Some(&self.group))
    }

    /// Stops and removes the old container and gives its name to the successor.
    pub(super) fn retire(&self, builder: &mut Builder<'a>, created: Id, ready: Vec<Id>) -> Id {
        let old = self.old;
        let group = Some(self.group.as_str());
        let replaced = format!("replaced by #{}", number(created));
        let mut before = vec![created];
        before.extend(&ready);
        let dependents = stop_dependents(builder, self.service, &before);
        let before = builder.stopped.get(old.id.as_str()).copied();
        let stopped = match before {
            Some(id) => Some(id),
            None if old.state.is_live() => {
                let mut after = vec![created];
                after.extend(dependents);
                after.extend(&ready);
                let (plan, desired) = (&mut builder.plan, builder.desired);
                let id = stopping::stop(plan, desired, old, after, &replaced, group);
                builder.stopped.insert(&old.id, id);
                Some(id)
            }
            None => None,
        };
        let detached = builder.detached.get(old.id.as_str());
        let detached = detached.cloned().unwrap_or_default();
        let op = Op::Remove {
            target: existing(old),
            volumes: builder.choices.renew_anonymous_volumes,
        };
        let mut after = vec![created];
        after.extend(stopped);
        after.extend(detached);
        // Its own stop has waited for that already.
        if before.is_some() || stopped.is_none() {
            after.extend(ready);
        }
        let removed = builder.plan.add_in(after, op, replaced, group);
        builder.removed.insert(&old.id, removed);
        let cause = format!("takes the place of #{}", number(removed));
        let op = Op::Rename {
            target: self.successor(),
        };
        builder.plan.add_in([removed], op, cause, group)
    }
}

/// Running containers that asked to be restarted with this service stop before it does. Those that
/// are themselves replaced stop on their own account, but no later.
fn stop_dependents<'a>(builder: &mut Builder<'a>, service: &str, after: &[Id]) -> Vec<Id> {
    let mut stops = Vec::new();
    let desired = builder.desired;
    for (name, dependent) in &desired.services {
        let bound = |need: &crate::Dependency| need.service == service && need.restart;
        if !dependent.depends_on.iter().any(bound) {
            continue;
        }
        for container in builder.observed.replicas(name) {
            let cause = format!("restarts with `{service}`");
            stops.extend(stop_after(builder, after.to_vec(), container, &cause));
        }
    }
    stops
}

/// The first container that each parent service will have.
fn joined(builder: &Builder<'_>, name: &str) -> BTreeMap<String, String> {
    let mut joined = BTreeMap::new();
    for parent in &builder.service(name).joins {
        let slots = builder.slots.get(parent.as_str()).into_iter().flatten();
        let mut staying = slots.filter(|slot| !matches!(slot.verdict, Verdict::Remove(_)));
        let observed = builder.observed.replicas(parent);
        let first = match staying.next() {
            Some(slot) => Some(slot.name.clone()),
            None => observed.first().map(|container| container.name.clone()),
        };
        joined.extend(first.map(|first| (parent.clone(), first)));
    }
    joined
}

/// Anonymous volumes move on by path, unless the service now puts something of its own there.
fn inherited(builder: &Builder<'_>, service: &str, old: &Container) -> Vec<Inherited> {
    if builder.choices.renew_anonymous_volumes {
        return Vec::new();
    }
    let targets = &builder.service(service).targets;
    let mounts = old
        .mounts
        .iter()
        .filter(|m| m.anonymous && !targets.contains(&m.target));
    mounts
        .map(|m| Inherited {
            volume: m.volume.clone(),
            target: m.target.clone(),
        })
        .collect()
}

fn remove<'a>(builder: &mut Builder<'a>, old: &'a Container, cause: &str, volumes: bool) {
    if builder.removed.contains_key(old.id.as_str()) {
        return;
    }
    let stopped = stop(builder, old, cause);
    let detached = builder
        .detached
        .get(old.id.as_str())
        .cloned()
        .unwrap_or_default();
    let op = Op::Remove {
        target: existing(old),
        volumes,
    };
    let id = builder
        .plan
        .add(stopped.into_iter().chain(detached), op, cause);
    builder.removed.insert(&old.id, id);
}

/// Containers of services that the project no longer has, and one-off containers that have ended.
pub(super) fn orphans(builder: &mut Builder<'_>) {
    let (desired, observed) = (builder.desired, builder.observed);
    let orphans: Vec<&Container> = observed
        .containers
        .iter()
        .filter(|container| is_orphan(desired, container))
        .collect();
    if builder.choices.remove_orphans {
        for orphan in orphans {
            let cause = match orphan.one_off {
                true => "one-off container that has ended".to_owned(),
                false => format!("the project has no service `{}`", orphan.service),
            };
            remove(builder, orphan, &cause, false);
        }
    } else if !orphans.is_empty() && !builder.choices.ignore_orphans {
        let names: Vec<String> = orphans
            .iter()
            .map(|orphan| format!("`{}`", orphan.name))
            .collect();
        builder.plan.warn(format!(
            "found orphan containers {} of project `{}`; `--remove-orphans` removes them",
            names.join(", "),
            desired.project
        ));
    }
}

pub(crate) fn is_orphan(desired: &crate::Desired, container: &Container) -> bool {
    let known = desired.services.contains_key(&container.service)
        || desired.disabled.contains(&container.service);
    match (container.hook, container.one_off) {
        // What a command before the start left is cleared up before the next one runs.
        (true, _) => false,
        (false, true) => !container.state.is_live() && container.state != crate::State::Created,
        (false, false) => !known,
    }
}
