//! Images, networks and volumes: what containers need before they can be made.

use crate::changes;
use crate::desired::{Network, Volume};
use crate::error::{PlanError, Result};
use crate::graph::{Id, number};
use crate::observed::{Container, ObservedNetwork, ObservedVolume};
use crate::op::Op;
use crate::stopping;

use super::verdict::Verdict;
use super::{Builder, existing};

/// One pull for each image that is missing and that some new container needs. Nothing else begins
/// before all are here: an image that cannot be had leaves everything as it was.
pub(super) fn images(builder: &mut Builder<'_>) -> Result<()> {
    for service in builder.order.clone() {
        let image = &builder.service(service).image;
        let needed = builder.slots[service]
            .iter()
            .any(|slot| slot.verdict.renews());
        if !needed || image.local.is_some() || builder.images.contains_key(image.reference.as_str())
        {
            continue;
        }
        let reference = image.reference.clone();
        if image.build {
            let op = Op::BuildImage {
                service: service.into(),
                reference,
            };
            let id = builder.plan.add([], op, "not here yet");
            builder.images.insert(&image.reference, id);
            continue;
        }
        if !image.pull {
            return Err(PlanError::ImageMissing {
                service: service.into(),
                image: reference,
            });
        }
        let id = builder
            .plan
            .add([], Op::PullImage { reference }, "not here yet");
        builder.images.insert(&image.reference, id);
    }
    let pulls: Vec<Id> = builder.images.values().copied().collect();
    builder.plan.hold_until(pulls);
    Ok(())
}

/// Every network that a service in play uses.
pub(super) fn networks<'a>(builder: &mut Builder<'a>) -> Result<()> {
    let desired = builder.desired;
    for (key, network) in &desired.networks {
        let used = |name: &&'a str| desired.services[*name].networks.contains(key);
        if !builder.order.iter().any(used) {
            continue;
        }
        match builder.observed.network(&network.name) {
            None if network.external => {
                let (key, name) = (key.clone(), network.name.clone());
                return Err(PlanError::ExternalNetworkMissing { key, name });
            }
            None => {
                let cause = network_cause(builder, key);
                let id = builder
                    .plan
                    .add([], Op::CreateNetwork { key: key.clone() }, cause);
                builder.networks.insert(key, id);
            }
            Some(_) if network.external => {}
            Some(found) => existing_network(builder, key, network, found),
        }
    }
    Ok(())
}

fn network_cause(builder: &Builder<'_>, key: &str) -> String {
    let before = |network: &&ObservedNetwork| network.key.as_deref() == Some(key);
    match builder.observed.networks.iter().find(before) {
        Some(old) => format!("renamed from {}", old.name),
        None => "not found".into(),
    }
}

fn existing_network<'a>(
    builder: &mut Builder<'a>,
    key: &'a str,
    network: &Network,
    found: &'a ObservedNetwork,
) {
    if found.key.is_none() {
        builder.plan.warn(format!(
            "network `{}` exists but was not created for project `{}`; set `external: true` to use an \
             existing network",
            network.name, builder.desired.project
        ));
    } else if !found.hashes.is_empty() && !found.hashes.matches(&network.hashes) {
        replace_network(builder, key, found);
    }
}

