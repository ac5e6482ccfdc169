//! The plan of `down`: containers in reverse dependency order, then networks, then volumes.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::Desired;
use crate::error::Result;
use crate::graph::{Id, Plan};
use crate::observed::{Container, Observed};
use crate::op::Op;
use crate::order;
use crate::stopping;
use crate::up::{existing, is_orphan};

/// Which images go, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Images {
    /// Those of all services.
    All,
    /// Those that are built here and have no name of their own.
    Local,
}

/// Choices of one `down`.
#[derive(Clone, Debug, Default)]
pub struct Down {
    /// Named services, whose dependents go with them; all if empty.
    pub services: Vec<String>,
    /// Named volumes of the project and anonymous ones, too.
    pub volumes: bool,
    /// Containers of services that the project no longer has, too.
    pub remove_orphans: bool,
    /// Images, too.
    pub images: Option<Images>,
    /// There is a file. Without one everything that bears the project's label belongs to it.
    pub has_file: bool,
}

/// Plans `down`.
///
/// # Errors
/// A service name that neither the file nor a container knows; a dependency cycle.
pub fn down(desired: &Desired, observed: &Observed, choices: &Down) -> Result<Plan> {
    let mut plan = Plan::default();
    let going = going(desired, observed, choices)?;
    let removed = containers(&mut plan, desired, observed, &going, choices)?;
    images(&mut plan, desired, observed, &removed, choices);
    if !choices.services.is_empty() {
        return Ok(plan);
    }
    let staying: Vec<&Container> = observed
        .containers
        .iter()
        .filter(|c| !removed.contains_key(c.id.as_str()))
        .collect();
    warn_of_orphans(&mut plan, desired, &staying);
    networks(&mut plan, desired, observed, &staying, &removed, choices);
    if choices.volumes {
        volumes(&mut plan, desired, observed, &removed, choices);
    }
    Ok(plan)
}

fn going<'a>(
    desired: &Desired,
    observed: &'a Observed,
    choices: &Down,
) -> Result<Vec<&'a Container>> {
    let named: Option<BTreeSet<String>> = match choices.services.is_empty() {
        true => None,
        false => Some(order::dependents_closure(
            desired,
            observed,
            &choices.services,
        )?),
    };
    let goes = |container: &&Container| match &named {
        Some(names) => !container.one_off && names.contains(&container.service),
        None if choices.remove_orphans || !choices.has_file => true,
        None => !container.one_off && !is_orphan(desired, container),
    };
    Ok(observed.containers.iter().filter(goes).collect())
}

fn containers<'a>(
    plan: &mut Plan,
    desired: &Desired,
    observed: &'a Observed,
    going: &[&'a Container],
    choices: &Down,
) -> Result<BTreeMap<&'a str, Id>> {
    let needs = order::with_labels(order::declared(desired), observed);
    let names: Vec<&str> = needs.keys().copied().collect();
    let mut sorted = order::sorted(&needs, &names)?;
    sorted.reverse();
    let mut stopped: BTreeMap<&str, Vec<Id>> = BTreeMap::new();
    let mut removed = BTreeMap::new();
    for service in sorted {
        let dependents = needs
            .iter()
            .filter(|(_, list)| list.iter().any(|n| n.service == service));
        let before: Vec<Id> = dependents
            .filter_map(|(name, _)| stopped.get(name))
            .flatten()
            .copied()
            .collect();
        for container in going
            .iter()
            .filter(|container| container.service == service)
        {
            let cause = if choices.has_file && is_orphan(desired, container) {
                "orphan"
            } else {
                "down"
            };
            let stop = container
                .state
                .is_live()
                .then(|| stopping::stop(plan, desired, container, before.clone(), cause, None));
            stopped.entry(&container.service).or_default().extend(stop);
            let op = Op::Remove {
                target: existing(container),
                volumes: choices.volumes,
            };
            removed.insert(container.id.as_str(), plan.add(stop, op, cause));
        }
        // A service without anything to stop hands on what it would have waited for.
        let own = stopped.entry(service_key(&needs, service)).or_default();
        if own.is_empty() {
            own.extend(before);
        }
    }
    Ok(removed)
}

/// One removal for each name, when the containers that were made from it are gone.
fn images(
    plan: &mut Plan,
    desired: &Desired,
    observed: &Observed,
    removed: &BTreeMap<&str, Id>,
    choices: &Down,
) {
    let Some(which) = choices.images else { return };
    let mut users: BTreeMap<&str, Vec<Id>> = BTreeMap::new();
    for (name, service) in &desired.services {
        let chosen = choices.services.is_empty() || choices.services.contains(name);
        let local = service.image.build && !service.image.named;
        if !chosen || service.image.reference.is_empty() || which == Images::Local && !local {
            continue;
        }
        let containers = observed.containers.iter().filter(|c| c.service == *name);
        let gone = containers.filter_map(|c| removed.get(c.id.as_str()));
        users
            .entry(&service.image.reference)
            .or_default()
            .extend(gone);
    }
    for (reference, after) in users {
        let reference = reference.to_owned();
        plan.add(after, Op::RemoveImage { reference }, "--rmi");
    }
}

fn service_key<'a>(needs: &order::Needs<'a>, service: &'a str) -> &'a str {
    needs
        .get_key_value(service)
        .map_or(service, |(name, _)| name)
}

fn warn_of_orphans(plan: &mut Plan, desired: &Desired, staying: &[&Container]) {
    let names: Vec<String> = staying
        .iter()
        .map(|container| format!("`{}`", container.name))
        .collect();
    if !names.is_empty() {
        plan.warn(format!(
            "containers {} of project `{}` stay; `--remove-orphans` removes them",
            names.join(", "),
            desired.project
        ));
    }
}

fn networks(
    plan: &mut Plan,
    desired: &Desired,
    observed: &Observed,
    staying: &[&Container],
    removed: &BTreeMap<&str, Id>,
    choices: &Down,
) {
    for network in &observed.networks {
        let Some(key) = &network.key else { continue };
        let declared = desired
            .networks
            .get(key)
            .filter(|declared| !declared.external);
        if choices.has_file && declared.is_none() && !choices.remove_orphans {
            continue;
        }
        if staying
            .iter()
            .any(|container| container.networks.contains(&network.name))
        {
            continue;
        }
        let members = observed
            .containers
            .iter()
            .filter(|c| c.networks.contains(&network.name));
        let after: Vec<Id> = members
            .filter_map(|c| removed.get(c.id.as_str()))
            .copied()
            .collect();
        let op = Op::RemoveNetwork {
            key: key.clone(),
            name: network.name.clone(),
            id: network.id.clone(),
            best_effort: true,
        };
        plan.add(after, op, "down");
    }
}

fn volumes(
    plan: &mut Plan,
    desired: &Desired,
    observed: &Observed,
    removed: &BTreeMap<&str, Id>,
    choices: &Down,
) {
    for volume in &observed.volumes {
        let Some(key) = &volume.key else { continue };
        let declared = desired
            .volumes
            .get(key)
            .filter(|declared| !declared.external);
        if choices.has_file && declared.is_none() {
            continue;
        }
        let mounts = |c: &&Container| c.mounts.iter().any(|mount| mount.volume == volume.name);
        let users = observed.containers.iter().filter(mounts);
        let after: Vec<Id> = users
            .filter_map(|c| removed.get(c.id.as_str()))
            .copied()
            .collect();
        let op = Op::RemoveVolume {
            key: key.clone(),
            name: volume.name.clone(),
        };
        plan.add(after, op, "--volumes");
    }
}
