//! `build:`: images made on the way to containers.

use std::time::Duration;

use bowline_tests::{World, eventually};
use nix::sys::signal::Signal;

/// A service whose image is built must come up, keep its container while nothing changes, and have a new one after an
/// edit.
#[test]
fn up_builds_and_an_edit_is_seen() {
    let world = World::new();
    let files = [
        (
            "compose.yaml",
            "services: {app: {build: ./app, command: cat /text}}",
        ),
        (
            "app/Dockerfile",
            "FROM bowline/demo\nCOPY text /text\nRUN [\"write\", \"/made\", \"yes\"]\n",
        ),
        ("app/text", "first\n"),
    ];
    let project = world.folder("edits", &files);
    project.up().says("edits-app");
    let first = project.id("app");
    project
        .bowline(&["up", "-d", "--build"])
        .ok()
        .says("CACHED");
    assert_eq!(
        project.id("app"),
        first,
        "the same image, the same container"
    );
    project.write("app/text", "second\n");
    project
        .bowline(&["up", "-d", "--build"])
        .ok()
        .says("COPY: text content");
    assert_ne!(project.id("app"), first);
    eventually(Duration::from_secs(10), || {
        let logs = project.bowline(&["logs", "app"]).ok();
        match logs.text().contains("second") {
            true => Ok(()),
            false => Err(logs.text().to_owned()),
        }
    });
    project.down();
    world.ends_clean();
}

/// The image must bear the project's labels and the names that were asked for.
#[test]
fn an_image_is_named_and_labelled_as_compose_does() {
    let world = World::new();
    let files = [
        (
            "compose.yaml",
            "services: {app: {build: {context: ., tags: [\"extra:1\"], labels: {own: \"1\"}}}}",
        ),
        ("Dockerfile", "FROM bowline/demo\nENV A=b\n"),
    ];
    let project = world.folder("named", &files);
    project.bowline(&["build"]).ok();
    let image = world.api("/images/named-app/json");
    let labels = &image["Config"]["Labels"];
    assert_eq!(labels["com.docker.compose.project"], "named");
    assert_eq!(labels["com.docker.compose.service"], "app");
    assert_eq!(labels["own"], "1");
    let tags = image["RepoTags"].as_array().expect("names");
    assert_eq!(tags.len(), 2, "{tags:?}");
    world.ends_clean();
}

