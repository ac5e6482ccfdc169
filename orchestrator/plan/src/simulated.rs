//! An engine made of three lists: it does what a plan says, instantly.

use std::collections::BTreeMap;

use crate::desired::Desired;
use crate::graph::Plan;
use crate::observed::{Container, Health, Mount, Observed, ObservedNetwork, ObservedVolume, State};
use crate::op::{Await, Op, Target};

/// The world a plan is applied to.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub(crate) observed: Observed,
    next: u32,
}

impl World {
    /// Does every step in order; panics where a real engine would refuse.
    pub(crate) fn apply(&mut self, desired: &Desired, plan: &Plan) {
        for step in plan.steps() {
            assert!(
                step.after.iter().all(|before| *before < step.number),
                "edges lead forward"
            );
            self.act(desired, &step.node.op);
        }
    }

    pub(crate) fn container(&mut self, name: &str) -> &mut Container {
        let mut all = self.observed.containers.iter_mut();
        all.find(|container| container.name == name)
            .unwrap_or_else(|| panic!("no container {name}"))
    }

    fn find(&mut self, target: &Target) -> &mut Container {
        let wanted = &target.reference;
        let mut all = self.observed.containers.iter_mut();
        all.find(|c| c.id == *wanted || c.name == *wanted || c.name == target.name)
            .unwrap_or_else(|| panic!("no container {wanted}"))
    }

    fn id(&mut self) -> String {
        self.next += 1;
        format!("{:012x}", self.next)
    }

    #[expect(clippy::too_many_lines, reason = "a table of operations")]
    fn act(&mut self, desired: &Desired, op: &Op) {
        match op {
            Op::PullImage { .. } | Op::Wait { .. } => {}
            Op::CreateNetwork { key } => {
                let network = &desired.networks[key];
                assert!(
                    self.observed.network(&network.name).is_none(),
                    "network exists"
                );
                let (id, name) = (self.id(), network.name.clone());
                let (key, hashes) = (Some(key.clone()), network.hashes.clone());
                self.observed.networks.push(ObservedNetwork {
                    id,
                    name,
                    key,
                    hashes,
                });
            }
            Op::RemoveNetwork {
                name, best_effort, ..
            } => {
                let users = self
                    .observed
                    .containers
                    .iter()
                    .any(|c| c.networks.contains(name));
                assert!(!users || *best_effort, "network {name} has members");
                if users {
                    return;
                }
                self.observed
                    .networks
                    .retain(|network| network.name != *name);
            }
            Op::Disconnect { target, network } => {
                self.find(target).networks.retain(|name| name != network);
            }
            Op::Connect { target, key } => {
                let name = desired.networks[key].name.clone();
                assert!(self.observed.network(&name).is_some(), "no network {name}");
                self.find(target).networks.push(name);
            }
            Op::CreateVolume { key } => {
                let volume = &desired.volumes[key];
                let (name, hashes) = (volume.name.clone(), volume.hashes.clone());
                self.observed.volumes.push(ObservedVolume {
                    name,
                    key: Some(key.clone()),
                    hashes,
                });
            }
            Op::RemoveVolume { name, .. } => {
                let mounts = |c: &Container| c.mounts.iter().any(|mount| mount.volume == *name);
                assert!(
                    !self.observed.containers.iter().any(mounts),
                    "volume {name} in use"
                );
                self.observed.volumes.retain(|volume| volume.name != *name);
            }
            Op::Create {
                target,
                replaces,
                inherit,
                joins,
            } => {
                let mounts = inherit.iter().map(|from| Mount {
                    volume: from.volume.clone(),
                    target: from.target.clone(),
                    anonymous: true,
                });
                self.create(desired, target, replaces.clone(), mounts.collect(), joins);
            }
            Op::Rename { target } => {
                let taken = self
                    .observed
                    .containers
                    .iter()
                    .any(|c| c.name == target.name);
                assert!(!taken, "{} is taken", target.name);
                let name = target.name.clone();
                self.find(target).name = name;
            }
            Op::Start { target } | Op::Restart { target } => self.start(desired, target),
            Op::Unpause { target } => self.find(target).state = State::Running,
            Op::Stop { target } | Op::Kill { target, .. } => {
                let container = self.find(target);
                container.state = State::Exited(0);
                container.health = Health::None;
            }
            Op::Remove { target, .. } => {
                let container = self.find(target);
                assert!(!container.state.is_live(), "{} runs", container.name);
                let id = container.id.clone();
                self.observed
                    .containers
                    .retain(|container| container.id != id);
            }
        }
    }

    fn create(
        &mut self,
        desired: &Desired,
        target: &Target,
        replaces: Option<String>,
        mut mounts: Vec<Mount>,
        joins: &BTreeMap<String, String>,
    ) {
        let name = target.reference.clone();
        assert!(
            !self.observed.containers.iter().any(|c| c.name == name),
            "{name} is taken"
        );
        let service = &desired.services[&target.service];
        let networks: Vec<String> = service
            .networks
            .iter()
            .map(|key| desired.networks[key].name.clone())
            .collect();
        for network in &networks {
            assert!(
                self.observed.network(network).is_some(),
                "no network {network}"
            );
        }
        for key in &service.volumes {
            let volume = desired.volumes[key].name.clone();
            assert!(
                self.observed.volume(&volume).is_some(),
                "no volume {volume}"
            );
            mounts.push(Mount {
                volume,
                target: format!("/{key}"),
                anonymous: false,
            });
        }
        let parents = joins.values().map(|name| {
            let mut all = self.observed.containers.iter();
            all.find(|c| c.name == *name)
                .unwrap_or_else(|| panic!("no parent {name}"))
        });
        let joins = parents.map(|parent| parent.id.clone()).collect();
        let container = Container {
            id: self.id(),
            name,
            service: target.service.clone(),
            number: target.number,
            one_off: false,
            state: State::Created,
            health: Health::None,
            hashes: service.hashes.clone(),
            image: service
                .image
                .local
                .clone()
                .unwrap_or_else(|| "sha256:pulled".into()),
            networks,
            mounts,
            joins,
            depends_on: service.depends_on.clone(),
            replaces,
        };
        self.observed.containers.push(container);
    }

    fn start(&mut self, desired: &Desired, target: &Target) {
        let service = &desired.services[&target.service];
        let one_shot = desired.is_one_shot(&target.service);
        let container = self.find(target);
        container.state = if one_shot {
            State::Exited(0)
        } else {
            State::Running
        };
        if service.healthcheck == Some(true) && !one_shot {
            container.health = Health::Healthy;
        }
    }
}

/// Whether all waits of a plan are for something its services can reach.
pub(crate) fn waits(plan: &Plan) -> Vec<(String, Await)> {
    plan.steps()
        .filter_map(|step| match &step.node.op {
            Op::Wait { service, until, .. } => Some((service.clone(), *until)),
            _ => None,
        })
        .collect()
}