/// A network cannot be changed and cannot be removed while it has members. Its members are stopped
/// and detached, and attached to its successor unless they are themselves replaced.
fn replace_network<'a>(builder: &mut Builder<'a>, key: &'a str, found: &'a ObservedNetwork) {
    let cause = format!("configuration of network `{key}` changed");
    let model = &builder.desired.networks[key].model;
    let root = format!("networks/{key}");
    let change = changes::cause(&root, found.model.as_deref(), model, builder.place);
    let observed = builder.observed;
    let members: Vec<&'a Container> = observed
        .containers
        .iter()
        .filter(|c| c.networks.contains(&found.name))
        .collect();
    let mut detached = Vec::new();
    for member in &members {
        let stopped = stop(builder, member, &cause);
        let op = Op::Disconnect {
            target: existing(member),
            network: found.name.clone(),
        };
        let id = builder.plan.add(stopped, op, &cause);
        builder.detached.entry(&member.id).or_default().push(id);
        detached.push(id);
    }
    let op = Op::RemoveNetwork {
        key: key.into(),
        name: found.name.clone(),
        id: found.id.clone(),
        best_effort: false,
    };
    let removed = builder.plan.add(detached, op, change);
    let op = Op::CreateNetwork { key: key.into() };
    let created = builder
        .plan
        .add([removed], op, format!("replaces #{}", number(removed)));
    builder.networks.insert(key, created);
    builder
        .parted
        .extend(members.into_iter().map(|member| (key, member)));
}

/// Who lost a network and stays gets its successor, when it is known who stays.
pub(super) fn reattach(builder: &mut Builder<'_>) {
    for (key, member) in std::mem::take(&mut builder.parted) {
        if !survives(builder, member) || builder.removed.contains_key(member.id.as_str()) {
            continue;
        }
        let created = builder.networks[key];
        let op = Op::Connect {
            target: existing(member),
            key: key.into(),
        };
        let cause = format!("was on the network that #{} replaces", number(created));
        let id = builder.plan.add([created], op, cause);
        builder.reattached.entry(&member.id).or_default().push(id);
    }
}

fn survives(builder: &Builder<'_>, container: &Container) -> bool {
    let slots = builder
        .slots
        .get(container.service.as_str())
        .into_iter()
        .flatten();
    let mut own = slots.filter(|slot| slot.old.is_some_and(|old| old.id == container.id));
    own.next()
        .is_none_or(|slot| matches!(slot.verdict, Verdict::Keep | Verdict::Rename))
}

/// The node that stops a live container, added once.
pub(super) fn stop<'a>(
    builder: &mut Builder<'a>,
    container: &'a Container,
    cause: &str,
) -> Option<Id> {
    stop_after(builder, Vec::new(), container, cause)
}

/// The same, not before some nodes.
pub(super) fn stop_after<'a>(
    builder: &mut Builder<'a>,
    after: Vec<Id>,
    container: &'a Container,
    cause: &str,
) -> Option<Id> {
    if !container.state.is_live() {
        return None;
    }
    if let Some(id) = builder.stopped.get(container.id.as_str()) {
        return Some(*id);
    }
    let (plan, desired) = (&mut builder.plan, builder.desired);
    let id = stopping::stop(plan, desired, container, after, cause, None);
    builder.stopped.insert(&container.id, id);
    Some(id)
}

/// Every named volume that a service in play mounts.
pub(super) fn volumes<'a>(builder: &mut Builder<'a>) -> Result<()> {
    let desired = builder.desired;
    for (key, volume) in &desired.volumes {
        let used = |name: &&'a str| desired.services[*name].volumes.contains(key);
        if !builder.order.iter().any(used) {
            continue;
        }
        match builder.observed.volume(&volume.name) {
            None if volume.external => {
                let (key, name) = (key.clone(), volume.name.clone());
                return Err(PlanError::ExternalVolumeMissing { key, name });
            }
            None => {
                let op = Op::CreateVolume { key: key.clone() };
                let id = builder.plan.add([], op, "not found");
                builder.volumes.insert(key, id);
            }
            Some(_) if volume.external => {}
            Some(found) => existing_volume(builder, key, volume, found),
        }
    }
    Ok(())
}

