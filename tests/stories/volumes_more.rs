//! Volumes beyond the plain ones: driver options, parts of them, those of others, images as mounts.

use std::fs;

use bowline_tests::World;

/// A volume with options of the local driver must be mounted with its first container and gone with its last.
#[test]
fn driver_options_are_mounted_while_they_are_used() {
    let world = World::new();
    let project = world.folder(
        "options",
        &[
            (
                "compose.yaml",
                "
services:
  it: {image: bowline/demo, command: sleep forever, volumes: ['memory:/memory', 'host:/host']}
volumes:
  memory: {driver_opts: {type: tmpfs, device: tmpfs, o: 'size=1m,mode=1770'}}
  host: {driver_opts: {type: none, o: bind, device: '${HERE}/kept'}}
",
            ),
            ("kept/file", "of the host"),
        ],
    );
    let here = project.path().to_str().expect("text").to_owned();
    let up = project.bowline_with(&[("HERE", &here)], &["up", "-d"]);
    up.ok();
    project
        .exec("it", &["mounts", "/memory"])
        .ok()
        .says("/memory tmpfs rw");
    project
        .exec("it", &["cat", "/host/file"])
        .ok()
        .says("of the host");
    let mounts = || fs::read_to_string("/proc/self/mountinfo").expect("the table");
    let place = "volumes/options_memory/_data";
    assert!(mounts().contains(place));
    world.bowline(&["system", "check"]).ok();
    project
        .bowline_with(&[("HERE", &here)], &["stop", "-t", "1"])
        .ok();
    assert!(!mounts().contains(place), "still mounted");
    project
        .bowline_with(&[("HERE", &here)], &["down", "-v"])
        .ok();
    assert!(
        project.path().join("kept/file").exists(),
        "the person's files"
    );
    world.ends_clean();
}

/// Options that cannot be right must be refused by name, before anything is made.
#[test]
fn wrong_driver_options_are_refused_by_name() {
    let world = World::new();
    let create = |options: &[&str]| {
        let words = options.iter().flat_map(|option| ["--opt", option]);
        let words: Vec<&str> = ["volume", "create", "wrong"]
            .into_iter()
            .chain(words)
            .collect();
        world.bowline(&words).fails_with(1)
    };
    create(&["size=1g"]).says("no quota support");
    create(&["type=tmpfs"]).says("missing required option: \"device\"");
    create(&["colour=blue"]).says("invalid option: \"colour\"");
    world.ends_clean();
}

/// A part of a volume must be mounted by its path, which no link in the volume leads out of.
#[test]
fn a_subpath_stays_in_its_volume() {
    let world = World::new();
    let project = world.project(
        "subpath",
        "
services:
  all: {image: bowline/demo, command: sleep forever, volumes: ['data:/data']}
  part:
    image: bowline/demo
    command: sleep forever
    volumes: [{type: volume, source: data, target: /part, volume: {subpath: sub, nocopy: true}}]
    profiles: [part]
volumes: {data: }
",
    );
    project.up();
    let data = world.names().roots[0].join("volumes/subpath_data/_data");
    fs::create_dir(data.join("sub")).expect("a folder");
    fs::write(data.join("sub/file"), "in the part").expect("a file");
    project
        .bowline(&["--profile", "part", "up", "-d", "part"])
        .ok();
    project
        .bowline(&[
            "--profile",
            "part",
            "exec",
            "-T",
            "part",
            "cat",
            "/part/file",
        ])
        .ok()
        .says("in the part");
    project
        .bowline(&["--profile", "part", "rm", "-sf", "part"])
        .ok();
    fs::remove_dir_all(data.join("sub")).expect("removed");
    std::os::unix::fs::symlink("/etc", data.join("sub")).expect("a link");
    let ran = project.bowline(&["--profile", "part", "up", "-d", "part"]);
    assert_ne!(ran.code, 0, "a link led out of the volume");
    project
        .bowline(&["--profile", "part", "down", "-v", "-t", "1"])
        .ok();
    world.ends_clean();
}

/// A service must see the volumes of another one, and only read them where it says so.
#[test]
fn volumes_come_from_another_service() {
    let world = World::new();
    let project = world.project(
        "from",
        "
services:
  owner: {image: bowline/demo, command: sleep forever, volumes: ['data:/data']}
  reader: {image: bowline/demo, command: sleep forever, volumes_from: ['owner:ro']}
volumes: {data: }
",
    );
    project.up();
    project
        .exec("owner", &["write", "/data/note", "shared"])
        .ok();
    project
        .exec("reader", &["cat", "/data/note"])
        .ok()
        .says("shared");
    project
        .exec("reader", &["write", "/data/note", "x"])
        .fails_with(1)
        .says("Read-only file system");
    project.down();
    world.ends_clean();
}

/// An image must be mounted read-only, whole or in part, and not be removed meanwhile.
#[test]
fn an_image_is_mounted() {
    let world = World::new();
    let project = world.project(
        "image",
        "
services:
  it:
    image: bowline/demo
    command: sleep forever
    volumes:
      - {type: image, source: bowline/demo, target: /whole}
      - {type: image, source: bowline/demo, target: /part, image: {subpath: etc}}
",
    );
    project.up();
    project
        .exec("it", &["cat", "/whole/etc/passwd"])
        .ok()
        .says("demo:x:1000");
    project
        .exec("it", &["cat", "/part/passwd"])
        .ok()
        .says("demo:x:1000");
    project
        .exec("it", &["write", "/whole/file", "x"])
        .fails_with(1)
        .says("Read-only file system");
    project.down();
    world.ends_clean();
}

/// Configs from `content:` and secrets from a variable must be there with owner and mode, and changed content must give
/// new containers.
#[test]
fn contents_are_delivered_and_recreate() {
    let world = World::new();
    let text = |colour: &str| {
        format!(
            "
services:
  it:
    image: bowline/demo
    command: sleep forever
    configs: [{{source: app, target: /app.conf, uid: '1000', mode: 0440}}]
    secrets: [key]
configs: {{app: {{content: 'colour={colour}'}}}}
secrets: {{key: {{environment: KEY}}}}
"
        )
    };
    let project = world.project("contents", &text("blue"));
    let up = |key: &str| project.bowline_with(&[("KEY", key)], &["up", "-d"]).ok();
    up("hunter2");
    project
        .exec("it", &["cat", "/app.conf"])
        .ok()
        .says("colour=blue");
    project.exec("it", &["stat", "/app.conf"]).ok().says("440");
    project
        .exec("it", &["cat", "/run/secrets/key"])
        .ok()
        .says("hunter2");
    let first = project.id("it");
    up("hunter2");
    assert_eq!(project.id("it"), first, "nothing changed");
    up("hunter3");
    let second = project.id("it");
    assert_ne!(second, first, "another secret");
    project.write("compose.yaml", &text("red"));
    up("hunter3");
    assert_ne!(project.id("it"), second, "another config");
    project.down();
    world.ends_clean();
}
