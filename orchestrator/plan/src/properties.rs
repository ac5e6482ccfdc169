//! Whatever the world and the wish: a plan can be done in every order it allows, may be cut anywhere,
//! and leaves nothing to plan. Planners with a planted fault must fail one of these.

use crate::changes::record;
use crate::desired::{Dependency, Desired, Hooks, Image, Network, Service, Update, Volume};
use crate::error::Result;
use crate::faults::faulty;
use crate::graph::Plan;
use crate::observed::{Container, Hashes, Mount, Observed, State};
use crate::op::{Condition, Op};
use crate::simulated::{Refused, World};
use crate::up::{Recreate, Up, up};
use crate::{Down, down};

/// Small numbers from a seed: reproducible, and the same on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % limit.max(1)
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn small(&mut self, limit: u32) -> u32 {
        u32::try_from(self.below(usize::try_from(limit).unwrap())).unwrap()
    }
}

fn hashes(text: &str) -> Hashes {
    Hashes {
        own: Some(text.into()),
        compose: Some(format!("c-{text}")),
    }
}

fn service(dice: &mut Dice, index: usize) -> Service {
    let mut depends_on = Vec::new();
    for other in 0..index {
        if dice.one_in(2) {
            depends_on.push(Dependency {
                service: format!("s{other}"),
                condition: Condition::Started,
                restart: dice.one_in(3),
                required: !dice.one_in(5),
            });
        }
    }
    let configuration = format!("h{}", dice.below(2));
    let image = format!("sha256:{}", dice.below(2));
    let mut networks = vec!["front".to_owned()];
    if dice.one_in(3) {
        networks.push("back".into());
    }
    let update = dice.one_in(3).then(|| Update {
        start_first: dice.one_in(2),
        parallelism: dice.small(3),
    });
    let ports = match dice.one_in(4) {
        true => vec![format!("{}/tcp", 8000 + index)],
        false => Vec::new(),
    };
    let exclusive = (!ports.is_empty()).then(|| "it publishes a fixed port".to_owned());
    Service {
        hashes: hashes(&configuration),
        scale: if ports.is_empty() { dice.small(4) } else { 1 },
        image: Image {
            reference: "app".into(),
            local: Some(image),
            pull: true,
            ..Image::default()
        },
        networks,
        volumes: if dice.one_in(3) {
            vec!["data".into()]
        } else {
            Vec::new()
        },
        depends_on,
        update,
        ports,
        exclusive,
        hooks: Hooks {
            pre_start: (0..dice.below(3)).map(|_| dice.one_in(2)).collect(),
            post_start: dice.one_in(4),
            pre_stop: dice.one_in(4),
        },
        ..Service::default()
    }
}

/// What a service is for decides how others may depend on it.
fn wish(dice: &mut Dice, size: usize) -> Desired {
    let mut desired = Desired {
        project: "shop".into(),
        ..Desired::default()
    };
    for index in 0..size {
        let service = service(dice, index);
        desired.services.insert(format!("s{index}"), service);
    }
    for index in 0..size {
        let name = format!("s{index}");
        let condition = match (index * 7) % 3 {
            0 => Condition::Started,
            1 => Condition::Healthy,
            _ => Condition::Completed,
        };
        let healthy = condition == Condition::Healthy;
        desired.services[&name].healthcheck = healthy.then_some(true);
        for other in desired.services.values_mut() {
            for need in &mut other.depends_on {
                if need.service == name {
                    need.condition = condition;
                }
            }
        }
    }
    join(dice, &mut desired);
    for key in ["front", "back"] {
        let network = Network {
            name: if dice.one_in(4) {
                format!("new_{key}")
            } else {
                format!("shop_{key}")
            },
            hashes: hashes(&format!("n{}", dice.below(2))),
            ..Network::default()
        };
        desired.networks.insert(key.into(), network);
    }
    let volume = Volume {
        name: if dice.one_in(5) {
            "new_data".into()
        } else {
            "shop_data".into()
        },
        hashes: hashes(&format!("v{}", dice.below(2))),
        ..Volume::default()
    };
    desired.volumes.insert("data".into(), volume);
    desired
}

