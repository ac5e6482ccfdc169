//! What a container sees of the host: volumes, binds, memory, configs and secrets.

use std::collections::BTreeMap;

use bowline_api::{BindOptions, HostConfig, ImageOptions, Mount, TmpfsOptions, VolumeOptions};
use bowline_compose::model::{self, FileReference, MountKind, Project, Service};
use bowline_plan::Inherited;

use crate::build::image_name;
use crate::ui::{Failure, Outcome};

pub(super) fn fill(
    host: &mut HostConfig,
    project: &Project,
    service: &Service,
    inherit: &[Inherited],
    joins: &BTreeMap<String, String>,
) -> Outcome<()> {
    host.volumes_from = service
        .volumes_from
        .iter()
        .map(|from| shared(from, project, joins))
        .collect();
    for mount in &service.volumes {
        let inherited = inherit.iter().find(|from| from.target == mount.target);
        match (bind_text(project, mount), inherited) {
            (_, Some(from)) => host.mounts.push(inherited_mount(from, mount.read_only)),
            (Some(text), None) => host.binds.push(text),
            (None, None) => host.mounts.push(long_mount(project, mount)),
        }
    }
    // What the image declares as a volume is inherited, too.
    let written = |from: &&Inherited| !service.volumes.iter().any(|m| m.target == from.target);
    host.mounts.extend(
        inherit
            .iter()
            .filter(written)
            .map(|from| inherited_mount(from, false)),
    );
    for entry in &service.tmpfs {
        let (path, options) = entry.split_once(':').unwrap_or((entry, ""));
        host.tmpfs.insert(path.into(), options.into());
    }
    for used in &service.configs {
        let fallback = format!("/{}", used.source);
        let target = used.target.clone().unwrap_or(fallback);
        let target = rooted(&target, "/");
        let object = project.configs.get(&used.source);
        host.mounts.extend(file(object, "config", used, target)?);
    }
    for used in &service.secrets {
        let target = used.target.clone().unwrap_or_else(|| used.source.clone());
        let target = rooted(&target, "/run/secrets/");
        let object = project.secrets.get(&used.source);
        host.mounts.extend(file(object, "secret", used, target)?);
    }
    Ok(())
}

fn rooted(target: &str, root: &str) -> String {
    match target.starts_with('/') {
        true => target.to_owned(),
        false => format!("{root}{target}"),
    }
}

fn file(
    object: Option<&model::FileObject>,
    kind: &str,
    used: &FileReference,
    target: String,
) -> Outcome<Option<Mount>> {
    if object.is_some_and(|object| object.external) {
        return Err(Failure::new(format!(
            "unsupported external {kind} `{}`: only a swarm keeps those",
            used.source
        )));
    }
    // What has no file is written into the container once that is there.
    let path = object.and_then(|object| object.file.clone());
    Ok(path.map(|source| Mount {
        kind: "bind".into(),
        source,
        target,
        read_only: true,
        bind_options: Some(BindOptions::default()),
        ..Mount::default()
    }))
}

/// `service[:mode]` or `container:name[:mode]`, as the engine takes it: a container, and what it may do.
fn shared(from: &str, project: &Project, joins: &BTreeMap<String, String>) -> String {
    if let Some(container) = from.strip_prefix("container:") {
        return container.to_owned();
    }
    let (service, mode) = from.split_once(':').unwrap_or((from, ""));
    let fixed = project.services.get(service);
    let fixed = fixed.and_then(|service| service.container_name.clone());
    let container = joins.get(service).cloned().or(fixed);
    let container = container.unwrap_or_else(|| format!("{}-{service}-1", project.name));
    match mode {
        "" => container,
        mode => format!("{container}:{mode}"),
    }
}

fn inherited_mount(from: &Inherited, read_only: bool) -> Mount {
    Mount {
        kind: "volume".into(),
        source: from.volume.clone(),
        target: from.target.clone(),
        read_only,
        ..Mount::default()
    }
}

