//! One engine of its own, and folders with projects in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::command::{Ran, Running};
use crate::ledger::{Ledger, Names};
use crate::net::ask;
use crate::wait::eventually;

/// The binary under test: `BOWLINE_BIN`, or the release build of this checkout.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("BOWLINE_BIN") {
        return path.into();
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| checkout().join("target"), PathBuf::from);
    target.join("x86_64-unknown-linux-gnu/release/bowline")
}

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the checkout")
        .to_owned()
}

/// A folder of `examples/`.
pub fn example(name: &str) -> PathBuf {
    checkout().join("examples").join(name)
}

/// A world; it must end with [`World::ends_clean`].
#[derive(Debug)]
pub struct World {
    folder: TempDir,
    names: Names,
    variables: Vec<(String, String)>,
    ended: bool,
    disk: Option<Disk>,
}

/// A file system of its own, for what happens when it is full.
#[derive(Debug)]
struct Disk(PathBuf);

impl Drop for Disk {
    fn drop(&mut self) {
        umount2(&self.0, MntFlags::MNT_DETACH).ok();
    }
}

/// A project's folder in a world.
#[derive(Debug)]
pub struct Folder<'w> {
    world: &'w World,
    path: PathBuf,
}

impl World {
    /// A world whose engine starts by itself and leaves a second after the last work.
    #[track_caller]
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// As [`World::new`], with more environment for every command.
    #[track_caller]
    pub fn with(variables: &[(&str, &str)]) -> Self {
        let folder = TempDir::with_prefix("bowline-story-").expect("a folder");
        let data = folder.path().join("data");
        Self::at(folder, data, None, variables)
    }

    /// A world whose data lies on a disk of its own of so many bytes, mounted at [`World::disk`].
    #[track_caller]
    pub fn on_a_disk_of(bytes: u64) -> Self {
        let folder = TempDir::with_prefix("bowline-story-").expect("a folder");
        let disk = folder.path().join("disk");
        fs::create_dir(&disk).expect("make the folder");
        let options = format!("size={bytes}");
        let flags = MsFlags::empty();
        mount(
            Some("tmpfs"),
            &disk,
            Some("tmpfs"),
            flags,
            Some(options.as_str()),
        )
        .expect("mount");
        let data = disk.join("data");
        Self::at(folder, data, Some(Disk(disk)), &[])
    }

    fn at(folder: TempDir, data: PathBuf, disk: Option<Disk>, variables: &[(&str, &str)]) -> Self {
        let roots = [data, folder.path().join("run")];
        let mut world = Self {
            disk,
            names: Names {
                roots,
                table: String::new(),
                prefix: String::new(),
                cgroup: String::new(),
            },
            variables: variables
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            ended: false,
            folder,
        };
        let info = world.bowline(&["info", "--format", "json"]).ok();
        let info: serde_json::Value = serde_json::from_str(&info.out).expect("JSON from info");
        let setting = |key: &str| {
            let all = info["settings"]["settings"].as_array().expect("settings");
            let found = all
                .iter()
                .find(|entry| entry["key"] == key)
                .expect("the setting");
            found["value"].as_str().expect("a text").to_owned()
        };
        world.names.table = setting("nft_table");
        world.names.prefix = setting("interface_prefix");
        world.names.cgroup = setting("cgroup_parent");
        world
    }

    /// A command of the binary, in the world's own folder.
    #[must_use = "check how it ended"]
    pub fn bowline(&self, arguments: &[&str]) -> Ran {
        Running::start(self.command(self.folder.path(), arguments)).wait()
    }

