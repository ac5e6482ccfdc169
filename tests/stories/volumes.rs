//! What outlives a container, and what does not.

use std::fs;
use std::os::unix::fs::MetadataExt;

use bowline_tests::World;

/// A named volume must outlive `down`, be named by it, and go with `down -v`.
#[test]
fn a_named_volume_outlives_down() {
    let world = World::new();
    let project = world.project(
        "named",
        "
services: {it: {image: bowline/demo, command: sleep forever, volumes: ['kept:/data']}}
volumes: {kept: }
",
    );
    project.up();
    project
        .exec("it", &["write", "/data/note", "remember"])
        .ok();
    project.bowline(&["down"]).ok().says("named_kept");
    project.up();
    assert_eq!(
        project.exec("it", &["cat", "/data/note"]).ok().text(),
        "remember"
    );
    project.down();
    project.up();
    project.exec("it", &["cat", "/data/note"]).fails_with(1);
    project.down();
    world.ends_clean();
}

/// An empty named volume must start with what the image has at that place, owners and modes included.
#[test]
fn a_new_volume_gets_the_images_files() {
    let world = World::new();
    let project = world.project(
        "copyup",
        "
services: {it: {image: bowline/demo, command: sleep forever, volumes: ['settings:/etc', 'secret:/root']}}
volumes: {settings: , secret: }
",
    );
    project.up();
    project
        .exec("it", &["cat", "/etc/group"])
        .ok()
        .says("nogroup:x:65534");
    let folder = world.names().roots[0].join("volumes/copyup_settings/_data");
    assert!(
        fs::read_to_string(folder.join("passwd"))
            .expect("copied")
            .contains("demo:x:1000")
    );
    let root = fs::metadata(world.names().roots[0].join("volumes/copyup_secret/_data"))
        .expect("the volume");
    assert_eq!(root.mode() & 0o777, 0o700);
    project.down();
    world.ends_clean();
}

/// A bind mount must share the host's folder both ways.
#[test]
fn a_bind_shares_both_ways() {
    let world = World::new();
    let project = world.folder(
        "bind",
        &[
            (
                "compose.yaml",
                "services: {it: {image: bowline/demo, command: sleep forever, volumes: ['./shared:/shared']}}",
            ),
            ("shared/from-host", "hello inside"),
        ],
    );
    project.up();
    project
        .exec("it", &["cat", "/shared/from-host"])
        .ok()
        .says("hello inside");
    project
        .exec("it", &["write", "/shared/from-inside", "hello", "host"])
        .ok();
    let back =
        fs::read_to_string(project.path().join("shared/from-inside")).expect("written inside");
    assert_eq!(back.trim(), "hello host");
    project.down();
    assert!(
        project.path().join("shared/from-inside").exists(),
        "down took the person's file"
    );
    world.ends_clean();
}

/// A read-only bind mount must refuse writes.
#[test]
fn a_read_only_bind_refuses_writes() {
    let world = World::new();
    let project = world.folder(
        "readonly",
        &[
            (
                "compose.yaml",
                "services: {it: {image: bowline/demo, command: sleep forever, volumes: ['./shared:/shared:ro']}}",
            ),
            ("shared/file", "as it was"),
        ],
    );
    project.up();
    project
        .exec("it", &["write", "/shared/file", "changed"])
        .fails_with(1)
        .says("Read-only file system");
    assert_eq!(
        fs::read_to_string(project.path().join("shared/file")).expect("the file"),
        "as it was"
    );
    project.down();
    world.ends_clean();
}

/// The short form of a bind mount must make a missing folder; the long form must refuse it, unless told to.
#[test]
fn a_missing_bind_source_is_made_or_refused() {
    let world = World::new();
    let short = world.project(
        "short",
        "services: {it: {image: bowline/demo, command: sleep forever, volumes: ['./made:/made']}}",
    );
    short.up();
    assert!(short.path().join("made").is_dir());
    short.down();
    let long = world.project(
        "long",
        "
services:
  it:
    image: bowline/demo
    command: sleep forever
    volumes: [{type: bind, source: ./missing, target: /missing, bind: {create_host_path: false}}]
",
    );
    let ran = long.bowline(&["up", "-d"]);
    assert_ne!(ran.code, 0);
    ran.says("missing");
    assert!(!long.path().join("missing").exists());
    long.down();
    world.ends_clean();
}

/// An anonymous volume must go with `down -v`.
#[test]
fn an_anonymous_volume_goes_with_down() {
    let world = World::new();
    let project = world.project(
        "anonymous",
        "services: {it: {image: bowline/demo, command: sleep forever, volumes: [/data]}}",
    );
    let volumes = || {
        fs::read_dir(world.names().roots[0].join("volumes"))
            .expect("volumes")
            .count()
    };
    project.up();
    project.exec("it", &["write", "/data/note", "x"]).ok();
    assert_eq!(volumes(), 1);
    project.bowline(&["down", "-v"]).ok();
    assert_eq!(volumes(), 0);
    world.ends_clean();
}

/// A volume of this engine must be shared by two services at once.
#[test]
fn two_services_share_a_volume() {
    let world = World::new();
    let project = world.project(
        "two",
        "
services:
  writer: {image: bowline/demo, command: sleep forever, volumes: ['shared:/data']}
  reader: {image: bowline/demo, command: sleep forever, volumes: ['shared:/data:ro']}
volumes: {shared: }
",
    );
    project.up();
    project
        .exec("writer", &["write", "/data/note", "from writer"])
        .ok();
    project
        .exec("reader", &["cat", "/data/note"])
        .ok()
        .says("from writer");
    project
        .exec("reader", &["write", "/data/note", "x"])
        .fails_with(1);
    project.down();
    world.ends_clean();
}

/// A tmpfs must be empty, writable, of the asked size, and leave nothing on the disk.
#[test]
fn a_tmpfs_is_memory() {
    let world = World::new();
    let project = world.project(
        "tmpfs",
        "
services:
  it: {image: bowline/demo, command: sleep forever, tmpfs: ['/scratch:size=1m,mode=1770'], read_only: true}
",
    );
    project.up();
    project
        .exec("it", &["mounts", "/scratch"])
        .ok()
        .says("/scratch tmpfs rw");
    project.exec("it", &["write", "/scratch/note", "x"]).ok();
    project
        .exec("it", &["stat", "/scratch"])
        .ok()
        .says("directory 1770");
    project.down();
    world.ends_clean();
}

/// Configs and secrets from files must appear inside, read-only.
#[test]
fn configs_and_secrets_appear_inside() {
    let world = World::new();
    let project = world.folder(
        "given",
        &[
            (
                "compose.yaml",
                "
services:
  it: {image: bowline/demo, command: sleep forever, configs: [settings], secrets: [{source: key, target: the_key}]}
configs: {settings: {file: ./settings.txt}}
secrets: {key: {file: ./key.txt}}
",
            ),
            ("settings.txt", "colour=blue"),
            ("key.txt", "hunter2"),
        ],
    );
    project.up();
    project
        .exec("it", &["cat", "/settings"])
        .ok()
        .says("colour=blue");
    project
        .exec("it", &["cat", "/run/secrets/the_key"])
        .ok()
        .says("hunter2");
    project
        .exec("it", &["write", "/settings", "x"])
        .fails_with(1);
    project.down();
    world.ends_clean();
}