/// The last service lives in the namespaces of the first, if that one runs for good.
fn join(dice: &mut Dice, desired: &mut Desired) {
    let parent_stays = !desired.is_one_shot("s0") && desired.services.len() > 1;
    if !parent_stays || !dice.one_in(2) {
        return;
    }
    desired.services["s0"].scale = desired.services["s0"].scale.max(1);
    let last = desired.services.len() - 1;
    let child = &mut desired.services[last];
    child.networks = Vec::new();
    child.joins = vec!["s0".into()];
    child.depends_on.retain(|need| need.service != "s0");
    child.depends_on.push(Dependency {
        service: "s0".into(),
        condition: Condition::Started,
        restart: true,
        required: true,
    });
}

/// What happens to a world while nobody looks.
fn disturb(dice: &mut Dice, world: &mut World) {
    for container in &mut world.observed.containers {
        match dice.below(8) {
            0 => container.state = State::Exited(1),
            1 if container.state == State::Running => container.state = State::Paused,
            2 => container.state = State::Dead,
            3 => container.hashes.own = None,
            4 => container.hashes = Hashes::default(),
            5 => container.mounts.push(Mount {
                volume: format!("anonymous-{}", container.id),
                target: "/cache".into(),
                anonymous: true,
            }),
            _ => {}
        }
    }
    if dice.one_in(4) {
        let index = dice.below(world.observed.containers.len());
        let gone = world.observed.containers.get(index).map(|c| c.id.clone());
        world
            .observed
            .containers
            .retain(|c| Some(&c.id) != gone.as_ref());
    }
    if dice.one_in(4)
        && let Some(model) = world.observed.containers.first().cloned()
    {
        let id = world.id();
        let name = format!("left-{id}");
        let hook = dice.one_in(2);
        let (state, ports) = (State::Exited(1), Vec::new());
        let left = Container {
            id,
            name,
            hook,
            one_off: !hook,
            state,
            ports,
            networks: Vec::new(),
            mounts: Vec::new(),
            ..model
        };
        world.observed.containers.push(left);
    }
}

pub(crate) type Planner = dyn Fn(&Desired, &Observed, &Up) -> Result<Plan>;

fn text(refusal: String, plan: &Plan) -> String {
    format!("{refusal}\n{plan}")
}

/// One world, one wish, one plan, one cut; with a planner that is ours, or ours with a fault.
fn check(seed: u64, size: usize, planner: &Planner) -> Refused {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let before = wish(&mut dice, size);
    let mut world = World::default();
    // The world was made by a planner without fault.
    let first = up(&before, &world.observed, &Up::default()).map_err(|e| e.to_string())?;
    world.apply(&before, &first);
    disturb(&mut dice, &mut world);
    let mut after = wish(&mut dice, size);
    if size > 1 && dice.one_in(4) {
        after.services.shift_remove(&format!("s{}", size - 1));
    }
    let choices = Up {
        recreate: if dice.one_in(4) {
            Recreate::Force
        } else {
            Recreate::Diverged
        },
        remove_orphans: true,
        replace_volumes: dice.one_in(2),
        renew_anonymous_volumes: dice.one_in(6),
        ..Up::default()
    };
    let plan = planner(&after, &world.observed, &choices).map_err(|e| e.to_string())?;
    let again = Up {
        recreate: Recreate::Diverged,
        renew_anonymous_volumes: false,
        ..choices.clone()
    };

    let mut cut = world.clone();
    let volumes = world.observed.volumes.len();
    let kept = served(&world.observed, &after, &plan);
    let mut choose = |count: usize| dice.below(count);
    let mut promise = |now: &World| serves(&kept, now);
    let whole = usize::MAX;
    world
        .run(&after, &plan, whole, &mut choose, &mut promise)
        .map_err(|refusal| text(refusal, &plan))?;
    world.settle(&after);
    is_reached(&after, &world, &again).map_err(|refusal| text(refusal, &plan))?;
    if !choices.replace_volumes && world.observed.volumes.len() < volumes {
        return Err(text("a volume was lost".into(), &plan));
    }

    let limit = choose(plan.len() + 1);
    cut.run(&after, &plan, limit, &mut choose, &mut |_| Ok(()))?;
    cut.settle(&after);
    let rest = planner(&after, &cut.observed, &again).map_err(|e| e.to_string())?;
    let both = |refusal| text(text(refusal, &rest), &plan);
    cut.run(&after, &rest, whole, &mut choose, &mut |_| Ok(()))
        .map_err(both)?;
    cut.settle(&after);
    is_reached(&after, &cut, &again).map_err(both)?;

    let gone = Down {
        has_file: true,
        volumes: true,
        remove_orphans: true,
        ..Down::default()
    };
    let gone = down(&after, &world.observed, &gone).map_err(|e| e.to_string())?;
    world
        .run(&after, &gone, whole, &mut choose, &mut |_| Ok(()))
        .map_err(|refusal| text(refusal, &gone))?;
    let left = world.observed.containers.len()
        + world
            .observed
            .networks
            .iter()
            .filter(|n| n.name.starts_with("shop"))
            .count();
    match left {
        0 => Ok(()),
        _ => Err(text("down leaves something".into(), &gone)),
    }
}

