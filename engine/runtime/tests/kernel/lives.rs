//! Deaths: of the engine, of the shim, of both.

use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use bowline_runtime::{
    Adopted, EngineLife, EngineState, ExitRecord, Identity, LOCK_FD_VARIABLE, LaunchFds, Shim,
    ShimStatus, StdioPlan, Survivor, Target,
};

use crate::Test;
use crate::rig::{Container, base, guest, shims, until, wait_for};

pub(crate) const TESTS: &[Test] = &[
    (
        "a killed engine's container is adopted with what was kept, and no line is missing",
        adoption,
    ),
    (
        "a container that ended meanwhile left its record",
        ended_meanwhile,
    ),
    (
        "a dead shim's container lives on and is recognised",
        dead_shim,
    ),
    (
        "a new shim relieves a dead one: log, exec, exit code",
        relief,
    ),
    ("a terminal survives its shim", terminal_relief),
    ("a prepared container waits for the next engine", prepared),
    ("a newer protocol is refused by name", newer),
    ("an exec goes on while the engine is dead", exec_goes_on),
    ("the shims bring one engine back, and only one", revival),
    ("an engine that left on purpose stays away", deliberate),
    (
        "a shim is small and keeps no descriptor it does not need",
        frugal,
    ),
];

/// Names by which this binary is started as an engine that is to be killed, and as one that was brought back.
pub(crate) const VICTIM: &str = "engine-victim";
pub(crate) const REVIVED: &str = "engine-revived";

/// Starts the launch in the file given, keeps one descriptor under a name, and waits to be killed.
pub(crate) fn victim() -> ! {
    let file = PathBuf::from(std::env::args().nth(1).unwrap());
    let launch = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let keep: OwnedFd = fs::File::open(&file).unwrap().into();
    let fds = LaunchFds {
        keep: vec![("plan".to_owned(), keep)],
        ..LaunchFds::default()
    };
    let (shim, _) = shims().prepare(&launch, fds).unwrap();
    shim.start().unwrap();
    fs::write(file.with_extension("started"), "").unwrap();
    std::thread::sleep(Duration::from_secs(600));
    unreachable!("nobody killed us")
}

/// Notes that it was started, and holds the lock it was given for a while.
pub(crate) fn revived() -> ! {
    let directory = PathBuf::from(std::env::args().nth(1).unwrap());
    let fd: i32 = std::env::var(LOCK_FD_VARIABLE).unwrap().parse().unwrap();
    let lock = bowline_runtime::inherited(fd).unwrap();
    let pid = std::process::id();
    fs::write(
        directory.join(format!("revived-{pid}")),
        std::env::var("MARK").unwrap_or_default(),
    )
    .unwrap();
    until(|| directory.join("enough").exists(), "the end of the test");
    drop(lock);
    std::process::exit(0)
}

/// A container that an engine had started which is dead now.
fn orphaned(args: &[&str]) -> Container {
    let made = guest(args);
    let file = made.dir.join("launch");
    let mut launch = made.launch.clone();
    launch.spec = serde_json::from_value(made.spec.clone()).unwrap();
    fs::write(&file, serde_json::to_vec(&launch).unwrap()).unwrap();
    let mut engine = Command::new("/proc/self/exe")
        .arg0(VICTIM)
        .arg(&file)
        .spawn()
        .unwrap();
    until(
        || file.with_extension("started").exists(),
        "the engine to start the container",
    );
    engine.kill().unwrap();
    engine.wait().unwrap();
    Container {
        shim: None,
        launch,
        dir: made.dir,
    }
}

fn adopt(container: &mut Container) -> (ShimStatus, Vec<(String, OwnedFd)>) {
    match Shim::adopt(container.run_dir()).unwrap() {
        Adopted::Live { shim, status, kept } => {
            container.shim = Some(shim);
            (status, kept)
        }
        other => panic!("{other:?}"),
    }
}

fn adoption() {
    let mut container = orphaned(&["ticks", "60"]);
    let pid = container.pid();
    let (status, kept) = adopt(&mut container);
    assert!(matches!(status, ShimStatus::Running(started) if started.pid == pid));
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].0, "plan");
    assert!(nix::sys::stat::fstat(&kept[0].1).unwrap().st_size > 100);
    assert_eq!(container.wait().code, 0);
    let expected: String = (0..60).map(|number| format!("tick {number}\n")).collect();
    assert_eq!(container.text(), expected);
}

