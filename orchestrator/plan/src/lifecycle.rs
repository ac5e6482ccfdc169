//! Plans that change no configuration: stop, start, restart, kill, rm, pause, unpause.
//!
//! They work on the containers that exist, so a service that is in the file but has none is passed
//! over, except by `start`, which says so.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::{Dependency, Desired};
use crate::error::{PlanError, Result};
use crate::graph::{Id, Plan};
use crate::observed::{Container, Health, Observed, State};
use crate::op::{Await, Condition, Op, Target};
use crate::order::{self, Needs};
use crate::stopping;
use crate::up::existing;

/// Choices of one `restart`.
#[derive(Clone, Debug, Default)]
pub struct Restart {
    /// Named services; all if empty.
    pub services: Vec<String>,
    /// Leave dependents alone that asked to be restarted along.
    pub no_deps: bool,
}

/// Choices of one `kill`.
#[derive(Clone, Debug)]
pub struct Kill {
    /// Named services; all if empty.
    pub services: Vec<String>,
    /// Name or number of the signal.
    pub signal: String,
    /// Those of services that the project no longer has, too.
    pub orphans: bool,
}

/// The services that a command is about.
fn selected(desired: &Desired, observed: &Observed, named: &[String]) -> Result<BTreeSet<String>> {
    let needs = order::with_labels(order::declared(desired), observed);
    for name in named {
        if !needs.contains_key(name.as_str()) && !desired.disabled.contains(name) {
            return Err(order::no_such_service(name, needs.keys().copied()));
        }
    }
    if !named.is_empty() {
        return Ok(named.iter().cloned().collect());
    }
    let orphan = |name: &&&str| {
        !desired.services.is_empty()
            && !desired.services.contains_key(**name)
            && !desired.disabled.contains(**name)
    };
    Ok(needs
        .keys()
        .filter(|name| !orphan(name))
        .map(|name| (*name).to_owned())
        .collect())
}

/// The selected services, dependencies first.
fn ordered<'a>(needs: &Needs<'a>, selected: &BTreeSet<String>) -> Result<Vec<&'a str>> {
    let names: Vec<&str> = needs
        .keys()
        .copied()
        .filter(|name| selected.contains(*name))
        .collect();
    order::sorted(needs, &names)
}

fn ids<'a>(by_service: &BTreeMap<&str, Vec<Id>>, names: impl Iterator<Item = &'a str>) -> Vec<Id> {
    names
        .filter_map(|name| by_service.get(name))
        .flatten()
        .copied()
        .collect()
}

/// Plans `stop`: dependents before what they depend on.
///
/// # Errors
/// An unknown service; a dependency cycle.
pub fn stop(desired: &Desired, observed: &Observed, named: &[String]) -> Result<Plan> {
    let selected = selected(desired, observed, named)?;
    let needs = order::with_labels(order::declared(desired), observed);
    let mut plan = Plan::default();
    let mut stopped: BTreeMap<&str, Vec<Id>> = BTreeMap::new();
    for service in ordered(&needs, &selected)?.into_iter().rev() {
        let dependents = needs
            .iter()
            .filter(|(_, list)| list.iter().any(|n| n.service == service));
        let before = ids(&stopped, dependents.map(|(name, _)| *name));
        let live = observed
            .replicas(service)
            .into_iter()
            .filter(|c| c.state.is_live());
        let mut own: Vec<Id> = live
            .map(|c| stopping::stop(&mut plan, desired, c, before.clone(), "stop", None))
            .collect();
        if own.is_empty() {
            own = before;
        }
        stopped.insert(service, own);
    }
    Ok(plan)
}

