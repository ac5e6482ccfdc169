//! The ledger itself: one leak of each kind is planted, and both ours and the engine's must name it.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use bowline_tests::World;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Plants, and expects both ledgers to tell it by `words`; then takes it away and expects an empty one.
#[track_caller]
fn told(words: impl Fn(&World) -> String, plant: impl Fn(&World), take_away: impl Fn(&World)) {
    told_as(|world| (words(world), words(world)), plant, take_away);
}

/// As [`told`], where the two ledgers have different words for it.
#[track_caller]
fn told_as(
    words: impl Fn(&World) -> (String, String),
    plant: impl Fn(&World),
    take_away: impl Fn(&World),
) {
    // An engine that stays: one that leaves or starts tidies up, and there would be nothing to tell.
    let world = World::with(&[("BOWLINE_IDLE_TIMEOUT", "300")]);
    world.bowline(&["system", "check"]).ok();
    plant(&world);
    let (ours, theirs) = words(&world);
    let ledger = world.ledger();
    let check = world.bowline(&["system", "check"]);
    take_away(&world);
    assert!(
        ledger.0.iter().any(|line| line.contains(&ours)),
        "no {ours} in {ledger:?}"
    );
    assert_ne!(check.code, 0, "{check}");
    check.says(&theirs);
    world.bowline(&["system", "check"]).ok();
    kill(Pid::from_raw(world.engine()), Signal::SIGTERM).expect("end the engine");
    world.ends_clean();
}

#[track_caller]
fn run(line: &str) {
    let mut words = line.split(' ');
    let program = words.next().expect("a program");
    let status = Command::new(program).args(words).status();
    let status = status.unwrap_or_else(|error| panic!("{line}: {error}"));
    assert!(status.success(), "{line}");
}

/// A mount below a root must be named.
#[test]
fn a_mount() {
    let point = |world: &World| world.names().roots[0].join("containers/left-behind");
    told(
        |world| point(world).display().to_string(),
        |world| {
            fs::create_dir_all(point(world)).expect("make");
            mount(
                Some("tmpfs"),
                &point(world),
                Some("tmpfs"),
                MsFlags::empty(),
                None::<&str>,
            )
            .expect("mount");
        },
        |world| {
            umount2(&point(world), MntFlags::MNT_DETACH).expect("unmount");
            fs::remove_dir(point(world)).expect("remove");
        },
    );
}

/// A pinned network namespace must be named.
#[test]
fn a_pinned_namespace() {
    let pin = |world: &World| world.names().roots[1].join("netns/leftbehind");
    told(
        |_| "leftbehind".to_owned(),
        |world| {
            fs::write(pin(world), "").expect("make");
            let none = None::<&str>;
            mount(
                Some("/proc/self/ns/net"),
                &pin(world),
                none,
                MsFlags::MS_BIND,
                none,
            )
            .expect("pin");
        },
        |world| {
            umount2(&pin(world), MntFlags::MNT_DETACH).expect("unpin");
            fs::remove_file(pin(world)).expect("remove");
        },
    );
}

/// An interface with our prefix must be named.
#[test]
fn a_link() {
    let name = |world: &World| format!("{}left", world.names().prefix);
    told(
        name,
        |world| run(&format!("ip link add {} type bridge", name(world))),
        |world| run(&format!("ip link del {}", name(world))),
    );
}

/// A published port that no container explains must be counted; that the table is there, the story's ledger tells.
#[test]
fn a_rule() {
    let element = |world: &World| {
        format!(
            "inet {} any4 {{ tcp . 9 : 192.0.2.1 . 9 }}",
            world.names().table
        )
    };
    told_as(
        |world| (world.names().table.clone(), "published port".to_owned()),
        |world| run(&format!("nft add element {}", element(world))),
        |world| run(&format!("nft delete element {}", element(world))),
    );
}

/// A cgroup below ours must be named.
#[test]
fn a_cgroup() {
    let folder = |world: &World| {
        let v1 = Path::new("/sys/fs/cgroup/pids");
        let root = if v1.is_dir() {
            v1
        } else {
            Path::new("/sys/fs/cgroup")
        };
        root.join(world.names().cgroup.trim_start_matches('/'))
            .join("leftbehind")
    };
    told(
        |_| "leftbehind".to_owned(),
        |world| fs::create_dir_all(folder(world)).expect("make"),
        |world| fs::remove_dir(folder(world)).expect("remove"),
    );
}

/// A folder of no container must be named.
#[test]
fn a_file() {
    let folder = |world: &World| world.names().roots[0].join("containers/leftbehind");
    told(
        |_| "leftbehind".to_owned(),
        |world| fs::create_dir(folder(world)).expect("make"),
        |world| fs::remove_dir(folder(world)).expect("remove"),
    );
}

/// A shim of no container must be named.
#[test]
fn a_process() {
    let script = |world: &World| world.names().roots[1].join("containers/leftbehind");
    let child: Mutex<Option<Child>> = Mutex::new(None);
    let id = || {
        child
            .lock()
            .expect("the child")
            .as_ref()
            .map(Child::id)
            .expect("planted")
    };
    told(
        |_| format!("process {}", id()),
        |world| {
            // What a shim's command line looks like; it waits for input that never comes.
            fs::write(script(world), "read line\n").expect("write");
            let mut command = Command::new("/bin/sh");
            command
                .arg0("bowline-shim")
                .arg(script(world))
                .stdin(Stdio::piped());
            *child.lock().expect("the child") = Some(command.spawn().expect("a process"));
        },
        |world| {
            let mut child = child.lock().expect("the child").take().expect("planted");
            child.kill().expect("kill");
            child.wait().expect("wait");
            fs::remove_file(script(world)).expect("remove");
        },
    );
}