fn ended_meanwhile() {
    let mut container = orphaned(&["exit", "6"]);
    until(
        || ExitRecord::read(container.run_dir()).unwrap().is_some(),
        "the record",
    );
    match Shim::adopt(container.run_dir()).unwrap() {
        Adopted::Exited(record) => assert_eq!(record.code, 6),
        Adopted::Live {
            shim,
            status: ShimStatus::Exited(record),
            ..
        } => {
            assert_eq!(record.code, 6);
            container.shim = Some(shim);
        }
        other => panic!("{other:?}"),
    }
}

fn dead_shim() {
    let mut container = guest(&["ticks", "40"]).start();
    container.until_logged("tick 3");
    let identity = Identity::read(container.run_dir()).unwrap().unwrap();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(identity.shim),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    until(
        || matches!(container.shim().next_event(), Ok(None)),
        "the end of the shim",
    );
    container.shim = None;
    let Adopted::Gone {
        identity: Some(found),
        process: Some(process),
    } = Shim::adopt(container.run_dir()).unwrap()
    else {
        panic!("it lives");
    };
    assert_eq!(found.pid, identity.pid);
    // Whatever it goes on writing breaks no pipe: it ends as it would have.
    assert!(bowline_sys::fdpass::wait_readable(&process, Duration::from_secs(20)).unwrap());
    until(
        || bowline_runtime::exit_code(process.as_fd()).is_some(),
        "somebody to reap it",
    );
    assert_eq!(bowline_runtime::exit_code(process.as_fd()), Some(0));
}

fn kill_shim(container: &mut Container) -> Survivor {
    let shim = Identity::read(container.run_dir()).unwrap().unwrap().shim;
    let shim = nix::unistd::Pid::from_raw(shim);
    nix::sys::signal::kill(shim, nix::sys::signal::Signal::SIGKILL).unwrap();
    until(
        || matches!(container.shim().next_event(), Ok(None)),
        "the end of the shim",
    );
    container.shim = None;
    match Shim::adopt(container.run_dir()).unwrap() {
        Adopted::Gone {
            identity: Some(identity),
            process: Some(process),
        } => Survivor {
            identity,
            process,
            terminal: None,
        },
        other => panic!("{other:?}"),
    }
}

fn relief() {
    let mut container = guest(&["ticks", "60"]).start();
    container.until_logged("tick 3");
    let survivor = kill_shim(&mut container);
    std::thread::sleep(Duration::from_millis(200));
    let relieved = shims().relieve(&container.launch, LaunchFds::default(), survivor);
    container.shim = Some(relieved.unwrap());
    let process =
        serde_json::json!({"user": {"uid": 0, "gid": 0}, "args": ["/guest", "id"], "cwd": "/"});
    let plan = serde_json::json!({"id": "r", "process": process, "user": "app"});
    container
        .shim()
        .exec(&serde_json::from_value(plan).unwrap(), None)
        .unwrap();
    assert_eq!(container.wait().code, 0);
    assert!(
        container.text().ends_with("tick 59\n"),
        "{}",
        container.text()
    );
}

fn terminal_relief() {
    let tty = StdioPlan {
        tty: true,
        open_stdin: true,
        ..StdioPlan::default()
    };
    let mut container = guest(&["ticks", "60"])
        .with(|launch| launch.stdio = tty)
        .start();
    container.until_logged("tick 3");
    let terminal = container.shim().terminal().unwrap();
    let survivor = Survivor {
        terminal,
        ..kill_shim(&mut container)
    };
    let relieved = shims().relieve(&container.launch, LaunchFds::default(), survivor);
    container.shim = Some(relieved.unwrap());
    container.shim().resize(Target::Container, 10, 20).unwrap();
    assert_eq!(container.wait().code, 0);
    assert!(
        container.text().ends_with("tick 59\r\n"),
        "{}",
        container.text()
    );
}

fn prepared() {
    let mut container = guest(&["print", "late"]).prepare();
    container.shim = None;
    let (status, _) = adopt(&mut container);
    assert!(matches!(status, ShimStatus::Prepared { .. }));
    container.shim().start().unwrap();
    assert_eq!(container.wait().code, 0);
    assert_eq!(container.text(), "late\n");
}

