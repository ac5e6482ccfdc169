//! `Binds`, `Mounts`, `Tmpfs`, image volumes and `VolumesFrom` as one list of mount points. Pure: volumes and folders
//! are made by whoever asks, from what the list says.

use std::path::{Component, Path, PathBuf};

use bowline_api::{Config, HostConfig, Mount};

use crate::record::{MountKind, MountPoint};

/// A mount that cannot be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MountError {
    /// Not of the form source:target[:mode].
    #[error("invalid volume specification: '{0}'")]
    Form(String),
    /// A word in the mode that is not known.
    #[error("invalid mode: {0}")]
    Mode(String),
    /// The target is relative, or `/`.
    #[error("invalid mount path: '{0}' mount path must be absolute, and not the root")]
    Target(String),
    /// Two mounts at one place.
    #[error("Duplicate mount point: {0}")]
    Duplicate(String),
    /// A volume name outside the grammar.
    #[error(
        "\"{0}\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed; a host path must be absolute"
    )]
    Name(String),
    /// A mount type that is not there.
    #[error("mount type `{0}` is not supported yet")]
    Kind(String),
    /// A bind whose source must exist does not.
    #[error("invalid mount config for type \"bind\": bind source path does not exist: {0}")]
    Missing(String),
    /// Options of another type.
    #[error("invalid mount config: must not specify {0}")]
    Misplaced(&'static str),
}

/// What a mount needs before it can be made.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    /// The mount; a volume's `source` is still empty, an anonymous one's `name` too.
    pub point: MountPoint,
    /// Make a missing bind source as an empty folder.
    pub create_source: bool,
    /// Labels and options a volume is made with.
    pub volume: bowline_api::VolumeCreate,
}

impl Wanted {
    fn new(kind: MountKind, destination: PathBuf) -> Self {
        Self {
            point: MountPoint {
                kind,
                name: String::new(),
                source: PathBuf::new(),
                destination,
                writable: true,
                mode: String::new(),
                propagation: String::new(),
                non_recursive: false,
                subpath: String::new(),
                copy_up: kind == MountKind::Volume,
                options: Vec::new(),
            },
            create_source: false,
            volume: bowline_api::VolumeCreate::default(),
        }
    }
}

/// All mounts of a container, targets shortest first, so that none hides another.
///
/// # Errors
/// See [`MountError`].
pub(crate) fn wanted(
    config: &Config,
    host: &HostConfig,
    others: &[MountPoint],
) -> Result<Vec<Wanted>, MountError> {
    let mut list: Vec<Wanted> = Vec::new();
    for bind in &host.binds {
        add(&mut list, read_bind(bind)?)?;
    }
    for mount in &host.mounts {
        add(&mut list, read_mount(mount)?)?;
    }
    for (target, options) in &host.tmpfs {
        let mut tmpfs = Wanted::new(MountKind::Tmpfs, destination(target)?);
        tmpfs.point.options = options
            .split(',')
            .filter(|o| !o.is_empty())
            .map(Into::into)
            .collect();
        add(&mut list, tmpfs)?;
    }
    let taken = |list: &[Wanted], path: &Path| list.iter().any(|w| w.point.destination == path);
    for point in others {
        if !taken(&list, &point.destination) {
            list.push(Wanted {
                point: point.clone(),
                ..Wanted::new(point.kind, PathBuf::new())
            });
        }
    }
    for target in config.volumes.keys() {
        let target = destination(target)?;
        if !taken(&list, &target) {
            list.push(Wanted::new(MountKind::Volume, target));
        }
    }
    list.sort_by_key(|wanted| wanted.point.destination.components().count());
    Ok(list)
}

fn add(list: &mut Vec<Wanted>, wanted: Wanted) -> Result<(), MountError> {
    let destination = &wanted.point.destination;
    if list
        .iter()
        .any(|have| have.point.destination == *destination)
    {
        return Err(MountError::Duplicate(destination.display().to_string()));
    }
    list.push(wanted);
    Ok(())
}

/// Cleans a target: absolute, without `.` and `..`, not the root.
fn destination(target: &str) -> Result<PathBuf, MountError> {
    let mut clean = PathBuf::from("/");
    for component in Path::new(target).components() {
        match component {
            Component::Normal(part) => clean.push(part),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    if target.starts_with('/') && clean != Path::new("/") {
        return Ok(clean);
    }
    Err(MountError::Target(target.into()))
}

/// `[source:]target[:mode]`
fn read_bind(text: &str) -> Result<Wanted, MountError> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, mode) = match parts.as_slice() {
        [target] => ("", *target, ""),
        [source, target] if target.starts_with('/') => (*source, *target, ""),
        [target, mode] => ("", *target, *mode),
        [source, target, mode] => (*source, *target, *mode),
        _ => return Err(MountError::Form(text.into())),
    };
    let kind = if source.starts_with('/') {
        MountKind::Bind
    } else {
        MountKind::Volume
    };
    let mut wanted = Wanted::new(kind, destination(target)?);
    if kind == MountKind::Bind {
        wanted.point.source = source.into();
        wanted.create_source = true;
    } else {
        wanted.point.name = volume_name(source)?;
    }
    mode.clone_into(&mut wanted.point.mode);
    for word in mode.split(',').filter(|word| !word.is_empty()) {
        read_mode(word, &mut wanted.point)?;
    }
    Ok(wanted)
}

