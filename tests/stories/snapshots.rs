//! Snapshots, forks and restored volumes.

use std::fs;

use bowline_tests::World;

const COMPOSE: &str = "
services: {it: {image: bowline/demo, command: sleep forever, volumes: ['data:/data']}}
volumes: {data: }
";

/// What was frozen must come back, whatever was written since, and a volume in use must not be replaced.
#[test]
fn a_snapshot_is_restored() {
    let world = World::new();
    let project = world.project("restore", COMPOSE);
    project.up();
    project.exec("it", &["write", "/data/note", "first"]).ok();
    let volume = "restore_data";
    world
        .bowline(&["volume", "snapshot", volume, "seeded"])
        .ok()
        .says("restore_data:seeded");
    project.exec("it", &["write", "/data/note", "second"]).ok();
    world
        .bowline(&["volume", "restore", volume, "seeded"])
        .fails_with(1)
        .says("restore-it-1");
    project.bowline(&["stop", "-t", "1"]).ok();
    world.bowline(&["volume", "restore", volume, "seeded"]).ok();
    project.bowline(&["start"]).ok();
    assert_eq!(
        project.exec("it", &["cat", "/data/note"]).ok().text(),
        "first"
    );
    world
        .bowline(&["volume", "ls", "--filter", &format!("name={volume}")])
        .ok()
        .says("restore_data:seeded");
    project.down();
    world
        .bowline(&["volume", "snapshot", "rm", volume, "seeded"])
        .ok();
    world.bowline(&["system", "check"]).ok();
    world.ends_clean();
}

/// A fork must begin with the files of its origin and share nothing with it afterwards, in both directions and with the
/// origin at work.
#[test]
fn a_fork_goes_its_own_way() {
    let world = World::new();
    let project = world.project("fork", COMPOSE);
    project.up();
    project.exec("it", &["write", "/data/note", "common"]).ok();
    for name in ["fork_one", "fork_two"] {
        world.bowline(&["volume", "fork", "fork_data", name]).ok();
    }
    let other = world.project(
        "other",
        "
services: {it: {image: bowline/demo, command: sleep forever, volumes: ['data:/data']}}
volumes: {data: {name: fork_one, external: true}}
",
    );
    other.up();
    assert_eq!(
        other.exec("it", &["cat", "/data/note"]).ok().text(),
        "common"
    );
    other.exec("it", &["write", "/data/note", "fork"]).ok();
    assert_eq!(
        project.exec("it", &["cat", "/data/note"]).ok().text(),
        "common"
    );
    project.exec("it", &["write", "/data/note", "origin"]).ok();
    assert_eq!(other.exec("it", &["cat", "/data/note"]).ok().text(), "fork");
    world.bowline(&["system", "check"]).ok();
    other.down();
    project.down();
    world
        .bowline(&["volume", "rm", "fork_one", "fork_two"])
        .ok();
    let trees = world.names().roots[0].join("trees");
    assert_eq!(
        fs::read_dir(trees).expect("the trees").count(),
        0,
        "frozen files are left"
    );
    world.ends_clean();
}

/// A fork of an idle volume must stand on its files without a copy, and the volume must go on above them.
#[test]
fn an_idle_volume_is_forked_in_place() {
    let world = World::new();
    let project = world.project("idle", COMPOSE);
    project.up();
    project.exec("it", &["write", "/data/note", "before"]).ok();
    project.bowline(&["stop", "-t", "1"]).ok();
    world
        .bowline(&["volume", "snapshot", "idle_data", "one"])
        .ok();
    project.bowline(&["start"]).ok();
    project.exec("it", &["write", "/data/note", "after"]).ok();
    world
        .bowline(&["volume", "fork", "idle_data:one", "idle_fork"])
        .ok();
    project.bowline(&["stop", "-t", "1"]).ok();
    world
        .bowline(&["volume", "snapshot", "idle_data", "two"])
        .ok();
    world
        .bowline(&["volume", "restore", "idle_data", "one"])
        .ok();
    project.bowline(&["start"]).ok();
    assert_eq!(
        project.exec("it", &["cat", "/data/note"]).ok().text(),
        "before"
    );
    project.bowline(&["stop", "-t", "1"]).ok();
    world
        .bowline(&["volume", "restore", "idle_data", "two"])
        .ok();
    project.bowline(&["start"]).ok();
    assert_eq!(
        project.exec("it", &["cat", "/data/note"]).ok().text(),
        "after"
    );
    project.down();
    world
        .bowline(&["volume", "snapshot", "rm", "idle_data", "one", "two"])
        .ok();
    world.bowline(&["volume", "rm", "idle_fork"]).ok();
    world.ends_clean();
}

/// An engine that dies with volumes mounted must leave nothing behind once its successor has gone.
#[test]
fn a_killed_engine_leaves_no_mount() {
    let world = World::new();
    let project = world.project("killed", COMPOSE);
    project.up();
    project.exec("it", &["write", "/data/note", "x"]).ok();
    project.bowline(&["stop", "-t", "1"]).ok();
    world
        .bowline(&["volume", "snapshot", "killed_data", "one"])
        .ok();
    project.bowline(&["start"]).ok();
    world.kill_engine();
    project.exec("it", &["cat", "/data/note"]).ok().says("x");
    world.bowline(&["system", "check"]).ok();
    project.down();
    world
        .bowline(&["volume", "snapshot", "rm", "killed_data", "one"])
        .ok();
    world.ends_clean();
}