fn newer() {
    let directory = base().join("newer");
    fs::create_dir_all(&directory).unwrap();
    let listener = bowline_sys::fdpass::listen_at(&directory.join("shim.sock")).unwrap();
    let answering = std::thread::spawn(move || {
        let socket = bowline_sys::fdpass::accept(listener.as_fd()).unwrap();
        let _hello = bowline_sys::fdpass::receive(socket.as_fd(), 4096, true).unwrap();
        let reply = br#"{"Hello":{"protocol":99,"status":"Preparing"}}"#;
        bowline_sys::fdpass::send(socket.as_fd(), reply, &[], true).unwrap();
    });
    let error = Shim::adopt(&directory).unwrap_err();
    assert!(error.to_string().contains("protocol 99"), "{error}");
    answering.join().unwrap();
}

fn exec_goes_on() {
    use std::io::Read as _;
    let mut container = guest(&["sleep"]).start();
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let process = serde_json::json!({"user": {"uid": 0, "gid": 0}, "args": ["/guest", "ticks", "20"], "cwd": "/"});
    let plan = serde_json::json!({"id": "e", "process": process, "attach": {"streams": {"stdin": true, "stdout": true, "stderr": true}}});
    container
        .shim()
        .exec(&serde_json::from_value(plan).unwrap(), Some(theirs.into()))
        .unwrap();
    container.shim = None;
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    assert!(text.ends_with("tick 19\n"), "{text}");
    adopt(&mut container);
}

fn life(directory: &std::path::Path, state: EngineState) -> EngineLife {
    EngineLife {
        state,
        revive: true,
        lock: directory.join("engine.lock"),
        argv: vec![REVIVED.to_owned(), directory.display().to_string()],
        env: vec!["MARK=set".to_owned()],
        cgroup: None,
    }
}

fn revived_in(directory: &std::path::Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory)
        .unwrap()
        .flatten()
        .map(|entry| entry.path());
    entries
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("revived-")
        })
        .collect()
}

fn three(directory: &std::path::Path) -> Vec<Container> {
    let revivable = || {
        guest(&["sleep"])
            .with(|launch| {
                (launch.revive, launch.engine_life) = (true, Some(directory.join("engine.json")));
            })
            .start()
    };
    (0..3).map(|_| revivable()).collect()
}

fn revival() {
    let directory = base().join("revival");
    fs::create_dir_all(&directory).unwrap();
    life(&directory, EngineState::Running)
        .write(&directory.join("engine.json"))
        .unwrap();
    let mut containers = three(&directory);
    containers
        .iter_mut()
        .for_each(|container| container.shim = None);
    until(|| !revived_in(&directory).is_empty(), "an engine");
    std::thread::sleep(Duration::from_millis(700));
    let revived = revived_in(&directory);
    assert_eq!(revived.len(), 1, "{revived:?}");
    assert_eq!(fs::read_to_string(&revived[0]).unwrap(), "set");
    fs::write(directory.join("enough"), "").unwrap();
    containers
        .iter_mut()
        .for_each(|container| drop(adopt(container)));
}

fn deliberate() {
    let directory = base().join("deliberate");
    fs::create_dir_all(&directory).unwrap();
    life(&directory, EngineState::Leaving)
        .write(&directory.join("engine.json"))
        .unwrap();
    let mut containers = three(&directory);
    containers
        .iter_mut()
        .for_each(|container| container.shim = None);
    std::thread::sleep(Duration::from_millis(600));
    assert!(revived_in(&directory).is_empty());
    containers
        .iter_mut()
        .for_each(|container| drop(adopt(container)));
}

fn frugal() {
    let container = guest(&["on-term", "0"]).start();
    container.until_logged("waiting");
    // It hands back what its beginning took once it has been quiet for a moment.
    std::thread::sleep(Duration::from_millis(700));
    let shim = Identity::read(container.run_dir()).unwrap().unwrap().shim;
    let rollup = fs::read_to_string(format!("/proc/{shim}/smaps_rollup")).unwrap();
    let sum = |kind: &str| -> u64 {
        let lines = rollup.lines().filter(|line| line.starts_with(kind));
        lines
            .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
            .sum()
    };
    // The executable's own pages are shared by all shims; what each adds is what it has written to.
    let private = sum("Anonymous:");
    let fds = fs::read_dir(format!("/proc/{shim}/fd")).unwrap().count();
    println!("  a shim has {private} kB of its own and {fds} descriptors");
    assert!(fds < 20);
    container.shim().signal(Target::Container, 9).unwrap();
    wait_for(container.shim(), |event| {
        matches!(event, bowline_runtime::ShimEvent::Exited(_)).then_some(())
    });
}
