//! Which services are switched on, and which resources they use.

use std::collections::BTreeSet;

use super::Session;
use super::discover::Found;
use crate::model::{MountKind, Project, Service};

/// Moves the services whose profiles are off out of the way.
pub(crate) fn split_by_profile(session: &Session<'_>, found: &Found, project: &mut Project) {
    let mut active = found.profiles.clone();
    for name in &session.options.services {
        if let Some(service) = project.services.get(name) {
            active.extend(service.profiles.iter().cloned());
        }
    }
    let on = |service: &Service| {
        service.profiles.is_empty()
            || active
                .iter()
                .any(|p| p == "*" || service.profiles.contains(p))
    };
    let (services, disabled) = std::mem::take(&mut project.services)
        .into_iter()
        .partition(|(_, service)| on(service));
    project.jobs.retain(|_, job| on(&job.container));
    project.services = services;
    project.disabled = disabled;
    active.retain(|name| !name.is_empty());
    project.profiles = active;
}

/// Drops the resources that no active service uses. Runs after the checks, so that those know
/// every name.
pub(crate) fn drop_unused(project: &mut Project) {
    let mut networks = BTreeSet::new();
    let mut volumes = BTreeSet::new();
    let mut configs = BTreeSet::new();
    let mut secrets = BTreeSet::new();
    let mut models = BTreeSet::new();
    let jobs = project.jobs.values().map(|job| &*job.container);
    for service in project.services.values().chain(jobs) {
        networks.extend(service.networks.keys().cloned());
        let named = service
            .volumes
            .iter()
            .filter(|mount| mount.kind == MountKind::Volume);
        volumes.extend(named.filter_map(|mount| mount.source.clone()));
        configs.extend(service.configs.iter().map(|config| config.source.clone()));
        secrets.extend(service.secrets.iter().map(|secret| secret.source.clone()));
        let build = service.build.iter().flat_map(|build| &build.secrets);
        secrets.extend(build.map(|secret| secret.source.clone()));
        models.extend(service.models.keys().cloned());
    }
    project.networks.retain(|key, _| networks.contains(key));
    project.volumes.retain(|key, _| volumes.contains(key));
    project.configs.retain(|key, _| configs.contains(key));
    project.secrets.retain(|key, _| secrets.contains(key));
    project.models.retain(|key, _| models.contains(key));
}
