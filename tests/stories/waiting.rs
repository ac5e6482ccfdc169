//! `wait`: until containers end, or until they are in a state.

use std::time::Duration;

use bowline_tests::{World, eventually};

/// The code must be the container's own, whether it has ended before or ends while it is waited for.
#[test]
fn the_code_is_the_containers() {
    let world = World::new();
    let project = world.project(
        "codes",
        "services: {early: {image: bowline/demo, command: exit 5}, late: {image: bowline/demo, command: exit 6 --after 1}}",
    );
    project.up();
    project
        .bowline(&["wait", "late"])
        .fails_with(6)
        .says("codes-late-1");
    project.bowline(&["wait", "early"]).fails_with(5);
    project.down();
    world.ends_clean();
}

/// With several services the wait must end with the last of them, and with its code.
#[test]
fn the_last_to_end_decides() {
    let world = World::new();
    let project = world.project(
        "last",
        "services: {quick: {image: bowline/demo, command: exit 5}, slow: {image: bowline/demo, command: exit 6 --after 1}}",
    );
    project.up();
    project
        .bowline(&["wait", "slow", "quick"])
        .fails_with(6)
        .says("code 5")
        .says("code 6");
    project.down();
    world.ends_clean();
}

/// `--down-project` must remove everything when the first container ends, and keep its code.
#[test]
fn the_project_goes_with_the_first() {
    let world = World::new();
    let project = world.project(
        "first",
        "services: {job: {image: bowline/demo, command: exit 7}, web: {image: bowline/demo, command: trap}}",
    );
    project.up();
    project
        .bowline(&["wait", "--down-project", "job", "web"])
        .fails_with(7);
    assert_eq!(world.containers(), Vec::<String>::new());
    world.ends_clean();
}

/// `SERVICE:healthy` must return as soon as its healthcheck says so, and fail when it ends instead.
#[test]
fn health_can_be_waited_for() {
    let world = World::new();
    let project = world.project(
        "health",
        "
services:
  db: {image: bowline/demo, command: sleep forever, healthcheck: {test: [CMD, /bin/healthy, /ready], interval: 1s, retries: 100}}
  job: {image: bowline/demo, command: exit 0, healthcheck: {test: [CMD, /bin/true], interval: 60s}}
",
    );
    project.up();
    let waiting = project.start(&["wait", "db:healthy"]);
    project.exec("db", &["touch", "/ready"]).ok();
    waiting.wait().ok().says("health-db-1");
    project.bowline(&["wait", "db:running"]).ok();
    project.bowline(&["wait", "job:completed"]).ok();
    project
        .bowline(&["wait", "job:healthy"])
        .fails_with(1)
        .says("health-job-1");
    project
        .bowline(&["wait", "db:happy"])
        .fails_with(2)
        .says("happy");
    project.down();
    world.ends_clean();
}

/// A service without a container must be an error, not an endless wait.
#[test]
fn nobody_is_waited_for() {
    let world = World::new();
    let project = world.project(
        "nobody",
        "services: {web: {image: bowline/demo, command: trap}}",
    );
    project
        .bowline(&["wait", "web"])
        .fails_with(1)
        .says("no container");
    project
        .bowline(&["wait", "other"])
        .fails_with(1)
        .says("other");
    world.ends_clean();
}

/// Ctrl-C must end the wait with 130 and leave the container alone.
#[test]
fn an_interrupt_ends_the_wait_only() {
    let world = World::new();
    let project = world.project(
        "patience",
        "services: {web: {image: bowline/demo, command: trap}}",
    );
    project.up();
    let waiting = project.start(&["wait", "web"]);
    // It is listening when the engine has its request.
    eventually(Duration::from_secs(10), || {
        match world.api("/bowline/check").is_object() {
            true => Ok(()),
            false => Err("no engine"),
        }
    });
    waiting.signal(nix::sys::signal::Signal::SIGTERM);
    let ended = waiting.wait();
    // A signal that comes before it is caught ends the command the usual way.
    assert!([130, 143].contains(&ended.code), "{ended}");
    assert_eq!(project.state("web"), "running");
    project.down();
    world.ends_clean();
}
