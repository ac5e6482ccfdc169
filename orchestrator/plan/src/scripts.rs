//! Plans told as scripts: `stories/*.txt` beside this crate hold a Compose file, what happens in the
//! world, and the plans that follow.
//!
//! ```text
//! ## a variable that changed is told with its place
//! file
//!   services: {web: {image: app, environment: {DEBUG: "0"}}}
//! up
//! …
//! plan
//! > [] -> #1 service:web:1, create as …
//! ```
//!
//! Lines that begin with `>` are what is printed; `BOWLINE_UPDATE=1` writes them anew, for a person to
//! read before they are kept. `plan …`, `down …`, `stop …` and their like print a plan; `up …` and
//! `do …` carry one out; the other words are those of [`Script::event`].

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bowline_compose::load::{Env, MemoryFiles, Options, load};
use bowline_compose::model::Project;

use crate::error::Result;
use crate::graph::Plan;
use crate::observed::{Container, Hashes, Health, Mount, State};
use crate::project::{Knowledge, desired};
use crate::simulated::World;
use crate::{
    Desired, Down, Images, Kill, Recreate, Restart, Up, down, hash, kill, pause, remove_stopped,
    restart, start, stop, unpause, up_at,
};

#[derive(Default)]
struct Script {
    files: BTreeMap<String, String>,
    knowledge: Knowledge,
    absent: Vec<String>,
    changed_images: BTreeMap<String, String>,
    profiles: Vec<String>,
    no_file: bool,
    world: World,
}

/// A selection and its switches, as on a command line.
struct Words<'a>(Vec<&'a str>);

impl<'a> Words<'a> {
    fn services(&self) -> Vec<String> {
        let names = self.0.iter().filter(|word| !word.starts_with('-'));
        names.map(|word| (*word).to_owned()).collect()
    }

    fn has(&self, switch: &str) -> bool {
        self.0.contains(&switch)
    }

    fn values(&self, option: &str) -> impl Iterator<Item = &'a str> {
        let prefix = format!("{option}=");
        self.0
            .iter()
            .filter_map(move |word| word.strip_prefix(&prefix))
            .collect::<Vec<_>>()
            .into_iter()
    }
}

impl Script {
    fn project(&self) -> std::result::Result<Option<Project>, String> {
        if self.no_file {
            return Ok(None);
        }
        let files = self
            .files
            .iter()
            .fold(MemoryFiles::default(), |files, (path, text)| {
                files.with(format!("/shop/{path}"), text.clone())
            });
        let options = Options {
            cwd: "/shop".into(),
            profiles: self.profiles.clone(),
            ..Options::default()
        };
        match load(&files, &Env::new(), &options) {
            Ok(loaded) => Ok(Some(loaded.project)),
            Err(faults) => Err(faults.diagnostics[0].message.clone()),
        }
    }

    fn wish(&self, project: Option<Project>, words: &Words<'_>) -> (Desired, Option<Project>) {
        let Some(project) = project else {
            let bare = Desired {
                project: "shop".into(),
                ..Desired::default()
            };
            return (bare, None);
        };
        let mut knowledge = self.knowledge.clone();
        for (name, service) in &project.services {
            let reference = match service.image.as_str() {
                "" => format!("shop-{name}"),
                image => image.to_owned(),
            };
            let id = format!("sha256:{reference}");
            let id = self.changed_images.get(&reference).cloned().unwrap_or(id);
            if !self.absent.contains(&reference) {
                knowledge.images.insert(reference, id);
            }
        }
        let digests = |objects: &BTreeMap<String, bowline_compose::model::FileObject>| {
            let files = objects.iter().filter_map(|(key, object)| {
                let path = object.file.as_ref()?.strip_prefix("/shop/")?;
                Some((key.clone(), hash::bytes(self.files.get(path)?.as_bytes())))
            });
            files.collect()
        };
        knowledge.configs = digests(&project.configs);
        knowledge.secrets = digests(&project.secrets);
        for pair in words.values("--scale") {
            let (name, count) = pair.split_once(':').unwrap();
            knowledge.scale.insert(name.into(), count.parse().unwrap());
        }
        (desired(&project, &knowledge).unwrap(), Some(project))
    }