fn read_mode(word: &str, point: &mut MountPoint) -> Result<(), MountError> {
    match word {
        "rw" => point.writable = true,
        "ro" => point.writable = false,
        "nocopy" if point.kind == MountKind::Volume => point.copy_up = false,
        // SELinux labels: nothing to label on this machine, which is what the words then mean.
        "z" | "Z" | "cached" | "delegated" | "consistent" => {}
        "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave"
            if point.kind == MountKind::Bind =>
        {
            word.clone_into(&mut point.propagation);
        }
        _ => return Err(MountError::Mode(word.into())),
    }
    Ok(())
}

/// An empty name asks for an anonymous volume.
fn volume_name(name: &str) -> Result<String, MountError> {
    if name.is_empty() || bowline_api::ids::is_name(name) {
        return Ok(name.into());
    }
    Err(MountError::Name(name.into()))
}

fn read_mount(mount: &Mount) -> Result<Wanted, MountError> {
    let target = destination(&mount.target)?;
    let mut wanted = match mount.kind.as_str() {
        "bind" => bind(mount, target)?,
        "volume" => volume(mount, target)?,
        "tmpfs" => tmpfs(mount, target)?,
        other => return Err(MountError::Kind(other.into())),
    };
    wanted.point.writable = !mount.read_only;
    Ok(wanted)
}

fn bind(mount: &Mount, target: PathBuf) -> Result<Wanted, MountError> {
    if mount.volume_options.is_some() || mount.tmpfs_options.is_some() {
        return Err(MountError::Misplaced(
            "VolumeOptions or TmpfsOptions for a bind",
        ));
    }
    if !mount.source.starts_with('/') {
        return Err(MountError::Target(mount.source.clone()));
    }
    let mut wanted = Wanted::new(MountKind::Bind, target);
    wanted.point.source = mount.source.clone().into();
    if let Some(options) = &mount.bind_options {
        if !options.propagation.is_empty() {
            read_mode(&options.propagation, &mut wanted.point)?;
        }
        wanted.point.non_recursive = options.non_recursive;
        wanted.create_source = options.create_mountpoint;
    }
    Ok(wanted)
}

fn volume(mount: &Mount, target: PathBuf) -> Result<Wanted, MountError> {
    if mount.bind_options.is_some() || mount.tmpfs_options.is_some() {
        return Err(MountError::Misplaced(
            "BindOptions or TmpfsOptions for a volume",
        ));
    }
    let mut wanted = Wanted::new(MountKind::Volume, target);
    wanted.point.name = volume_name(&mount.source)?;
    if let Some(options) = &mount.volume_options {
        wanted.point.copy_up = !options.no_copy;
        let outside =
            |part: Component<'_>| !matches!(part, Component::Normal(_) | Component::CurDir);
        if Path::new(&options.subpath).components().any(outside) {
            return Err(MountError::Target(options.subpath.clone()));
        }
        options.subpath.clone_into(&mut wanted.point.subpath);
        wanted.volume.labels.clone_from(&options.labels);
        if let Some(driver) = &options.driver_config {
            wanted.volume.driver.clone_from(&driver.name);
            wanted.volume.driver_opts.clone_from(&driver.options);
        }
    }
    Ok(wanted)
}

fn tmpfs(mount: &Mount, target: PathBuf) -> Result<Wanted, MountError> {
    if mount.bind_options.is_some() || mount.volume_options.is_some() || !mount.source.is_empty() {
        return Err(MountError::Misplaced(
            "Source, BindOptions or VolumeOptions for tmpfs",
        ));
    }
    let mut wanted = Wanted::new(MountKind::Tmpfs, target);
    if let Some(options) = &mount.tmpfs_options {
        if options.size_bytes > 0 {
            wanted
                .point
                .options
                .push(format!("size={}", options.size_bytes));
        }
        if options.mode > 0 {
            wanted
                .point
                .options
                .push(format!("mode={:o}", options.mode));
        }
        wanted
            .point
            .options
            .extend(options.options.iter().map(|pair| pair.join("=")));
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(bind: &str) -> Result<Wanted, MountError> {
        let host = HostConfig {
            binds: vec![bind.into()],
            ..HostConfig::default()
        };
        wanted(&Config::default(), &host, &[]).map(|mut list| list.remove(0))
    }

    #[test]
    fn short_forms_are_told_apart_by_the_slash() {
        let bind = one("/src:/app:ro,rslave").unwrap();
        assert_eq!(bind.point.kind, MountKind::Bind);
        assert!(!bind.point.writable && bind.create_source);
        assert_eq!(bind.point.propagation, "rslave");
        let volume = one("data:/var/lib/data:nocopy").unwrap();
        assert_eq!(
            (volume.point.name.as_str(), volume.point.copy_up),
            ("data", false)
        );
        assert!(one("/var/lib/data").unwrap().point.name.is_empty());
    }

    #[test]
    fn wrong_forms_are_named() {
        assert_eq!(one("a:b:c:d"), Err(MountError::Form("a:b:c:d".into())));
        assert_eq!(one("/a:/b:rx"), Err(MountError::Mode("rx".into())));
        assert_eq!(one("/a:/"), Err(MountError::Target("/".into())));
        assert_eq!(one("./a:/b"), Err(MountError::Name("./a".into())));
        assert_eq!(
            one("/a:/b/../.."),
            Err(MountError::Target("/b/../..".into()))
        );
    }

    #[test]
    fn an_image_volume_gives_way_to_what_was_asked_for_there() {
        let config = Config {
            volumes: [("/data".to_owned(), None), ("/more".to_owned(), None)].into(),
            ..Config::default()
        };
        let host = HostConfig {
            binds: vec!["named:/data/".into()],
            ..HostConfig::default()
        };
        let list = wanted(&config, &host, &[]).unwrap();
        let names: Vec<_> = list.iter().map(|w| w.point.name.as_str()).collect();
        assert_eq!(names, ["named", ""]);
    }
}
