//! One engine of its own, and folders with projects in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::command::{Ran, Running};
use crate::ledger::{Ledger, Names};
use crate::wait::eventually;

/// The binary under test: `BOWLINE_BIN`, or the release build of this checkout.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("BOWLINE_BIN") {
        return path.into();
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| checkout().join("target"), PathBuf::from);
    target.join("x86_64-unknown-linux-gnu/release/bowline")
}

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the checkout").to_owned()
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
        let roots = [folder.path().join("data"), folder.path().join("run")];
        let mut world = Self {
            names: Names { roots, table: String::new(), prefix: String::new(), cgroup: String::new() },
            variables: variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            folder,
        };
        let info = world.bowline(&["info", "--format", "json"]).ok();
        let info: serde_json::Value = serde_json::from_str(&info.out).expect("JSON from info");
        let setting = |key: &str| {
            let all = info["settings"].as_array().expect("settings");
            let found = all.iter().find(|entry| entry["key"] == key).expect("the setting");
            found["value"].as_str().expect("a text").to_owned()
        };
        world.names.table = setting("nft_table");
        world.names.prefix = setting("interface_prefix");
        world.names.cgroup = setting("cgroup_parent");
        world
    }

    /// A command of the binary, in the world's own folder.
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
        eventually(Duration::from_secs(10), || match self.engines().as_slice() {
            [one] => Ok(*one),
            others => Err(others.to_vec()),
        })
    }

    /// Kills the engine as a crash does, and waits until it is gone.
    #[track_caller]
    pub fn kill_engine(&self) -> i32 {
        let pid = self.engine();
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("kill the engine");
        eventually(Duration::from_secs(10), || {
            if self.engines().contains(&pid) { Err(pid) } else { Ok(()) }
        });
        pid
    }

    /// Everything must go when the engine has left, which it does by itself.
    #[track_caller]
    pub fn ends_clean(self) {
        eventually(Duration::from_secs(30), || {
            let ledger = Ledger::read(&self.names);
            ledger.empty().map_err(|left| left.into_iter().map(str::to_owned).collect::<Vec<_>>())
        });
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl Folder<'_> {
    /// Runs the binary in this folder.
    pub fn bowline(&self, arguments: &[&str]) -> Ran {
        self.start(arguments).wait()
    }

    /// Starts the binary in this folder.
    pub fn start(&self, arguments: &[&str]) -> Running {
        Running::start(self.world.command(&self.path, arguments))
    }

    /// The same with more environment.
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
        let listed = self.bowline(&["ps", "-a", "--format", "json", service]).ok();
        let first = listed.out.lines().next().unwrap_or_else(|| panic!("no container of {service}"));
        serde_json::from_str(first).expect("JSON from ps")
    }

    /// The state word of a service's container.
    #[track_caller]
    pub fn state(&self, service: &str) -> String {
        self.container(service)["State"].as_str().unwrap_or_default().to_owned()
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
