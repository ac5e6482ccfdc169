//! How containers start, end and come again.

use std::time::{Duration, Instant};

use bowline_tests::{Folder, World, ask, eventually};

/// Waits until the service's container is in this state for good or for now.
#[track_caller]
fn becomes(project: &Folder<'_>, service: &str, wanted: &str) -> serde_json::Value {
    eventually(Duration::from_secs(20), || {
        let seen = project.inspect(service);
        if seen["State"]["Status"] == wanted {
            Ok(seen)
        } else {
            Err(seen["State"].clone())
        }
    })
}

/// `on-failure:2` must start a failing container twice again, and then leave it.
#[test]
fn on_failure_counts() {
    let world = World::new();
    let project = world.project(
        "fails",
        "services: {it: {image: bowline/demo, command: exit 7, restart: 'on-failure:2'}}",
    );
    project.up();
    eventually(Duration::from_secs(20), || {
        let seen = project.inspect("it");
        let over = seen["RestartCount"] == 2 && seen["State"]["Status"] == "exited";
        if over {
            Ok(())
        } else {
            Err(seen["State"].clone())
        }
    });
    assert_eq!(project.inspect("it")["State"]["ExitCode"], 7);
    project.down();
    world.ends_clean();
}

/// The pauses between an end and the next start must double from a tenth of a second on.
#[test]
fn restarts_wait_twice_as_long_each_time() {
    let world = World::new();
    let project = world.project(
        "backoff",
        "services: {it: {image: bowline/demo, command: exit 7, restart: 'on-failure:5'}}",
    );
    project.up();
    eventually(Duration::from_secs(30), || {
        let seen = project.inspect("it");
        let over = seen["RestartCount"] == 5 && seen["State"]["Status"] == "exited";
        over.then_some(()).ok_or(seen["State"].clone())
    });
    let until = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("a clock")
        .as_secs()
        + 1;
    let (_, body) = ask(
        &world.socket(),
        "GET",
        &format!("/events?since=1&until={until}"),
    );
    let times = |action: &str| -> Vec<u64> {
        let events = body
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let own = events.filter(|event| event["Type"] == "container" && event["Action"] == action);
        own.filter_map(|event| event["timeNano"].as_u64()).collect()
    };
    let (died, started) = (times("die"), times("start"));
    assert_eq!((died.len(), started.len()), (6, 6), "{body}");
    let pauses = died.iter().zip(&started[1..]);
    let pauses: Vec<_> = pauses
        .map(|(died, started)| (started - died) / 1_000_000)
        .collect();
    for (pause, wanted) in pauses.iter().zip([100, 200, 400, 800, 1600]) {
        assert!((wanted..wanted + 700).contains(pause), "{pauses:?} ms");
    }
    project.down();
    world.ends_clean();
}

/// `on-failure` must leave a container that ended well.
#[test]
fn on_failure_leaves_the_successful() {
    let world = World::new();
    let project = world.project(
        "good",
        "services: {it: {image: bowline/demo, command: exit 0, restart: on-failure}}",
    );
    project.up();
    assert_eq!(becomes(&project, "it", "exited")["RestartCount"], 0);
    project.down();
    world.ends_clean();
}

/// `always` must start a container again however it ended, as a new process of the same container.
#[test]
fn always_comes_again() {
    let world = World::new();
    let project = world.project(
        "always",
        "services: {it: {image: bowline/demo, command: sleep forever, restart: always}}",
    );
    project.up();
    let before = project.inspect("it");
    let pid = i32::try_from(before["State"]["Pid"].as_i64().expect("a pid")).expect("a pid");
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid),
        nix::sys::signal::Signal::SIGKILL,
    )
    .expect("kill");
    let after = eventually(Duration::from_secs(20), || {
        let seen = project.inspect("it");
        if seen["RestartCount"] == 1 && seen["State"]["Running"] == true {
            Ok(seen)
        } else {
            Err(seen["State"].clone())
        }
    });
    assert_eq!(after["Id"], before["Id"]);
    assert_ne!(after["State"]["Pid"], before["State"]["Pid"]);
    project.down();
    world.ends_clean();
}

/// A container that was stopped by hand must stay down, whatever its policy.
#[test]
fn stopping_by_hand_wins() {
    let world = World::new();
    let project = world.project(
        "manual",
        "services: {it: {image: bowline/demo, command: sleep forever, restart: always}}",
    );
    project.up();
    project.bowline(&["stop", "it"]).ok();
    // The engine leaves when nothing runs; the next one must not bring it back either.
    let engine = world.engines();
    eventually(Duration::from_secs(20), || {
        let now = world.engines();
        if now.is_empty() || now != engine {
            Ok(())
        } else {
            Err(now)
        }
    });
    assert_eq!(project.state("it"), "exited");
    project.down();
    world.ends_clean();
}