    fn planned(
        &self,
        command: &str,
        words: &Words<'_>,
    ) -> std::result::Result<(Desired, Result<Plan>), String> {
        let (wish, project) = self.wish(self.project()?, words);
        let (seen, services) = (&self.world.observed, words.services());
        let plan = match command {
            "plan" => {
                let place = |path: &str| {
                    let place = project.as_ref()?.location(path)?;
                    let file = place.file.rsplit('/').next()?;
                    Some(format!("{file}:{}", place.line))
                };
                up_at(&wish, seen, &up_choices(words, services), &place)
            }
            "down" => down(&wish, seen, &down_choices(words, services, !self.no_file)),
            "stop" => stop(&wish, seen, &services),
            "start" => start(&wish, seen, &services, words.has("--wait")),
            "restart" => {
                let no_deps = words.has("--no-deps");
                restart(&wish, seen, &Restart { services, no_deps })
            }
            "kill" => {
                let signal = words.values("-s").next().unwrap_or("SIGKILL").to_owned();
                let orphans = words.has("--remove-orphans");
                kill(
                    &wish,
                    seen,
                    &Kill {
                        services,
                        signal,
                        orphans,
                    },
                )
            }
            "rm" => remove_stopped(&wish, seen, &services, words.has("-v"), words.has("-s")),
            "pause" => pause(&wish, seen, &services),
            "unpause" => unpause(&wish, seen, &services),
            other => panic!("no such command: {other}"),
        };
        Ok((wish, plan))
    }

    /// Something that happens: `set NAME exited:1`, `remove NAME`, `unlabel NAME`, `anonymous NAME PATH`,
    /// `foreign NAME`, `run SERVICE`, `left SERVICE`, `pulled IMAGE ID`, `absent IMAGE`, `profile NAME`,
    /// `no-file`, `cut COUNT …`.
    fn event(&mut self, words: &[&str]) {
        match words {
            ["set", name, state] => set(self.world.container(name), state),
            ["remove", name] => self.world.observed.containers.retain(|c| c.name != *name),
            ["unlabel", name] => {
                let container = self.world.container(name);
                (container.hashes.own, container.model) = (None, None);
            }
            ["foreign", name] => {
                let container = self.world.container(name);
                (container.hashes, container.model) = (Hashes::default(), None);
            }
            ["anonymous", name, path] => {
                let mount = Mount {
                    volume: format!("anonymous{}", path.replace('/', "-")),
                    target: (*path).into(),
                    anonymous: true,
                };
                self.world.container(name).mounts.push(mount);
            }
            ["run", service, state] => self.besides(service, state, false),
            ["left", service] => self.besides(service, "exited:1", true),
            ["pulled", image, id] => {
                self.changed_images.insert((*image).into(), (*id).into());
            }
            ["absent", image] => self.absent.push((*image).into()),
            ["present", image] => self.absent.retain(|absent| absent != image),
            ["profile", name] => self.profiles.push((*name).into()),
            ["no-file"] => self.no_file = true,
            ["unrecorded", kind, name] => self.forget(kind, name),
            ["cut", count, rest @ ..] => {
                let words = Words(rest.to_vec());
                let (wish, plan) = self.planned("plan", &words).unwrap();
                let (plan, count) = (plan.unwrap(), count.parse().unwrap());
                self.world
                    .run(&wish, &plan, count, &mut |_| 0, &mut |_| Ok(()))
                    .unwrap();
            }
            other => panic!("nothing happens by {other:?}"),
        }
    }

    fn forget(&mut self, kind: &str, name: &str) {
        let seen = &mut self.world.observed;
        let networks = seen
            .networks
            .iter_mut()
            .filter(|network| network.name == name);
        let volumes = seen.volumes.iter_mut().filter(|volume| volume.name == name);
        match kind {
            "network" => networks.for_each(|found| found.key = None),
            _ => volumes.for_each(|found| found.key = None),
        }
    }

    fn besides(&mut self, service: &str, state: &str, hook: bool) {
        let id = self.world.id();
        let model = self.world.observed.replicas(service)[0].clone();
        let kind = if hook { "hook" } else { "run" };
        let mut container = Container {
            name: format!("shop-{service}-{kind}-{id}"),
            id,
            number: 0,
            one_off: !hook,
            hook,
            ports: Vec::new(),
            ..model
        };
        set(&mut container, state);
        self.world.observed.containers.push(container);
    }

    /// What a command prints, or that it was done.
    fn command(&mut self, line: &str) -> Option<String> {
        let mut words = line.split_whitespace();
        let (first, rest) = (words.next().unwrap(), words.collect::<Vec<_>>());
        match first {
            "up" | "do" => {
                let (command, rest) = match first {
                    "up" => ("plan", rest.as_slice()),
                    _ => (rest[0], &rest[1..]),
                };
                let planned = self.planned(command, &Words(rest.to_vec()));
                let (wish, plan) = planned.unwrap_or_else(|fault| panic!("{line}: {fault}"));
                let plan = plan.unwrap_or_else(|error| panic!("{line}: {error}"));
                self.world.apply(&wish, &plan);
                None
            }
            "plan" | "down" | "stop" | "start" | "restart" | "kill" | "rm" | "pause"
            | "unpause" => Some(match self.planned(first, &Words(rest)) {
                Ok((_, plan)) => print(&plan),
                Err(fault) => format!("refused: {fault}\n"),
            }),
            _ => {
                let words: Vec<&str> = line.split_whitespace().collect();
                self.event(&words);
                None
            }
        }
    }
}

