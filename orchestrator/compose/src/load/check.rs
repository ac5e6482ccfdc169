//! Whether the project makes sense as a whole: every name means something, nothing contradicts
//! itself, nothing waits for itself, no port is wanted twice.

use std::collections::BTreeMap;

use super::{Session, graph, normalize, ports};
use crate::diagnostic::Diagnostic;
use crate::model::{MountKind, NetworkMode, Project, Service};

/// Checks a normalised project; drops optional dependencies that are not there, and resources
/// that nobody uses.
pub(crate) fn check(session: &mut Session<'_>, project: &mut Project) {
    let mut faults = Vec::new();
    dependencies(project, &mut faults);
    for (name, service) in &project.services {
        let checked = Checked {
            project,
            service,
            path: format!("services/{name}"),
        };
        checked.image(&mut faults);
        checked.references(&mut faults);
        checked.network_mode(&mut faults);
        checked.replicas(&mut faults);
        checked.limits(&mut faults);
        checked.targets(&mut faults);
    }
    container_names(project, &mut faults);
    faults.extend(graph::cycle(project));
    faults.extend(ports::collisions(project));
    session.faults.extend(faults);
    normalize::drop_unused(project);
}

/// One service in its project.
struct Checked<'a> {
    project: &'a Project,
    service: &'a Service,
    path: String,
}

