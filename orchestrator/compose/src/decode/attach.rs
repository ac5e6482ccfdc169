//! What ties a service to others: networks, dependencies, env files.

use std::collections::BTreeMap;

use super::fields::Fields;
use super::reader::Decoder;
use super::settings;
use crate::grammar::Fault;
use crate::model::{Attachment, Condition, Dependency, EnvFile, ServiceModel};
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
    let mut fields = Fields::open(decoder, node, path)?;
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
    Some(Dependency {
        condition: condition?,
        restart: fields.flag("restart"),
        required: fields.boolean("required").unwrap_or(true),
    })
}

pub(super) fn models(
    decoder: &mut Decoder<'_>,
    path: &str,
    node: &Node,
) -> BTreeMap<String, Option<ServiceModel>> {
    names_or_mapping(
        decoder,
        path,
        node,
        || Some(None),
        |decoder, path, node| settings::service_model(decoder, path, node).map(Some),
    )
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
    let mut fields = Fields::open(decoder, node, path)?;
    Some(Attachment {
        aliases: fields.strings("aliases"),
        driver_opts: fields.pairs("driver_opts"),
        gw_priority: fields.nonzero("gw_priority"),
        interface_name: fields.string("interface_name"),
        ipv4_address: fields.with("ipv4_address", address::<std::net::Ipv4Addr>),
        ipv6_address: fields.with("ipv6_address", address::<std::net::Ipv6Addr>),
        link_local_ips: fields.strings("link_local_ips"),
        mac_address: fields.string("mac_address"),
        priority: fields.nonzero("priority"),
    })
}

fn address<T: std::str::FromStr>(
    decoder: &mut Decoder<'_>,
    path: &str,
    node: &Node,
) -> Option<String> {
    let text = decoder.string(path, node)?;
    if text.is_empty() {
        return None;
    }
    if text.parse::<T>().is_ok() {
        return Some(text);
    }
    let fault = Fault::new(0..text.len(), "this is not such an address");
    decoder.refuse(path, node, fault);
    Some(text)
}

/// A file of variables.
pub(super) fn env_file(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<EnvFile> {
    let mut fields = Fields::open(decoder, node, path)?;
    Some(EnvFile {
        path: fields.string("path").unwrap_or_default(),
        required: fields.boolean("required").unwrap_or(true),
        format: fields.string("format"),
    })
}
