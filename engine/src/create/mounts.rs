//! `Binds`, `Mounts`, `Tmpfs`, image volumes and `VolumesFrom` as one list of mount points. Pure: volumes and folders
//! are made by whoever asks, from what the list says.

use std::path::{Component, Path, PathBuf};

use bowline_api::{Config, HostConfig, Mount};

use crate::record::{MountKind, MountPoint};

/// A mount that cannot be right. The words are Docker's, since people search for them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MountError {
    /// Not of the form source:target[:mode].
    #[error("invalid volume specification: '{0}'")]
    Form(String),
    /// A word in the mode that is not known.
    #[error("invalid mode: {0}")]
    Mode(String),
    /// The target is relative.
    #[error("invalid mount path: '{0}' mount path must be absolute")]
    Target(String),
    /// The target is the root.
    #[error("invalid specification: destination can't be '/'")]
    Root,
    /// Two mounts at one place.
    #[error("Duplicate mount point: {0}")]
    Duplicate(String),
    /// A volume name outside the grammar.
    #[error(
        "\"{0}\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )]
    Name(String),
    /// A bind whose source must exist does not.
    #[error("invalid mount config for type \"bind\": bind source path does not exist: {0}")]
    Missing(String),
    /// Anything else about a mount of one kind.
    #[error("invalid mount config for type \"{kind}\": {reason}")]
    Config {
        /// The kind, as it was given.
        kind: String,
        /// What is wrong.
        reason: String,
    },
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
                read_only_top: false,
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
    match (target.starts_with('/'), clean == Path::new("/")) {
        (false, _) => Err(MountError::Target(target.into())),
        (true, true) => Err(MountError::Root),
        (true, false) => Ok(clean),
    }
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
        word if point.kind == MountKind::Bind && is_propagation(word) => {
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
    let wrong = |reason: &str| wrong(mount, reason);
    if mount.target.is_empty() {
        return Err(wrong("field Target must not be empty"));
    }
    let target = destination(&mount.target).map_err(|error| wrong(&error.to_string()))?;
    let foreign = [
        ("BindOptions", mount.bind_options.is_some(), "bind"),
        ("VolumeOptions", mount.volume_options.is_some(), "volume"),
        ("TmpfsOptions", mount.tmpfs_options.is_some(), "tmpfs"),
        ("ImageOptions", mount.image_options.is_some(), "image"),
    ];
    let known = foreign.iter().any(|(_, _, kind)| *kind == mount.kind);
    if let (true, Some((field, ..))) = (
        known,
        foreign
            .iter()
            .find(|(_, given, kind)| *given && *kind != mount.kind),
    ) {
        return Err(wrong(&format!("field {field} must not be specified")));
    }
    let mut wanted = match mount.kind.as_str() {
        "bind" => bind(mount, target)?,
        "volume" => volume(mount, target)?,
        "tmpfs" => tmpfs(mount, target)?,
        "image" => image(mount, target)?,
        "npipe" | "cluster" => return Err(wrong("there is none on this machine")),
        _ => return Err(wrong("mount type unknown")),
    };
    // What an image holds is nobody's to change.
    wanted.point.writable = !mount.read_only && wanted.point.kind != MountKind::Image;
    Ok(wanted)
}

fn wrong(mount: &Mount, reason: &str) -> MountError {
    MountError::Config {
        kind: mount.kind.clone(),
        reason: reason.into(),
    }
}

fn bind(mount: &Mount, target: PathBuf) -> Result<Wanted, MountError> {
    let wrong = |reason: &str| wrong(mount, reason);
    if mount.source.is_empty() {
        return Err(wrong("field Source must not be empty"));
    }
    if !mount.source.starts_with('/') {
        let error = MountError::Target(mount.source.clone());
        return Err(wrong(&error.to_string()));
    }
    let mut wanted = Wanted::new(MountKind::Bind, target);
    wanted.point.source = mount.source.clone().into();
    let Some(options) = &mount.bind_options else {
        return Ok(wanted);
    };
    if !options.propagation.is_empty() {
        if !is_propagation(&options.propagation) {
            let reason = format!("invalid propagation mode: \"{}\"", options.propagation);
            return Err(wrong(&reason));
        }
        wanted.point.propagation.clone_from(&options.propagation);
    }
    if options.read_only_non_recursive && options.read_only_force_recursive {
        return Err(wrong(
            "ReadOnlyNonRecursive and ReadOnlyForceRecursive must not both be set",
        ));
    }
    if (options.read_only_non_recursive || options.read_only_force_recursive) && !mount.read_only {
        return Err(wrong("mount must be read-only for a read-only mode"));
    }
    if options.read_only_force_recursive && options.non_recursive {
        return Err(wrong(
            "ReadOnlyForceRecursive requires a recursive bind mount",
        ));
    }
    // What is mounted there later could not be held read-only otherwise.
    if options.read_only_force_recursive
        && !["", "rprivate"].contains(&options.propagation.as_str())
    {
        return Err(wrong(
            "ReadOnlyForceRecursive requires the propagation rprivate",
        ));
    }
    wanted.point.non_recursive = options.non_recursive;
    wanted.point.read_only_top = options.read_only_non_recursive;
    wanted.create_source = options.create_mountpoint;
    Ok(wanted)
}

fn is_propagation(word: &str) -> bool {
    [
        "private", "rprivate", "shared", "rshared", "slave", "rslave",
    ]
    .contains(&word)
}

