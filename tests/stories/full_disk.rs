//! The data root's disk is full.

use std::fs::{self, File};
use std::io::Write;
use std::time::Duration;

use bowline_tests::{Folder, World, binary, eventually, free_ports, get};

const MEGABYTE: u64 = 1 << 20;

/// Room for the built-in image, which is the binary itself, and little more.
fn small() -> World {
    let binary = fs::metadata(binary()).expect("the binary").len();
    World::on_a_disk_of(binary + 64 * MEGABYTE)
}

/// Writes until the disk takes not one byte more.
#[track_caller]
fn fill(world: &World) -> std::path::PathBuf {
    let path = world.disk().join("filler");
    let mut file = File::create(&path).expect("the filler");
    for size in [1 << 20, 1 << 12, 1] {
        let block = vec![b'x'; size];
        while file.write_all(&block).is_ok() {}
    }
    path
}

fn web<'w>(world: &'w World, name: &str, port: u16) -> Folder<'w> {
    world.project(
        name,
        &format!(
            "services:\n  web:\n    image: bowline/demo\n    command: serve --port 8080\n    ports: [\"127.0.0.1:{port}:8080\"]\n    volumes: [kept:/data]\nvolumes:\n  kept:\n"
        ),
    )
}

#[track_caller]
fn answers(port: u16) {
    eventually(Duration::from_secs(10), || {
        get(([127, 0, 0, 1], port).into(), "/")
    });
}

/// `up` must say that the disk is full; what ran before must go on, be listed, and be taken down; and with room again the
/// same command must succeed.
#[test]
fn up_on_a_full_disk_says_so_and_works_once_there_is_room() {
    let world = small();
    let port = free_ports(2);
    let (first, second) = (web(&world, "first", port), web(&world, "second", port + 1));
    first.up();
    answers(port);
    let filler = fill(&world);

    let refused = second.bowline(&["up", "-d"]);
    refused.fails_with(1).says("space").never_says("panicked");
    answers(port);
    assert_eq!(first.state("web"), "running");
    first.down();
    assert!(
        !world.containers().iter().any(|name| name.contains("first")),
        "a full disk can be emptied"
    );

    fs::remove_file(filler).expect("make room");
    second.up();
    answers(port + 1);
    second.down();
    world.ends_clean();
}

/// A first `up`, which has to make the image, must fail with the kernel's word, and leave nothing that the next trips over.
#[test]
fn an_image_that_does_not_fit_leaves_nothing() {
    let world = World::on_a_disk_of(16 * MEGABYTE);
    let project = world.project("big", "services:\n  one:\n    image: bowline/demo\n");
    let refused = project.bowline(&["up", "-d"]);
    refused.fails_with(1).says("space").never_says("panicked");
    assert_eq!(world.containers(), Vec::<String>::new());
    let images = world.api("/images/json");
    assert_eq!(images.as_array().map(Vec::len), Some(0), "{images}");
    project.down();
    world.ends_clean();
}
