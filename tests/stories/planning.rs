//! What a plan says and does: causes, locks, hooks, rolling updates, copies, tests against a copy.

use bowline_tests::{World, eventually};
use nix::sys::signal::Signal;
use std::time::Duration;

const WAIT: Duration = Duration::from_secs(20);

const WEB: &str = "
services:
  web: {image: bowline/demo, command: sleep forever, environment: {DEBUG: '0'}}
";

/// `web` waits until somebody makes the file that `db` is asked for.
const WAITING: &str = "
services:
  web: {image: bowline/demo, command: sleep forever, depends_on: {db: {condition: service_healthy}}}
  db:
    image: bowline/demo
    command: sleep forever
    healthcheck: {test: [CMD, /bin/stat, /tmp/go], interval: 200ms, retries: 1000}
";

/// A plan must say what changed and where in the file it stands, and change nothing.
#[test]
fn a_plan_names_the_change_and_its_place() {
    let world = World::new();
    let project = world.project("causes", WEB);
    project.up();
    let before = project.id("web");
    project.write("compose.yaml", &WEB.replace("'0'", "'1'"));
    let plan = project.bowline(&["plan"]).ok();
    plan.says("environment.DEBUG: 0 → 1 (compose.yaml:3)");
    let json = project.bowline(&["plan", "--format", "json"]).ok();
    let object: serde_json::Value = serde_json::from_str(json.text()).expect("JSON");
    assert_eq!(object["project"], "causes");
    assert_eq!(
        object["steps"][0]["action"].as_str().map(|a| &a[..6]),
        Some("create")
    );
    project
        .bowline(&["--dry-run", "up", "-d"])
        .ok()
        .says("environment.DEBUG");
    assert_eq!(project.id("web"), before);
    project.up();
    assert_ne!(project.id("web"), before);
    project.bowline(&["plan"]).ok().says("Nothing to do");
    project.down();
    world.ends_clean();
}

/// Every command that changes something must only tell so under `--dry-run`.
#[test]
fn a_dry_run_changes_nothing() {
    let world = World::new();
    let project = world.project("dry", WEB);
    project
        .bowline(&["--dry-run", "up", "-d"])
        .ok()
        .says("create");
    assert!(world.containers().is_empty());
    project.up();
    let before = project.inspect("web")["State"].clone();
    for command in [
        &["stop"][..],
        &["restart"],
        &["kill"],
        &["pause"],
        &["rm", "-sf"],
        &["down", "-v"],
        &["up", "-d", "--force-recreate"],
        &["scale", "web=3"],
    ] {
        let line = [&["--dry-run"], command].concat();
        project.bowline(&line).ok().says("service:web:");
    }
    assert_eq!(project.inspect("web")["State"], before);
    project.down();
    world.ends_clean();
}

/// Steps before the start run once, in order, before the service does; commands after the start and
/// before a stop run inside it.
#[test]
fn hooks_run_around_a_life() {
    let world = World::new();
    let project = world.project(
        "hooks",
        "
services:
  web:
    image: bowline/demo
    entrypoint: [/bin/sleep]
    command: forever
    volumes: [shared:/shared]
    pre_start:
      - {entrypoint: [/bin/touch], command: [/shared/first]}
      - {entrypoint: [/bin/stat], command: [/shared/first]}
    post_start: [{command: [/bin/touch, /shared/after]}]
    pre_stop: [{command: [/bin/touch, /shared/before]}]
volumes: {shared: }
",
    );
    project.up();
    project.exec("web", &["/bin/stat", "/shared/first"]).ok();
    project.exec("web", &["/bin/stat", "/shared/after"]).ok();
    assert_eq!(world.containers().len(), 1, "hooks leave no container");
    project.bowline(&["stop", "-t", "0"]).ok().says("pre_stop");
    project.bowline(&["up", "-d"]).ok().never_says("Prepar");
    project.exec("web", &["/bin/stat", "/shared/before"]).ok();
    project.bowline(&["down", "-v", "-t", "0"]).ok();
    world.ends_clean();
}