impl Checked<'_> {
    fn at(&self, rest: &str) -> Option<crate::source::Span> {
        self.project.span(&format!("{}/{rest}", self.path))
    }

    fn image(&self, faults: &mut Vec<Diagnostic>) {
        if self.service.image.is_empty() {
            let message = format!("service `{}` has no `image`", self.service.name);
            faults.push(
                Diagnostic::error("compose::no-image", message)
                    .at(self.project.key_span(&self.path), "")
                    .help("name the image to run: `image: nginx`"),
            );
        }
    }

    /// Every network, volume, config and secret it names has to be declared.
    fn references(&self, faults: &mut Vec<Diagnostic>) {
        let service = self.service;
        for name in service.networks.keys() {
            self.declared(
                "network",
                name,
                &self.project.networks,
                &format!("networks/{name}"),
                faults,
            );
        }
        for (index, mount) in service.volumes.iter().enumerate() {
            if let (MountKind::Volume, Some(name)) = (mount.kind, &mount.source) {
                let place = format!("volumes/{index}");
                self.declared("volume", name, &self.project.volumes, &place, faults);
            }
        }
        for (index, config) in service.configs.iter().enumerate() {
            let place = format!("configs/{index}");
            self.declared(
                "config",
                &config.source,
                &self.project.configs,
                &place,
                faults,
            );
        }
        for (index, secret) in service.secrets.iter().enumerate() {
            let place = format!("secrets/{index}");
            self.declared(
                "secret",
                &secret.source,
                &self.project.secrets,
                &place,
                faults,
            );
        }
    }

    fn declared<T>(
        &self,
        kind: &'static str,
        name: &str,
        known: &BTreeMap<String, T>,
        place: &str,
        faults: &mut Vec<Diagnostic>,
    ) {
        if known.contains_key(name) {
            return;
        }
        let code = match kind {
            "network" => "compose::undefined-network",
            "volume" => "compose::undefined-volume",
            "config" => "compose::undefined-config",
            _ => "compose::undefined-secret",
        };
        let message = format!(
            "service `{}` uses undefined {kind} `{name}`",
            self.service.name
        );
        let span = match kind {
            "network" => self.project.key_span(&format!("{}/{place}", self.path)),
            _ => self.at(place),
        };
        let label = format!("not declared under `{kind}s`");
        let candidates = known.keys().map(String::as_str);
        let fault = Diagnostic::error(code, message).at(span, label);
        faults.push(match crate::similar::closest(name, candidates) {
            Some(other) => {
                let span = self.project.key_span(&format!("{kind}s/{other}"));
                fault
                    .context(span, format!("a {kind} with a similar name"))
                    .help(format!("did you mean `{other}`?"))
            }
            None => fault.help(format!(
                "declare it at the top level: `{kind}s: {{{name}: }}`"
            )),
        });
    }

    fn network_mode(&self, faults: &mut Vec<Diagnostic>) {
        if self.service.network_mode.is_some() && !self.service.networks.is_empty() {
            let message = format!(
                "service `{}` has both `network_mode` and `networks`",
                self.service.name
            );
            faults.push(
                Diagnostic::error("compose::contradiction", message)
                    .at(
                        self.project
                            .key_span(&format!("{}/network_mode", self.path)),
                        "",
                    )
                    .context(
                        self.project.key_span(&format!("{}/networks", self.path)),
                        "",
                    )
                    .help("a container is either on networks or in another network namespace"),
            );
        }
    }

    fn replicas(&self, faults: &mut Vec<Diagnostic>) {
        let service = self.service;
        let replicas = service.deploy.as_ref().and_then(|deploy| deploy.replicas);
        self.agree("scale", service.scale, "deploy/replicas", replicas, faults);
        if let (Some(name), true) = (&service.container_name, service.replicas() > 1) {
            let message = format!(
                "service `{}` wants {} containers, all named `{name}`",
                service.name,
                service.replicas()
            );
            faults.push(
                Diagnostic::error("compose::contradiction", message)
                    .at(self.at("container_name"), "a name can be given once only")
                    .help("remove `container_name`, or run one container"),
            );
        }
    }

    fn limits(&self, faults: &mut Vec<Diagnostic>) {
        let service = self.service;
        let limits = service
            .deploy
            .as_ref()
            .and_then(|deploy| deploy.resources.limits);
        let limits = limits.unwrap_or_default();
        let place = |key: &str| format!("deploy/resources/limits/{key}");
        self.agree("cpus", service.cpus, &place("cpus"), limits.cpus, faults);
        self.agree(
            "mem_limit",
            service.mem_limit,
            &place("memory"),
            limits.memory,
            faults,
        );
        self.agree(
            "pids_limit",
            service.pids_limit,
            &place("pids"),
            limits.pids,
            faults,
        );
    }

    /// Two ways to say the same thing have to say the same thing.
    fn agree<T: PartialEq + std::fmt::Display>(
        &self,
        key: &str,
        value: Option<T>,
        other_key: &str,
        other: Option<T>,
        faults: &mut Vec<Diagnostic>,
    ) {
        let (Some(value), Some(other)) = (value, other) else {
            return;
        };
        if value != other {
            let dotted = other_key.replace('/', ".");
            let message = format!(
                "service `{}` sets `{key}` to {value} and `{dotted}` to {other}",
                self.service.name
            );
            faults.push(
                Diagnostic::error("compose::contradiction", message)
                    .at(self.at(key), "")
                    .context(self.at(other_key), "")
                    .help("both mean the same, keep one of them"),
            );
        }
    }

    /// Two things cannot be mounted on the same path.
    fn targets(&self, faults: &mut Vec<Diagnostic>) {
        let service = self.service;
        let volumes = service.volumes.iter().map(|mount| mount.target.clone());
        let tmpfs = service
            .tmpfs
            .iter()
            .map(|entry| crate::decode::clean_target(entry.split(':').next().unwrap_or(entry)));
        let configs = service
            .configs
            .iter()
            .map(crate::model::FileReference::config_path);
        let secrets = service
            .secrets
            .iter()
            .map(crate::model::FileReference::secret_path);
        let all = volumes
            .enumerate()
            .map(|(i, t)| (format!("volumes/{i}"), t));
        let all = all.chain(tmpfs.enumerate().map(|(i, t)| (format!("tmpfs/{i}"), t)));
        let all = all.chain(
            configs
                .enumerate()
                .map(|(i, t)| (format!("configs/{i}"), t)),
        );
        let all = all.chain(
            secrets
                .enumerate()
                .map(|(i, t)| (format!("secrets/{i}"), t)),
        );
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        for (place, target) in all {
            if let Some(first) = seen.get(&target) {
                let message = format!(
                    "service `{}` mounts two things on {target}",
                    self.service.name
                );
                faults.push(
                    Diagnostic::error("compose::contradiction", message)
                        .at(self.at(&place), "mounted again here")
                        .context(self.at(first), "first mounted here"),
                );
            } else {
                seen.insert(target, place);
            }
        }
    }
}

