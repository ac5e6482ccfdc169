//! An engine made of three lists: it does what a plan says, instantly, and refuses what a real one
//! would refuse.

use std::collections::{BTreeMap, BTreeSet};

use crate::changes::record;
use crate::desired::Desired;
use crate::graph::Plan;
use crate::observed::{Container, Health, Mount, Observed, ObservedNetwork, ObservedVolume, State};
use crate::op::{Condition, Op, Target};

/// Why an operation was refused, or a promise broken.
pub(crate) type Refused = Result<(), String>;

/// Ends the function with a refusal unless the condition holds.
macro_rules! require {
    ($holds:expr, $($said:tt)+) => {
        if !$holds {
            return Err(format!($($said)+));
        }
    };
}

/// The world a plan is applied to.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub(crate) observed: Observed,
    /// Containers and hooks that ran, and containers that heard they would be stopped.
    pub(crate) hooked: BTreeSet<(String, String)>,
    next: u32,
}

impl World {
    /// Does every step in order; panics where a real engine would refuse.
    pub(crate) fn apply(&mut self, desired: &Desired, plan: &Plan) {
        for step in plan.steps() {
            let forward = step.after.iter().all(|before| *before < step.number);
            assert!(forward, "edges lead forward");
            if let Err(refusal) = self.act(desired, &step.node.op) {
                panic!("#{}: {refusal}\n{plan}", step.number);
            }
        }
        self.settle(desired);
    }

    /// Does at most `limit` steps in an order that `choose` picks among those that may begin.
    pub(crate) fn run(
        &mut self,
        desired: &Desired,
        plan: &Plan,
        limit: usize,
        choose: &mut dyn FnMut(usize) -> usize,
        watch: &mut dyn FnMut(&Self) -> Refused,
    ) -> Refused {
        let steps: Vec<_> = plan.steps().collect();
        let mut missing: Vec<usize> = steps.iter().map(|step| step.after.len()).collect();
        let mut free: Vec<usize> = (0..steps.len()).filter(|i| missing[*i] == 0).collect();
        for _ in 0..steps.len().min(limit) {
            require!(!free.is_empty(), "no step may begin");
            let step = &steps[free.remove(choose(free.len()))];
            self.act(desired, &step.node.op)
                .map_err(|refusal| format!("#{}: {refusal}", step.number))?;
            watch(self)?;
            for next in &steps[step.number..] {
                if next.after.contains(&step.number) {
                    missing[next.number - 1] -= 1;
                    if missing[next.number - 1] == 0 {
                        free.push(next.number - 1);
                    }
                }
            }
        }
        Ok(())
    }

    /// Time passes: what was starting is healthy, what was a job has ended.
    pub(crate) fn settle(&mut self, desired: &Desired) {
        for container in &mut self.observed.containers {
            if container.health == Health::Starting {
                container.health = Health::Healthy;
            }
            if desired.is_one_shot(&container.service) && container.state == State::Running {
                container.state = State::Exited(0);
                container.health = Health::None;
            }
        }
    }

    pub(crate) fn container(&mut self, name: &str) -> &mut Container {
        let mut all = self.observed.containers.iter_mut();
        all.find(|container| container.name == name)
            .unwrap_or_else(|| panic!("no container {name}"))
    }

    fn find(&mut self, target: &Target) -> Result<&mut Container, String> {
        let wanted = &target.reference;
        let mut all = self.observed.containers.iter_mut();
        all.find(|c| c.id == *wanted || c.name == *wanted)
            .ok_or_else(|| format!("no container {wanted}"))
    }

    pub(crate) fn id(&mut self) -> String {
        self.next += 1;
        format!("{:012x}", self.next)
    }

