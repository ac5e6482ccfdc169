//! Plans of `down`, `stop`, `start`, `restart`, `kill` and `rm` as text.

use crate::desired::Desired;
use crate::error::PlanError;
use crate::simulated::World;
use crate::stories::{is, running, shop};
use crate::{Down, Kill, Restart, down, kill, remove_stopped, restart, start, stop};

#[test]
fn down_goes_backwards_and_keeps_volumes_unless_told() {
    let desired = shop();
    let world = running(&desired);
    let choices = Down {
        has_file: true,
        ..Down::default()
    };
    is(
        &down(&desired, &world.observed, &choices).unwrap(),
        "[] -> #1 service:web:1, stop, down
         [1] -> #2 service:web:1, remove, down
         [1] -> #3 service:db:1, stop, down
         [3] -> #4 service:db:1, remove, down
         [2,4] -> #5 network:default, remove, down",
    );
    let all = Down {
        volumes: true,
        ..choices
    };
    let text = down(&desired, &world.observed, &all).unwrap().to_string();
    assert!(
        text.contains("[4] -> #6 volume:data, remove, --volumes"),
        "{text}"
    );
    let without_file = Down {
        volumes: true,
        ..Down::default()
    };
    let bare = Desired {
        project: "shop".into(),
        ..Desired::default()
    };
    assert_eq!(
        down(&bare, &world.observed, &without_file).unwrap().len(),
        6
    );
}

#[test]
fn down_of_one_service_takes_its_dependents_along() {
    let desired = shop();
    let world = running(&desired);
    let named = |name: &str| Down {
        services: vec![name.into()],
        has_file: true,
        ..Down::default()
    };
    let both = down(&desired, &world.observed, &named("db"))
        .unwrap()
        .to_string();
    assert!(
        both.contains("service:web:1, remove") && !both.contains("network"),
        "{both}"
    );
    let one = down(&desired, &world.observed, &named("web"))
        .unwrap()
        .to_string();
    assert!(!one.contains("service:db"), "{one}");
}

#[test]
fn stop_and_start_respect_the_order() {
    let desired = shop();
    let mut world = running(&desired);
    let stops = stop(&desired, &world.observed, &[]).unwrap();
    is(
        &stops,
        "[] -> #1 service:web:1, stop, stop
         [1] -> #2 service:db:1, stop, stop",
    );
    world.apply(&desired, &stops);
    assert!(stop(&desired, &world.observed, &[]).unwrap().is_empty());
    is(
        &start(&desired, &world.observed, &[], false).unwrap(),
        "[] -> #1 service:db:1, start, start
         [1] -> #2 service:db, wait healthy, `web` depends on it
         [2] -> #3 service:web:1, start, start",
    );
    let none = start(&desired, &World::default().observed, &["web".into()], false);
    assert!(matches!(none, Err(PlanError::NoContainer { .. })));
}

#[test]
fn restart_takes_bound_dependents_along() {
    let mut desired = shop();
    let world = running(&desired);
    let choices = Restart {
        services: vec!["db".into()],
        no_deps: false,
    };
    is(
        &restart(&desired, &world.observed, &choices).unwrap(),
        "[] -> #1 service:db:1, restart, restart",
    );
    desired.services["web"].depends_on[0].restart = true;
    is(
        &restart(&desired, &world.observed, &choices).unwrap(),
        "[] -> #1 service:db:1, restart, restart
         [1] -> #2 service:db, wait healthy, `web` depends on it
         [2] -> #3 service:web:1, restart, a dependency restarts",
    );
}

#[test]
fn kill_and_rm_act_on_what_they_can() {
    let desired = shop();
    let mut world = running(&desired);
    assert!(
        remove_stopped(&desired, &world.observed, &[], false, false)
            .unwrap()
            .is_empty()
    );
    let choices = Kill {
        services: vec!["web".into()],
        signal: "SIGKILL".into(),
        orphans: false,
    };
    let killed = kill(&desired, &world.observed, &choices).unwrap();
    is(&killed, "[] -> #1 service:web:1, kill SIGKILL, kill");
    world.apply(&desired, &killed);
    is(
        &remove_stopped(&desired, &world.observed, &[], false, true).unwrap(),
        "[] -> #1 service:db:1, stop, stop
         [1] -> #2 service:db:1, remove, rm
         [] -> #3 service:web:1, remove, rm",
    );
}
