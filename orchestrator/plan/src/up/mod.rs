//! The plan of `up`, `create` and `run`'s dependencies: what must change so that the engine holds
//! what the project says.
//!
//! First a verdict for every replica (`verdict`), which looks at snapshots only; then the nodes:
//! images, networks, volumes (`resources`), containers (`containers`), starts and waits (`starts`).
//! Replicas that are exchanged a few at a time (`rolling`) are made and started in one go.

mod containers;
mod resources;
mod rolling;
mod starts;
mod verdict;

pub(crate) use containers::is_orphan;

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::{Dependency, Desired, Service, Update};
use crate::error::{PlanError, Result};
use crate::graph::{Id, Plan};
use crate::observed::{Container, Observed};
use crate::op::{Await, Target};
use crate::order;

use verdict::Slot;

/// When existing containers are replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recreate {
    /// When what they were made from differs.
    #[default]
    Diverged,
    /// Always.
    Force,
    /// Never.
    Never,
}

/// Choices of one `up`.
#[derive(Clone, Debug, Default)]
pub struct Up {
    /// Named services; all if empty.
    pub services: Vec<String>,
    /// For the named services.
    pub recreate: Recreate,
    /// For their dependencies that were not named.
    pub recreate_dependencies: Recreate,
    /// Leave dependencies alone.
    pub no_deps: bool,
    /// Create only.
    pub no_start: bool,
    /// Fresh anonymous volumes instead of those of the replaced containers.
    pub renew_anonymous_volumes: bool,
    /// Remove containers of services that the project no longer has.
    pub remove_orphans: bool,
    /// Do not warn about those either.
    pub ignore_orphans: bool,
    /// Replace volumes whose configuration changed, losing what they hold.
    pub replace_volumes: bool,
    /// Wait for all services to be ready at the end.
    pub wait: bool,
    /// Only what the named services need: their own containers are left as they are.
    pub around: bool,
}

/// Plans `up`.
///
/// # Errors
/// A wish that cannot be met, see [`PlanError`].
pub fn up(desired: &Desired, observed: &Observed, choices: &Up) -> Result<Plan> {
    up_at(desired, observed, choices, &|_| None)
}

/// Plans `up`, with causes that name where in the file a change stands.
///
/// `place` tells the place of a path such as `services/web/environment/DEBUG`.
///
/// # Errors
/// A wish that cannot be met, see [`PlanError`].
pub fn up_at(
    desired: &Desired,
    observed: &Observed,
    choices: &Up,
    place: &dyn Fn(&str) -> Option<String>,
) -> Result<Plan> {
    let mut builder = Builder::new(desired, observed, choices, place)?;
    builder.slots = verdict::slots(&builder);
    rolling::choose(&mut builder);
    resources::images(&mut builder)?;
    resources::networks(&mut builder)?;
    resources::volumes(&mut builder)?;
    containers::orphans(&mut builder);
    containers::services(&mut builder);
    resources::reattach(&mut builder);
    if !choices.no_start {
        starts::services(&mut builder)?;
    }
    resources::renamed_networks(&mut builder);
    Ok(builder.plan)
}

/// A plan in the making with the facts its parts share.
struct Builder<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    choices: &'a Up,
    place: &'a dyn Fn(&str) -> Option<String>,
    /// The services in play, dependencies first.
    order: Vec<&'a str>,
    /// By service, one for every container that exists or shall exist.
    slots: BTreeMap<&'a str, Vec<Slot<'a>>>,
    plan: Plan,
    /// What a user of the image, network or volume with this key has to wait for.
    images: BTreeMap<&'a str, Id>,
    networks: BTreeMap<&'a str, Id>,
    volumes: BTreeMap<&'a str, Id>,
    /// Volumes, by name, that are replaced in this plan: their users go first.
    replaced_volumes: BTreeSet<&'a str>,
    /// By container id, the node that stops it, and those that detach or reattach it.
    stopped: BTreeMap<&'a str, Id>,
    detached: BTreeMap<&'a str, Vec<Id>>,
    reattached: BTreeMap<&'a str, Vec<Id>>,
    /// Containers that lost the network with this key to its successor.
    parted: Vec<(&'a str, &'a Container)>,
    /// By container id, the node that removes it.
    removed: BTreeMap<&'a str, Id>,
    /// By container name, the node after which a new container is complete.
    made: BTreeMap<String, Id>,
    /// By service, the nodes that start its containers.
    started: BTreeMap<&'a str, Vec<Id>>,
    /// Waits are shared by all dependents with the same condition.
    waits: BTreeMap<(String, Await), Id>,
    /// By service, the step that runs once before its first start.
    hooked: BTreeMap<&'a str, Id>,
    /// Services whose replicas are exchanged a few at a time.
    rolling: BTreeMap<&'a str, Update>,
}

