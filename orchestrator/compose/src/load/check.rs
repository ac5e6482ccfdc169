//! Whether the project makes sense as a whole: every name means something, nothing contradicts
//! itself, nothing waits for itself, no port is wanted twice.

use std::collections::BTreeMap;

use super::{Session, graph, ports};
use crate::diagnostic::Diagnostic;
use crate::model::{MountKind, NetworkMode, Project, Service, WatchAction};
use crate::support::Refusal;

/// Checks a project that is complete.
pub(crate) fn check(session: &mut Session<'_>, project: &mut Project) {
    let mut faults = Vec::new();
    scale_wins(project);
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
        checked.build(&mut faults);
        checked.replicas(&mut faults);
        checked.limits(&mut faults);
        checked.watch(&mut faults);
        checked.targets(&mut faults);
        let refused = checked.hidden_targets();
        session
            .refusals
            .extend(refused.map(|fault| Refusal::new(&checked.path, fault)));
    }
    container_names(project, &mut faults);
    secrets(project, &mut faults);
    faults.extend(graph::cycle(project));
    session.faults.extend(faults);
    let collisions = ports::collisions(project);
    session.refusals.extend(
        collisions
            .into_iter()
            .map(|(service, fault)| Refusal::new(&format!("services/{service}"), fault)),
    );
}

/// `scale` is the number of replicas, also where the other place had none.
fn scale_wins(project: &mut Project) {
    for service in project.services.values_mut() {
        if let (Some(scale), Some(deploy)) = (service.scale, &mut service.deploy) {
            deploy.replicas.get_or_insert(scale);
        }
    }
}