/// Plans `start` of existing containers, in dependency order and with the waits of `depends_on`.
///
/// # Errors
/// A named service without a container; an unknown service; a dependency cycle.
pub fn start(desired: &Desired, observed: &Observed, named: &[String], wait: bool) -> Result<Plan> {
    let selected = selected(desired, observed, named)?;
    if let Some(service) = named.iter().find(|name| observed.replicas(name).is_empty()) {
        return Err(PlanError::NoContainer {
            service: service.clone(),
        });
    }
    let needs = order::with_labels(order::declared(desired), observed);
    let mut plan = Plan::default();
    let mut started: BTreeMap<&str, Vec<Id>> = BTreeMap::new();
    let names = ordered(&needs, &selected)?;
    for &service in &names {
        let idle: Vec<&Container> = observed
            .replicas(service)
            .into_iter()
            .filter(|c| needs_start(c))
            .collect();
        if idle.is_empty() {
            continue;
        }
        let before = conditions(&mut plan, &needs, service, observed, &started);
        let own = idle
            .into_iter()
            .map(|container| start_one(&mut plan, desired, container, &before));
        let own = own.collect();
        started.insert(service, own);
    }
    if wait {
        for service in names {
            let after = ids(&started, std::iter::once(service));
            let anew = !after.is_empty();
            if let Some(op) = wait_op(service, Await::Ready, observed, anew, false) {
                plan.add(after, op, "`--wait`");
            }
        }
    }
    Ok(plan)
}

/// Containers that never ran have what was prepared for them before; a hook that failed then is run
/// again by `up`.
fn start_one(plan: &mut Plan, desired: &Desired, container: &Container, before: &[Id]) -> Id {
    let target = existing(container);
    if container.state == State::Paused {
        return plan.add(before.iter().copied(), Op::Unpause { target }, "start");
    }
    let op = Op::Start {
        target: target.clone(),
    };
    let id = plan.add(before.iter().copied(), op, "start");
    post_start(plan, desired, target, id)
}

fn post_start(plan: &mut Plan, desired: &Desired, target: Target, started: Id) -> Id {
    let service = desired.services.get(&target.service);
    match service.is_some_and(|service| service.hooks.post_start) {
        true => plan.add([started], Op::PostStart { target }, "hook"),
        false => started,
    }
}

fn needs_start(container: &Container) -> bool {
    !matches!(
        container.state,
        State::Running | State::Restarting | State::Removing
    )
}

fn conditions<'a>(
    plan: &mut Plan,
    needs: &Needs<'a>,
    service: &str,
    observed: &Observed,
    started: &BTreeMap<&'a str, Vec<Id>>,
) -> Vec<Id> {
    let mut after = Vec::new();
    let list: Vec<&Dependency> = needs.get(service).cloned().unwrap_or_default();
    for need in list {
        let dependency = ids(started, std::iter::once(need.service.as_str()));
        let until = match need.condition {
            Condition::Started => {
                after.extend(dependency);
                continue;
            }
            Condition::Healthy => Await::Healthy,
            Condition::Completed => Await::Completed,
        };
        let anew = !dependency.is_empty();
        match wait_op(&need.service, until, observed, anew, !need.required) {
            Some(op) => after.push(plan.add(dependency, op, format!("`{service}` depends on it"))),
            None => after.extend(dependency),
        }
    }
    after
}

fn wait_op(
    service: &str,
    until: Await,
    observed: &Observed,
    anew: bool,
    optional: bool,
) -> Option<Op> {
    let pending = observed.replicas(service).into_iter().filter(|container| {
        anew || !match until {
            Await::Healthy => container.health == Health::Healthy,
            Await::Completed => container.state == State::Exited(0),
            Await::Ready => matches!(container.health, Health::Healthy | Health::None),
        }
    });
    let targets: Vec<Target> = pending.map(existing).collect();
    let service = service.to_owned();
    (!targets.is_empty()).then_some(Op::Wait {
        service,
        until,
        targets,
        optional,
    })
}

