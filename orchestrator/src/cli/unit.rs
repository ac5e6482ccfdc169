//! `system enable` and `system disable`: an engine that starts with the machine, through systemd.
//!
//! Files and links are written as `systemctl enable` would; nothing is executed, so the manager that runs now is told
//! by the person, with the line that is printed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bowline_engine::config::Settings;
use clap::Args;

use super::context::Context;
use crate::ui::{Failure, Outcome, WithContext as _};

/// `system enable`
#[derive(Args, Clone, Debug)]
pub(super) struct Enable {
    #[command(flatten)]
    place: Place,
}

/// `system disable`
#[derive(Args, Clone, Debug)]
pub(super) struct Disable {
    #[command(flatten)]
    place: Place,
}

#[derive(Args, Clone, Debug)]
struct Place {
    /// The root of the system to change, for images that are not booted yet
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/",
        hide_default_value = true
    )]
    root: PathBuf,
}

const FOLDER: &str = "etc/systemd/system";
const DEFAULT_RUN_ROOT: &str = "/run/bowline";
const DEFAULT_DATA_ROOT: &str = "/var/lib/bowline";

/// The units of one engine.
#[derive(Debug, PartialEq, Eq)]
struct Units {
    name: String,
    service: String,
    socket: String,
}

/// Units for the engine at `binary` with these settings. Pure.
fn units(binary: &Path, settings: &Settings) -> Units {
    let (data, run) = (settings.roots.data(), settings.roots.run());
    let default = data == Path::new(DEFAULT_DATA_ROOT) && run == Path::new(DEFAULT_RUN_ROOT);
    // The cgroup parent is named after both roots, so two engines of one machine have units of their own.
    let own = settings.cgroup_parent.trim_matches('/').replace('/', "-");
    let name = if default { "bowline".into() } else { own };
    let mut environment = String::new();
    if !default {
        environment = format!(
            "Environment=\"BOWLINE_DATA_ROOT={}\"\nEnvironment=\"BOWLINE_RUN_ROOT={}\"\n",
            escaped(data),
            escaped(run)
        );
    }
    let (binary, socket) = (escaped(binary), escaped(&settings.roots.socket()));
    // The engine and its shims leave the unit's cgroup, and containers outlive the engine: stopping the unit ends the
    // engine's process alone.
    let service = format!(
        "[Unit]\n\
         Description=Bowline container engine\n\
         Requires={name}.socket\n\
         After={name}.socket network-online.target nss-lookup.target firewalld.service\n\
         Wants=network-online.target\n\
         \n\
         [Service]\n\
         Type=notify\n\
         {environment}\
         ExecStart=\"{binary}\" engine\n\
         KillMode=process\n\
         Restart=on-failure\n\
         LimitNOFILE=1048576\n\
         TasksMax=infinity\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n"
    );
    let socket = format!(
        "[Unit]\n\
         Description=Bowline API socket\n\
         \n\
         [Socket]\n\
         ListenStream={socket}\n\
         SocketMode=0660\n\
         DirectoryMode=0755\n\
         {group}\
         \n\
         [Install]\n\
         WantedBy=sockets.target\n",
        group = group(&settings.socket_group),
    );
    Units {
        name,
        service,
        socket,
    }
}

/// A unit that names a group that is not there does not start.
fn group(name: &str) -> String {
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let known = groups
        .lines()
        .any(|line| line.split(':').next() == Some(name));
    match known {
        true => format!("SocketGroup={name}\n"),
        false => String::new(),
    }
}

/// `%` begins a specifier in a unit, a backslash an escape.
fn escaped(path: &Path) -> String {
    path.to_string_lossy()
        .replace('%', "%%")
        .replace('\\', r"\\")
        .replace('"', "\\\"")
}

impl Units {
    /// Each file with its text, and each link with what it leads to.
    fn files(&self, root: &Path) -> [(PathBuf, &str); 2] {
        let folder = root.join(FOLDER);
        [
            (folder.join(format!("{}.socket", self.name)), &*self.socket),
            (
                folder.join(format!("{}.service", self.name)),
                &*self.service,
            ),
        ]
    }

    fn links(&self, root: &Path) -> [(PathBuf, PathBuf); 2] {
        let link = |target: &str, unit: String| {
            let folder = root.join(FOLDER).join(format!("{target}.wants"));
            let leads = Path::new("/").join(FOLDER).join(&unit);
            (folder.join(unit), leads)
        };
        [
            link("sockets.target", format!("{}.socket", self.name)),
            link("multi-user.target", format!("{}.service", self.name)),
        ]
    }
}

