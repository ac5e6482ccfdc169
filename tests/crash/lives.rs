//! How engines come and go on purpose.

use std::time::Duration;

use bowline_tests::{World, eventually};
use nix::sys::signal::Signal;

use crate::kill::{gone, is_alive, pid};

const SLEEPER: &str = "services:\n  one:\n    image: bowline/demo\n    command: sleep forever\n";

/// An engine that a command started must leave by itself, and take everything with it.
#[test]
fn an_idle_engine_leaves_and_leaves_nothing() {
    let world = World::with(&[("BOWLINE_IDLE_TIMEOUT", "3")]);
    world.bowline(&["volume", "ls"]).ok();
    let engine = world.engine();
    gone(engine);
    world.ends_clean();
}

/// One that a person started stays without work, and ends on a signal without touching what runs.
#[test]
fn an_engine_in_the_foreground_ends_on_a_signal_and_its_containers_go_on() {
    let world = World::new();
    let project = world.project("one", SLEEPER);
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        eventually(Duration::from_secs(20), || {
            match world.engines().as_slice() {
                [] => Ok(()),
                left => Err(left.to_vec()),
            }
        });
        let engine = project.start(&["engine"]);
        eventually(Duration::from_secs(20), || {
            std::os::unix::net::UnixStream::connect(world.socket())
        });
        project.up();
        let one = pid(&project, "one");
        engine.signal(signal);
        engine.wait().ok();
        assert!(is_alive(one));
        assert_eq!(
            world.engines(),
            Vec::<i32>::new(),
            "nobody brings back what left on purpose"
        );
        assert_eq!(pid(&project, "one"), one, "the next engine finds it");
        project.down();
    }
    world.ends_clean();
}

/// The same project under two engines: each has its own, and the end of one is nothing to the other.
#[test]
fn two_engines_side_by_side_do_not_meet() {
    let (left, right) = (World::new(), World::new());
    // On the default bridge, for which both prefer the same subnet: it has the same name everywhere.
    let sleeper = format!("{SLEEPER}    network_mode: bridge\n");
    let (first, second) = (
        left.project("same", &sleeper),
        right.project("same", &sleeper),
    );
    first.up();
    second.up();
    assert_ne!(pid(&first, "one"), pid(&second, "one"));
    let survivor = pid(&second, "one");
    left.kill_engine();
    first.down();
    left.ends_clean();
    assert_eq!(pid(&second, "one"), survivor);
    assert_eq!(right.containers().len(), 1);
    second.down();
    right.ends_clean();
}

/// Commands that come while an engine is leaving must be served by it or by the next one, never by none.
#[test]
fn a_command_may_come_while_the_engine_leaves() {
    let world = World::with(&[("BOWLINE_IDLE_TIMEOUT", "0")]);
    let project = world.project(
        "brief",
        "services:\n  one:\n    image: bowline/demo\n    command: 'true'\n",
    );
    for round in 0..12 {
        let name = format!("v{round}");
        world.bowline(&["volume", "create", &name]).ok();
        world.bowline(&["volume", "rm", &name]).ok();
    }
    project.bowline(&["up"]).ok();
    project.bowline(&["down"]).ok();
    let many: Vec<_> = (0..8).map(|_| project.start(&["ps", "-a"])).collect();
    for one in many {
        one.wait().ok();
    }
    world.ends_clean();
}
