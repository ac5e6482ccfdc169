//! What a container sees of the host: volumes, binds, memory, configs and secrets.

use bowline_api::{BindOptions, HostConfig, Mount, TmpfsOptions, VolumeOptions};
use bowline_compose::model::{self, FileReference, MountKind, Project, Service};
use bowline_plan::Inherited;

use super::container::not_a_file;
use crate::ui::Outcome;

pub(super) fn fill(
    host: &mut HostConfig,
    project: &Project,
    service: &Service,
    inherit: &[Inherited],
) -> Outcome<()> {
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
        host.mounts.push(file(
            project.configs.get(&used.source),
            "config",
            used,
            target,
        )?);
    }
    for used in &service.secrets {
        let target = used.target.clone().unwrap_or_else(|| used.source.clone());
        let target = rooted(&target, "/run/secrets/");
        host.mounts.push(file(
            project.secrets.get(&used.source),
            "secret",
            used,
            target,
        )?);
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
) -> Outcome<Mount> {
    let path = object.and_then(|object| object.file.clone());
    let source = path.ok_or_else(|| not_a_file(kind, &used.source))?;
    Ok(Mount {
        kind: "bind".into(),
        source,
        target,
        read_only: true,
        bind_options: Some(BindOptions::default()),
        ..Mount::default()
    })
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
        MountKind::Bind | MountKind::Tmpfs => return None,
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
    }
    out
}
