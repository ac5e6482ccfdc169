//! What the tests on the real cgroupfs stand on.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use oci_spec::runtime::{LinuxMemoryBuilder, LinuxResources, LinuxResourcesBuilder};

use crate::cgroup::{Cgroup, Hierarchies, Warning, detect};

/// A parent of its own for each test, removed with all below it whatever happens.
pub(super) struct Stand {
    pub(super) hierarchies: Hierarchies,
    pub(super) parent: String,
}

impl Stand {
    /// `None` without rights.
    pub(super) fn new(test: &str) -> Option<Self> {
        let hierarchies = Hierarchies::detect().unwrap();
        let parent = format!("/bowline-test-{}-{test}", std::process::id());
        let stand = Self {
            hierarchies,
            parent,
        };
        if nix::unistd::geteuid().is_root() {
            return Some(stand);
        }
        eprintln!("skipped: needs root");
        None
    }

    pub(super) fn create(&self, resources: &LinuxResources) -> (Cgroup, Vec<Warning>) {
        Cgroup::create(&self.hierarchies, &self.parent, "c", resources).unwrap()
    }

    pub(super) fn is_v1(&self, controller: &str) -> bool {
        self.hierarchies
            .v1
            .iter()
            .any(|mount| mount.controllers.iter().any(|name| name == controller))
    }

    pub(super) fn has(&self, old: &str, new: &str) -> bool {
        let offered =
            |mount: &detect::Mount| fs::read_to_string(mount.point.join("cgroup.controllers"));
        let v2 = self
            .hierarchies
            .v2
            .as_ref()
            .and_then(|mount| offered(mount).ok())
            .unwrap_or_default();
        self.is_v1(old) || v2.split_whitespace().any(|name| name == new)
    }

    /// The content of the group's file, by its name on v1 or on v2.
    pub(super) fn read(&self, group: &Cgroup, old: &str, new: &str) -> String {
        let controller = old.split('.').next().unwrap();
        let path = group
            .v1_dir(controller)
            .map_or_else(|| group.v2.clone().unwrap().join(new), |dir| dir.join(old));
        fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            .trim()
            .to_owned()
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        if let Ok(group) = Cgroup::open(&self.hierarchies, &self.parent, "c") {
            drop(group.kill());
            drop(group.wait_empty(Duration::from_secs(5)));
        }
        drop(self.hierarchies.remove_path(&self.parent));
    }
}

/// A shell inside the group, ended with the test.
pub(super) struct Inmate(pub(super) Child);

impl Inmate {
    pub(super) fn new(group: &Cgroup, script: &str) -> Self {
        // `cgroup.procs` stands in for what a shim does: these tests are about the group, not about joining it.
        let enter: Vec<String> = group
            .v1
            .iter()
            .map(|dir| dir.path.join("tasks"))
            .chain(group.v2.iter().map(|dir| dir.join("cgroup.procs")))
            .map(|file| format!("echo $$ > {} || exit 77; ", file.display()))
            .collect();
        let script = format!("{}echo in; {script}", enter.concat());
        let mut child = Command::new("/bin/sh")
            .args(["-c", &script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut word = [0; 3];
        if std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut word).is_err() {
            let output = child.wait_with_output().unwrap();
            panic!(
                "{}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Self(child)
    }

    pub(super) fn output(self) -> String {
        let mut child = self;
        let mut text = String::new();
        std::io::Read::read_to_string(child.0.stdout.as_mut().unwrap(), &mut text).unwrap();
        child.0.wait().unwrap();
        text
    }
}

impl Drop for Inmate {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

pub(super) fn resources() -> LinuxResourcesBuilder {
    LinuxResourcesBuilder::default()
}

pub(super) fn none() -> LinuxResources {
    // The builder's own default allows no device, which is a rule; a group without wishes has none.
    let mut none = resources().build().unwrap();
    none.set_devices(None);
    none
}

pub(super) fn with_memory(limit: i64) -> LinuxResources {
    let mut all = none();
    all.set_memory(Some(
        LinuxMemoryBuilder::default().limit(limit).build().unwrap(),
    ));
    all
}
