//! Whatever the world and the wish: after a plan there is nothing left to plan.

use proptest::prelude::*;

use crate::desired::{Dependency, Desired};
use crate::observed::{Hashes, State};
use crate::op::Condition;
use crate::simulated::{World, waits};
use crate::stories::{hashes, running, service, shop};
use crate::up::{Recreate, Up, up};
use crate::{Down, down};

#[derive(Clone, Debug)]
struct Change {
    hash: u8,
    scale: u32,
    image: u8,
    network: u8,
    network_name: bool,
    drop: bool,
    state: u8,
}

fn change() -> impl Strategy<Value = Change> {
    (
        0..3u8,
        0..4u32,
        0..2u8,
        0..2u8,
        any::<bool>(),
        any::<bool>(),
        0..5u8,
    )
        .prop_map(
            |(hash, scale, image, network, network_name, drop, state)| Change {
                hash,
                scale,
                image,
                network,
                network_name,
                drop,
                state,
            },
        )
}

fn wish(changes: &[Change]) -> Desired {
    let mut desired = shop();
    desired
        .services
        .insert("job".into(), service(&[("db", Condition::Started)]));
    desired.services["web"].depends_on.push(Dependency {
        service: "job".into(),
        condition: Condition::Completed,
        restart: false,
        required: true,
    });
    let mut side = service(&[("db", Condition::Started)]);
    side.networks = Vec::new();
    side.joins = vec!["db".into()];
    desired.services.insert("side".into(), side);
    desired.services["web"].depends_on[0].restart = true;
    for (name, change) in ["web", "db", "job", "side"].iter().zip(changes) {
        let service = &mut desired.services[*name];
        service.hashes = hashes(&change.hash.to_string());
        service.scale = if *name == "db" {
            change.scale.max(1)
        } else {
            change.scale
        };
        service.image.local = Some(format!("sha256:{}", change.image));
        desired.networks["default"].hashes = hashes(&format!("n{}", change.network));
        if change.network_name {
            desired.networks["default"].name = "renamed".into();
        }
        if change.drop && *name == "side" {
            desired.services.shift_remove("side");
        }
    }
    desired
}

fn disturb(world: &mut World, changes: &[Change]) {
    let containers = &mut world.observed.containers;
    for (container, change) in containers.iter_mut().zip(changes.iter().cycle()) {
        match change.state {
            0 => container.state = State::Exited(1),
            1 => container.state = State::Paused,
            2 => container.state = State::Dead,
            3 => container.hashes = Hashes::default(),
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn a_plan_leaves_nothing_to_plan(
        before in proptest::collection::vec(change(), 4),
        after in proptest::collection::vec(change(), 4),
        force in any::<bool>(),
    ) {
        let first = wish(&before);
        let mut world = running(&first);
        disturb(&mut world, &after);
        let second = wish(&after);
        let choices = Up {
            recreate: if force { Recreate::Force } else { Recreate::Diverged },
            remove_orphans: true,
            ..Up::default()
        };
        let plan = up(&second, &world.observed, &choices).unwrap();
        world.apply(&second, &plan);
        let again = up(&second, &world.observed, &Up { remove_orphans: true, ..Up::default() });
        let again = again.unwrap();
        prop_assert!(again.is_empty(), "first:\n{plan}\nagain:\n{again}");
        prop_assert!(waits(&plan).iter().all(|(service, _)| service == "db" || service == "job"));
        let gone = down(&second, &world.observed, &Down { has_file: true, volumes: true, ..Down::default() });
        world.apply(&second, &gone.unwrap());
        prop_assert!(world.observed.containers.is_empty() && world.observed.networks.is_empty());
    }
}