/// A step that fails keeps the service from starting, says why, and stays to be looked at; the next `up`
/// runs it again.
#[test]
fn a_failed_step_keeps_the_service_from_starting() {
    let world = World::new();
    let file = |code: &str| {
        format!(
            "
services:
  web:
    image: bowline/demo
    command: sleep forever
    pre_start: [{{command: [exit, '{code}']}}]
"
        )
    };
    let project = world.project("failing", &file("3"));
    let failed = project.bowline(&["up", "-d"]).fails_with(1);
    failed
        .says("pre_start hook 1 exited with code 3")
        .says("not started");
    let web = || world.api("/containers/failing-web-1/json")["State"]["Status"].clone();
    assert_eq!(web(), "created");
    project.write("compose.yaml", &file("0"));
    project.up();
    assert_eq!(web(), "running");
    assert_eq!(world.containers().len(), 1);
    project.down();
    world.ends_clean();
}

/// Two commands at once: the second says whom it waits for, and goes on when that one is done.
#[test]
fn one_command_at_a_time_changes_a_project() {
    let world = World::new();
    let project = world.project("turns", WAITING);
    let first = project.start(&["up", "-d"]);
    first.tells("Waiting");
    let second = project.start(&["up", "-d"]);
    second.tells("Waiting for `bowline up` (pid ");
    project.exec("db", &["/bin/touch", "/tmp/go"]).ok();
    first.wait().ok();
    second.wait().ok().says("Nothing to do");
    project.down();
    world.ends_clean();
}

/// A command that is killed holds nothing back.
#[test]
fn the_turn_of_a_killed_command_ends_with_it() {
    let world = World::new();
    let project = world.project("killed", WAITING);
    let first = project.start(&["up", "-d"]);
    first.tells("Waiting");
    first.signal(Signal::SIGKILL);
    let _killed = first.wait();
    project.bowline(&["down", "-t", "0"]).ok();
    world.ends_clean();
}

/// The first Ctrl-C finishes what is under way, says what was left how, and is resumable.
#[test]
fn an_interrupted_plan_says_what_is_left() {
    let world = World::new();
    let project = world.project("interrupted", WAITING);
    let up = project.start(&["up", "-d"]);
    up.tells("Waiting");
    up.signal(Signal::SIGINT);
    let ended = up.wait().fails_with(130);
    ended.says("not started: `interrupted-web-1`");
    project.exec("db", &["/bin/touch", "/tmp/go"]).ok();
    project.up();
    assert_eq!(project.state("web"), "running");
    project.down();
    world.ends_clean();
}

/// With `start-first` the service never has fewer running containers than before.
#[test]
fn a_successor_starts_before_its_predecessor_stops() {
    let world = World::new();
    let project = world.project(
        "rolling",
        "
services:
  web:
    image: bowline/demo
    command: sleep forever
    healthcheck: {test: [CMD, /bin/touch, /tmp/ok], interval: 200ms}
    deploy: {update_config: {order: start-first}}
",
    );
    project.up();
    let old = project.id("web");
    project.bowline(&["up", "-d", "--force-recreate"]).ok();
    let new = project.inspect("web");
    assert_ne!(new["Id"].as_str(), Some(old.as_str()));
    assert_eq!(new["Name"], "/rolling-web-1");
    assert_eq!(new["State"]["Health"]["Status"], "healthy");
    project.down();
    world.ends_clean();
}

