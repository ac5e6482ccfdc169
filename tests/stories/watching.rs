//! `watch` and `up --watch`: files that are saved here are in the containers a moment later.

use std::fs;
use std::time::Duration;

use bowline_tests::{Folder, Running, World, eventually};
use nix::sys::signal::Signal;

/// A service that watches `src` with more keys for the rule, and a container that others can look into.
fn watched(rule: &str) -> String {
    format!(
        "
services:
  web:
    image: bowline/demo
    user: '1234:1235'
    command: trap
    develop: {{watch: [{{path: ./src, {rule}}}]}}
"
    )
}

const SYNC: &str = "action: sync, target: /app";

/// Waits until a file in the container has this text.
#[track_caller]
fn inside(project: &Folder<'_>, path: &str, text: &str) {
    eventually(Duration::from_secs(20), || {
        let read = project.exec("web", &["read", path]);
        match read.code == 0 && read.text() == text {
            true => Ok(()),
            false => Err(read.to_string()),
        }
    });
}

/// Starts watching a project that is up, and waits until it does.
#[track_caller]
fn watch(project: &Folder<'_>) -> Running {
    let watching = project.start(&["watch", "--no-up"]);
    watching.tells("Watch enabled");
    watching
}

#[track_caller]
fn ends(watching: Running) {
    watching.signal(Signal::SIGINT);
    watching.wait().fails_with(130);
}

/// A saved file, one in a new folder, and one that was moved into its place must all arrive, owned by the container's
/// user and with their mode.
#[test]
fn a_saved_file_arrives() {
    let world = World::new();
    let project = world.folder("saved", &[("compose.yaml", &watched(SYNC)), ("src/a", "1")]);
    project.up();
    let watching = watch(&project);
    project.write("src/a", "2");
    inside(&project, "/app/a", "2");
    fs::create_dir_all(project.path().join("src/deep/er")).expect("a folder");
    project.write("src/deep/er/b", "3");
    inside(&project, "/app/deep/er/b", "3");
    project.write("new", "4");
    fs::rename(project.path().join("new"), project.path().join("src/a")).expect("move");
    inside(&project, "/app/a", "4");
    project
        .exec("web", &["stat", "/app/a"])
        .ok()
        .says("0644 1234:1235");
    ends(watching);
    project.down();
    world.ends_clean();
}

/// What is deleted here must go there, folders with what is in them.
#[test]
fn a_deleted_file_goes() {
    let world = World::new();
    let rule = format!("{SYNC}, initial_sync: true");
    let files = [("src/keep", "1"), ("src/gone", "2"), ("src/folder/x", "3")];
    let compose = watched(&rule);
    let mut all = vec![("compose.yaml", compose.as_str())];
    all.extend(files);
    let project = world.folder("deleted", &all);
    project.up();
    let watching = watch(&project);
    inside(&project, "/app/folder/x", "3");
    fs::remove_file(project.path().join("src/gone")).expect("delete");
    fs::remove_dir_all(project.path().join("src/folder")).expect("delete");
    eventually(Duration::from_secs(20), || {
        let listed = project.exec("web", &["ls", "/app"]).ok();
        match listed.text() {
            "keep" => Ok(()),
            other => Err(other.to_owned()),
        }
    });
    ends(watching);
    project.down();
    world.ends_clean();
}

/// `initial_sync` must copy what is there when watching begins; without it nothing is copied.
#[test]
fn an_initial_sync_copies_what_is_there() {
    let world = World::new();
    let rule = format!("{SYNC}, initial_sync: true");
    let project = world.folder(
        "initial",
        &[("compose.yaml", &watched(&rule)), ("src/a/b", "1")],
    );
    project.up();
    let watching = watch(&project);
    inside(&project, "/app/a/b", "1");
    ends(watching);
    project.down();
    let plain = world.folder(
        "plain",
        &[("compose.yaml", &watched(SYNC)), ("src/a/b", "1")],
    );
    plain.up();
    let watching = watch(&plain);
    plain.exec("web", &["read", "/app/a/b"]).fails_with(1);
    ends(watching);
    plain.down();
    world.ends_clean();
}

/// What `ignore` names must stay away, what `include` does not name, too, and what editors leave behind.
#[test]
fn patterns_keep_files_away() {
    let world = World::new();
    let rule = format!("{SYNC}, ignore: [node_modules/], include: ['**/*.js', 'last']");
    let project = world.folder(
        "patterns",
        &[("compose.yaml", &watched(&rule)), ("src/x", "")],
    );
    project.up();
    let watching = watch(&project);
    project.write("src/notes.txt", "no");
    fs::create_dir_all(project.path().join("src/node_modules/lib")).expect("a folder");
    project.write("src/node_modules/lib/a.js", "no");
    project.write("src/.yes.js.swp", "no");
    project.write("src/yes.js", "yes");
    inside(&project, "/app/yes.js", "yes");
    // Events are in order, so whatever was written before this has been dealt with.
    project.write("src/last", "1");
    inside(&project, "/app/last", "1");
    assert_eq!(
        project.exec("web", &["ls", "/app"]).ok().text(),
        "last\nyes.js"
    );
    ends(watching);
    project.down();
    world.ends_clean();
}

