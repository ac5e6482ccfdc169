//! Mounts, and the configs and secrets a container sees.

use super::fields::Fields;
use super::reader::Decoder;
use crate::grammar::Fault;
use crate::load::path::clean;
use crate::model::{
    BindOptions, FileReference, ImageOptions, Mount, MountKind, TmpfsOptions, VolumeOptions,
};
use crate::yaml::Node;

pub(super) fn mount(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<Mount> {
    let mut fields = Fields::open(decoder, node, path)?;
    let kind = fields.with("type", kind)?;
    let mount = Mount {
        kind,
        source: fields.string("source"),
        target: fields.string("target").unwrap_or_default(),
        read_only: fields.flag("read_only"),
        consistency: fields.string("consistency"),
        bind: fields.with("bind", bind),
        volume: fields.with("volume", volume),
        tmpfs: fields.with("tmpfs", tmpfs),
        image: fields.with("image", image),
    };
    if kind == MountKind::Bind && node.get("source").is_none() {
        let fault = Fault::new(0..0, "no `source`: the path of the host");
        return decoder.invalid(path, node, fault);
    }
    if !mount.target.starts_with('/') {
        let fault = Fault::new(
            0..0,
            format!("the target `{}` is not absolute", mount.target),
        )
        .help("a path inside the container starts with `/`");
        let drive = mount.source.is_none() && mount.target.as_bytes().get(1) == Some(&b':');
        let fault = match drive {
            true => fault
                .help("a volume whose name is one letter reads as a drive: give it a longer name"),
            false => fault,
        };
        decoder.refuse(path, node, fault);
    }
    if matches!(kind, MountKind::Npipe | MountKind::Cluster)
        && let Some(written) = node.get("type")
    {
        let what = format!("a mount of type `{}`", kind.as_str());
        decoder.unsupported(path, written, &what, "");
    }
    Some(mount)
}

fn kind(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<MountKind> {
    let words = MountKind::ALL.map(|kind| (kind.as_str(), kind));
    decoder.word(path, node, &words)
}

fn bind(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<BindOptions> {
    let mut fields = Fields::open(decoder, node, path)?;
    Some(BindOptions {
        selinux: fields.string("selinux"),
        propagation: fields.string("propagation"),
        create_host_path: fields.boolean("create_host_path").unwrap_or(true),
        recursive: fields.string("recursive"),
    })
}

fn volume(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<VolumeOptions> {
    let mut fields = Fields::open(decoder, node, path)?;
    Some(VolumeOptions {
        labels: fields.pairs("labels"),
        nocopy: fields.flag("nocopy"),
        subpath: fields.string("subpath"),
    })
}

fn tmpfs(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<TmpfsOptions> {
    let mut fields = Fields::open(decoder, node, path)?;
    Some(TmpfsOptions {
        size: fields.bytes("size"),
        mode: fields.with("mode", number_mode).filter(|mode| *mode != 0),
    })
}

fn image(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<ImageOptions> {
    let mut fields = Fields::open(decoder, node, path)?;
    Some(ImageOptions {
        subpath: fields.string("subpath"),
    })
}

/// A mode that is a number and nothing else; the schema allows a string, and Compose then fails on it.
fn number_mode(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<u32> {
    match node.as_text() {
        Some(_) => mode(decoder, path, node),
        None => decoder.natural(path, node),
    }
}

/// A file mode: a string is octal, a number is whatever YAML says it is.
fn mode(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<u32> {
    if let Some(text) = node.as_text() {
        return u32::from_str_radix(text, 8).ok().or_else(|| {
            let fault = Fault::new(0..text.len(), "not a file mode").help("write it like `0440`");
            decoder.invalid(path, node, fault)
        });
    }
    match node.resolved() {
        Some(crate::yaml::Resolved::Float(_)) => decoder.wrong(path, node, "a whole number"),
        _ => decoder.natural(path, node),
    }
}

/// A config or secret of a service.
pub(super) fn reference(
    decoder: &mut Decoder<'_>,
    path: &str,
    node: &Node,
) -> Option<FileReference> {
    let mut fields = Fields::open(decoder, node, path)?;
    Some(FileReference {
        source: fields.string("source").unwrap_or_default(),
        target: fields.string("target"),
        uid: fields.string("uid"),
        gid: fields.string("gid"),
        mode: fields.with("mode", mode),
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