/// `stop_signal` must be the signal that arrives, and a good end within the grace period must be no kill.
#[test]
fn the_stop_signal_arrives() {
    let world = World::new();
    let project = world.project(
        "signal",
        "services: {it: {image: bowline/demo, command: trap --ignore SIGTERM, stop_signal: SIGINT}}",
    );
    project.up();
    project.bowline(&["stop", "it"]).ok();
    assert_eq!(project.inspect("it")["State"]["ExitCode"], 0);
    project
        .bowline(&["logs", "it"])
        .ok()
        .says("SIGINT")
        .never_says("SIGTERM");
    project.down();
    world.ends_clean();
}

/// A container that ignores its stop signal must be killed after `stop_grace_period`, and not before.
#[test]
fn the_grace_period_is_kept() {
    let world = World::new();
    let project = world.project(
        "grace",
        "services: {it: {image: bowline/demo, command: trap --ignore SIGTERM, stop_grace_period: 2s}}",
    );
    project.up();
    let shown = project.start(&["logs", "-f", "it"]);
    shown.shows("waiting for signals");
    let before = Instant::now();
    project.bowline(&["stop", "it"]).ok();
    assert!(before.elapsed() >= Duration::from_secs(2));
    shown.wait().ok().says("SIGTERM");
    assert_eq!(project.inspect("it")["State"]["ExitCode"], 137);
    project.down();
    world.ends_clean();
}

/// `kill -s` must deliver any signal, and leave the container running when the process goes on.
#[test]
fn kill_delivers_any_signal() {
    let world = World::new();
    let project = world.project(
        "kill",
        "services: {it: {image: bowline/demo, command: trap}}",
    );
    project.up();
    let shown = project.start(&["logs", "-f", "it"]);
    shown.shows("waiting for signals");
    project.bowline(&["kill", "-s", "HUP", "it"]).ok();
    shown.shows("SIGHUP");
    assert_eq!(project.state("it"), "running");
    project.bowline(&["kill", "it"]).ok();
    assert_eq!(becomes(&project, "it", "exited")["State"]["ExitCode"], 137);
    shown.wait().ok();
    project.down();
    world.ends_clean();
}

/// `restart` must give a running container a new process.
#[test]
fn restart_gives_a_new_process() {
    let world = World::new();
    let project = world.project(
        "again",
        "services: {it: {image: bowline/demo, command: sleep forever}}",
    );
    project.up();
    let before = project.inspect("it");
    project.bowline(&["restart", "-t", "1", "it"]).ok();
    let after = project.inspect("it");
    assert_eq!(after["Id"], before["Id"]);
    assert_ne!(after["State"]["Pid"], before["State"]["Pid"]);
    project.down();
    world.ends_clean();
}

/// An attached `up` must show output, and Ctrl-C must stop what it started.
#[test]
fn an_interrupt_stops_what_up_started() {
    let world = World::new();
    let project = world.project(
        "attached",
        "services: {it: {image: bowline/demo, command: trap}}",
    );
    let up = project.start(&["up"]);
    up.shows("it-1  | waiting for signals");
    up.signal(nix::sys::signal::Signal::SIGINT);
    up.wait().fails_with(130).says("SIGTERM");
    assert_eq!(project.state("it"), "exited");
    project.down();
    world.ends_clean();
}

/// A second Ctrl-C must not wait for a container that ignores the first.
#[test]
fn a_second_interrupt_kills() {
    let world = World::new();
    let project = world.project(
        "stubborn",
        "services: {it: {image: bowline/demo, command: trap --ignore TERM, stop_grace_period: 5m}}",
    );
    let up = project.start(&["up"]);
    up.shows("it-1  | waiting for signals");
    up.signal(nix::sys::signal::Signal::SIGINT);
    up.shows("it-1  | SIGTERM");
    assert_eq!(project.state("it"), "running", "the grace period is long");
    up.signal(nix::sys::signal::Signal::SIGINT);
    up.wait().fails_with(130);
    let state = project.inspect("it")["State"].clone();
    assert_eq!(state["Status"], "exited", "{state}");
    assert_eq!(state["ExitCode"], 137, "{state}");
    project.down();
    world.ends_clean();
}

/// An attached `up` must end by itself when all its containers have ended, also those that keep no log.
#[test]
fn up_ends_with_its_containers() {
    let world = World::new();
    let project = world.project(
        "ends",
        "
services:
  it: {image: bowline/demo, command: print 2}
  mute: {image: bowline/demo, command: print 2, logging: {driver: none}}
",
    );
    project
        .bowline(&["up"])
        .ok()
        .says("it-1    | line 2")
        .never_says("mute-1  | line");
    project.down();
    world.ends_clean();
}

/// A container whose engine was killed must live on, and be the same under the next engine.
#[test]
fn containers_outlive_their_engine() {
    let world = World::with(&[("BOWLINE_REVIVE", "false")]);
    let project = world.project(
        "outlive",
        "services: {it: {image: bowline/demo, command: sleep forever}}",
    );
    project.up();
    let before = project.inspect("it")["State"]["Pid"].clone();
    world.kill_engine();
    assert_eq!(project.state("it"), "running");
    assert_eq!(project.inspect("it")["State"]["Pid"], before);
    project.exec("it", &["true"]).ok();
    project.down();
    world.ends_clean();
}
