//! `up` on what is there already.

use bowline_tests::World;

const PAIR: &str = "
services:
  web: {image: bowline/demo, command: sleep forever, environment: {COLOUR: red}, stop_grace_period: 1s}
  db: {image: bowline/demo, command: sleep forever}
";

/// A second `up` must leave containers alone when nothing changed, and say so.
#[test]
fn a_second_up_does_nothing_and_says_so() {
    let world = World::new();
    let pair = world.project("pair", PAIR);
    pair.up();
    let before = (
        pair.id("web"),
        pair.inspect("db")["State"]["StartedAt"].clone(),
    );
    pair.up()
        .says("up to date")
        .never_says("Starting")
        .never_says("Recreate");
    assert_eq!(
        (
            pair.id("web"),
            pair.inspect("db")["State"]["StartedAt"].clone()
        ),
        before
    );
    pair.down();
    world.ends_clean();
}

/// A changed variable must replace the containers of its service and of no other.
#[test]
fn a_changed_variable_replaces_its_service_only() {
    let world = World::new();
    let pair = world.project("pair", PAIR);
    pair.up();
    let (web, db) = (pair.id("web"), pair.id("db"));
    pair.write("compose.yaml", &PAIR.replace("red", "blue"));
    pair.up();
    assert_ne!(pair.id("web"), web);
    assert_eq!(pair.id("db"), db);
    pair.exec("web", &["env"]).ok().says("COLOUR=blue");
    pair.down();
    world.ends_clean();
}

/// `--force-recreate` must replace what did not change, too.
#[test]
fn force_recreate_replaces_the_unchanged() {
    let world = World::new();
    let pair = world.project("pair", PAIR);
    pair.up();
    let (web, db) = (pair.id("web"), pair.id("db"));
    pair.bowline(&["up", "-d", "--force-recreate", "-t", "1"])
        .ok();
    assert_ne!(pair.id("web"), web);
    assert_ne!(pair.id("db"), db);
    pair.down();
    world.ends_clean();
}

/// `--scale` must add containers beside the first, and take the newest away again.
#[test]
fn scale_adds_and_takes_away() {
    let world = World::new();
    let pair = world.project("pair", PAIR);
    let ids = || {
        let mut ids: Vec<_> = pair
            .bowline(&["ps", "-q", "--no-trunc", "web"])
            .ok()
            .out
            .lines()
            .map(str::to_owned)
            .collect();
        ids.sort();
        ids
    };
    pair.up();
    let first = ids();
    pair.bowline(&["up", "-d", "--scale", "web=3"]).ok();
    let three = ids();
    assert_eq!(three.len(), 3, "{three:?}");
    assert!(three.contains(&first[0]));
    pair.bowline(&["up", "-d", "--scale", "web=1"]).ok();
    assert_eq!(ids(), first);
    pair.down();
    world.ends_clean();
}

/// A container whose service left the file must be named by `up`, and only `--remove-orphans` may remove it.
#[test]
fn orphans_are_named_and_removed_on_request() {
    let world = World::new();
    let pair = world.project("pair", PAIR);
    pair.up();
    pair.write(
        "compose.yaml",
        "services: {web: {image: bowline/demo, command: sleep forever}}",
    );
    pair.up().says("pair-db-1").says("--remove-orphans");
    assert_eq!(world.containers(), ["/pair-db-1", "/pair-web-1"]);
    pair.bowline(&["up", "-d", "--remove-orphans"]).ok();
    assert_eq!(world.containers(), ["/pair-web-1"]);
    pair.down();
    world.ends_clean();
}

/// Naming services must bring up these and what they depend on, and nothing else.
#[test]
fn a_subset_brings_its_dependencies_only() {
    let world = World::new();
    let three = world.project(
        "three",
        "
services:
  web: {image: bowline/demo, command: sleep forever, depends_on: [db]}
  db: {image: bowline/demo, command: sleep forever}
  other: {image: bowline/demo, command: sleep forever}
",
    );
    three.bowline(&["up", "-d", "web"]).ok();
    assert_eq!(world.containers(), ["/three-db-1", "/three-web-1"]);
    three.down();
    world.ends_clean();
}

/// `stop` must keep containers for `start`, and `rm` must take stopped ones only.
#[test]
fn stop_keeps_start_revives_and_rm_takes_the_stopped() {
    let world = World::new();
    let pair = world.project("pair", PAIR);
    pair.up();
    let db = pair.id("db");
    pair.bowline(&["stop", "-t", "1", "db"]).ok();
    assert_eq!(pair.state("db"), "exited");
    pair.bowline(&["start", "db"]).ok();
    assert_eq!(
        (pair.state("db"), pair.id("db")),
        ("running".to_owned(), db)
    );
    pair.bowline(&["stop", "-t", "1", "db"]).ok();
    pair.bowline(&["rm", "-f"]).ok();
    assert_eq!(world.containers(), ["/pair-web-1"]);
    pair.down();
    world.ends_clean();
}

/// A profile's services must stay down until the profile is named.
#[test]
fn a_profile_waits_to_be_named() {
    let world = World::new();
    let project = world.project(
        "profiles",
        "
services:
  web: {image: bowline/demo, command: sleep forever}
  debug: {image: bowline/demo, command: sleep forever, profiles: [tools]}
",
    );
    project.up();
    assert_eq!(world.containers(), ["/profiles-web-1"]);
    project.bowline(&["--profile", "tools", "up", "-d"]).ok();
    assert_eq!(world.containers(), ["/profiles-debug-1", "/profiles-web-1"]);
    project
        .bowline(&["--profile", "tools", "down", "-t", "1"])
        .ok();
    world.ends_clean();
}