/// `.dockerignore` of the folder that is built from must count for watching, too.
#[test]
fn a_dockerignore_counts() {
    let world = World::new();
    let compose = "
services:
  web:
    image: bowline/demo
    build: .
    command: trap
    develop: {watch: [{path: ./src, action: sync, target: /app}]}
";
    let files = [
        ("compose.yaml", compose),
        (".dockerignore", "# nothing secret\n**/*.key\n"),
        ("src/x", ""),
    ];
    let project = world.folder("dockerignore", &files);
    project.up();
    let watching = watch(&project);
    project.write("src/a.key", "no");
    project.write("src/b", "yes");
    inside(&project, "/app/b", "yes");
    assert_eq!(project.exec("web", &["ls", "/app"]).ok().text(), "b");
    ends(watching);
    project.down();
    world.ends_clean();
}

/// `sync+restart` must copy first and restart then; the container stays the same.
#[test]
fn a_restart_follows_the_copy() {
    let world = World::new();
    let rule = "action: sync+restart, target: /etc/app";
    let project = world.folder(
        "restart",
        &[("compose.yaml", &watched(rule)), ("src/conf", "1")],
    );
    project.up();
    let (id, before) = (
        project.id("web"),
        project.inspect("web")["State"]["StartedAt"].clone(),
    );
    let watching = watch(&project);
    project.write("src/conf", "2");
    watching.tells("Restarted `web`");
    inside(&project, "/etc/app/conf", "2");
    assert_eq!(project.id("web"), id);
    assert_ne!(project.inspect("web")["State"]["StartedAt"], before);
    ends(watching);
    project.down();
    world.ends_clean();
}

/// `restart` must restart without copying.
#[test]
fn a_restart_alone_copies_nothing() {
    let world = World::new();
    let project = world.folder(
        "only",
        &[
            ("compose.yaml", &watched("action: restart")),
            ("src/conf", "1"),
        ],
    );
    project.up();
    let watching = watch(&project);
    project.write("src/conf", "2");
    watching.tells("Restarted `web`");
    ends(watching);
    project.down();
    world.ends_clean();
}

/// `sync+exec` must run its command in the container after the copy, and tell what it printed.
#[test]
fn a_command_follows_the_copy() {
    let world = World::new();
    let rule =
        "action: sync+exec, target: /app, exec: {command: [/bin/read, /app/word], user: '0'}";
    let project = world.folder(
        "command",
        &[("compose.yaml", &watched(rule)), ("src/word", "1")],
    );
    project.up();
    let watching = watch(&project);
    project.write("src/word", "fresh from disk");
    watching.tells("command-web-1 -> fresh from disk");
    ends(watching);
    project.down();
    world.ends_clean();
}

/// Every replica must get the file.
#[test]
fn replicas_are_alike() {
    let world = World::new();
    let compose = watched(SYNC).replace("user: '1234:1235'", "scale: 3");
    let project = world.folder("replicas", &[("compose.yaml", &compose), ("src/a", "1")]);
    project.up();
    let watching = watch(&project);
    project.write("src/a", "2");
    watching.tells("Synced service `web`");
    for index in ["1", "2", "3"] {
        let read = project.bowline(&["exec", "-T", "--index", index, "web", "read", "/app/a"]);
        assert_eq!(read.ok().text(), "2");
    }
    ends(watching);
    project.down();
    world.ends_clean();
}

/// A fault of one copy must be told, and watching must go on.
#[test]
fn a_fault_does_not_end_the_watch() {
    let world = World::new();
    let compose = watched(SYNC).replace("command: trap", "command: trap\n    read_only: true");
    let project = world.folder("fault", &[("compose.yaml", &compose), ("src/a", "1")]);
    project.up();
    let watching = watch(&project);
    project.write("src/a", "2");
    watching.tells("cannot copy files into `fault-web-1`");
    project.write("compose.yaml", &watched(SYNC));
    project.up();
    project.write("src/a", "3");
    inside(&project, "/app/a", "3");
    ends(watching);
    project.down();
    world.ends_clean();
}

/// Without `--no-up`, `watch` must bring the services up; `up --watch` must show output and follow files at once.
#[test]
fn watching_brings_services_up() {
    let world = World::new();
    let project = world.folder("up", &[("compose.yaml", &watched(SYNC)), ("src/a", "1")]);
    let watching = project.start(&["watch"]);
    watching.tells("Watch enabled");
    assert_eq!(project.state("web"), "running");
    ends(watching);
    project.down();
    let up = project.start(&["up", "--watch"]);
    up.tells("Watch enabled");
    up.shows("web-1");
    project.write("src/a", "2");
    inside(&project, "/app/a", "2");
    ends(up);
    assert_eq!(project.state("web"), "exited");
    project.down();
    world.ends_clean();
}

/// Rules that cannot work must be refused before anything is watched, and a path that is mounted anyway told.
#[test]
fn rules_that_cannot_work_are_told() {
    let world = World::new();
    let none = world.project(
        "none",
        "services: {web: {image: bowline/demo, command: trap}}",
    );
    none.bowline(&["watch", "--no-up"])
        .fails_with(1)
        .says("develop.watch");
    none.bowline(&["up", "--watch", "-d"]).fails_with(2);
    let rebuild = world.folder(
        "rebuild",
        &[("compose.yaml", &watched("action: rebuild")), ("src/a", "")],
    );
    rebuild
        .bowline(&["watch", "--no-up"])
        .fails_with(1)
        .says("no `build` section");
    let compose = watched(SYNC).replace(
        "command: trap",
        "command: trap\n    volumes: ['./src:/app']",
    );
    let mounted = world.folder("mounted", &[("compose.yaml", &compose), ("src/a", "")]);
    mounted.up();
    let watching = watch(&mounted);
    ends(watching);
    mounted.down();
    world.ends_clean();
}