/// Plans `restart`: the named services and, unless told otherwise, the dependents that asked for it.
///
/// # Errors
/// An unknown service; a dependency cycle.
pub fn restart(desired: &Desired, observed: &Observed, choices: &Restart) -> Result<Plan> {
    let mut selected = selected(desired, observed, &choices.services)?;
    let needs = order::with_labels(order::declared(desired), observed);
    let named = selected.clone();
    if !choices.no_deps {
        let bound =
            |list: &[&Dependency]| list.iter().any(|n| n.restart && named.contains(&n.service));
        let dependents = needs.iter().filter(|(_, list)| bound(list));
        selected.extend(dependents.map(|(name, _)| (*name).to_owned()));
    }
    let mut plan = Plan::default();
    let mut restarted: BTreeMap<&str, Vec<Id>> = BTreeMap::new();
    for service in ordered(&needs, &selected)? {
        let cause = match named.contains(service) {
            true => "restart",
            false => "a dependency restarts",
        };
        let replicas = observed.replicas(service);
        if replicas.is_empty() {
            continue;
        }
        // A dependency that goes on running is as good as it was.
        let mut bound = needs.clone();
        if let Some(list) = bound.get_mut(service) {
            list.retain(|need| restarted.contains_key(need.service.as_str()));
        }
        let before = conditions(&mut plan, &bound, service, observed, &restarted);
        let mut own = Vec::new();
        for container in replicas {
            let after = stopping::before(&mut plan, desired, container, before.clone(), None);
            let target = existing(container);
            let op = Op::Restart {
                target: target.clone(),
            };
            let id = plan.add(after, op, cause);
            own.push(post_start(&mut plan, desired, target, id));
        }
        restarted.insert(service, own);
    }
    Ok(plan)
}

/// Plans `kill` of everything that lives.
///
/// # Errors
/// An unknown service.
pub fn kill(desired: &Desired, observed: &Observed, choices: &Kill) -> Result<Plan> {
    let selected = selected(desired, observed, &choices.services)?;
    let all = choices.orphans && choices.services.is_empty();
    let mut plan = Plan::default();
    let live = observed
        .containers
        .iter()
        .filter(|container| container.state.is_live());
    for container in live {
        if all || (container.is_replica() && selected.contains(&container.service)) {
            let (target, signal) = (existing(container), choices.signal.clone());
            plan.add([], Op::Kill { target, signal }, "kill");
        }
    }
    Ok(plan)
}

/// Plans `rm`: what is stopped goes; with `stop_first` what lives is stopped.
///
/// # Errors
/// An unknown service; a dependency cycle.
pub fn remove_stopped(
    desired: &Desired,
    observed: &Observed,
    named: &[String],
    volumes: bool,
    stop_first: bool,
) -> Result<Plan> {
    let selected = selected(desired, observed, named)?;
    let mut plan = match stop_first {
        true => stop(desired, observed, named)?,
        false => Plan::default(),
    };
    let stops: BTreeMap<String, Id> = plan
        .ids()
        .filter_map(|(id, node)| Some((node.op.target()?.reference.clone(), id)))
        .collect();
    for container in &observed.containers {
        let stop = stops.get(&container.id);
        let gone = stop.is_some() || !container.state.is_live();
        if gone && container.is_replica() && selected.contains(&container.service) {
            let op = Op::Remove {
                target: existing(container),
                volumes,
            };
            plan.add(stop.copied(), op, "rm");
        }
    }
    Ok(plan)
}

/// Plans `pause` of everything that runs.
///
/// # Errors
/// An unknown service.
pub fn pause(desired: &Desired, observed: &Observed, named: &[String]) -> Result<Plan> {
    each(desired, observed, named, State::Running, |target| {
        (Op::Pause { target }, "pause")
    })
}

/// Plans `unpause` of everything that is frozen.
///
/// # Errors
/// An unknown service.
pub fn unpause(desired: &Desired, observed: &Observed, named: &[String]) -> Result<Plan> {
    each(desired, observed, named, State::Paused, |target| {
        (Op::Unpause { target }, "unpause")
    })
}

fn each(
    desired: &Desired,
    observed: &Observed,
    named: &[String],
    state: State,
    op: impl Fn(Target) -> (Op, &'static str),
) -> Result<Plan> {
    let selected = selected(desired, observed, named)?;
    let mut plan = Plan::default();
    for container in &observed.containers {
        let chosen = container.is_replica() && selected.contains(&container.service);
        if chosen && container.state == state {
            let (op, cause) = op(existing(container));
            plan.add([], op, cause);
        }
    }
    Ok(plan)
}
