//! From Compose's project to what planning needs, hashes included.

use std::collections::BTreeMap;

use bowline_compose::model;
use bowline_compose::print::hashed;
use serde::Serialize;
use serde_json::{Value, json};

use crate::desired::{Dependency, Desired, Hooks, Image, Network, Service, Update, Volume};
use crate::hash::{self, HashError};
use crate::observed::Hashes;
use crate::op::Condition;

/// What only a look at the engine and the disk can tell.
#[derive(Clone, Debug, Default)]
pub struct Knowledge {
    /// Ids of the local images by reference.
    pub images: BTreeMap<String, String>,
    /// Hashes of the contents of configs, by key; only those that the model does not hold.
    pub configs: BTreeMap<String, String>,
    /// Hashes of the contents of secrets, by key.
    pub secrets: BTreeMap<String, String>,
    /// Replicas by service, over what the file says.
    pub scale: BTreeMap<String, u32>,
}

/// What does not make a container another one: how many there are, when they start, where the image
/// comes from, what is done around them.
const NO_PART: &[&str] = &[
    "attach",
    "build",
    "depends_on",
    "develop",
    "post_start",
    "pre_stop",
    "profiles",
    "pull_policy",
    "pull_refresh_after",
    "scale",
];

/// A project as planning sees it.
///
/// # Errors
/// A model that JSON cannot express.
pub fn desired(project: &model::Project, knowledge: &Knowledge) -> Result<Desired, HashError> {
    let mut desired = Desired {
        project: project.name.clone(),
        disabled: project.disabled.keys().cloned().collect(),
        ..Desired::default()
    };
    for (name, service) in &project.services {
        let service = service_of(project, name, service, knowledge)?;
        desired.services.insert(name.clone(), service);
    }
    for (key, network) in &project.networks {
        let (model, hashes) = hashes(network, &hashed::network(network))?;
        let (name, external) = (network.name.clone(), network.external);
        desired.networks.insert(
            key.clone(),
            Network {
                name,
                external,
                hashes,
                model,
            },
        );
    }
    for (key, volume) in &project.volumes {
        let (model, hashes) = hashes(volume, &hashed::volume(volume))?;
        let (name, external) = (volume.name.clone(), volume.external);
        desired.volumes.insert(
            key.clone(),
            Volume {
                name,
                external,
                hashes,
                model,
            },
        );
    }
    Ok(desired)
}

/// A name is how an object is found, and no part of what it is.
fn hashes<T: Serialize>(value: &T, for_compose: &str) -> Result<(Value, Hashes), HashError> {
    let model = hash::model(value, &["name"])?;
    let hashes = Hashes {
        own: Some(hash::of(&model)),
        compose: Some(hash::bytes(for_compose.as_bytes())),
    };
    Ok((model, hashes))
}

fn service_of(
    project: &model::Project,
    name: &str,
    service: &model::Service,
    knowledge: &Knowledge,
) -> Result<Service, HashError> {
    let scale = knowledge
        .scale
        .get(name)
        .copied()
        .unwrap_or_else(|| service.replicas());
    let named = service
        .volumes
        .iter()
        .filter(|mount| mount.kind == model::MountKind::Volume);
    let chosen = service
        .volumes
        .iter()
        .filter(|mount| mount.source.is_some());
    let tmpfs = service
        .tmpfs
        .iter()
        .filter_map(|entry| entry.split(':').next());
    let (model, hashes) = service_hashes(project, service, knowledge)?;
    let reference = match service.image.as_str() {
        "" => format!("{}-{name}", project.name),
        image => image.to_owned(),
    };
    Ok(Service {
        hashes,
        model,
        scale,
        container_name: service.container_name.clone(),
        image: Image {
            local: knowledge.images.get(&reference).cloned(),
            reference,
            pull: service.pull_policy != Some(model::PullPolicy::Never)
                && (!service.image.is_empty() || service.build.is_none()),
            build: service.build.is_some(),
            named: !service.image.is_empty(),
        },
        networks: match service.network_mode {
            Some(_) => Vec::new(),
            None => service.networks.keys().cloned().collect(),
        },
        volumes: named.filter_map(|mount| mount.source.clone()).collect(),
        targets: chosen
            .map(|mount| mount.target.clone())
            .chain(tmpfs.map(Into::into))
            .collect(),
        depends_on: service
            .depends_on
            .iter()
            .filter(|(other, _)| project.services.contains_key(*other))
            .map(dependency)
            .collect(),
        joins: joins(service),
        healthcheck: service.healthcheck.as_ref().and_then(has_healthcheck),
        ports: service.ports.iter().filter_map(host_port).collect(),
        update: update(service),
        exclusive: exclusive(service),
        hooks: Hooks {
            pre_start: service
                .pre_start
                .iter()
                .map(|hook| hook.per_replica)
                .collect(),
            post_start: !service.post_start.is_empty(),
            pre_stop: !service.pre_stop.is_empty(),
        },
    })
}