/// A copy of a project with fixed names and ports runs beside it, and goes alone.
#[test]
fn a_copy_runs_beside_its_original() {
    let world = World::new();
    let port = bowline_tests::free_port();
    let file = format!(
        "
services:
  web:
    image: bowline/demo
    container_name: fixed
    command: sleep forever
    ports: ['{port}:8080']
    volumes: [data:/data]
volumes: {{data: {{name: fixed-data}}}}
"
    );
    let project = world.project("copied", &file);
    project.up();
    let copy = project.bowline(&["up", "-d", "--isolated=two"]).ok();
    copy.says("`copied-two` is a copy of `copied`");
    let there = project
        .bowline(&["-p", "copied-two", "port", "web", "8080"])
        .ok();
    assert!(
        !there.text().contains(&port.to_string()),
        "{}",
        there.text()
    );
    project
        .bowline(&["-p", "copied-two", "down", "-v", "-t", "0"])
        .ok();
    assert_eq!(project.state("web"), "running");
    project
        .bowline(&["up", "-d", "--isolated", "--no-ports"])
        .ok()
        .says("is a copy of");
    project.bowline(&["down", "-v", "-t", "0"]).ok();
    let copies = world.containers();
    assert_eq!(copies.len(), 1, "{copies:?}");
    let name = copies[0].trim_start_matches('/').to_owned();
    let copy = name.strip_suffix("-web-1").expect("a replica").to_owned();
    project
        .bowline(&["-p", &copy, "down", "-v", "-t", "0"])
        .ok();
    world.ends_clean();
}

const TESTED: &str = "
services:
  tests: {image: bowline/demo, command: exit 0, depends_on: {db: {condition: service_healthy}}, profiles: [test]}
  db:
    image: bowline/demo
    command: sleep forever
    volumes: [data:/data]
    healthcheck: {test: [CMD, /bin/touch, /tmp/ok], interval: 200ms}
volumes: {data: }
";

/// A test's exit code is the command's; a failure leaves a report, and nothing else is left.
#[test]
fn a_test_leaves_its_code_and_a_report() {
    let world = World::new();
    let project = world.project("tested", TESTED);
    project.bowline(&["test", "tests"]).ok();
    let report = project.path().join("report");
    let to = report.display().to_string();
    let failed = project.bowline(&["test", "--report", &to, "tests", "exit", "3"]);
    failed.fails_with(3).says("What is known of the failed run");
    for file in ["plan.txt", "events.jsonl"] {
        assert!(
            report.join(file).metadata().is_ok_and(|m| m.len() > 0),
            "{file}"
        );
    }
    assert!(world.containers().is_empty());
    world.ends_clean();
}

/// A test that is killed leaves nothing: the engine removes the copy with the connection.
#[test]
fn a_killed_test_leaves_nothing() {
    let world = World::new();
    let project = world.project("tested", TESTED);
    let test = project.start(&["test", "tests", "sleep", "forever"]);
    test.tells("Ready in");
    assert!(!world.containers().is_empty());
    test.signal(Signal::SIGKILL);
    let _killed = test.wait();
    eventually(WAIT, || match world.containers() {
        none if none.is_empty() => Ok(()),
        left => Err(left),
    });
    eventually(WAIT, || {
        let volumes = world.api("/volumes")["Volumes"].clone();
        match volumes.as_array() {
            Some(left) if !left.is_empty() => Err(volumes.to_string()),
            _ => Ok(()),
        }
    });
    world.ends_clean();
}

/// Pause, unpause and scale by the project's name alone.
#[test]
fn containers_are_found_by_their_labels_alone() {
    let world = World::new();
    let project = world.project("labelled", WEB);
    project.up();
    project.bowline(&["scale", "web=2"]).ok();
    assert_eq!(world.containers().len(), 2);
    let elsewhere = world.folder("elsewhere", &[]);
    let there = |words: &[&str]| {
        elsewhere
            .bowline(&[&["-p", "labelled"], words].concat())
            .ok()
    };
    there(&["pause"]);
    assert_eq!(project.state("web"), "paused");
    there(&["unpause"]);
    there(&["restart", "-t", "0"]);
    assert_eq!(project.state("web"), "running");
    there(&["stop", "-t", "0"]);
    assert_eq!(project.state("web"), "exited");
    there(&["start"]);
    there(&["down", "-t", "0"]);
    world.ends_clean();
}
