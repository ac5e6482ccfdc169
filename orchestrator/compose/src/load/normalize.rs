//! Defaults, absolute paths, names in the engine, profiles: what a person may leave out.

use std::collections::{BTreeMap, BTreeSet};

use super::discover::Found;
use super::{Session, path};
use crate::decode::clean_target;
use crate::model::{Dependency, MountKind, NetworkMode, Project, Service};

/// Completes a freshly decoded project.
pub(crate) fn normalize(session: &Session<'_>, found: &Found, project: &mut Project) {
    let home = project.environment.get("HOME").cloned();
    let at = |file: &str| path::expand(&found.directory, home.as_deref(), file);
    for service in project.services.values_mut() {
        absolute_paths(service, &at);
        inherit(service, &project.environment);
        imply_dependencies(service);
        default_network(service);
    }
    let files = project
        .configs
        .values_mut()
        .chain(project.secrets.values_mut());
    for file in files.filter_map(|object| object.file.as_mut()) {
        *file = at(file);
    }
    for volume in project.volumes.values_mut() {
        let local_bind = volume.driver.as_deref() == Some("local")
            && volume
                .driver_opts
                .get("o")
                .is_some_and(|options| options == "bind");
        if let (true, Some(device)) = (local_bind, volume.driver_opts.get_mut("device")) {
            *device = at(device);
        }
    }
    split_by_profile(session, found, project);
    name_resources(project);
}

fn absolute_paths(service: &mut Service, at: &dyn Fn(&str) -> String) {
    for mount in &mut service.volumes {
        mount.target = clean_target(&mount.target);
        if let (MountKind::Bind, Some(source)) = (mount.kind, &mut mount.source) {
            *source = at(source);
        }
    }
    for file in &mut service.env_file {
        file.path = at(&file.path);
    }
    for secret in &mut service.secrets {
        secret
            .target
            .get_or_insert_with(|| format!("/run/secrets/{}", secret.source));
    }
}

/// Variables without a value take the caller's; what the caller has not either stays unset.
fn inherit(service: &mut Service, environment: &BTreeMap<String, String>) {
    for (name, value) in service
        .environment
        .iter_mut()
        .filter(|(_, value)| value.is_none())
    {
        *value = environment.get(name).cloned();
    }
}

/// Links and shared network namespaces need their other side to be there first.
fn imply_dependencies(service: &mut Service) {
    let linked = service
        .links
        .iter()
        .map(|link| link.split(':').next().unwrap_or(link));
    let shared = match &service.network_mode {
        Some(NetworkMode::Service(name)) => Some(name.as_str()),
        _ => None,
    };
    let implied: Vec<String> = linked.chain(shared).map(str::to_owned).collect();
    for name in implied {
        let dependency = Dependency {
            restart: true,
            ..Dependency::default()
        };
        service.depends_on.entry(name).or_insert(dependency);
    }
}

fn default_network(service: &mut Service) {
    if service.networks.is_empty() && service.network_mode.is_none() {
        service.networks.insert("default".to_owned(), None);
    }
}

/// Moves the services whose profiles are off out of the way.
fn split_by_profile(session: &Session<'_>, found: &Found, project: &mut Project) {
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
    project.services = services;
    project.disabled = disabled;
    project.profiles = active;
}

/// Gives resources their names in the engine.
fn name_resources(project: &mut Project) {
    let uses_default = project
        .services
        .values()
        .any(|s| s.networks.contains_key("default"));
    if uses_default {
        project.networks.entry("default".to_owned()).or_default();
    }
    let prefix = project.name.clone();
    let name = |key: &str, name: &mut String, external: bool| {
        if name.is_empty() {
            *name = if external {
                key.to_owned()
            } else {
                format!("{prefix}_{key}")
            };
        }
    };
    for (key, network) in &mut project.networks {
        name(key, &mut network.name, network.external);
    }
    for (key, volume) in &mut project.volumes {
        name(key, &mut volume.name, volume.external);
    }
    for (key, object) in project.configs.iter_mut().chain(&mut project.secrets) {
        name(key, &mut object.name, object.external);
    }
}

/// Drops the resources that no active service uses. Runs after the checks, so that those know
/// every name.
pub(crate) fn drop_unused(project: &mut Project) {
    let mut networks = BTreeSet::new();
    let mut volumes = BTreeSet::new();
    let mut configs = BTreeSet::new();
    let mut secrets = BTreeSet::new();
    for service in project.services.values() {
        networks.extend(service.networks.keys().cloned());
        let named = service
            .volumes
            .iter()
            .filter(|mount| mount.kind == MountKind::Volume);
        volumes.extend(named.filter_map(|mount| mount.source.clone()));
        configs.extend(service.configs.iter().map(|config| config.source.clone()));
        secrets.extend(service.secrets.iter().map(|secret| secret.source.clone()));
    }
    project.networks.retain(|key, _| networks.contains(key));
    project.volumes.retain(|key, _| volumes.contains(key));
    project.configs.retain(|key, _| configs.contains(key));
    project.secrets.retain(|key, _| secrets.contains(key));
}