/// The services whose namespaces or volumes it shares.
fn joins(service: &model::Service) -> Vec<String> {
    let mut joins = Vec::new();
    if let Some(model::NetworkMode::Service(parent)) = &service.network_mode {
        joins.push(parent.clone());
    }
    let spaces = [&service.ipc, &service.pid, &service.uts, &service.cgroup];
    let spaces = spaces.into_iter().flatten();
    joins.extend(
        spaces
            .filter_map(|space| space.strip_prefix("service:"))
            .map(Into::into),
    );
    let volumes = service.volumes_from.iter();
    let volumes = volumes.filter(|from| !from.starts_with("container:"));
    joins.extend(volumes.map(|from| from.split(':').next().unwrap_or(from).to_owned()));
    joins.sort();
    joins.dedup();
    joins
}

/// One at a time where nothing else is said, as Swarm does it, whose section this is.
fn update(service: &model::Service) -> Option<Update> {
    let wish = service.deploy.as_ref()?.update_config.as_ref()?;
    let parallelism = wish.parallelism.unwrap_or(1);
    Some(Update {
        start_first: wish.order.as_deref() == Some("start-first"),
        parallelism: u32::try_from(parallelism).unwrap_or(u32::MAX),
    })
}

/// A port of the host that only one container can have.
fn host_port(port: &model::Port) -> Option<String> {
    let (low, high) = port.published?;
    (low == high).then(|| format!("{low}/{}", port.protocol))
}

/// Why a container cannot live beside its successor.
fn exclusive(service: &model::Service) -> Option<String> {
    if let Some(port) = service.ports.iter().find_map(host_port) {
        return Some(format!("it publishes the fixed port {port}"));
    }
    let fixed = |wish: &&model::Attachment| {
        wish.ipv4_address.is_some() || wish.ipv6_address.is_some() || wish.mac_address.is_some()
    };
    let mut wishes = service.networks.values().flatten();
    wishes
        .find(fixed)
        .map(|_| "it has a fixed address in a network".into())
}

fn has_healthcheck(check: &model::Healthcheck) -> Option<bool> {
    match &check.test {
        _ if check.disable => Some(false),
        Some(model::Probe::None) => Some(false),
        Some(_) => Some(true),
        None => None,
    }
}

fn dependency((service, need): (&String, &model::Dependency)) -> Dependency {
    let condition = match need.condition {
        model::Condition::ServiceStarted => Condition::Started,
        model::Condition::ServiceHealthy => Condition::Healthy,
        model::Condition::ServiceCompletedSuccessfully => Condition::Completed,
    };
    let (service, restart, required) = (service.clone(), need.restart, need.required);
    Dependency {
        service,
        condition,
        restart,
        required,
    }
}

/// The contents of the configs and secrets a service uses are part of what it is made from: an edited
/// file gives new containers.
fn service_hashes(
    project: &model::Project,
    service: &model::Service,
    knowledge: &Knowledge,
) -> Result<(Value, Hashes), HashError> {
    let mut bare = service.clone();
    if let Some(deploy) = &mut bare.deploy {
        deploy.replicas = None;
    }
    // How replicas are exchanged changes none of them.
    if let Some(deploy) = &mut bare.deploy {
        deploy.update_config = None;
        deploy.rollback_config = None;
    }
    if bare.deploy == Some(model::Deploy::default()) {
        bare.deploy = None;
    }
    let mut model = hash::model(&bare, NO_PART)?;
    let configs = service.configs.iter().map(|used| {
        let definition = project.configs.get(&used.source);
        let digest = content(definition, knowledge.configs.get(&used.source));
        (format!("config {}", used.source), digest)
    });
    let secrets = service.secrets.iter().map(|used| {
        let definition = project.secrets.get(&used.source);
        let digest = content(definition, knowledge.secrets.get(&used.source));
        (format!("secret {}", used.source), digest)
    });
    let contents: BTreeMap<String, String> = configs.chain(secrets).collect();
    if !contents.is_empty() {
        model["contents"] = json!(contents);
    }
    let hashes = Hashes {
        own: Some(hash::of(&model)),
        compose: Some(hash::bytes(hashed::service(service).as_bytes())),
    };
    Ok((model, hashes))
}

fn content(definition: Option<&model::FileObject>, on_disk: Option<&String>) -> String {
    let inline = definition.and_then(|object| object.content.as_ref());
    match inline {
        Some(text) => short(&hash::bytes(text.as_bytes())),
        None => on_disk.map(|digest| short(digest)).unwrap_or_default(),
    }
}

/// Enough of a digest to see that a content changed; all of it would fill the label.
fn short(digest: &str) -> String {
    digest.chars().take(20).collect()
}
