//! From Compose's project to what planning needs, hashes included.

use std::collections::BTreeMap;

use bowline_compose::model;
use serde::Serialize;
use serde_json::json;

use crate::desired::{Dependency, Desired, Image, Network, Service, Volume};
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
/// comes from.
const NO_PART: &[&str] = &["depends_on", "profiles", "pull_policy", "scale"];

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
        let hashes = hashes(network, network)?;
        let (name, external) = (network.name.clone(), network.external);
        desired.networks.insert(
            key.clone(),
            Network {
                name,
                external,
                hashes,
            },
        );
    }
    for (key, volume) in &project.volumes {
        // Compose hashes a volume with its default written out.
        let mut explicit = volume.clone();
        explicit.driver.get_or_insert_with(|| "local".into());
        let hashes = hashes(volume, &explicit)?;
        let (name, external) = (volume.name.clone(), volume.external);
        desired.volumes.insert(
            key.clone(),
            Volume {
                name,
                external,
                hashes,
            },
        );
    }
    Ok(desired)
}

/// A name is how an object is found, and no part of what it is.
fn hashes<T: Serialize>(value: &T, for_compose: &T) -> Result<Hashes, HashError> {
    let own = hash::of(value, &["name"], &[])?;
    let compose = hash::compose(for_compose, &[], false)?;
    Ok(Hashes {
        own: Some(own),
        compose: Some(compose),
    })
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
    let joins = match &service.network_mode {
        Some(model::NetworkMode::Service(parent)) => vec![parent.clone()],
        _ => Vec::new(),
    };
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
    Ok(Service {
        hashes: service_hashes(project, service, knowledge)?,
        scale,
        container_name: service.container_name.clone(),
        image: Image {
            reference: service.image.clone(),
            local: knowledge.images.get(&service.image).cloned(),
            pull: service.pull_policy != Some(model::PullPolicy::Never),
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
        depends_on: service.depends_on.iter().map(dependency).collect(),
        joins,
        healthcheck: service.healthcheck.as_ref().and_then(has_healthcheck),
    })
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
) -> Result<Hashes, HashError> {
    let configs = service.configs.iter().map(|used| {
        let definition = project.configs.get(&used.source);
        json!([
            "config",
            used.source,
            content(definition, knowledge.configs.get(&used.source))
        ])
    });
    let secrets = service.secrets.iter().map(|used| {
        let definition = project.secrets.get(&used.source);
        json!([
            "secret",
            used.source,
            content(definition, knowledge.secrets.get(&used.source))
        ])
    });
    let extra: Vec<String> = configs
        .chain(secrets)
        .map(|part| part.to_string())
        .collect();
    let mut bare = service.clone();
    if let Some(deploy) = &mut bare.deploy {
        deploy.replicas = None;
    }
    // Taken before an empty section goes, which Compose counts.
    let compose = hash::compose(&bare, NO_PART, true)?;
    if bare.deploy == Some(model::Deploy::default()) {
        bare.deploy = None;
    }
    let own = hash::of(&bare, NO_PART, &extra)?;
    Ok(Hashes {
        own: Some(own),
        compose: Some(compose),
    })
}

fn content(definition: Option<&model::FileObject>, on_disk: Option<&String>) -> String {
    let inline = definition.and_then(|object| object.content.as_ref());
    match inline {
        Some(text) => hash::bytes(text.as_bytes()),
        None => on_disk.cloned().unwrap_or_default(),
    }
}
