//! What the tests stand on: an image made of this very binary, and containers that clean up behind themselves.

use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bowline_runtime::cgroup::{Cgroup, Hierarchies};
use bowline_runtime::{
    CgroupPlan, ExitRecord, Launch, LaunchFds, LogPlan, PROTOCOL, Rootfs, Shim, ShimEvent, Shims,
    StartError,
};
use serde_json::{Value, json};

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:100:App:/srv/app:/bin/sh\n";
const GROUP: &str = "root:x:0:\nusers:x:100:\nwheel:x:10:app\n";

static SHIMS: OnceLock<Shims> = OnceLock::new();
static COUNT: AtomicU32 = AtomicU32::new(0);

pub(crate) fn shims() -> &'static Shims {
    SHIMS.get_or_init(|| Shims::seal().unwrap())
}

pub(crate) fn base() -> PathBuf {
    std::env::temp_dir().join(format!("bowline-runtime-{}", std::process::id()))
}

fn parent() -> String {
    format!("/bowline-rt{}", std::process::id())
}

/// Removes what all tests share.
pub(crate) fn clean_up() {
    let hierarchies = Hierarchies::detect().unwrap();
    for path in [
        format!("{}/shims", parent()),
        format!("{}/engine", parent()),
        parent(),
    ] {
        let _ignored = hierarchies.remove_path(&path);
    }
    let _ignored = fs::remove_dir_all(base());
}

/// The image: the guest, users, and the directories that every image has.
pub(crate) fn image() -> PathBuf {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE
        .get_or_init(|| make_image(&base().join("image")))
        .clone()
}

fn make_image(at: &Path) -> PathBuf {
    for directory in [
        "etc", "tmp", "root", "srv/app", "bin", "proc", "sys", "dev", "secret",
    ] {
        fs::create_dir_all(at.join(directory)).unwrap();
    }
    fs::copy("/proc/self/exe", at.join("guest")).unwrap();
    fs::hard_link(at.join("guest"), at.join("bin/guest")).unwrap();
    fs::write(at.join("etc/passwd"), PASSWD).unwrap();
    fs::write(at.join("etc/group"), GROUP).unwrap();
    fs::write(at.join("plain"), "not a program").unwrap();
    fs::set_permissions(at.join("tmp"), PermissionsExt::from_mode(0o1777)).unwrap();
    fs::set_permissions(at.join("secret"), PermissionsExt::from_mode(0o700)).unwrap();
    at.to_owned()
}

/// A container to be: a launch that can still be changed.
pub(crate) struct Box_ {
    pub launch: Launch,
    pub spec: Value,
    pub dir: PathBuf,
}

/// A container whose command is the guest with these arguments.
pub(crate) fn guest(args: &[&str]) -> Box_ {
    let all: Vec<&str> = ["/guest"].iter().chain(args).copied().collect();
    command(&all)
}

pub(crate) fn command(args: &[&str]) -> Box_ {
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let dir = base().join(format!("c{number}"));
    for name in ["run", "upper", "work", "layer"] {
        fs::create_dir_all(dir.join(name)).unwrap();
    }
    let spec = json!({
        "ociVersion": "1.2.0",
        "hostname": "box",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": args,
            "env": ["PATH=/bin:/usr/bin"],
            "cwd": "/",
        },
        "linux": {},
    });
    let launch = Launch {
        protocol: PROTOCOL,
        id: format!("c{number}"),
        spec: serde_json::from_value(spec.clone()).unwrap(),
        user: String::new(),
        additional_groups: Vec::new(),
        // The layer is empty unless a test puts something there, over the image.
        rootfs: Rootfs {
            lowers: vec![dir.join("layer"), image()],
            upper: dir.join("upper"),
            work: dir.join("work"),
            readonly: false,
            volatile: false,
        },
        seccomp: bowline_runtime::Seccomp::default(),
        privileged: false,
        init: false,
        shm_size: None,
        cgroup: CgroupPlan {
            parent: parent(),
            name: format!("c{number}"),
            shims: Some(format!("{}/shims", parent())),
        },
        stdio: bowline_runtime::StdioPlan::default(),
        log: LogPlan::JsonFile {
            path: dir.join("log"),
            max_size: None,
            max_file: 1,
            compress: false,
            attrs: std::collections::BTreeMap::new(),
        },
        run_dir: dir.join("run"),
        netns: None,
        join: bowline_runtime::JoinNamespaces::default(),
        forwards: Vec::new(),
        revive: false,
        engine_life: None,
    };
    Box_ { launch, spec, dir }
}