/// A path within something, which no `..` leads out of.
fn inside(mount: &Mount, subpath: &str) -> Result<String, MountError> {
    let outside = |part: Component<'_>| !matches!(part, Component::Normal(_) | Component::CurDir);
    if Path::new(subpath).components().any(outside) {
        return Err(wrong(
            mount,
            "subpath must be a relative path within the volume",
        ));
    }
    Ok(subpath.into())
}

fn volume(mount: &Mount, target: PathBuf) -> Result<Wanted, MountError> {
    let mut wanted = Wanted::new(MountKind::Volume, target);
    wanted.point.name = volume_name(&mount.source)?;
    let anonymous = mount.source.is_empty();
    if anonymous && mount.read_only {
        return Err(wrong(
            mount,
            "must not set ReadOnly mode when using anonymous volumes",
        ));
    }
    if let Some(options) = &mount.volume_options {
        if anonymous && !options.subpath.is_empty() {
            return Err(wrong(
                mount,
                "must not set Subpath when using anonymous volumes",
            ));
        }
        wanted.point.copy_up = !options.no_copy;
        wanted.point.subpath = inside(mount, &options.subpath)?;
        wanted.volume.labels.clone_from(&options.labels);
        if let Some(driver) = &options.driver_config {
            wanted.volume.driver.clone_from(&driver.name);
            wanted.volume.driver_opts.clone_from(&driver.options);
        }
    }
    Ok(wanted)
}

fn tmpfs(mount: &Mount, target: PathBuf) -> Result<Wanted, MountError> {
    if !mount.source.is_empty() {
        return Err(wrong(mount, "field Source must not be specified"));
    }
    let mut wanted = Wanted::new(MountKind::Tmpfs, target);
    let Some(options) = &mount.tmpfs_options else {
        return Ok(wanted);
    };
    let words = &mut wanted.point.options;
    if options.size_bytes < 0 {
        return Err(wrong(mount, "tmpfs size cannot be negative"));
    }
    if options.size_bytes > 0 {
        words.push(format!("size={}", options.size_bytes));
    }
    if options.mode > 0 {
        words.push(format!("mode={:o}", options.mode));
    }
    for pair in &options.options {
        match pair.as_slice() {
            [word] | [word, ..] if word.is_empty() => {
                return Err(wrong(mount, "empty option in TmpfsOptions"));
            }
            [_] | [_, _] => words.push(pair.join("=")),
            _ => return Err(wrong(mount, "invalid option array length")),
        }
    }
    Ok(wanted)
}

fn image(mount: &Mount, target: PathBuf) -> Result<Wanted, MountError> {
    if mount.source.is_empty() {
        return Err(wrong(mount, "field Source must not be empty"));
    }
    let mut wanted = Wanted::new(MountKind::Image, target);
    wanted.point.name.clone_from(&mount.source);
    if let Some(options) = &mount.image_options {
        wanted.point.subpath = inside(mount, &options.subpath)?;
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
        assert_eq!(one("/a:/"), Err(MountError::Root));
        assert_eq!(one("/a:b:ro"), Err(MountError::Target("b".into())));
        assert_eq!(one("./a:/b"), Err(MountError::Name("./a".into())));
        assert_eq!(one("/a:/b/../.."), Err(MountError::Root));
    }

    fn long(mount: &str) -> Result<Wanted, String> {
        let mount: Mount = serde_json::from_str(mount).unwrap();
        let host = HostConfig {
            mounts: vec![mount],
            ..HostConfig::default()
        };
        let list = wanted(&Config::default(), &host, &[]);
        list.map(|mut list| list.remove(0))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn long_forms_are_checked_by_kind() {
        for (mount, reason) in [
            (
                r#"{"Type":"bind","Target":"/x","Source":"/y","VolumeOptions":{}}"#,
                r#"invalid mount config for type "bind": field VolumeOptions must not be specified"#,
            ),
            (
                r#"{"Type":"volume","Target":"/x","VolumeOptions":{"Subpath":"a"}}"#,
                r#"invalid mount config for type "volume": must not set Subpath when using anonymous volumes"#,
            ),
            (
                r#"{"Type":"volume","Source":"vol","Target":"/x","VolumeOptions":{"Subpath":"../a"}}"#,
                r#"invalid mount config for type "volume": subpath must be a relative path within the volume"#,
            ),
            (
                r#"{"Type":"tmpfs","Target":"/x","Source":"y"}"#,
                r#"invalid mount config for type "tmpfs": field Source must not be specified"#,
            ),
            (
                r#"{"Type":"image","Target":"/x"}"#,
                r#"invalid mount config for type "image": field Source must not be empty"#,
            ),
            (
                r#"{"Type":"bind","Target":"/x","Source":"/y","BindOptions":{"Propagation":"far"}}"#,
                r#"invalid mount config for type "bind": invalid propagation mode: "far""#,
            ),
            (
                r#"{"Type":"other","Target":"/x"}"#,
                r#"invalid mount config for type "other": mount type unknown"#,
            ),
        ] {
            assert_eq!(long(mount).unwrap_err(), reason);
        }
        let image = long(
            r#"{"Type":"image","Target":"/x","Source":"web","ImageOptions":{"Subpath":"a/b"}}"#,
        );
        let point = image.unwrap().point;
        assert_eq!((point.kind, point.writable), (MountKind::Image, false));
        assert_eq!(
            (point.name.as_str(), point.subpath.as_str()),
            ("web", "a/b")
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
