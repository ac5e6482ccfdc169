//! `depends_on` and `--wait`.

use bowline_tests::{World, eventually};
use std::time::Duration;

/// When a service's container started, as the engine wrote it down: RFC 3339 in UTC, so text order is time order.
fn started(project: &bowline_tests::Folder<'_>, service: &str) -> String {
    let state = project.inspect(service)["State"].clone();
    state["StartedAt"].as_str().expect("a time").to_owned()
}

/// A dependant on `service_healthy` must start only after the dependency turned healthy.
#[test]
fn healthy_comes_before_the_dependant() {
    let world = World::new();
    let project = world.project(
        "healthy",
        "
services:
  web: {image: bowline/demo, command: stat /shared/ready, volumes: [shared:/shared], depends_on: {db: {condition: service_healthy}}}
  db:
    image: bowline/demo
    entrypoint: [/bin/sleep]
    command: forever
    volumes: [shared:/shared]
    healthcheck: {test: [CMD, /bin/touch, /shared/ready], interval: 1s}
volumes: {shared: }
",
    );
    project.up();
    assert_eq!(
        project.inspect("db")["State"]["Health"]["Status"],
        "healthy"
    );
    eventually(Duration::from_secs(5), || {
        match project.state("web").as_str() {
            "exited" => Ok(()),
            other => Err(other.to_owned()),
        }
    });
    // The probe made the file; so it was there when the dependant looked.
    assert_eq!(project.inspect("web")["State"]["ExitCode"], 0);
    project.down();
    world.ends_clean();
}

/// A dependant on `service_completed_successfully` must start after the dependency's good end.
#[test]
fn a_finished_job_comes_before_the_dependant() {
    let world = World::new();
    let project = world.project(
        "job",
        "
services:
  web: {image: bowline/demo, command: sleep forever, depends_on: {job: {condition: service_completed_successfully}}}
  job: {image: bowline/demo, command: exit 0 --after 1}
",
    );
    project.up();
    let finished = project.inspect("job")["State"]["FinishedAt"]
        .as_str()
        .expect("a time")
        .to_owned();
    assert!(finished < started(&project, "web"), "{finished}");
    project.down();
    world.ends_clean();
}

/// A dependant must start after the dependency started.
#[test]
fn the_started_come_in_order() {
    let world = World::new();
    let project = world.project(
        "chain",
        "
services:
  a: {image: bowline/demo, command: sleep forever, depends_on: [b]}
  b: {image: bowline/demo, command: sleep forever, depends_on: [c]}
  c: {image: bowline/demo, command: sleep forever}
",
    );
    project.up();
    let times = ["c", "b", "a"].map(|service| started(&project, service));
    assert!(times.is_sorted(), "{times:?}");
    project.down();
    world.ends_clean();
}

/// A job that fails must end `up` with its name, its code and its last lines, and its dependant must not start.
#[test]
fn a_failed_job_stops_its_dependant() {
    let world = World::new();
    let project = world.project(
        "failed",
        "
services:
  web: {image: bowline/demo, command: sleep forever, depends_on: {job: {condition: service_completed_successfully}}}
  job: {image: bowline/demo, command: [cat, /etc/passwd, /no/such/file]}
",
    );
    let ran = project.bowline(&["up", "-d"]);
    assert_ne!(ran.code, 0);
    ran.says("job")
        .says("code 1")
        .says("root:x:0:0")
        .says("/no/such/file");
    assert_ne!(project.state("web"), "running");
    project.down();
    world.ends_clean();
}

/// A dependency that dies before it is healthy must end `up` at once, with its name and its last lines.
#[test]
fn a_dependency_that_dies_is_named() {
    let world = World::new();
    let project = world.project(
        "dies",
        "
services:
  web: {image: bowline/demo, command: sleep forever, depends_on: {db: {condition: service_healthy}}}
  db: {image: bowline/demo, command: [cat, /etc/group, /no/such/file], healthcheck: {test: [CMD, /bin/true], interval: 60s}}
",
    );
    let ran = project.bowline(&["up", "-d"]);
    assert_ne!(ran.code, 0);
    ran.says("db").says("nogroup").says("/no/such/file");
    assert_ne!(project.state("web"), "running");
    project.down();
    world.ends_clean();
}

/// A dependency that turns unhealthy must end `up` with its name and what its probe said.
#[test]
fn a_dependency_that_is_unhealthy_is_named() {
    let world = World::new();
    let project = world.project(
        "sick",
        "
services:
  web: {image: bowline/demo, command: sleep forever, depends_on: {db: {condition: service_healthy}}}
  db: {image: bowline/demo, command: sleep forever, healthcheck: {test: [CMD, /bin/cat, /no/pulse], interval: 1s, retries: 1}}
",
    );
    let ran = project.bowline(&["up", "-d"]);
    assert_ne!(ran.code, 0);
    ran.says("db").says("unhealthy").says("/no/pulse");
    assert_ne!(project.state("web"), "running");
    project.down();
    world.ends_clean();
}

/// `--wait` must fail on a service that never gets healthy, name it, and show its probe's last output.
#[test]
fn wait_names_the_unhealthy_and_shows_its_probe() {
    let world = World::new();
    let project = world.project(
        "wait",
        "
services:
  good: {image: bowline/demo, command: sleep forever}
  sick: {image: bowline/demo, command: sleep forever, healthcheck: {test: [CMD, /bin/cat, /no/pulse], interval: 1s, retries: 1}}
",
    );
    let ran = project.bowline(&["up", "-d", "--wait"]);
    assert_ne!(ran.code, 0);
    ran.says("sick").says("unhealthy").says("/no/pulse");
    project.down();
    world.ends_clean();
}

/// `--wait-timeout` must bound the wait for a service that is neither healthy nor unhealthy.
#[test]
fn wait_timeout_ends_the_wait() {
    let world = World::new();
    let project = world.project(
        "late",
        "
services:
  slow: {image: bowline/demo, command: sleep forever, healthcheck: {test: [CMD, /bin/false], interval: 1s, retries: 1000}}
",
    );
    let ran = project.bowline(&["up", "-d", "--wait", "--wait-timeout", "2"]);
    assert_ne!(ran.code, 0);
    ran.says("slow");
    project.down();
    world.ends_clean();
}

/// `down` must stop a dependant before what it depends on.
#[test]
fn down_goes_the_other_way() {
    let world = World::new();
    let project = world.project(
        "back",
        "
services:
  web: {image: bowline/demo, command: sleep forever, depends_on: [db]}
  db: {image: bowline/demo, command: sleep forever}
",
    );
    project.up();
    project.bowline(&["stop"]).ok();
    let finished = |service| {
        let state = project.inspect(service)["State"].clone();
        state["FinishedAt"].as_str().expect("a time").to_owned()
    };
    assert!(finished("web") <= finished("db"));
    project.down();
    world.ends_clean();
}