impl Box_ {
    /// Changes the spec at a JSON pointer's parent.
    pub(crate) fn set(mut self, pointer: &str, value: Value) -> Self {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let map = if parent.is_empty() {
            &mut self.spec
        } else {
            self.spec.pointer_mut(parent).unwrap()
        };
        map[key] = value;
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Launch)) -> Self {
        change(&mut self.launch);
        self
    }

    /// Writes a file into the image's topmost layer.
    pub(crate) fn layer(self, change: impl FnOnce(&Path)) -> Self {
        change(&self.dir.join("layer"));
        self
    }

    pub(crate) fn prepare_with(mut self, fds: LaunchFds) -> Result<Container, StartError> {
        self.launch.spec = serde_json::from_value(self.spec.clone()).unwrap();
        let prepared = shims().prepare(&self.launch, fds);
        let Self { launch, dir, .. } = self;
        match prepared {
            Ok((shim, _)) => Ok(Container {
                shim: Some(shim),
                launch,
                dir,
            }),
            Err(error) => {
                remove_cgroup(&launch);
                Err(error)
            }
        }
    }

    pub(crate) fn prepare(self) -> Container {
        self.prepare_with(LaunchFds::default()).unwrap()
    }

    pub(crate) fn start(self) -> Container {
        let container = self.prepare();
        container.shim().start().unwrap();
        container
    }

    /// The error of a container that must not start.
    pub(crate) fn refused(self) -> StartError {
        match self.prepare_with(LaunchFds::default()) {
            Err(error) => error,
            Ok(container) => container.shim().start().unwrap_err(),
        }
    }

    /// Runs it to its end: its code, and its log as one text.
    pub(crate) fn run(self) -> (i32, String) {
        let container = self.start();
        let record = container.wait();
        (record.code, container.text())
    }

    /// What it printed, after a good end.
    pub(crate) fn output(self) -> String {
        let (code, text) = self.run();
        assert_eq!(code, 0, "{text}");
        text
    }
}

/// A container.
pub(crate) struct Container {
    pub shim: Option<Shim>,
    pub launch: Launch,
    pub dir: PathBuf,
}

impl Container {
    pub(crate) fn shim(&self) -> &Shim {
        self.shim.as_ref().unwrap()
    }

    pub(crate) fn run_dir(&self) -> &Path {
        &self.launch.run_dir
    }

    pub(crate) fn pid(&self) -> i32 {
        bowline_runtime::Identity::read(self.run_dir())
            .unwrap()
            .unwrap()
            .pid
    }

    pub(crate) fn wait(&self) -> ExitRecord {
        wait_for(self.shim(), |event| match event {
            ShimEvent::Exited(record) => Some(record),
            _ => None,
        })
    }

    /// The log's lines as JSON.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    pub(crate) fn text(&self) -> String {
        self.lines()
            .iter()
            .map(|line| line["log"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Waits until the log has this in it.
    pub(crate) fn until_logged(&self, text: &str) {
        until(
            || self.text().contains(text),
            &format!("`{text}` in the log"),
        );
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if let Some(shim) = self.shim.take() {
            let _ignored = shim.signal(bowline_runtime::Target::Container, 9);
            until(|| shim.dismiss().is_ok(), "the shim to leave");
            while let Ok(Some(_)) | Err(bowline_runtime::Error::Receive(_)) = shim.next_event() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        remove_cgroup(&self.launch);
        let _ignored = fs::remove_dir_all(&self.dir);
    }
}

fn remove_cgroup(launch: &Launch) {
    let hierarchies = Hierarchies::detect().unwrap();
    if let Ok(cgroup) = Cgroup::open(&hierarchies, &launch.cgroup.parent, &launch.cgroup.name) {
        let _ignored = cgroup.kill();
        let _ignored = cgroup.wait_empty(Duration::from_secs(2));
        let _ignored = cgroup.remove();
    }
}

pub(crate) fn wait_for<T>(shim: &Shim, want: impl Fn(ShimEvent) -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match shim.next_event() {
            Ok(Some(event)) => {
                if let Some(found) = want(event) {
                    return found;
                }
            }
            Ok(None) => panic!("the shim is gone"),
            Err(bowline_runtime::Error::Receive(error))
                if error.kind() == std::io::ErrorKind::WouldBlock =>
            {
                let left = deadline.saturating_duration_since(Instant::now());
                assert!(
                    bowline_sys::fdpass::wait_readable(shim.events_fd().as_fd(), left).unwrap(),
                    "no event came"
                );
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Waits for a state, not for a time.
pub(crate) fn until(mut holds: impl FnMut() -> bool, what: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
