//! What people get wrong. Each must end with a clear error and a fitting code, and create nothing.

use std::path::Path;

use bowline_tests::{Ran, World};

/// `up` on this text must fail with these words, and leave neither container, network, volume nor link.
#[track_caller]
fn refuses(compose: &str, words: &[&str]) {
    let world = World::new();
    let project = world.project("bad", compose);
    let ran = project.bowline(&["up", "-d"]);
    check(&world, ran, words);
    world.ends_clean();
}

#[track_caller]
fn check(world: &World, ran: Ran, words: &[&str]) {
    let ran = words
        .iter()
        .fold(ran.fails_with(1), |ran, words| ran.says(words));
    ran.never_says("panicked").never_says("Created");
    assert_eq!(world.containers(), Vec::<String>::new());
    let networks = world.api("/networks");
    let own = networks.as_array().expect("a list").iter();
    let own: Vec<_> = own
        .filter(|one| {
            one["Name"]
                .as_str()
                .is_some_and(|name| name.starts_with("bad"))
        })
        .collect();
    assert!(own.is_empty(), "{own:?}");
    assert!(
        world
            .ledger()
            .0
            .iter()
            .all(|line| !line.starts_with("file") && !line.starts_with("link"))
    );
}

/// A folder without a Compose file must be told from one with it, and how to name a file.
#[test]
fn no_file() {
    let world = World::new();
    let project = world.folder("bad", &[]);
    check(
        &world,
        project.bowline(&["up", "-d"]),
        &["no compose file", "compose.yaml", "-f FILE"],
    );
    let named = project.bowline(&["-f", "other.yaml", "up", "-d"]);
    check(&world, named, &["other.yaml does not exist"]);
    world.ends_clean();
}

/// An empty file must be called empty.
#[test]
fn an_empty_file() {
    refuses("", &["compose.yaml is empty", "services:"]);
}

/// Broken YAML must be shown at its line and column.
#[test]
fn broken_yaml() {
    refuses(
        "services:\n  web:\n    image: [a\n    b: c\n",
        &["not valid YAML", "compose.yaml:4:6"],
    );
}

/// An unknown key must be shown where it stands, with the key that was probably meant.
#[test]
fn an_unknown_key() {
    refuses(
        "services:\n  web:\n    image: bowline/demo\n    comand: x\n",
        &[
            "unknown key `comand`",
            "compose.yaml:4:5",
            "did you mean `command`",
        ],
    );
}

/// A key of the specification that is not supported must be called that, not unknown.
#[test]
fn an_unsupported_key() {
    refuses(
        "services:\n  web:\n    image: bowline/demo\n    gpus: all\n",
        &["`gpus`", "not supported yet", "compose.yaml:4:5"],
    );
}

/// A key written twice must be shown at both places.
#[test]
fn a_key_written_twice() {
    refuses(
        "services:\n  a: {image: x}\n  a: {image: y}\n",
        &["written twice", "compose.yaml:3:3", "first written here"],
    );
}

/// A network that is not declared must be shown where it is used.
#[test]
fn an_undefined_network() {
    refuses(
        "services:\n  web:\n    image: bowline/demo\n    networks: [frnt]\nnetworks: {front: }\n",
        &[
            "undefined network `frnt`",
            "compose.yaml:4:16",
            "did you mean `front`",
        ],
    );
}

/// A volume that is not declared must be shown where it is used.
#[test]
fn an_undefined_volume() {
    refuses(
        "services:\n  web:\n    image: bowline/demo\n    volumes: ['data:/data']\n",
        &["undefined volume `data`", "compose.yaml:4:"],
    );
}

/// A service that is not there must be shown where it is depended on.
#[test]
fn an_undefined_service() {
    refuses(
        "services:\n  web:\n    image: bowline/demo\n    depends_on: [dbb]\n  db: {image: bowline/demo}\n",
        &[
            "undefined service `dbb`",
            "compose.yaml:4:18",
            "did you mean `db`",
        ],
    );
}

/// Services that wait for each other must be named in order.
#[test]
fn a_cycle() {
    refuses(
        "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [a]}\n",
        &["a -> b -> a", "compose.yaml:2:30"],
    );
}

/// A variable that must have a value must be asked for with the file's own words.
#[test]
fn a_missing_variable() {
    refuses(
        "services:\n  a: {image: \"${NO_SUCH:?set it to an image}\"}\n",
        &["NO_SUCH", "set it to an image", "compose.yaml:2:"],
    );
}

/// A value of the wrong form must be shown with the form it should have.
#[test]
fn an_impossible_port() {
    refuses(
        "services:\n  a: {image: bowline/demo, ports: ['99999:80']}\n",
        &["`99999` is not a port", "compose.yaml:2:", "65535"],
    );
}

/// An image that nobody has must be named with what its registry said.
#[test]
fn an_image_that_does_not_exist() {
    refuses(
        "services:\n  a: {image: '127.0.0.1:1/nobody/has:this'}\n",
        &[
            "127.0.0.1:1/nobody/has:this",
            "onnection refused",
            "compose.yaml:2:14",
        ],
    );
}

/// An image that may not be pulled must be called missing.
#[test]
fn an_image_that_may_not_be_pulled() {
    refuses(
        "services:\n  a: {image: 'nobody:has', pull_policy: never}\n",
        &["nobody:has", "may not be pulled", "compose.yaml:2:"],
    );
}

/// A config's file that is not there must be named.
#[test]
fn a_missing_config_file() {
    refuses(
        "services:\n  a: {image: bowline/demo, configs: [c]}\nconfigs: {c: {file: ./nowhere.txt}}\n",
        &["nowhere.txt"],
    );
}

/// A command the program does not have must end with a usage error.
#[test]
fn an_unknown_command() {
    let world = World::new();
    world.bowline(&["upp"]).fails_with(2).says("upp").says("up");
    world.ends_clean();
}

/// A setting nobody knows must stop the engine, and the message must name it.
#[test]
fn an_unknown_setting() {
    let folder = tempfile_with("no_such_setting = 1\n");
    let path = folder.path().join("config.toml");
    let world = World::new();
    let mut command = world.command(Path::new("/"), &["engine"]);
    command
        .env("BOWLINE_CONFIG", &path)
        .env("BOWLINE_RUN_ROOT", folder.path().join("run"));
    command.env("BOWLINE_DATA_ROOT", folder.path().join("data"));
    let ran = bowline_tests::Running::start(command).wait();
    assert_ne!(ran.code, 0, "{ran}");
    ran.says("no_such_setting").says("config.toml");
    world.ends_clean();
}

#[track_caller]
fn tempfile_with(text: &str) -> tempfile::TempDir {
    let folder = tempfile::TempDir::with_prefix("bowline-story-").expect("a folder");
    std::fs::write(folder.path().join("config.toml"), text).expect("write");
    folder
}

/// A data root that cannot hold containers must be refused with the variable that chooses another.
#[test]
fn a_data_root_that_cannot_hold_containers() {
    let world = World::new();
    let mut command = world.command(Path::new("/"), &["info"]);
    command
        .env("BOWLINE_DATA_ROOT", "/proc/nowhere")
        .env("BOWLINE_RUN_ROOT", world.names().roots[1].join("other"));
    let ran = bowline_tests::Running::start(command).wait();
    assert_ne!(ran.code, 0, "{ran}");
    ran.says("/proc/nowhere").says("BOWLINE_DATA_ROOT");
    world.ends_clean();
}