fn print(plan: &Result<Plan>) -> String {
    let plan = match plan {
        Ok(plan) => plan,
        Err(error) => return format!("error: {error}\n"),
    };
    let mut text: String = plan
        .warnings()
        .iter()
        .map(|w| format!("warning: {w}\n"))
        .collect();
    match plan.is_empty() {
        true => text.push_str("nothing to do\n"),
        false => text.push_str(&plan.to_string()),
    }
    text
}

fn up_choices(words: &Words<'_>, services: Vec<String>) -> Up {
    let policy = |force: bool| match (force, words.has("--no-recreate")) {
        (true, _) => Recreate::Force,
        (_, true) => Recreate::Never,
        _ => Recreate::Diverged,
    };
    Up {
        services,
        recreate: policy(words.has("--force-recreate")),
        recreate_dependencies: policy(words.has("--always-recreate-deps")),
        no_deps: words.has("--no-deps"),
        no_start: words.has("--no-start"),
        renew_anonymous_volumes: words.has("-V"),
        remove_orphans: words.has("--remove-orphans"),
        ignore_orphans: words.has("--ignore-orphans"),
        replace_volumes: words.has("--yes"),
        wait: words.has("--wait"),
        around: words.has("--around"),
    }
}

fn down_choices(words: &Words<'_>, services: Vec<String>, has_file: bool) -> Down {
    Down {
        services,
        volumes: words.has("-v"),
        remove_orphans: words.has("--remove-orphans"),
        images: match words.values("--rmi").next() {
            Some("all") => Some(Images::All),
            Some(_) => Some(Images::Local),
            None => None,
        },
        has_file,
    }
}

fn set(container: &mut Container, state: &str) {
    container.health = match state {
        "healthy" => Health::Healthy,
        "unhealthy" => Health::Unhealthy,
        "starting" => Health::Starting,
        _ => Health::None,
    };
    container.state = match state {
        "created" => State::Created,
        "paused" => State::Paused,
        "restarting" => State::Restarting,
        "dead" => State::Dead,
        state => match state.strip_prefix("exited:") {
            Some(code) => State::Exited(code.parse().unwrap()),
            None => State::Running,
        },
    };
}

/// Plays a whole file; returns it with what was printed, and how many stories it has.
fn play(text: &str) -> (String, usize) {
    let mut out = String::new();
    let mut script = Script::default();
    let mut stories = 0;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with('>') {
            continue;
        }
        writeln!(out, "{line}").unwrap();
        if line.starts_with("## ") {
            (script, stories) = (Script::default(), stories + 1);
        } else if line == "file" || line.starts_with("write ") {
            let path = line.strip_prefix("write ").unwrap_or("compose.yaml");
            let mut content = String::new();
            while let Some(inner) = lines.next_if(|next| next.starts_with("  ")) {
                writeln!(out, "{inner}").unwrap();
                writeln!(content, "{}", &inner[2..]).unwrap();
            }
            script.no_file = false;
            script.files.insert(path.to_owned(), content);
        } else if !line.trim().is_empty() && !line.starts_with('#') {
            for printed in script.command(line).iter().flat_map(|text| text.lines()) {
                writeln!(out, "> {printed}").unwrap();
            }
        }
    }
    (out, stories)
}

#[test]
fn stories_are_told_as_they_happen() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("stories");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let mut stories = 0;
    for path in paths {
        let told = std::fs::read_to_string(&path).unwrap();
        let (happens, count) = play(&told);
        stories += count;
        if std::env::var_os("BOWLINE_UPDATE").is_some() {
            std::fs::write(&path, happens).unwrap();
        } else {
            let name = path.file_name().unwrap().to_string_lossy();
            let pairs = told.lines().zip(happens.lines()).enumerate();
            let differs = pairs.clone().find(|(_, (told, happens))| told != happens);
            assert_eq!(differs.map(|(n, pair)| (n + 1, pair)), None, "{name}");
            assert_eq!(told.lines().count(), happens.lines().count(), "{name}");
        }
    }
    assert!(stories >= 80, "{stories} stories");
}
