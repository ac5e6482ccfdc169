//! Planners with a fault: blind to something, or forgetful of some kind of node.

use crate::desired::Desired;
use crate::error::Result;
use crate::graph::Plan;
use crate::observed::{Hashes, Observed, State};
use crate::op::{Condition, Op};
use crate::properties::Planner;
use crate::up::{Up, up};

/// A planner that does not see something.
fn blind(
    desired: &Desired,
    observed: &Observed,
    choices: &Up,
    hide: impl Fn(&mut Desired, &mut Observed, &mut Up),
) -> Result<Plan> {
    let (mut wished, mut seen, mut chosen) = (desired.clone(), observed.clone(), choices.clone());
    hide(&mut wished, &mut seen, &mut chosen);
    up(&wished, &seen, &chosen)
}

/// A planner that does not see something about containers.
macro_rules! blind_to {
    ($name:literal, |$container:ident, $desired:ident| $hide:expr) => {
        (
            $name,
            Box::new(|desired: &Desired, observed: &Observed, choices: &Up| {
                blind(desired, observed, choices, |$desired, seen, _| {
                    for $container in &mut seen.containers {
                        $hide;
                    }
                })
            }) as Box<Planner>,
        )
    };
}

/// A planner whose nodes of one kind are missing, or wait for nothing.
macro_rules! forgets {
    ($name:literal, $damage:ident, $pattern:pat) => {
        (
            $name,
            Box::new(|desired: &Desired, observed: &Observed, choices: &Up| {
                Ok(up(desired, observed, choices)?.$damage(|op| matches!(op, $pattern)))
            }) as Box<Planner>,
        )
    };
}

#[expect(clippy::too_many_lines, reason = "a table of faults")]
pub(crate) fn faulty() -> Vec<(&'static str, Box<Planner>)> {
    vec![
        blind_to!(
            "configurations",
            |c, desired| if let Some(s) = desired.services.get(&c.service) {
                c.hashes = s.hashes.clone();
            }
        ),
        blind_to!(
            "images",
            |c, desired| if let Some(s) = desired.services.get(&c.service) {
                c.image = s.image.local.clone().unwrap_or_default();
            }
        ),
        blind_to!("what is not attached", |c, desired| {
            c.networks
                .extend(desired.networks.values().map(|n| n.name.clone()));
        }),
        blind_to!("ends", |c, _d| if c.state == State::Exited(1) {
            c.state = State::Running;
        }),
        blind_to!("frost", |c, _d| if c.state == State::Paused {
            c.state = State::Running;
        }),
        blind_to!("life", |c, _d| if c.state == State::Running {
            c.state = State::Exited(0);
        }),
        blind_to!("cut recreations", |c, _d| c.replaces = None),
        blind_to!("hooks", |c, _d| c.hook = false),
        blind_to!("volumes mounted", |c, _d| c.mounts.clear()),
        (
            "networks' configurations",
            Box::new(|desired, observed, choices| {
                blind(desired, observed, choices, |_, seen, _| {
                    seen.networks
                        .iter_mut()
                        .for_each(|network| network.hashes = Hashes::default());
                })
            }),
        ),
        (
            "namespaces",
            Box::new(|desired, observed, choices| {
                blind(desired, observed, choices, |wished, _, _| {
                    wished
                        .services
                        .values_mut()
                        .for_each(|service| service.joins.clear());
                })
            }),
        ),
        (
            "dependencies",
            Box::new(|desired, observed, choices| {
                blind(desired, observed, choices, |wished, _, _| {
                    wished
                        .services
                        .values_mut()
                        .for_each(|service| service.depends_on.clear());
                })
            }),
        ),
        (
            "conditions",
            Box::new(|desired, observed, choices| {
                blind(desired, observed, choices, |wished, _, _| {
                    let services = wished.services.values_mut();
                    for need in services.flat_map(|service| &mut service.depends_on) {
                        need.condition = Condition::Started;
                    }
                })
            }),
        ),
        (
            "scale",
            Box::new(|desired, observed, choices| {
                blind(desired, observed, choices, |wished, _, _| {
                    wished
                        .services
                        .values_mut()
                        .for_each(|service| service.scale = 1);
                })
            }),
        ),
        (
            "ports",
            Box::new(|desired, observed, choices| {
                blind(desired, observed, choices, |wished, _, _| {
                    for service in wished.services.values_mut() {
                        service.exclusive = None;
                        service.ports.clear();
                    }
                })
            }),
        ),
        (
            "rolling updates",
            Box::new(|desired, observed, choices| {
                blind(desired, observed, choices, |wished, _, _| {
                    wished
                        .services
                        .values_mut()
                        .for_each(|service| service.update = None);
                })
            }),
        ),
        (
            "orphans",
            Box::new(|desired, observed, choices| {
                blind(desired, observed, choices, |_, _, chosen| {
                    chosen.remove_orphans = false;
                })
            }),
        ),
        forgets!("to wait before a start", unordered, Op::Start { .. }),
        forgets!("to wait before a removal", unordered, Op::Remove { .. }),
        forgets!("to wait before a rename", unordered, Op::Rename { .. }),
        forgets!("to wait before a creation", unordered, Op::Create { .. }),
        forgets!(
            "to wait before a network goes",
            unordered,
            Op::RemoveNetwork { .. }
        ),
        forgets!(
            "to wait before a network comes",
            unordered,
            Op::CreateNetwork { .. }
        ),
        forgets!(
            "to wait before a reconnection",
            unordered,
            Op::Connect { .. }
        ),
        forgets!(
            "to wait before a volume goes",
            unordered,
            Op::RemoveVolume { .. }
        ),
        forgets!("to wait before a wait", unordered, Op::Wait { .. }),
        forgets!("to wait before a hook", unordered, Op::PostStart { .. }),
        forgets!("to stop", without, Op::Stop { .. }),
        forgets!("to start", without, Op::Start { .. }),
        forgets!("to wait", without, Op::Wait { .. }),
        forgets!("to rename", without, Op::Rename { .. }),
        forgets!("to remove", without, Op::Remove { .. }),
        forgets!("to disconnect", without, Op::Disconnect { .. }),
        forgets!("to connect", without, Op::Connect { .. }),
        forgets!("to make networks", without, Op::CreateNetwork { .. }),
        forgets!("to make volumes", without, Op::CreateVolume { .. }),
        forgets!("to resume", without, Op::Unpause { .. }),
        forgets!("what comes before a start", without, Op::PreStart { .. }),
        forgets!("what comes before a stop", without, Op::PreStop { .. }),
    ]
}