fn settings() -> Result<Settings, Failure> {
    Settings::from_process(&Default::default()).during("cannot read the settings")
}

impl Enable {
    pub(super) fn run(self, context: &Context) -> Outcome {
        let binary = std::env::current_exe().during("cannot tell where this program lies")?;
        let units = units(&binary, &settings()?);
        let root = &self.place.root;
        if !root.join("etc/systemd").is_dir() {
            let place = root.join("etc/systemd");
            return Err(Failure::new(format!("there is no systemd: {} does not exist", place.display())).hint(
                "let your init system run `bowline engine`; a command starts the engine by itself in any case",
            ));
        }
        for (path, text) in units.files(root) {
            write(&path, text)?;
        }
        for (path, leads) in units.links(root) {
            link(&path, &leads)?;
        }
        let name = &units.name;
        context.ui.line(format!(
            "Wrote and enabled {name}.socket and {name}.service"
        ));
        if Path::new("/run/systemd/system").is_dir() && root == Path::new("/") {
            context.ui.note(format!(
                "they act from the next boot on; for now: systemctl daemon-reload && systemctl start {name}.socket {name}.service"
            ));
        }
        Ok(0)
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let doing = || format!("cannot write {}", path.display());
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).during(doing())?;
    // Written beside and renamed: a unit is whole or absent.
    let draft = path.with_extension("new");
    fs::write(&draft, text).during(doing())?;
    fs::rename(&draft, path).during(doing())
}

fn link(path: &Path, leads: &Path) -> Result<(), Failure> {
    let doing = || format!("cannot link {}", path.display());
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).during(doing())?;
    match std::os::unix::fs::symlink(leads, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.during(doing()),
    }
}

impl Disable {
    pub(super) fn run(self, context: &Context) -> Outcome {
        let units = units(Path::new("bowline"), &settings()?);
        let root = &self.place.root;
        let links = units.links(root).map(|(path, _)| path);
        let files = units.files(root).map(|(path, _)| path);
        let mut removed = false;
        for path in links.into_iter().chain(files) {
            match fs::remove_file(&path) {
                Ok(()) => removed = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(error).during(format!("cannot remove {}", path.display()));
                }
            }
        }
        let name = &units.name;
        context.ui.line(match removed {
            true => format!(
                "Removed {name}.socket and {name}.service; containers that run stay as they are"
            ),
            false => format!("{name}.service was not enabled"),
        });
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(data: &str, run: &str) -> Settings {
        let variables = |name: &str| match name {
            "BOWLINE_DATA_ROOT" => Some(data.to_owned()),
            "BOWLINE_RUN_ROOT" => Some(run.to_owned()),
            _ => None,
        };
        Settings::resolve(&Default::default(), &variables, None).expect("settings")
    }

    #[test]
    fn the_usual_engine_has_the_usual_name_and_no_environment() {
        let made = units(
            Path::new("/usr/local/bin/bowline"),
            &settings(DEFAULT_DATA_ROOT, DEFAULT_RUN_ROOT),
        );
        assert_eq!(made.name, "bowline");
        assert!(
            made.service
                .contains("\nExecStart=\"/usr/local/bin/bowline\" engine\n"),
            "{}",
            made.service
        );
        assert!(!made.service.contains("Environment"), "{}", made.service);
        assert!(
            made.socket
                .contains("\nListenStream=/run/bowline/bowline.sock\n"),
            "{}",
            made.socket
        );
    }

    #[test]
    fn another_engine_has_a_name_and_roots_of_its_own() {
        let made = units(Path::new("/b"), &settings("/srv/100%", "/run/other"));
        assert_ne!(made.name, "bowline");
        assert!(
            made.service
                .contains("Environment=\"BOWLINE_DATA_ROOT=/srv/100%%\"\n"),
            "{}",
            made.service
        );
        assert!(
            made.service
                .contains(&format!("Requires={}.socket\n", made.name)),
            "{}",
            made.service
        );
    }

    #[test]
    fn enabling_twice_and_disabling_leave_what_was_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let made = units(
            Path::new("/b"),
            &settings(DEFAULT_DATA_ROOT, DEFAULT_RUN_ROOT),
        );
        for _ in 0..2 {
            for (path, text) in made.files(folder.path()) {
                write(&path, text).expect("write");
            }
            for (path, leads) in made.links(folder.path()) {
                link(&path, &leads).expect("link");
            }
        }
        let wants = folder
            .path()
            .join(FOLDER)
            .join("multi-user.target.wants/bowline.service");
        let leads = fs::read_link(wants).expect("a link");
        assert_eq!(leads, Path::new("/etc/systemd/system/bowline.service"));
    }
}