/// A secret has to come from somewhere.
fn secrets(project: &Project, faults: &mut Vec<Diagnostic>) {
    for (name, secret) in &project.secrets {
        if secret.external || secret.file.is_some() || secret.environment.is_some() {
            continue;
        }
        let message = format!("secret `{name}` has neither `file` nor `environment`");
        faults.push(
            Diagnostic::error("compose::missing-key", message)
                .at(project.key_span(&format!("secrets/{name}")), ""),
        );
    }
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
        let service = self.service;
        if service.image.is_empty() && service.build.is_none() && service.provider.is_none() {
            let message = format!("service `{}` has neither `image` nor `build`", service.name);
            faults.push(
                Diagnostic::error("compose::no-image", message)
                    .at(self.project.key_span(&self.path), "")
                    .help(
                        "name the image to run, `image: nginx`, or the folder to build, `build: .`",
                    ),
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
        for name in service.models.keys() {
            let place = format!("models/{name}");
            self.declared("model", name, &self.project.models, &place, faults);
        }
        let build = service.build.iter().flat_map(|build| &build.secrets);
        for (index, secret) in build.enumerate() {
            let place = format!("build/secrets/{index}");
            self.declared(
                "secret",
                &secret.source,
                &self.project.secrets,
                &place,
                faults,
            );
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
            "model" => "compose::undefined-model",
            _ => "compose::undefined-secret",
        };
        let message = format!(
            "service `{}` uses undefined {kind} `{name}`",
            self.service.name
        );
        let span = match kind {
            "network" | "model" => self.project.key_span(&format!("{}/{place}", self.path)),
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
            None if kind == "volume" && name.contains('/') => fault.help(format!(
                "a folder of the project begins with a dot: `./{name}`"
            )),
            None => {
                let entry = match kind {
                    "config" | "secret" => "{file: ./PATH}",
                    "model" => "{model: NAME}",
                    _ => "",
                };
                fault.help(format!(
                    "declare it at the top level: `{kind}s: {{{name}: {entry}}}`"
                ))
            }
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

    /// What only a build can get wrong.
    fn build(&self, faults: &mut Vec<Diagnostic>) {
        let (service, project) = (self.service, self.project);
        let Some(build) = &service.build else { return };
        let contradiction = |message: String, place: &str, other: &str| {
            Diagnostic::error("compose::contradiction", message)
                .at(self.at(place), "")
                .context(self.at(other), "")
        };
        if build.dockerfile.is_some() && build.dockerfile_inline.is_some() {
            let message = format!(
                "service `{}` has a `dockerfile` and a `dockerfile_inline`",
                service.name
            );
            let places = ("build/dockerfile_inline", "build/dockerfile");
            faults.push(contradiction(message, places.0, places.1));
        }
        if let Some(platform) = &service.platform
            && !build.platforms.is_empty()
            && !build.platforms.contains(platform)
        {
            let message = format!(
                "service `{}` runs on {platform} and is not built for it",
                service.name
            );
            faults.push(
                contradiction(message, "platform", "build/platforms")
                    .help(format!("add {platform} to `build.platforms`")),
            );
        }
        for (name, context) in &build.additional_contexts {
            let Some(other) = context.strip_prefix("service:") else {
                continue;
            };
            let known = project.services.get(other);
            if known.is_some_and(|other| other.build.is_some()) {
                continue;
            }
            let what = match known {
                Some(_) => "is not built",
                None if project.disabled.contains_key(other) => "is switched off",
                None => "is not defined",
            };
            let message = format!(
                "the context `{name}` of service `{}` is service `{other}`, which {what}",
                service.name
            );
            faults.push(
                Diagnostic::error("compose::undefined-service", message)
                    .at(self.at(&format!("build/additional_contexts/{name}")), "")
                    .suggest(other, project.services.keys().map(String::as_str)),
            );
        }
    }

    fn watch(&self, faults: &mut Vec<Diagnostic>) {
        let rules = self
            .service
            .develop
            .iter()
            .flat_map(|develop| &develop.watch);
        for (index, rule) in rules.enumerate() {
            let needs_target = !matches!(rule.action, WatchAction::Rebuild | WatchAction::Restart);
            if needs_target && rule.target.is_none() {
                let message = format!(
                    "a watch rule of service `{}` with `{}` has no `target`",
                    self.service.name,
                    rule.action.as_str()
                );
                faults.push(
                    Diagnostic::error("compose::missing-key", message)
                        .at(self.at(&format!("develop/watch/{index}/action")), "")
                        .help("`target` is the folder in the container that files are copied to"),
                );
            }
        }
    }

    /// Where `deploy` limits anything, it has to say what the old keys say, all of it.
    fn limits(&self, faults: &mut Vec<Diagnostic>) {
        let service = self.service;
        let Some(deploy) = &service.deploy else {
            return;
        };
        let place = |section: &str, key: &str| format!("deploy/resources/{section}/{key}");
        if let Some(limits) = &deploy.resources.limits {
            let cpus = limits.cpus.unwrap_or_default();
            let key = place("limits", "cpus");
            self.agree("cpus", service.cpus, &key, Some(cpus), faults);
            let memory = limits.memory.unwrap_or_default();
            let key = place("limits", "memory");
            self.agree("mem_limit", service.mem_limit, &key, Some(memory), faults);
            let pids = limits.pids.unwrap_or_default();
            let key = place("limits", "pids");
            self.agree("pids_limit", service.pids_limit, &key, Some(pids), faults);
        }
        if let Some(reservations) = &deploy.resources.reservations {
            let memory = reservations.memory.unwrap_or_default();
            let key = place("reservations", "memory");
            let own = service.mem_reservation;
            self.agree("mem_reservation", own, &key, Some(memory), faults);
        }
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
        let mut seen: BTreeMap<&str, String> = BTreeMap::new();
        let tmpfs = service.tmpfs.iter().enumerate().map(|(index, entry)| {
            let target = entry.split(':').next().unwrap_or(entry);
            (format!("tmpfs/{index}"), target)
        });
        let volumes = service.volumes.iter().enumerate();
        let volumes = volumes.map(|(i, mount)| (format!("volumes/{i}"), mount.target.as_str()));
        for (place, target) in tmpfs.chain(volumes) {
            match seen.get(target) {
                Some(first) => faults.push(self.twice(target, &place, first)),
                None => {
                    seen.insert(target, place);
                }
            }
        }
    }

    /// Configs and secrets that would lie on the same path as something else.
    fn hidden_targets(&self) -> impl Iterator<Item = Diagnostic> {
        let service = self.service;
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        let mut faults = Vec::new();
        let volumes = service.volumes.iter().enumerate();
        seen.extend(volumes.map(|(i, mount)| (mount.target.clone(), format!("volumes/{i}"))));
        let configs = service.configs.iter().enumerate();
        let configs = configs.map(|(i, config)| (format!("configs/{i}"), config.config_path()));
        let secrets = service.secrets.iter().enumerate();
        let secrets = secrets.map(|(i, secret)| (format!("secrets/{i}"), secret.secret_path()));
        for (place, target) in configs.chain(secrets) {
            match seen.get(&target) {
                Some(first) => faults.push(self.twice(&target, &place, first)),
                None => {
                    seen.insert(target, place);
                }
            }
        }
        faults.into_iter()
    }

    fn twice(&self, target: &str, place: &str, first: &str) -> Diagnostic {
        let message = format!(
            "service `{}` mounts two things on {target}",
            self.service.name
        );
        Diagnostic::error("compose::contradiction", message)
            .at(self.at(place), "mounted again here")
            .context(self.at(first), "first mounted here")
    }
}

/// Every dependency has to exist and be switched on, unless it is optional.
fn dependencies(project: &Project, faults: &mut Vec<Diagnostic>) {
    for (name, service) in &project.services {
        for (other, dependency) in &service.depends_on {
            if project.services.contains_key(other) {
                continue;
            }
            if dependency.required || !project.disabled.contains_key(other) {
                faults.push(missing_dependency(project, service, other));
                continue;
            }
            let message = format!("service `{name}` goes on without `{other}`, which is off");
            let span = project.key_span(&format!("services/{name}/depends_on/{other}"));
            faults.push(Diagnostic::warning("compose::optional-dependency", message).at(span, ""));
        }
    }
}

fn missing_dependency(project: &Project, service: &Service, other: &str) -> Diagnostic {
    let name = &service.name;
    let written = |place: String| project.spans.get(&place);
    let path = format!("services/{name}");
    // What a link or a namespace implies stands where that is written.
    let implied = |place: &crate::model::Place| {
        let links = service.links.iter().enumerate();
        let links = links.map(|(index, _)| format!("{path}/links/{index}"));
        links
            .chain([format!("{path}/network_mode")])
            .filter_map(written)
            .any(|from| from.value == place.value)
    };
    let place = written(format!("{path}/depends_on/{other}")).filter(|place| !implied(place));
    let (verb, span) = if let Some(place) = place {
        ("depends on", Some(place.key.unwrap_or(place.value)))
    } else if matches!(&service.network_mode, Some(NetworkMode::Service(s)) if s == other) {
        (
            "shares the network of",
            project.span(&format!("{path}/network_mode")),
        )
    } else {
        let link = written(format!("{path}/depends_on/{other}"));
        ("links to", link.map(|place| place.value))
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