fn existing_volume<'a>(
    builder: &mut Builder<'a>,
    key: &'a str,
    volume: &'a Volume,
    found: &ObservedVolume,
) {
    let name = &volume.name;
    if found.key.is_none() {
        builder.plan.warn(format!(
            "volume `{name}` exists but was not created for project `{}`; set `external: true` to use \
             an existing volume",
            builder.desired.project
        ));
    } else if found.hashes.is_empty() || found.hashes.matches(&volume.hashes) {
        // As it should be, or made by something that records no hash.
    } else if builder.choices.replace_volumes {
        replace_volume(
            builder,
            key,
            volume,
            &volume_change(builder, key, volume, found),
        );
    } else {
        let change = volume_change(builder, key, volume, found);
        builder.plan.warn(format!(
            "volume `{name}` differs from its configuration ({change}) and is kept with its data; \
             `--yes` replaces it and loses them"
        ));
    }
}

fn volume_change(
    builder: &Builder<'_>,
    key: &str,
    volume: &Volume,
    found: &ObservedVolume,
) -> String {
    let root = format!("volumes/{key}");
    changes::cause(&root, found.model.as_deref(), &volume.model, builder.place)
}

/// Its users go first, since a volume in use cannot be removed, and are made afresh.
fn replace_volume<'a>(builder: &mut Builder<'a>, key: &'a str, volume: &'a Volume, change: &str) {
    let cause = format!("configuration of volume `{key}` changed");
    let mut removed = Vec::new();
    let observed = builder.observed;
    let mounts = |c: &&Container| c.mounts.iter().any(|mount| mount.volume == volume.name);
    for user in observed.containers.iter().filter(mounts) {
        if let Some(id) = builder.removed.get(user.id.as_str()) {
            removed.push(*id);
            continue;
        }
        let stopped = stop(builder, user, &cause);
        let detached = builder
            .detached
            .get(user.id.as_str())
            .cloned()
            .unwrap_or_default();
        let op = Op::Remove {
            target: existing(user),
            volumes: false,
        };
        let id = builder
            .plan
            .add(stopped.into_iter().chain(detached), op, &cause);
        builder.removed.insert(&user.id, id);
        removed.push(id);
        anew(builder, user, &cause);
    }
    let op = Op::RemoveVolume {
        key: key.into(),
        name: volume.name.clone(),
    };
    let gone = builder.plan.add(removed, op, change);
    let op = Op::CreateVolume { key: key.into() };
    let created = builder
        .plan
        .add([gone], op, format!("replaces #{}", number(gone)));
    builder.volumes.insert(key, created);
    builder.replaced_volumes.insert(&volume.name);
}

fn anew<'a>(builder: &mut Builder<'a>, user: &Container, cause: &str) {
    let slots = builder
        .slots
        .get_mut(user.service.as_str())
        .into_iter()
        .flatten();
    for slot in slots.filter(|slot| slot.old.is_some_and(|old| old.id == user.id)) {
        if !matches!(slot.verdict, Verdict::Remove(_)) {
            slot.verdict = Verdict::Recreate(cause.into());
        }
    }
}

/// A network whose name changed in the file: its successor has all the containers by now.
pub(super) fn renamed_networks(builder: &mut Builder<'_>) {
    let observed = builder.observed;
    for old in &observed.networks {
        let Some(key) = &old.key else { continue };
        let Some(created) = builder.networks.get(key.as_str()).copied() else {
            continue;
        };
        if builder
            .desired
            .networks
            .get(key)
            .is_some_and(|network| network.name == old.name)
        {
            continue;
        }
        let op = Op::RemoveNetwork {
            key: key.clone(),
            name: old.name.clone(),
            id: old.id.clone(),
            best_effort: true,
        };
        let mut after = vec![created];
        after.extend(members(builder, old));
        builder
            .plan
            .add(after, op, format!("renamed, see #{}", number(created)));
    }
}

fn members(builder: &Builder<'_>, network: &ObservedNetwork) -> Vec<Id> {
    let containers = builder.observed.containers.iter();
    let members = containers.filter(|container| container.networks.contains(&network.name));
    members
        .filter_map(|member| builder.removed.get(member.id.as_str()).copied())
        .collect()
}