/// Every dependency has to exist and be switched on, unless it is optional.
fn dependencies(project: &mut Project, faults: &mut Vec<Diagnostic>) {
    let mut dropped = Vec::new();
    for (name, service) in &project.services {
        for (other, dependency) in &service.depends_on {
            if project.services.contains_key(other) {
                continue;
            }
            if dependency.required || !project.disabled.contains_key(other) {
                faults.push(missing_dependency(project, service, other));
                continue;
            }
            dropped.push((name.clone(), other.clone()));
            let message = format!("service `{name}` goes on without `{other}`, which is off");
            let span = project.key_span(&format!("services/{name}/depends_on/{other}"));
            faults.push(Diagnostic::warning("compose::optional-dependency", message).at(span, ""));
        }
    }
    for (name, other) in dropped {
        if let Some(service) = project.services.get_mut(&name) {
            service.depends_on.remove(&other);
        }
    }
}

fn missing_dependency(project: &Project, service: &Service, other: &str) -> Diagnostic {
    let name = &service.name;
    let written = |place: String| project.spans.get(&place);
    let path = format!("services/{name}");
    let place = written(format!("{path}/depends_on/{other}"));
    let (verb, span) = if let Some(place) = place {
        ("depends on", Some(place.key.unwrap_or(place.value)))
    } else if matches!(&service.network_mode, Some(NetworkMode::Service(s)) if s == other) {
        (
            "shares the network of",
            project.span(&format!("{path}/network_mode")),
        )
    } else {
        ("links to", project.span(&format!("{path}/links/0")))
    };
    if let Some(disabled) = project.disabled.get(other) {
        let profiles = disabled.profiles.join("`, `");
        let message = format!("service `{name}` {verb} `{other}`, which is switched off");
        return Diagnostic::error("compose::disabled-service", message)
            .at(span, "")
            .context(
                project.key_span(&format!("services/{other}/profiles")),
                format!("only on with profile `{profiles}`"),
            )
            .help(format!(
                "add `--profile {}`",
                disabled.profiles.first().map_or("", |p| p)
            ))
            .help("or say `required: false` in `depends_on`");
    }
    let message = format!("service `{name}` {verb} undefined service `{other}`");
    let diagnostic = Diagnostic::error("compose::undefined-service", message)
        .at(span, "not defined in this project");
    let all = || {
        project
            .services
            .keys()
            .chain(project.disabled.keys())
            .map(String::as_str)
    };
    match crate::similar::closest(other, all().filter(|candidate| candidate != name)) {
        Some(close) => diagnostic
            .context(
                project.key_span(&format!("services/{close}")),
                "a service with a similar name",
            )
            .help(format!("did you mean `{close}`?")),
        None => diagnostic,
    }
}

fn container_names(project: &Project, faults: &mut Vec<Diagnostic>) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, service) in &project.services {
        let Some(container) = &service.container_name else {
            continue;
        };
        let span = |service: &str| project.span(&format!("services/{service}/container_name"));
        if let Some(first) = seen.insert(container, name) {
            let message = format!(
                "services `{first}` and `{name}` both want the container name `{container}`"
            );
            faults.push(
                Diagnostic::error("compose::contradiction", message)
                    .at(span(name), "")
                    .context(span(first), "taken here"),
            );
        }
    }
}
