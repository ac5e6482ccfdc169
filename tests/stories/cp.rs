//! Files between the machine and containers, containers as archives and images.

use std::fs;
use std::os::unix::fs::symlink;

use bowline_tests::World;

/// Files must go in and come out of a running and of a stopped container, volumes and memory included.
#[test]
fn files_go_in_and_come_out() {
    let world = World::new();
    let project = world.project(
        "copy",
        "
services: {it: {image: bowline/demo, command: sleep forever, volumes: ['data:/data'], tmpfs: [/memory]}}
volumes: {data: }
",
    );
    project.up();
    fs::create_dir_all(project.path().join("folder/sub")).expect("a folder");
    project.write("folder/sub/file", "text");
    for place in ["/data", "/memory", "/tmp"] {
        project
            .bowline(&["cp", "folder", &format!("it:{place}")])
            .ok();
        let file = format!("{place}/folder/sub/file");
        project.exec("it", &["cat", &file]).ok().says("text");
        project.bowline(&["cp", &format!("it:{file}"), "back"]).ok();
        let back = fs::read_to_string(project.path().join("back")).expect("copied back");
        assert_eq!(back, "text");
    }
    project.bowline(&["stop", "-t", "1"]).ok();
    project.write("more", "while it slept");
    project.bowline(&["cp", "more", "it:/data/more"]).ok();
    project.bowline(&["cp", "it:/data/.", "all"]).ok();
    let found = |path: &str| fs::read_to_string(project.path().join("all").join(path));
    assert_eq!(found("folder/sub/file").expect("copied"), "text");
    assert_eq!(found("more").expect("copied"), "while it slept");
    project.bowline(&["start"]).ok();
    project
        .exec("it", &["cat", "/data/more"])
        .ok()
        .says("while it slept");
    project.down();
    world.ends_clean();
}

/// No link in a container may lead a copy out of it.
#[test]
fn links_lead_nowhere_but_inside() {
    let world = World::new();
    let project = world.folder(
        "links",
        &[
            (
                "compose.yaml",
                "services: {it: {image: bowline/demo, command: sleep forever, volumes: ['./shared:/shared']}}",
            ),
            ("shared/x", ""),
            ("file", "text"),
        ],
    );
    let secret = world.names().roots[0].with_file_name("secret");
    fs::create_dir(&secret).expect("a folder of the host");
    fs::write(secret.join("key"), "hunter2").expect("a file of the host");
    symlink(&secret, project.path().join("shared/out")).expect("a link");
    project.up();
    project
        .bowline(&["cp", "it:/shared/out/key", "stolen"])
        .fails_with(1);
    assert!(!project.path().join("stolen").exists());
    project
        .bowline(&["cp", "file", "it:/shared/out/file"])
        .fails_with(1);
    assert!(!secret.join("file").exists(), "written outside");
    project.down();
    world.ends_clean();
}

/// What a container changed must be listed, exported, and part of the image it is committed to.
#[test]
fn a_container_becomes_an_image() {
    let world = World::new();
    let project = world.project(
        "commit",
        "services: {it: {image: bowline/demo, command: sleep forever, volumes: [/data]}}",
    );
    project.up();
    project.exec("it", &["write", "/note", "made here"]).ok();
    project.exec("it", &["write", "/data/left", "out"]).ok();
    let container = "commit-it-1";
    world.bowline(&["diff", container]).ok().says("A /note");
    world.bowline(&["export", container, "-o", "all.tar"]).ok();
    world
        .bowline(&["commit", "-c", "ENV MADE=1", container, "made:1"])
        .ok();
    project.down();
    let made = world.project(
        "made",
        "services: {it: {image: 'made:1', command: sleep forever}}",
    );
    made.up();
    made.exec("it", &["cat", "/note"]).ok().says("made here");
    made.exec("it", &["env"]).ok().says("MADE=1");
    made.exec("it", &["cat", "/data/left"]).fails_with(1);
    made.down();
    world.bowline(&["rmi", "made:1"]).ok();
    world.ends_clean();
}

/// What takes how much must be shown, and what is in use must survive a prune.
#[test]
fn a_prune_leaves_what_is_in_use() {
    let world = World::new();
    let project = world.project(
        "prune",
        "
services: {it: {image: bowline/demo, command: sleep forever, volumes: ['kept:/kept', /anonymous]}}
volumes: {kept: }
",
    );
    project.up();
    project.exec("it", &["write", "/kept/note", "x"]).ok();
    world.bowline(&["system", "df"]).ok().says("Local Volumes");
    world
        .bowline(&["system", "df", "-v"])
        .ok()
        .says("prune_kept");
    world
        .bowline(&["system", "prune", "-a", "--volumes", "-f"])
        .ok()
        .says("Total reclaimed space");
    project.exec("it", &["cat", "/kept/note"]).ok().says("x");
    project.down();
    world.ends_clean();
}