/// One request must build what others are built on first, even where nobody asked for its image.
#[test]
fn services_are_built_on_each_other() {
    let world = World::new();
    let compose = "
services:
  base: {build: {context: ., dockerfile_inline: \"FROM bowline/demo\\nRUN [\\\"write\\\", \\\"/base\\\", \\\"x\\\"]\\n\"}}
  app:
    build:
      context: .
      dockerfile_inline: |
        FROM parent
        RUN [\"cat\", \"/base\"]
      additional_contexts: {parent: \"service:base\"}
";
    let project = world.project("chain", compose);
    project.bowline(&["build", "app"]).ok();
    let images = world.api("/images/json");
    let names = images.to_string();
    assert!(
        names.contains("chain-app") && !names.contains("chain-base"),
        "{names}"
    );
    world.ends_clean();
}

/// A step that fails must name its line, show what it said, end with 1 and leave nothing; once mended it must be done.
#[test]
fn a_failed_step_is_shown_and_poisons_nothing() {
    let world = World::new();
    let files = [
        ("compose.yaml", "services: {app: {build: .}}"),
        (
            "Dockerfile",
            "FROM bowline/demo\nRUN [\"print\", \"3\"]\nRUN [\"exit\", \"7\"]\n",
        ),
    ];
    let project = world.folder("fails", &files);
    project
        .bowline(&["build"])
        .fails_with(1)
        .says("Dockerfile:3")
        .says("exit code: 7")
        .says("line 3");
    assert_eq!(world.containers(), Vec::<String>::new());
    project.write(
        "Dockerfile",
        "FROM bowline/demo\nRUN [\"print\", \"3\"]\nRUN [\"exit\", \"0\"]\n",
    );
    project.bowline(&["build"]).ok().says("CACHED");
    world.ends_clean();
}

/// What is wrong with a Dockerfile must be said with its place before anything is done.
#[test]
fn a_wrong_dockerfile_is_refused_at_its_line() {
    let world = World::new();
    let files = [
        ("compose.yaml", "services: {app: {build: .}}"),
        ("Dockerfile", "FROM bowline/demo\nCOPPY a b\n"),
    ];
    let project = world.folder("wrong", &files);
    project
        .bowline(&["up", "-d"])
        .fails_with(1)
        .says("Dockerfile:2")
        .says("COPY");
    project.write("Dockerfile", "FROM bowline/demo\nCOPY missing /\n");
    project.bowline(&["build"]).fails_with(1).says("missing");
    std::fs::remove_file(project.path().join("Dockerfile")).expect("remove");
    project.bowline(&["build"]).fails_with(1).says("Dockerfile");
    world.ends_clean();
}

/// A secret must be seen by the step that mounts it and be nowhere in the image; one that has to be there and is not
/// must fail the step.
#[test]
fn a_secret_is_for_its_step_alone() {
    let world = World::with(&[("TOKEN", "hidden")]);
    let compose = "
services:
  app:
    build:
      context: .
      dockerfile_inline: |
        FROM bowline/demo
        RUN --mount=type=secret,id=token,required [\"cat\", \"/run/secrets/token\"]
      secrets: [token]
  bare:
    build:
      context: .
      dockerfile_inline: |
        FROM bowline/demo
        RUN --mount=type=secret,id=token,required [\"true\"]
    command: ls /run
secrets: {token: {environment: TOKEN}}
";
    let project = world.project("secret", compose);
    project.bowline(&["build", "app"]).ok().says("hidden");
    let image = world.api("/images/secret-app/json").to_string();
    assert!(!image.contains("hidden"), "{image}");
    project
        .bowline(&["build", "bare"])
        .fails_with(1)
        .says("token");
    world.ends_clean();
}

/// A build must be able to reach a service that runs, by its name.
#[test]
fn a_build_reaches_a_running_service() {
    let world = World::new();
    let compose = "
services:
  db: {image: bowline/demo, command: tcp-echo 7000, networks: [back]}
  app:
    build:
      context: .
      network: back
      dockerfile_inline: |
        FROM bowline/demo
        RUN [\"connect\", \"db\", \"7000\"]
    profiles: [later]
networks: {back: {}}
";
    let project = world.project("reach", compose);
    project.bowline(&["up", "-d", "db"]).ok();
    project.bowline(&["build", "app"]).ok().says("connected");
    project.down();
    world.ends_clean();
}

/// Ctrl-C must end what a step runs, and with it everything of the step.
#[test]
fn an_interrupted_build_leaves_nothing() {
    let world = World::new();
    let files = [
        ("compose.yaml", "services: {app: {build: .}}"),
        (
            "Dockerfile",
            "FROM bowline/demo\nRUN [\"sleep\", \"forever\"]\n",
        ),
    ];
    let project = world.folder("interrupted", &files);
    let build = project.start(&["build"]);
    build.tells("RUN");
    assert_eq!(
        world.containers(),
        Vec::<String>::new(),
        "steps are no containers"
    );
    build.signal(Signal::SIGINT);
    build.wait().fails_with(130);
    world.ends_clean();
}

/// An engine that is killed in the middle of a step must leave nothing once there is another one.
#[test]
fn a_crash_in_a_step_leaves_nothing() {
    let world = World::new();
    let files = [
        ("compose.yaml", "services: {app: {build: .}}"),
        (
            "Dockerfile",
            "FROM bowline/demo\nRUN [\"sleep\", \"forever\"]\n",
        ),
    ];
    let project = world.folder("crash", &files);
    let build = project.start(&["build"]);
    build.tells("RUN");
    world.kill_engine();
    build.wait().fails_with(1);
    project.bowline(&["ps"]).ok();
    project.bowline(&["system", "check"]).ok();
    world.ends_clean();
}

/// What a step would need more rights for must be refused by name.
#[test]
fn more_rights_are_refused() {
    let world = World::new();
    let project = world.project(
        "rights",
        "services: {app: {build: {context: ., privileged: true}}}",
    );
    project
        .bowline(&["build"])
        .fails_with(1)
        .says("build.privileged");
    world.ends_clean();
}