    /// The command, for those who change it before it starts.
    pub fn command(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).current_dir(folder).env_clear();
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", self.folder.path());
        command.env("BOWLINE_DATA_ROOT", &self.names.roots[0]);
        command.env("BOWLINE_RUN_ROOT", &self.names.roots[1]);
        command.env("BOWLINE_IDLE_TIMEOUT", "1");
        command.env("BOWLINE_CONFIG", "/dev/null");
        command.envs(self.variables.iter().map(|(key, value)| (key, value)));
        command
    }

    /// A folder called `name` with these files in it.
    #[track_caller]
    pub fn folder(&self, name: &str, files: &[(&str, &str)]) -> Folder<'_> {
        let path = self.folder.path().join(name);
        for (file, text) in files {
            let file = path.join(file);
            fs::create_dir_all(file.parent().expect("a parent")).expect("make the folder");
            fs::write(file, text).expect("write the file");
        }
        fs::create_dir_all(&path).expect("make the folder");
        Folder { world: self, path }
    }

    /// A folder with one Compose file.
    #[track_caller]
    pub fn project(&self, name: &str, compose: &str) -> Folder<'_> {
        self.folder(name, &[("compose.yaml", compose)])
    }

    /// A copy of an example of the repository.
    #[track_caller]
    pub fn example(&self, name: &str) -> Folder<'_> {
        let path = self.folder.path().join(name);
        copy(&example(name), &path);
        Folder { world: self, path }
    }

    /// The API socket.
    pub fn socket(&self) -> PathBuf {
        self.names.roots[1].join("bowline.sock")
    }

    /// Where the disk of [`World::on_a_disk_of`] is mounted.
    #[track_caller]
    pub fn disk(&self) -> &Path {
        &self.disk.as_ref().expect("a disk of its own").0
    }

    /// How the engine names things.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The running engines of this world; more than one is a fault of its own.
    pub fn engines(&self) -> Vec<i32> {
        let ledger = Ledger::read(&self.names);
        let engines = ledger.0.iter().filter_map(|line| {
            let (pid, words) = line.strip_prefix("process ")?.split_once(' ')?;
            let mut words = words.split(' ');
            let own = words.next().is_some_and(|name| name.ends_with("bowline"));
            (own && words.next() == Some("engine")).then(|| pid.parse().ok())?
        });
        engines.collect()
    }

    /// The one engine.
    #[track_caller]
    pub fn engine(&self) -> i32 {
        eventually(Duration::from_secs(10), || {
            match self.engines().as_slice() {
                [one] => Ok(*one),
                others => Err(others.to_vec()),
            }
        })
    }

    /// Kills the engine as a crash does, and waits until it is gone.
    #[track_caller]
    pub fn kill_engine(&self) -> i32 {
        let pid = self.engine();
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("kill the engine");
        eventually(Duration::from_secs(10), || {
            if self.engines().contains(&pid) {
                Err(pid)
            } else {
                Ok(())
            }
        });
        pid
    }

    /// The engine's answer to a GET, which must succeed. The engine has to run.
    #[track_caller]
    pub fn api(&self, path: &str) -> serde_json::Value {
        let (status, body) = ask(&self.socket(), "GET", path);
        assert_eq!(status, 200, "GET {path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("GET {path}: {error}: {body}"))
    }

    /// Names of all containers, sorted.
    #[track_caller]
    pub fn containers(&self) -> Vec<String> {
        self.bowline(&["info"]).ok();
        let all = self.api("/containers/json?all=1");
        let all = all.as_array().expect("a list").iter();
        let mut names: Vec<_> = all
            .map(|one| one["Names"][0].as_str().unwrap_or_default().to_owned())
            .collect();
        names.sort();
        names
    }

    /// The ledger as it is now, once the engine has left.
    pub fn ledger(&self) -> Ledger {
        Ledger::read(&self.names)
    }

    /// Everything must go when the engine has left, which it does by itself.
    #[track_caller]
    pub fn ends_clean(mut self) {
        self.ended = true;
        eventually(Duration::from_secs(30), || {
            let ledger = Ledger::read(&self.names);
            ledger
                .empty()
                .map_err(|left| left.into_iter().map(str::to_owned).collect::<Vec<_>>())
        });
    }

    /// What a story that failed leaves behind: nothing that disturbs the others, and its engine's last words.
    fn clear(&self) {
        let log = fs::read_to_string(self.names.roots[1].join("engine.log")).unwrap_or_default();
        let tail: Vec<_> = log.lines().rev().take(20).collect();
        let ask = |method: &str, path: &str| {
            std::panic::catch_unwind(|| ask(&self.socket(), method, path))
        };
        let listed = |path: &str| {
            let (_, body) = ask("GET", path).ok()?;
            serde_json::from_str::<serde_json::Value>(&body)
                .ok()?
                .as_array()
                .cloned()
        };
        for one in listed("/containers/json?all=1").unwrap_or_default() {
            drop(ask(
                "DELETE",
                &format!(
                    "/containers/{}?force=1&v=1",
                    one["Id"].as_str().unwrap_or_default()
                ),
            ));
        }
        for one in listed("/networks").unwrap_or_default() {
            drop(ask(
                "DELETE",
                &format!("/networks/{}", one["Id"].as_str().unwrap_or_default()),
            ));
        }
        let last: Vec<_> = tail.into_iter().rev().collect();
        if !last.is_empty() {
            panicking(&format!("the engine's log ends with\n{}", last.join("\n")));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !self.ended {
            self.clear();
        }
    }
}

/// Said beside a failure: the test harness keeps it with the failing story.
#[expect(
    clippy::print_stderr,
    reason = "the harness of the standard library collects it"
)]
fn panicking(words: &str) {
    eprintln!("{words}");
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl Folder<'_> {
    /// Runs the binary in this folder.
    #[must_use = "check how it ended"]
    pub fn bowline(&self, arguments: &[&str]) -> Ran {
        self.start(arguments).wait()
    }

    /// Starts the binary in this folder.
    pub fn start(&self, arguments: &[&str]) -> Running {
        Running::start(self.world.command(&self.path, arguments))
    }

    /// The same with more environment.
    #[must_use = "check how it ended"]
    pub fn bowline_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Ran {
        let mut command = self.world.command(&self.path, arguments);
        command.envs(variables.iter().copied());
        Running::start(command).wait()
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// One service's container as `ps --format json` has it.
    #[track_caller]
    pub fn container(&self, service: &str) -> serde_json::Value {
        let listed = self
            .bowline(&["ps", "-a", "--no-trunc", "--format", "json", service])
            .ok();
        let first = listed
            .out
            .lines()
            .next()
            .unwrap_or_else(|| panic!("no container of {service}"));
        serde_json::from_str(first).expect("JSON from ps")
    }

    /// The state word of a service's container.
    #[track_caller]
    pub fn state(&self, service: &str) -> String {
        self.container(service)["State"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// All about a service's container, as the API tells it.
    #[track_caller]
    pub fn inspect(&self, service: &str) -> serde_json::Value {
        let id = self.id(service);
        self.world.api(&format!("/containers/{id}/json"))
    }

    /// The id of a service's container.
    #[track_caller]
    pub fn id(&self, service: &str) -> String {
        self.container(service)["ID"]
            .as_str()
            .expect("an id")
            .to_owned()
    }

    /// `up -d`, which must succeed.
    #[track_caller]
    pub fn up(&self) -> Ran {
        self.bowline(&["up", "-d"]).ok()
    }

    /// `down -v`, which must succeed; containers that do not listen get a second.
    #[track_caller]
    pub fn down(&self) {
        self.bowline(&["down", "-v", "-t", "1", "--remove-orphans"])
            .ok();
    }

    /// Runs `words` in a service's container, without a terminal.
    #[must_use = "check how it ended"]
    pub fn exec(&self, service: &str, words: &[&str]) -> Ran {
        self.bowline(&[&["exec", "-T", service], words].concat())
    }

    /// Writes a file anew.
    #[track_caller]
    pub fn write(&self, file: &str, text: &str) {
        fs::write(self.path.join(file), text).expect("write the file");
    }

    /// A command in this folder, for those who change it before it starts.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.world.command(&self.path, arguments)
    }

    /// The address that a service's container port is published at on 127.0.0.1.
    #[track_caller]
    pub fn published(&self, service: &str, port: u16) -> u16 {
        let ports = self.container(service)["Publishers"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let found = ports.iter().find(|one| one["TargetPort"] == port);
        let number = found
            .and_then(|one| one["PublishedPort"].as_u64())
            .unwrap_or_else(|| panic!("not in {ports:?}"));
        u16::try_from(number).expect("a port")
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("make the folder");
    for entry in fs::read_dir(from).expect("the example").flatten() {
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copy the example");
        }
    }
}