/// The wish is met as far as anybody can see, and a planner without fault has nothing to add.
fn is_reached(desired: &Desired, world: &World, choices: &Up) -> Refused {
    let again = up(desired, &world.observed, choices).map_err(|e| e.to_string())?;
    if !again.is_empty() {
        return Err(format!("something is left to do:\n{again}"));
    }
    for (name, service) in &desired.services {
        let replicas = world.observed.replicas(name);
        let goal = match desired.is_one_shot(name) {
            true => State::Exited(0),
            false => State::Running,
        };
        let good = replicas
            .iter()
            .filter(|replica| replica.state == goal)
            .count();
        let scale = usize::try_from(service.scale).unwrap();
        if good != scale || replicas.len() != scale {
            return Err(format!("`{name}` has {good} of {scale}"));
        }
        for replica in &replicas {
            let name = desired.container_name(name, replica.number);
            let current = replica.hashes.matches(&service.hashes)
                && service.image.local.as_ref() == Some(&replica.image);
            if replica.name != name || !current {
                return Err(format!("`{}` is not what `{name}` should be", replica.name));
            }
        }
    }
    Ok(())
}

/// Services whose successors start first, with how many of their containers run, as far as nothing but
/// the exchange concerns them.
fn served<'d>(old: &Observed, desired: &'d Desired, plan: &Plan) -> Vec<(&'d str, usize)> {
    let stopped_otherwise = |service: &str| {
        plan.steps().any(|step| match &step.node.op {
            Op::Stop { target } => target.service == service && step.node.group.is_none(),
            _ => false,
        })
    };
    let mut served = Vec::new();
    for (name, service) in &desired.services {
        let first = service.update.is_some_and(|update| update.start_first);
        let joined = || {
            desired
                .services
                .values()
                .any(|other| other.joins.contains(name))
        };
        let apart = first && service.exclusive.is_none();
        if apart && !joined() && !desired.is_one_shot(name) && !stopped_otherwise(name) {
            served.push((name.as_str(), running(old, name)));
        }
    }
    served
}

fn running(observed: &Observed, service: &str) -> usize {
    let replicas = observed.containers.iter();
    let replicas = replicas.filter(|c| c.is_replica() && c.service == service);
    replicas.filter(|c| c.state == State::Running).count()
}

/// Never fewer of them run than did before.
fn serves(served: &[(&str, usize)], now: &World) -> Refused {
    for (name, before) in served {
        let present = running(&now.observed, name);
        if present < *before {
            return Err(format!(
                "`{name}` serves with {present} instead of {before}"
            ));
        }
    }
    Ok(())
}

#[test]
fn ten_thousand_worlds_converge_from_every_cut() {
    for seed in 1..=10_000 {
        let size = 1 + usize::try_from(seed % 5).unwrap();
        if let Err(refusal) = check(seed, size, &up) {
            panic!("world {seed} with {size} services: {refusal}");
        }
    }
}

#[test]
fn every_planted_fault_is_found() {
    for (name, planner) in faulty() {
        let found = (1..=3000).find(|seed| {
            let size = 1 + usize::try_from(seed % 5).unwrap();
            check(*seed, size, &*planner).is_err()
        });
        assert!(
            found.is_some(),
            "nobody notices a planner that is blind to, or forgets: {name}"
        );
    }
}

#[test]
fn a_recorded_model_is_read_back_in_any_world() {
    let mut dice = Dice(7);
    for _ in 0..100 {
        let model = serde_json::json!({"image": format!("a{}", dice.below(9)), "n": dice.below(9)});
        assert_eq!(crate::changes::recall(&record(&model)), Some(model));
    }
}
