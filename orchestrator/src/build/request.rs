//! A project's `build` sections as one request. Pure but for secrets, which the caller reads.

use std::collections::{BTreeMap, BTreeSet};

use bowline_api::{BuildRequest, BuildTarget, Ulimit};
use bowline_compose::model::{Build, Project, Service};
use bowline_plan::labels;

use super::contents::{Caller, SshAgent};
use crate::ui::{Failure, Outcome};

/// What the command line adds to the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wishes {
    /// Do every step anew.
    pub(crate) no_cache: bool,
    /// Ask the registry about base images.
    pub(crate) pull: bool,
    /// Arguments that win over the file's.
    pub(crate) args: BTreeMap<String, String>,
    /// Agents for all.
    pub(crate) ssh: Vec<SshAgent>,
    /// Only look at the Dockerfiles.
    pub(crate) check: bool,
    /// Keep what a failed step left.
    pub(crate) debug: bool,
}

/// The name of a service's image: its own, or one made of project and service.
pub(crate) fn image_name(project: &Project, service: &Service) -> String {
    match service.image.as_str() {
        "" => format!("{}-{}", project.name, service.name),
        image => image.to_owned(),
    }
}

/// The request, and what is worth a warning.
#[derive(Clone, Debug, Default)]
pub(super) struct Requested {
    pub(super) request: BuildRequest,
    pub(super) warnings: Vec<String>,
}

/// All that `services` need: their own images, and those that their contexts name.
pub(super) fn request(
    project: &Project,
    services: &BTreeSet<String>,
    wishes: &Wishes,
    caller: Caller<'_>,
) -> Outcome<Requested> {
    let mut requested = Requested {
        request: BuildRequest {
            no_cache: wishes.no_cache,
            pull: wishes.pull,
            check: wishes.check,
            debug: wishes.debug,
            ..BuildRequest::default()
        },
        warnings: Vec::new(),
    };
    let mut known = BTreeSet::new();
    let mut todo: Vec<(String, bool)> = services.iter().map(|name| (name.clone(), true)).collect();
    todo.reverse();
    while let Some((name, wanted)) = todo.pop() {
        if !known.insert(name.clone()) {
            continue;
        }
        let Some((service, build)) = project
            .services
            .get(&name)
            .and_then(|service| Some((service, service.build.as_ref()?)))
        else {
            return Err(Failure::new(format!(
                "service `{name}` has no `build` section"
            )));
        };
        let mut target = target(project, service, build, &mut requested.warnings)?;
        target.context_only = !wanted;
        target.args.extend(
            wishes
                .args
                .iter()
                .map(|(key, value)| (key.clone(), value.clone())),
        );
        target.secrets = caller.secrets(project, &build.secrets)?;
        for (id, path) in &build.ssh {
            let (id, socket) = caller.agent(id, path.as_deref())?;
            target.ssh.insert(id, socket);
        }
        target.ssh.extend(wishes.ssh.iter().cloned());
        let needed = build
            .additional_contexts
            .values()
            .filter_map(|context| context.strip_prefix("service:"));
        todo.extend(needed.map(|name| (name.to_owned(), services.contains(name))));
        requested.request.targets.push(target);
    }
    Ok(requested)
}

fn target(
    project: &Project,
    service: &Service,
    build: &Build,
    warnings: &mut Vec<String>,
) -> Outcome<BuildTarget> {
    refuse(project, service, build)?;
    let name = &service.name;
    if build
        .provenance
        .as_deref()
        .is_some_and(|word| word != "false")
        || build.sbom.as_deref().is_some_and(|word| word != "false")
    {
        warnings.push(format!(
            "service `{name}`: attestations (`provenance`, `sbom`) are not made"
        ));
    }
    if !build.cache_to.is_empty() {
        warnings.push(format!(
            "service `{name}`: `cache_to` is not supported, the cache stays on this machine"
        ));
    }
    let image = image_name(project, service);
    let mut tags = build.tags.clone();
    tags.push(image);
    let mut labels = build.labels.clone();
    labels.extend([
        (labels::PROJECT.to_owned(), project.name.clone()),
        (labels::SERVICE.to_owned(), name.clone()),
        (
            labels::VERSION.to_owned(),
            env!("CARGO_PKG_VERSION").to_owned(),
        ),
    ]);
    Ok(BuildTarget {
        name: name.clone(),
        context: build.context.clone().unwrap_or_default(),
        dockerfile: build.dockerfile.clone().unwrap_or_default(),
        dockerfile_inline: build.dockerfile_inline.clone(),
        args: build
            .args
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), value.clone()?)))
            .collect(),
        target: build.target.clone().unwrap_or_default(),
        contexts: contexts(build),
        labels,
        tags,
        network: network(project, build),
        extra_hosts: build.extra_hosts.clone(),
        shm_size: build
            .shm_size
            .map(|size| u64::try_from(size.0).unwrap_or(0)),
        ulimits: build
            .ulimits
            .iter()
            .map(|(name, limit)| {
                let (soft, hard) = limit.pair();
                Ulimit {
                    name: name.clone(),
                    hard,
                    soft,
                }
            })
            .collect(),
        platform: platform(service, build, warnings),
        no_cache: build.no_cache,
        no_cache_filter: build.no_cache_filter.clone(),
        pull: build.pull,
        ..BuildTarget::default()
    })
}

