//! What ties a service to others: networks, dependencies, env files.

use std::collections::BTreeMap;

use super::fields::Fields;
use super::reader::Decoder;
use crate::grammar::Fault;
use crate::model::{Attachment, Condition, Dependency, EnvFile};
use crate::yaml::{Node, Value};

/// A list of names, or a mapping of names to something.
fn names_or_mapping<T>(
    decoder: &mut Decoder<'_>,
    path: &str,
    node: &Node,
    bare: impl Fn() -> Option<T>,
    read: impl Fn(&mut Decoder<'_>, &str, &Node) -> Option<T>,
) -> BTreeMap<String, T> {
    let mut found = BTreeMap::new();
    match &node.value {
        Value::Sequence(items) => {
            for item in items {
                let Some(name) = decoder.string(path, item) else {
                    continue;
                };
                decoder.remember(&format!("{path}/{name}"), Some(item.span), item.span);
                found.extend(bare().map(|thing| (name, thing)));
            }
        }
        Value::Mapping(mapping) => {
            for (name, entry) in mapping {
                let path = format!("{path}/{name}");
                decoder.remember(&path, Some(entry.key_span), entry.value.span);
                let thing = if entry.value.is_null() {
                    bare()
                } else {
                    read(decoder, &path, &entry.value)
                };
                found.extend(thing.map(|thing| (name.clone(), thing)));
            }
        }
        Value::Scalar(_) => {
            let _none: Option<()> = decoder.wrong(path, node, "a list or a mapping");
        }
    }
    found
}

pub(super) fn depends_on(
    decoder: &mut Decoder<'_>,
    path: &str,
    node: &Node,
) -> BTreeMap<String, Dependency> {
    names_or_mapping(
        decoder,
        path,
        node,
        || Some(Dependency::default()),
        dependency,
    )
}

fn dependency(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<Dependency> {
    let mut fields = Fields::open(decoder, node, "dependency", path)?;
    let condition = fields.with("condition", |decoder, path, node| {
        let words = [
            Condition::ServiceStarted,
            Condition::ServiceHealthy,
            Condition::ServiceCompletedSuccessfully,
        ];
        decoder.word(
            path,
            node,
            &words.map(|condition| (condition.as_str(), condition)),
        )
    });
    if fields.get("condition").is_none() {
        let fault = Fault::new(0..0, "no `condition`")
            .help("add `condition: service_started`, `service_healthy` or `service_completed_successfully`");
        return fields.decoder.invalid(path, node, fault);
    }
    Some(Dependency {
        condition: condition?,
        restart: fields.flag("restart"),
        required: fields.boolean("required").unwrap_or(true),
    })
}

pub(super) fn networks(
    decoder: &mut Decoder<'_>,
    path: &str,
    node: &Node,
) -> BTreeMap<String, Option<Attachment>> {
    names_or_mapping(
        decoder,
        path,
        node,
        || Some(None),
        |decoder, path, node| attachment(decoder, path, node).map(Some),
    )
}

fn attachment(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<Attachment> {
    let mut fields = Fields::open(decoder, node, "attachment", path)?;
    Some(Attachment {
        aliases: fields.unique("aliases"),
        driver_opts: fields.pairs("driver_opts"),
        gw_priority: fields
            .integer("gw_priority")
            .filter(|priority| *priority != 0),
        interface_name: fields.string("interface_name"),
        ipv4_address: fields.with("ipv4_address", address::<std::net::Ipv4Addr>),
        ipv6_address: fields.with("ipv6_address", address::<std::net::Ipv6Addr>),
        link_local_ips: fields.unique("link_local_ips"),
        mac_address: fields.string("mac_address"),
        priority: fields.integer("priority").filter(|priority| *priority != 0),
    })
}

fn address<T: std::str::FromStr>(
    decoder: &mut Decoder<'_>,
    path: &str,
    node: &Node,
) -> Option<String> {
    let text = decoder.string(path, node)?;
    if text.parse::<T>().is_ok() {
        return Some(text);
    }
    decoder.invalid(
        path,
        node,
        Fault::new(0..text.len(), "this is not such an address"),
    )
}

/// `env_file`: a path, or a list of paths and long forms; a path counts once.
pub(super) fn env_files(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Vec<EnvFile> {
    let mut files: Vec<EnvFile> = Vec::new();
    for item in decoder.items(path, node) {
        let file = if item.mapping().is_some() {
            env_file(decoder, path, item)
        } else {
            decoder.string(path, item).map(|path| EnvFile {
                path,
                required: true,
                format: None,
            })
        };
        let Some(file) = file else { continue };
        decoder.remember(&format!("{path}/{}", files.len()), None, item.span);
        match files.iter_mut().find(|known| known.path == file.path) {
            Some(known) => *known = file,
            None => files.push(file),
        }
    }
    files
}

fn env_file(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<EnvFile> {
    let mut fields = Fields::open(decoder, node, "env_file", path)?;
    let format = fields.with("format", |decoder, path, node| {
        decoder
            .word(path, node, &[("raw", "raw")])
            .map(str::to_owned)
    });
    let required = fields.boolean("required").unwrap_or(true);
    match fields.string("path") {
        Some(path) => Some(EnvFile {
            path,
            required,
            format,
        }),
        None => decoder.invalid(path, node, Fault::new(0..0, "no `path`")),
    }
}
