//! Output: who said what, when, and how much of it is kept.

use std::fs;

use bowline_tests::World;

const TWO: &str = "
services:
  a: {image: bowline/demo, command: print 5 --interval 40}
  bee: {image: bowline/demo, command: print 5 --interval 40}
";

/// Every line must carry its container's name, padded so that lines begin at one column.
#[test]
fn lines_carry_their_containers_name() {
    let world = World::new();
    let project = world.project("two", TWO);
    project.bowline(&["up"]).ok();
    let logs = project
        .bowline(&["logs"])
        .ok()
        .says("a-1    | line 5")
        .says("bee-1  | line 5");
    assert_eq!(logs.out.lines().count(), 10, "{logs}");
    project
        .bowline(&["logs", "--no-log-prefix", "a"])
        .ok()
        .says("line 1")
        .never_says("a-1");
    project.down();
    world.ends_clean();
}

/// Lines of several containers must come in the order in which they were written.
#[test]
fn lines_come_in_the_order_of_time() {
    let world = World::new();
    let project = world.project("order", TWO);
    project.bowline(&["up"]).ok();
    let logs = project.bowline(&["logs", "-t", "--no-log-prefix"]).ok();
    let times: Vec<_> = logs
        .out
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(times.len(), 10);
    assert!(times.is_sorted(), "{logs}");
    project.down();
    world.ends_clean();
}

/// `--tail` must count for each container.
#[test]
fn tail_counts_for_each_container() {
    let world = World::new();
    let project = world.project("tail", TWO);
    project.bowline(&["up"]).ok();
    let logs = project
        .bowline(&["logs", "--tail", "2"])
        .ok()
        .says("line 4")
        .never_says("line 3");
    assert_eq!(logs.out.lines().count(), 4, "{logs}");
    project.down();
    world.ends_clean();
}

/// `logs -f` must show what is still being written, and end when its containers have ended.
#[test]
fn following_ends_with_the_containers() {
    let world = World::new();
    let project = world.project(
        "follow",
        "services: {a: {image: bowline/demo, command: print 40 --interval 50}}",
    );
    project.up();
    let logs = project.start(&["logs", "-f"]).wait().ok();
    assert_eq!(logs.out.lines().count(), 40, "{logs}");
    project.down();
    world.ends_clean();
}

/// No line may get lost or torn, however many there are.
#[test]
fn a_flood_arrives_whole() {
    let world = World::new();
    let project = world.project(
        "flood",
        "services: {a: {image: bowline/demo, command: print 20000 --width 200}}",
    );
    let up = project.bowline(&["up", "--no-log-prefix"]).ok();
    let numbers = up.out.lines().filter_map(|line| {
        line.strip_prefix("line ")?
            .split(' ')
            .next()?
            .parse::<u32>()
            .ok()
    });
    assert!(numbers.eq(1..=20_000));
    let logs = project.bowline(&["logs", "--no-log-prefix"]).ok();
    let numbers = logs.out.lines().filter_map(|line| {
        line.strip_prefix("line ")?
            .split(' ')
            .next()?
            .parse::<u32>()
            .ok()
    });
    assert!(numbers.eq(1..=20_000));
    project.down();
    world.ends_clean();
}

/// `max-size` and `max-file` must bound what is kept, and the newest lines must be what is kept.
#[test]
fn rotation_keeps_the_newest() {
    let world = World::new();
    let project = world.project(
        "rotate",
        "
services:
  a:
    image: bowline/demo
    command: print 2000 --width 100
    logging: {driver: json-file, options: {max-size: 20k, max-file: '3'}}
",
    );
    project.bowline(&["up"]).ok();
    let folder = world.names().roots[0]
        .join("containers")
        .join(project.id("a"));
    let files = fs::read_dir(&folder).expect("the folder").flatten();
    let files: Vec<_> = files
        .filter(|file| file.file_name().to_string_lossy().contains("-json.log"))
        .collect();
    let size: u64 = files
        .iter()
        .map(|file| file.metadata().expect("a size").len())
        .sum();
    assert_eq!(files.len(), 3, "{files:?}");
    assert!(size < 3 * 21_000, "{size}");
    let logs = project
        .bowline(&["logs", "--no-log-prefix"])
        .ok()
        .says("line 2000 ");
    let numbers: Vec<u32> = logs
        .out
        .lines()
        .filter_map(|line| line.strip_prefix("line ")?.split(' ').next()?.parse().ok())
        .collect();
    assert!(
        numbers.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "{numbers:?}"
    );
    project.down();
    world.ends_clean();
}

/// Both streams must be kept apart.
#[test]
fn streams_stay_apart() {
    let world = World::new();
    let project = world.project(
        "apart",
        "services: {bee: {image: bowline/demo, command: print 5 --err}}",
    );
    project.bowline(&["up"]).ok();
    project.bowline(&["logs"]).ok();
    let id = project.id("bee");
    let (_, out) = bowline_tests::ask(
        &world.socket(),
        "GET",
        &format!("/containers/{id}/logs?stdout=1"),
    );
    assert_eq!(out, "");
    let (_, err) = bowline_tests::ask(
        &world.socket(),
        "GET",
        &format!("/containers/{id}/logs?stderr=1"),
    );
    assert!(err.contains("line 5"), "{err:?}");
    project.down();
    world.ends_clean();
}