impl<'a> Builder<'a> {
    fn new(
        desired: &'a Desired,
        observed: &'a Observed,
        choices: &'a Up,
        place: &'a dyn Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        if desired.services.is_empty() {
            return Err(PlanError::NothingSelected);
        }
        let order = services_in_play(desired, choices)?;
        check_container_names(desired, &order)?;
        Ok(Self {
            desired,
            observed,
            choices,
            place,
            order,
            slots: BTreeMap::new(),
            plan: Plan::default(),
            images: BTreeMap::new(),
            networks: BTreeMap::new(),
            volumes: BTreeMap::new(),
            replaced_volumes: BTreeSet::new(),
            stopped: BTreeMap::new(),
            detached: BTreeMap::new(),
            reattached: BTreeMap::new(),
            parted: Vec::new(),
            removed: BTreeMap::new(),
            made: BTreeMap::new(),
            started: BTreeMap::new(),
            waits: BTreeMap::new(),
            hooked: BTreeMap::new(),
            rolling: BTreeMap::new(),
        })
    }

    fn service(&self, name: &str) -> &'a Service {
        &self.desired.services[name]
    }

    /// How containers of this service are treated when they differ.
    fn recreate(&self, service: &str) -> Recreate {
        let named = &self.choices.services;
        let policy = match named.is_empty() || named.iter().any(|name| name == service) {
            true => self.choices.recreate,
            false => self.choices.recreate_dependencies,
        };
        match policy {
            // Fresh volumes need fresh containers.
            Recreate::Diverged if self.choices.renew_anonymous_volumes => Recreate::Force,
            policy => policy,
        }
    }

    /// Whether the containers of this service are left as they are.
    fn spares(&self, service: &str) -> bool {
        self.choices.around && self.choices.services.iter().any(|name| name == service)
    }

    fn plays(&self, service: &str) -> bool {
        self.order.contains(&service)
    }

    /// Dependencies of a service that are part of this plan.
    fn needs(&self, service: &str) -> impl Iterator<Item = &'a Dependency> {
        self.service(service)
            .depends_on
            .iter()
            .filter(|need| self.plays(&need.service))
    }
}

fn services_in_play<'a>(desired: &'a Desired, choices: &Up) -> Result<Vec<&'a str>> {
    let wanted = match choices.no_deps {
        true => {
            order::check_names(desired, &choices.services)?;
            choices.services.iter().cloned().collect()
        }
        false => order::closure(desired, &choices.services)?,
    };
    let all = choices.no_deps && choices.services.is_empty();
    let names = desired.services.keys().map(String::as_str);
    let names: Vec<&str> = names.filter(|name| all || wanted.contains(*name)).collect();
    order::sorted(&order::declared(desired), &names)
}

fn check_container_names(desired: &Desired, order: &[&str]) -> Result<()> {
    let mut taken: BTreeMap<String, &str> = BTreeMap::new();
    for name in order {
        let service = &desired.services[*name];
        let Some(fixed) = &service.container_name else {
            continue;
        };
        if service.scale > 1 {
            return Err(PlanError::ScaledName {
                service: (*name).into(),
                scale: service.scale,
            });
        }
        if let Some(first) = taken.insert(fixed.clone(), name) {
            let (first, second) = (first.into(), (*name).into());
            return Err(PlanError::SameName {
                first,
                second,
                name: fixed.clone(),
            });
        }
    }
    Ok(())
}

/// An existing container as the target of an operation.
pub(crate) fn existing(container: &Container) -> Target {
    Target {
        service: container.service.clone(),
        number: container.number,
        name: container.name.clone(),
        reference: container.id.clone(),
    }
}
