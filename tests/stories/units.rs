//! An engine that a service manager starts.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bowline_tests::{Running, World, ask, binary, eventually};
use nix::sys::signal::Signal;

/// An engine must serve the socket that it was handed, and leave it to whom it belongs.
#[test]
fn a_socket_that_was_handed_over_is_served_and_left() {
    let world = World::new();
    eventually(Duration::from_secs(20), || match world.engines() {
        left if left.is_empty() => Ok(()),
        left => Err(left),
    });
    fs::create_dir_all(&world.names().roots[1]).expect("the run root");
    let listener = UnixListener::bind(world.socket()).expect("bind");
    let plain = world.command(&world.names().roots[1], &["engine"]);
    // The manager's protocol: the descriptor is number 3, and LISTEN_PID is the process itself.
    let mut manager = Command::new("/bin/sh");
    manager
        .arg("-c")
        .arg("exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" engine")
        .arg(binary())
        .env_clear();
    for (name, value) in plain.get_envs() {
        if let Some(value) = value {
            manager.env(name, value);
        }
    }
    let engine = Running::start_with(manager, std::os::fd::OwnedFd::from(listener).into());
    let (status, _) = ask(&world.socket(), "GET", "/_ping");
    assert_eq!(status, 200);
    world.bowline(&["volume", "ls"]).ok();
    assert_eq!(world.engines().len(), 1, "the command started no other");
    engine.signal(Signal::SIGTERM);
    engine.wait().ok();
    assert!(world.socket().exists(), "the socket is the manager's");
    fs::remove_file(world.socket()).expect("remove the socket");
    world.ends_clean();
}

fn below(folder: &Path, names: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => below(&path, names),
            false => names.push(path.display().to_string()),
        }
    }
}

/// `system enable` must write what systemd starts at boot, and `system disable` take all of it away.
#[test]
fn units_are_written_and_removed() {
    let world = World::new();
    let system = world.folder("system", &[("etc/systemd/system.conf", "")]);
    let root = system.path().to_str().expect("UTF-8").to_owned();
    let folder = system.path().join("etc/systemd");
    let units = || {
        let mut names = Vec::new();
        below(&folder, &mut names);
        names.retain(|name| !name.ends_with("system.conf"));
        names
    };
    world.bowline(&["system", "enable", "--root", &root]).ok();
    let names = units();
    assert_eq!(names.len(), 4, "{names:?}");
    let service = names
        .iter()
        .find(|name| name.ends_with(".service") && !name.contains("wants"))
        .expect("a service");
    let text = fs::read_to_string(service).expect("a unit");
    assert!(text.contains(binary().to_str().expect("UTF-8")), "{text}");
    assert!(text.contains("BOWLINE_DATA_ROOT"), "{text}");
    world.bowline(&["system", "disable", "--root", &root]).ok();
    assert_eq!(units(), Vec::<String>::new());
    let elsewhere = world.folder("empty", &[]);
    let root = elsewhere.path().to_str().expect("UTF-8").to_owned();
    world
        .bowline(&["system", "enable", "--root", &root])
        .fails_with(1)
        .says("no systemd");
    world.ends_clean();
}