/// The short form, where it says all there is to say. It is also the form that makes a missing host
/// path.
fn bind_text(project: &Project, mount: &model::Mount) -> Option<String> {
    let mut options: Vec<&str> = Vec::new();
    if mount.read_only {
        options.push("ro");
    }
    let source = match mount.kind {
        MountKind::Bind if mount.creates_host_path() => {
            let bind = mount.bind.as_ref()?;
            if bind.recursive.is_some() {
                return None;
            }
            options.extend(bind.selinux.as_deref());
            options.extend(bind.propagation.as_deref());
            mount.source.clone()?
        }
        MountKind::Volume => {
            let plain = model::VolumeOptions::default();
            let volume = mount.volume.as_ref().unwrap_or(&plain);
            if !volume.labels.is_empty() || volume.subpath.is_some() {
                return None;
            }
            if volume.nocopy {
                options.push("nocopy");
            }
            volume_name(project, mount)?
        }
        _ => return None,
    };
    if source.contains(':') || mount.target.contains(':') {
        return None;
    }
    if options.is_empty() {
        options.push("rw");
    }
    Some(format!("{source}:{}:{}", mount.target, options.join(",")))
}

fn volume_name(project: &Project, mount: &model::Mount) -> Option<String> {
    let key = mount.source.as_ref()?;
    Some(
        project
            .volumes
            .get(key)
            .map_or_else(|| key.clone(), |volume| volume.name.clone()),
    )
}

fn long_mount(project: &Project, mount: &model::Mount) -> Mount {
    let mut out = Mount {
        target: mount.target.clone(),
        read_only: mount.read_only,
        consistency: mount.consistency.clone().unwrap_or_default(),
        ..Mount::default()
    };
    match mount.kind {
        MountKind::Bind => {
            let plain = model::BindOptions::default();
            let bind = mount.bind.as_ref().unwrap_or(&plain);
            let recursive = bind.recursive.as_deref();
            out.kind = "bind".into();
            out.source = mount.source.clone().unwrap_or_default();
            out.bind_options = Some(BindOptions {
                propagation: bind.propagation.clone().unwrap_or_default(),
                non_recursive: recursive == Some("disabled"),
                create_mountpoint: bind.create_host_path,
                read_only_non_recursive: recursive == Some("writable"),
                read_only_force_recursive: recursive == Some("readonly"),
            });
        }
        MountKind::Volume => {
            out.kind = "volume".into();
            out.source = volume_name(project, mount).unwrap_or_default();
            out.volume_options = mount.volume.as_ref().map(|volume| VolumeOptions {
                no_copy: volume.nocopy,
                labels: volume.labels.clone(),
                subpath: volume.subpath.clone().unwrap_or_default(),
                driver_config: None,
            });
        }
        MountKind::Tmpfs => {
            out.kind = "tmpfs".into();
            out.tmpfs_options = mount.tmpfs.as_ref().map(|tmpfs| TmpfsOptions {
                size_bytes: tmpfs.size.map_or(0, |size| size.0),
                mode: tmpfs.mode.unwrap_or(0),
                options: Vec::new(),
            });
        }
        MountKind::Image => {
            out.kind = "image".into();
            out.source = image_source(project, mount);
            out.image_options = mount.image.as_ref().map(|image| ImageOptions {
                subpath: image.subpath.clone().unwrap_or_default(),
            });
        }
        // Refused by the engine, which knows none.
        MountKind::Npipe | MountKind::Cluster => {
            out.kind = mount.kind.as_str().into();
            out.source = mount.source.clone().unwrap_or_default();
        }
    }
    out
}

/// An image, or that of a service of the project.
fn image_source(project: &Project, mount: &model::Mount) -> String {
    let source = mount.source.clone().unwrap_or_default();
    let service = project.services.get(&source);
    service
        .map(|service| image_name(project, service))
        .unwrap_or(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_come_from_containers() {
        let joins = BTreeMap::from([("db".to_owned(), "shop-db-1".to_owned())]);
        let project = Project {
            name: "shop".into(),
            ..Project::default()
        };
        let shared = |from| shared(from, &project, &joins);
        assert_eq!(shared("db"), "shop-db-1");
        assert_eq!(shared("db:ro"), "shop-db-1:ro");
        assert_eq!(shared("cache:ro"), "shop-cache-1:ro");
        assert_eq!(shared("container:other:ro"), "other:ro");
    }
}