    fn act(&mut self, desired: &Desired, op: &Op) -> Refused {
        match op {
            Op::PullImage { .. } | Op::BuildImage { .. } | Op::RemoveImage { .. } => Ok(()),
            Op::CreateNetwork { key } => self.create_network(desired, key),
            Op::RemoveNetwork {
                name, best_effort, ..
            } => self.remove_network(name, *best_effort),
            Op::CreateVolume { key } => self.create_volume(desired, key),
            Op::RemoveVolume { name, .. } => self.remove_volume(name),
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
                self.create(desired, target, replaces.clone(), mounts.collect(), joins)
            }
            Op::Wait { targets, .. } => targets.iter().try_for_each(|target| {
                let one_shot = desired.is_one_shot(&target.service);
                let container = self.find(target)?;
                require!(
                    container.state != State::Created,
                    "{} was never started",
                    container.name
                );
                container.health = match container.health {
                    Health::Starting => Health::Healthy,
                    health => health,
                };
                if one_shot && container.state == State::Running {
                    container.state = State::Exited(0);
                    container.health = Health::None;
                }
                Ok(())
            }),
            op => self.act_on(desired, op),
        }
    }

    fn act_on(&mut self, desired: &Desired, op: &Op) -> Refused {
        match op {
            Op::Disconnect { target, network } => {
                self.find(target)?.networks.retain(|name| name != network);
            }
            Op::Connect { target, key } => {
                let name = desired.networks[key].name.clone();
                require!(self.observed.network(&name).is_some(), "no network {name}");
                self.find(target)?.networks.push(name);
            }
            Op::Rename { target } => {
                let name = target.name.clone();
                let taken = self.observed.containers.iter().any(|c| c.name == name);
                require!(!taken, "{name} is taken");
                self.find(target)?.name = name;
            }
            Op::Start { target } => return self.start(desired, target),
            Op::Restart { target } => {
                self.halt(desired, target)?;
                return self.start(desired, target);
            }
            Op::Pause { target } => self.find(target)?.state = State::Paused,
            Op::Unpause { target } => self.find(target)?.state = State::Running,
            Op::Stop { target } => return self.halt(desired, target),
            Op::Kill { target, .. } => self.find(target)?.state = State::Exited(137),
            Op::PreStart { target, hook } => {
                let container = self.find(target)?;
                require!(
                    container.state == State::Created,
                    "{} has run",
                    container.name
                );
                let id = container.id.clone();
                self.hooked.insert((id, format!("pre_start {hook}")));
                self.hooked
                    .insert((target.service.clone(), format!("pre_start {hook}")));
            }
            Op::PostStart { target } | Op::PreStop { target } => {
                let container = self.find(target)?;
                require!(
                    container.state == State::Running,
                    "{} does not run",
                    container.name
                );
                let id = container.id.clone();
                self.hooked.insert((id, op.verb()));
            }
            Op::Remove { target, .. } => {
                let container = self.find(target)?;
                require!(!container.state.is_live(), "{} runs", container.name);
                let id = container.id.clone();
                self.observed
                    .containers
                    .retain(|container| container.id != id);
            }
            _ => {}
        }
        Ok(())
    }

    fn create_network(&mut self, desired: &Desired, key: &str) -> Refused {
        let network = &desired.networks[key];
        let name = network.name.clone();
        require!(
            self.observed.network(&name).is_none(),
            "network {name} exists"
        );
        let found = ObservedNetwork {
            id: self.id(),
            name,
            key: Some(key.into()),
            hashes: network.hashes.clone(),
            model: Some(record(&network.model)),
        };
        self.observed.networks.push(found);
        Ok(())
    }

    fn remove_network(&mut self, name: &str, best_effort: bool) -> Refused {
        let member = |c: &Container| c.networks.iter().any(|network| network == name);
        let used = self.observed.containers.iter().any(member);
        require!(!used || best_effort, "network {name} has members");
        if !used {
            self.observed
                .networks
                .retain(|network| network.name != name);
        }
        Ok(())
    }

    fn create_volume(&mut self, desired: &Desired, key: &str) -> Refused {
        let volume = &desired.volumes[key];
        require!(
            self.observed.volume(&volume.name).is_none(),
            "volume {key} exists"
        );
        self.observed.volumes.push(ObservedVolume {
            name: volume.name.clone(),
            key: Some(key.into()),
            hashes: volume.hashes.clone(),
            model: Some(record(&volume.model)),
        });
        Ok(())
    }

    fn remove_volume(&mut self, name: &str) -> Refused {
        let mounts = |c: &Container| c.mounts.iter().any(|mount| mount.volume == *name);
        let used = self.observed.containers.iter().any(mounts);
        require!(!used, "volume {name} is in use");
        self.observed.volumes.retain(|volume| volume.name != *name);
        Ok(())
    }

    fn create(
        &mut self,
        desired: &Desired,
        target: &Target,
        replaces: Option<String>,
        mut mounts: Vec<Mount>,
        joins: &BTreeMap<String, String>,
    ) -> Refused {
        let name = target.reference.clone();
        let taken = self.observed.containers.iter().any(|c| c.name == name);
        require!(!taken, "{name} is taken");
        let service = &desired.services[&target.service];
        let mut networks = Vec::new();
        for key in &service.networks {
            let network = &desired.networks[key];
            let found = self.observed.network(&network.name);
            require!(found.is_some(), "no network {key}");
            let current = found.is_some_and(|found| {
                found.hashes.is_empty() || found.hashes.matches(&network.hashes)
            });
            require!(current, "network {key} is still the old one");
            networks.push(network.name.clone());
        }
        for key in &service.volumes {
            let volume = desired.volumes[key].name.clone();
            require!(
                self.observed.volume(&volume).is_some(),
                "no volume {volume}"
            );
            mounts.push(Mount {
                volume,
                target: format!("/{key}"),
                anonymous: false,
            });
        }
        let mut parents = Vec::new();
        for name in joins.values() {
            let parent = self.observed.containers.iter().find(|c| c.name == *name);
            require!(parent.is_some(), "no parent {name}");
            parents.extend(parent.map(|parent| parent.id.clone()));
        }
        let container = Container {
            id: self.id(),
            name,
            service: target.service.clone(),
            number: target.number,
            one_off: false,
            hook: false,
            model: Some(record(&service.model)),
            ports: service.ports.clone(),
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
            joins: parents,
            depends_on: service.depends_on.clone(),
            replaces,
        };
        self.observed.containers.push(container);
        Ok(())
    }

    fn halt(&mut self, desired: &Desired, target: &Target) -> Refused {
        let service = desired.services.get(&target.service);
        let told = service.is_some_and(|service| service.hooks.pre_stop);
        let container = self.find(target)?;
        let (id, runs) = (container.id.clone(), container.state == State::Running);
        let talks = told && runs && container.is_replica();
        container.state = State::Exited(0);
        container.health = Health::None;
        let heard = self.hooked.contains(&(id, "run pre_stop".into()));
        require!(!talks || heard, "{} was not told before", target.name);
        Ok(())
    }

    fn start(&mut self, desired: &Desired, target: &Target) -> Refused {
        let container = self.find(target)?.clone();
        let name = &container.name;
        require!(!container.state.is_live(), "{name} runs already");
        for id in &container.joins {
            let mut all = self.observed.containers.iter();
            let parent = all.find(|other| other.id == *id);
            let runs = parent.is_some_and(|parent| parent.state == State::Running);
            require!(runs, "{name} joins a container that does not run");
        }
        for holder in &self.observed.containers {
            let other = holder.id != container.id && holder.state.is_live();
            let port = holder
                .ports
                .iter()
                .find(|port| container.ports.contains(port));
            require!(
                !other || port.is_none(),
                "{name} wants port {port:?}, which {} holds",
                holder.name
            );
        }
        if let Some(service) = desired.services.get(&container.service) {
            for (hook, per_replica) in service.hooks.pre_start.iter().enumerate() {
                let key = match per_replica {
                    true => container.id.clone(),
                    false => container.service.clone(),
                };
                let replicas = self.observed.replicas(&container.service);
                let serves = replicas.iter().any(|other| other.state == State::Running);
                let ran = self.hooked.contains(&(key, format!("pre_start {hook}")))
                    || serves && !per_replica;
                require!(
                    ran || container.state != State::Created,
                    "{name} starts before its hook {hook} ran"
                );
            }
            for need in &service.depends_on {
                self.is_met(desired, name, &need.service, need.condition)?;
            }
        }
        let checked = desired.services.get(&container.service);
        let checked = checked.is_some_and(|service| service.healthcheck == Some(true));
        let container = self.find(target)?;
        container.state = State::Running;
        if checked {
            container.health = Health::Starting;
        }
        Ok(())
    }

    fn is_met(
        &self,
        desired: &Desired,
        name: &str,
        service: &str,
        condition: Condition,
    ) -> Refused {
        let Some(dependency) = desired.services.get(service) else {
            return Ok(());
        };
        let meets = |c: &&&Container| match condition {
            Condition::Started => c.state != State::Created,
            Condition::Healthy => c.health == Health::Healthy,
            Condition::Completed => c.state == State::Exited(0),
        };
        let replicas = self.observed.replicas(service);
        let good = replicas.iter().filter(meets).count();
        let scale = usize::try_from(dependency.scale).unwrap_or(usize::MAX);
        require!(
            good >= scale,
            "{name} starts with {good} of {scale} of `{service}` {}",
            condition.as_str()
        );
        Ok(())
    }
}
