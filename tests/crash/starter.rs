//! What started the engine ends, whole.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bowline_tests::{World, binary, eventually, free_port, page};
use nix::sys::signal::Signal;

use crate::kill::{gone, is_alive, kill, pid, shims};

/// A cgroup in every hierarchy, as a CI runner or systemd gives one to what it starts.
struct Group(Vec<PathBuf>);

impl Group {
    fn make(name: &str) -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        let points = mounts.lines().filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            after
                .starts_with("cgroup")
                .then(|| before.split(' ').nth(4))?
        });
        let own = fs::read_to_string("/proc/self/cgroup").expect("our cgroups");
        let made = points.filter_map(|point| {
            let folder = Path::new(point).join(name);
            fs::create_dir(&folder).ok()?;
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let above = fs::read_to_string(Path::new(point).join(file));
                if let (Ok(above), true) = (above, folder.join(file).exists()) {
                    // A v1 cpuset takes nobody before it has both; v2 has them from above.
                    drop(fs::write(folder.join(file), above.trim()));
                }
            }
            Some(folder)
        });
        let group = Self(made.collect());
        assert!(
            !group.0.is_empty(),
            "no hierarchy can be written; ours: {own}"
        );
        group
    }

    fn members(&self) -> Vec<i32> {
        let texts = self
            .0
            .iter()
            .map(|folder| fs::read_to_string(folder.join("cgroup.procs")));
        let mut pids: Vec<i32> = texts
            .flatten()
            .flat_map(|text| {
                text.lines()
                    .filter_map(|pid| pid.parse().ok())
                    .collect::<Vec<_>>()
            })
            .collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for pid in self.members() {
            // One that has ended meanwhile needs no killing.
            let _ended = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL);
        }
        for folder in &self.0 {
            eventually(Duration::from_secs(5), || fs::remove_dir(folder));
        }
    }
}

/// A shell joins a cgroup in every hierarchy and a session of its own, runs `up`, and is killed with everything in
/// cgroup and session. Neither engine nor shim may be among them, and the containers live on.
#[test]
fn ending_the_starter_touches_nothing() {
    let world = World::new();
    let port = free_port();
    let job = world.project(
        "job",
        &format!("services:\n  web:\n    image: bowline/demo\n    command: serve --port 80\n    ports: ['127.0.0.1:{port}:80']\n"),
    );
    let group = Group::make(&format!("bowline-test-job-{}", std::process::id()));
    let joins: String = group
        .0
        .iter()
        .map(|folder| format!("echo $$ > {}/cgroup.procs; ", folder.display()))
        .collect();
    let script = format!(
        "{joins} {} up -d 2> progress > urls && touch started; sleep 600",
        binary().display()
    );
    let settings = job.command(&[]);
    let mut shell = Command::new("setsid");
    shell
        .args(["--wait", "sh", "-c", &script])
        .current_dir(job.path())
        .env_clear();
    shell.envs(
        settings
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let mut shell = shell.spawn().expect("setsid and sh");
    eventually(Duration::from_secs(60), || {
        fs::metadata(job.path().join("started"))
    });

    let inside = group.members();
    let (engine, keepers) = (world.engine(), shims(&world));
    assert_eq!(keepers.len(), 1);
    let web = pid(&job, "web");
    for ours in [engine, keepers[0].1, web] {
        assert!(
            !inside.contains(&ours),
            "{ours} is in the starter's cgroup: {inside:?}"
        );
        let session = |pid: i32| nix::unistd::getsid(Some(nix::unistd::Pid::from_raw(pid)));
        assert!(
            inside.iter().all(|pid| session(*pid) != session(ours)),
            "{ours} is in its session"
        );
    }
    let at = fs::read_link(format!("/proc/{engine}/cwd")).expect("its folder");
    assert_eq!(at, Path::new("/"));
    for pid in &inside {
        kill(*pid);
    }
    shell.wait().expect("the shell's end");
    inside.iter().for_each(|pid| gone(*pid));
    drop(group);

    assert!([engine, keepers[0].1, web].into_iter().all(is_alive));
    assert!(page(&format!("127.0.0.1:{port}")).contains("Hello"));
    job.down();
    world.ends_clean();
}