fn contexts(build: &Build) -> BTreeMap<String, String> {
    let one = |(name, context): (&String, &String)| {
        let context = match context.strip_prefix("service:") {
            Some(service) => format!("target:{service}"),
            None => context.clone(),
        };
        (name.clone(), context)
    };
    build.additional_contexts.iter().map(one).collect()
}

/// A key of the file's networks stands for the network itself, so that a build can reach a service that runs.
fn network(project: &Project, build: &Build) -> String {
    let word = build.network.clone().unwrap_or_default();
    // These are words of every builder, whatever networks the file has.
    if ["default", "bridge", "host", "none"].contains(&word.as_str()) {
        return word;
    }
    match project.networks.get(&word) {
        Some(network) if !network.name.is_empty() => network.name.clone(),
        _ => word,
    }
}

/// An image is built for one platform: the one that its containers are to have.
fn platform(service: &Service, build: &Build, warnings: &mut Vec<String>) -> String {
    if let Some(platform) = &service.platform {
        return platform.clone();
    }
    let own = match std::env::consts::ARCH {
        "x86_64" => "linux/amd64",
        "aarch64" => "linux/arm64",
        _ => "",
    };
    let chosen = build.platforms.iter().find(|name| *name == own);
    let chosen = chosen.or_else(|| build.platforms.first()).cloned();
    if build.platforms.len() > 1 {
        warnings.push(format!(
            "service `{}`: of its platforms only {} is built",
            service.name,
            chosen.as_deref().unwrap_or_default()
        ));
    }
    chosen.unwrap_or_default()
}

/// What would change what the build may do, and cannot be given.
fn refuse(project: &Project, service: &Service, build: &Build) -> Outcome<()> {
    let name = &service.name;
    let refused = |key: &str, why: &str| {
        let path = format!("services/{name}/build/{key}");
        let place = project
            .location(&path)
            .map(|place| format!("{place}: "))
            .unwrap_or_default();
        Err(Failure::new(format!(
            "{place}`build.{key}` of service `{name}` {why}"
        )))
    };
    if build.privileged {
        return refused(
            "privileged",
            "is not supported: no step of a build gets more rights",
        );
    }
    if !build.entitlements.is_empty() {
        return refused(
            "entitlements",
            "are not supported: no step of a build gets more rights",
        );
    }
    if build
        .isolation
        .as_deref()
        .is_some_and(|word| !["", "default"].contains(&word))
    {
        return refused("isolation", "is a word of another system");
    }
    let remote = |context: &str| context.contains("://") || context.starts_with("git@");
    if build.context.as_deref().is_some_and(remote) {
        return refused(
            "context",
            "is on another machine, which is not supported yet",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autostart::Environment;

    fn project() -> Project {
        let mut project = Project {
            name: "shop".into(),
            ..Project::default()
        };
        let build = |contexts: &[(&str, &str)]| Build {
            context: Some("/src".into()),
            additional_contexts: contexts
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            ..Build::default()
        };
        for (name, image, build) in [
            ("base", "", Some(build(&[]))),
            (
                "web",
                "shop/web:1",
                Some(build(&[("base", "service:base")])),
            ),
            ("db", "postgres", None),
        ] {
            let service = Service {
                name: name.into(),
                image: image.into(),
                build,
                ..Service::default()
            };
            project.services.insert(name.into(), service);
        }
        project
    }

    fn of(services: &[&str], wishes: &Wishes) -> Outcome<Requested> {
        let environment = Environment::default();
        let services = services.iter().map(|name| (*name).to_owned()).collect();
        let caller = Caller {
            environment: &environment,
        };
        request(&project(), &services, wishes, caller)
    }

    #[test]
    fn an_image_bears_the_projects_labels_and_its_own_name() {
        let wishes = Wishes {
            args: [("A".to_owned(), "1".to_owned())].into(),
            ..Wishes::default()
        };
        let requested = of(&["base"], &wishes).unwrap();
        let [target] = requested.request.targets.as_slice() else {
            panic!("one target, not {:?}", requested.request.targets);
        };
        assert_eq!(target.tags, ["shop-base"]);
        assert_eq!(target.labels["com.docker.compose.service"], "base");
        assert_eq!(target.args["A"], "1");
        assert!(!target.context_only);
    }

    #[test]
    fn a_service_brings_those_whose_images_it_is_built_on() {
        let requested = of(&["web"], &Wishes::default()).unwrap();
        let shown: Vec<(&str, bool)> = requested
            .request
            .targets
            .iter()
            .map(|target| (target.name.as_str(), target.context_only))
            .collect();
        assert_eq!(shown, [("web", false), ("base", true)]);
        let web = &requested.request.targets[0];
        assert_eq!(web.contexts["base"], "target:base");
        assert_eq!(web.tags, ["shop/web:1"]);
    }

    #[test]
    fn what_cannot_be_built_is_said_by_name() {
        let failure = of(&["db"], &Wishes::default()).unwrap_err();
        assert!(failure.line().contains("`db`"), "{}", failure.line());
    }
}
