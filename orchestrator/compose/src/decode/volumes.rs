//! Mounts, devices, tmpfs, and the configs and secrets a service sees.

use super::fields::Fields;
use super::reader::Decoder;
use crate::diagnostic::Diagnostic;
use crate::grammar::{Fault, mount};
use crate::load::path::clean;
use crate::model::{
    BindOptions, Device, FileReference, Mount, MountKind, TmpfsOptions, VolumeOptions,
};
use crate::source::Span;
use crate::yaml::Node;

/// All mounts; a later one on the same target replaces the earlier one.
pub(super) fn mounts(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Vec<Mount> {
    let read = |decoder: &mut Decoder<'_>, item: &Node| match item.mapping() {
        Some(_) => long(decoder, path, item),
        None => {
            let text = decoder.string(path, item)?;
            mount::parse(&text)
                .map_err(|fault| decoder.invalid::<()>(path, item, fault))
                .ok()
        }
    };
    keyed(decoder, path, node, read, |mount| mount.target.clone())
}

/// Items of which a later one with the same key takes the place of the earlier one.
fn keyed<T>(
    decoder: &mut Decoder<'_>,
    path: &str,
    node: &Node,
    read: impl Fn(&mut Decoder<'_>, &Node) -> Option<T>,
    key: impl Fn(&T) -> String,
) -> Vec<T> {
    let mut found: Vec<(T, Span)> = Vec::new();
    for item in decoder.list(path, node) {
        let Some(thing) = read(decoder, item) else {
            continue;
        };
        match found
            .iter_mut()
            .find(|(known, _)| key(known) == key(&thing))
        {
            Some(known) => *known = (thing, item.span),
            None => found.push((thing, item.span)),
        }
    }
    for (index, (_, span)) in found.iter().enumerate() {
        decoder.remember(&format!("{path}/{index}"), None, *span);
    }
    found.into_iter().map(|(thing, _)| thing).collect()
}

fn long(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<Mount> {
    let mut fields = Fields::open(decoder, node, "mount", path)?;
    let kind = fields.with("type", kind);
    let (source, target) = (fields.string("source"), fields.string("target"));
    let mount = Mount {
        kind: kind.unwrap_or(MountKind::Volume),
        source,
        target: target.clone().unwrap_or_default(),
        read_only: fields.flag("read_only"),
        consistency: fields.string("consistency"),
        bind: fields.with("bind", bind),
        volume: fields.with("volume", volume),
        tmpfs: fields.with("tmpfs", tmpfs),
    };
    let absent = |key: &str| fields.get(key).is_none();
    let missing = if absent("type") {
        Some("no `type`: bind, volume or tmpfs")
    } else if absent("target") && mount.kind != MountKind::Tmpfs {
        Some("no `target`: the path inside the container")
    } else if mount.kind == MountKind::Bind && mount.source.is_none() {
        Some("no `source`: the path of the host")
    } else if target
        .as_ref()
        .is_some_and(|target| !target.starts_with('/'))
    {
        Some("the `target` is not absolute")
    } else {
        None
    };
    if let Some(missing) = missing {
        return decoder.invalid(path, node, Fault::new(0..0, missing));
    }
    kind.map(|_| mount)
}

fn kind(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<MountKind> {
    let text = decoder.string(path, node)?;
    if matches!(text.as_str(), "image" | "npipe" | "cluster") {
        let message = format!("a mount of type `{text}` is not supported yet");
        decoder
            .faults
            .push(Diagnostic::error("compose::unsupported-key", message).at(node.span, ""));
        return None;
    }
    let words = [
        ("bind", MountKind::Bind),
        ("volume", MountKind::Volume),
        ("tmpfs", MountKind::Tmpfs),
    ];
    decoder.word(path, node, &words)
}

fn bind(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<BindOptions> {
    let mut fields = Fields::open(decoder, node, "mount.bind", path)?;
    Some(BindOptions {
        selinux: fields.string("selinux"),
        propagation: fields.string("propagation"),
        create_host_path: fields.boolean("create_host_path").unwrap_or(true),
        recursive: fields.string("recursive"),
    })
}

fn volume(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<VolumeOptions> {
    let mut fields = Fields::open(decoder, node, "mount.volume", path)?;
    Some(VolumeOptions {
        labels: fields.pairs("labels"),
        nocopy: fields.flag("nocopy"),
        subpath: fields.string("subpath"),
    })
}

fn tmpfs(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<TmpfsOptions> {
    let mut fields = Fields::open(decoder, node, "mount.tmpfs", path)?;
    Some(TmpfsOptions {
        size: fields.bytes("size"),
        mode: fields.with("mode", mode),
    })
}

/// A file mode: a string is octal, a number is whatever YAML says it is.
fn mode(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<u32> {
    if let Some(crate::yaml::Resolved::Text(text)) = node.resolved() {
        return u32::from_str_radix(text, 8)
            .ok()
            .filter(|mode| *mode <= 0o7777)
            .or_else(|| {
                let fault =
                    Fault::new(0..text.len(), "not a file mode").help("write it like `0440`");
                decoder.invalid(path, node, fault)
            });
    }
    decoder.natural(path, node)
}

/// Configs or secrets of a service, unique by where they appear.
pub(super) fn references(
    decoder: &mut Decoder<'_>,
    path: &str,
    node: &Node,
    folder: &str,
) -> Vec<FileReference> {
    let read = |decoder: &mut Decoder<'_>, item: &Node| {
        if item.mapping().is_none() {
            let source = decoder.string(path, item)?;
            return Some(FileReference {
                source,
                ..FileReference::default()
            });
        }
        let mut fields = Fields::open(decoder, item, "reference", path)?;
        let reference = FileReference {
            source: fields.string("source").unwrap_or_default(),
            target: fields.string("target"),
            uid: fields.with("uid", Decoder::string_or_number),
            gid: fields.with("gid", Decoder::string_or_number),
            mode: fields.with("mode", mode),
        };
        if reference.source.is_empty() {
            return decoder.invalid(path, item, Fault::new(0..0, "no `source`"));
        }
        Some(reference)
    };
    keyed(decoder, path, node, read, |reference| {
        reference
            .target
            .clone()
            .unwrap_or_else(|| format!("{folder}/{}", reference.source))
    })
}

/// Devices, unique by target.
pub(super) fn devices(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Vec<Device> {
    let read = |decoder: &mut Decoder<'_>, item: &Node| {
        if item.mapping().is_none() {
            let text = decoder.string(path, item)?;
            return device(&text)
                .map_err(|fault| decoder.invalid::<()>(path, item, fault))
                .ok();
        }
        let mut fields = Fields::open(decoder, item, "device", path)?;
        let (source, target) = (fields.string("source"), fields.string("target"));
        let permissions = fields.string("permissions");
        let (Some(source), Some(target)) = (source, target) else {
            return decoder.invalid(path, item, Fault::new(0..0, "needs `source` and `target`"));
        };
        Some(Device {
            source,
            target,
            permissions: permissions.unwrap_or_else(|| "rwm".to_owned()),
        })
    };
    keyed(decoder, path, node, read, |device| device.target.clone())
}

/// `source[:target[:permissions]]`
fn device(text: &str) -> Result<Device, Fault> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, permissions) = match *parts.as_slice() {
        [source] => (source, source, "rwm"),
        [source, target] => (source, target, "rwm"),
        [source, target, permissions] => (source, target, permissions),
        _ => return Err(Fault::new(0..text.len(), "too many colons").help("use the long form")),
    };
    if source.is_empty() || target.is_empty() {
        return Err(Fault::new(
            0..text.len(),
            "a part between the colons is empty",
        ));
    }
    if permissions.is_empty() || !permissions.chars().all(|c| "rwm".contains(c)) {
        let start = text.len() - permissions.len();
        return Err(Fault::new(
            start..text.len(),
            "permissions are made of r, w and m",
        ));
    }
    Ok(Device {
        source: source.to_owned(),
        target: target.to_owned(),
        permissions: permissions.to_owned(),
    })
}

/// The target as it will be printed and compared.
pub(crate) fn clean_target(target: &str) -> String {
    if target.is_empty() {
        String::new()
    } else {
        clean(target)
    }
}
