//! Top-level networks, volumes, configs and secrets.

use super::fields::Fields;
use super::reader::Decoder;
use crate::diagnostic::Diagnostic;
use crate::grammar::Fault;
use crate::model::{FileObject, Ipam, IpamPool, Network, Volume};
use crate::yaml::Node;

pub(super) fn network(
    decoder: &mut Decoder<'_>,
    path: &str,
    _key: &str,
    node: &Node,
) -> Option<Network> {
    if node.is_null() {
        return Some(Network::default());
    }
    let mut fields = Fields::open(decoder, node, "network", path)?;
    let (external, external_name) = fields.external();
    let name = fields.string("name").or(external_name).unwrap_or_default();
    if external {
        alone(&mut fields, path, node);
    }
    Some(Network {
        name,
        external,
        driver: fields.string("driver"),
        driver_opts: fields.pairs("driver_opts"),
        ipam: fields.with("ipam", ipam).unwrap_or_default(),
        internal: fields.flag("internal"),
        attachable: fields.flag("attachable"),
        labels: fields.pairs("labels"),
        enable_ipv4: fields.boolean("enable_ipv4"),
        enable_ipv6: fields.boolean("enable_ipv6"),
        extensions: fields.extensions(),
    })
}

/// What is external is configured by whoever made it.
fn alone(fields: &mut Fields<'_, '_, '_>, path: &str, node: &Node) {
    let allowed = |key: &str| matches!(key, "external" | "name") || key.starts_with("x-");
    let other = node
        .mapping()
        .into_iter()
        .flatten()
        .find(|(key, _)| !allowed(key));
    if let Some((key, entry)) = other {
        let what = super::reader::described(path);
        fields.decoder.faults.push(
            Diagnostic::warning(
                "compose::external",
                format!("{what} is external, so `{key}` has no effect on it"),
            )
            .at(entry.key_span, "")
            .help("an external resource has only `external: true` and `name:`"),
        );
    }
}

fn ipam(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<Ipam> {
    let mut fields = Fields::open(decoder, node, "ipam", path)?;
    Some(Ipam {
        driver: fields.string("driver"),
        config: fields.collect("config", |decoder, path, node| {
            let items = decoder.list(path, node);
            items
                .iter()
                .filter_map(|item| pool(decoder, path, item))
                .collect()
        }),
        options: fields.pairs("options"),
    })
}

fn pool(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<IpamPool> {
    let mut fields = Fields::open(decoder, node, "pool", path)?;
    Some(IpamPool {
        subnet: fields.with("subnet", cidr),
        gateway: fields.with("gateway", |decoder, path, node| {
            let text = decoder.string(path, node)?;
            if text.parse::<std::net::IpAddr>().is_ok() {
                return Some(text);
            }
            decoder.invalid(
                path,
                node,
                Fault::new(0..text.len(), "this is not an IP address"),
            )
        }),
        ip_range: fields.with("ip_range", cidr),
        aux_addresses: fields.pairs("aux_addresses"),
    })
}

fn cidr(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<String> {
    let text = decoder.string(path, node)?;
    let parsed = text.split_once('/').and_then(|(address, bits)| {
        let address: std::net::IpAddr = address.parse().ok()?;
        let bits: u8 = bits.parse().ok()?;
        (bits <= if address.is_ipv4() { 32 } else { 128 }).then_some(())
    });
    if parsed.is_some() {
        return Some(text);
    }
    let fault =
        Fault::new(0..text.len(), "this is not a subnet").help("write it like `10.1.0.0/16`");
    decoder.invalid(path, node, fault)
}

pub(super) fn volume(
    decoder: &mut Decoder<'_>,
    path: &str,
    _key: &str,
    node: &Node,
) -> Option<Volume> {
    if node.is_null() {
        return Some(Volume::default());
    }
    let mut fields = Fields::open(decoder, node, "volume", path)?;
    let (external, external_name) = fields.external();
    let name = fields.string("name").or(external_name).unwrap_or_default();
    if external {
        alone(&mut fields, path, node);
    }
    Some(Volume {
        name,
        external,
        driver: fields.string("driver"),
        driver_opts: fields.pairs("driver_opts"),
        labels: fields.pairs("labels"),
        extensions: fields.extensions(),
    })
}

pub(super) fn config(
    decoder: &mut Decoder<'_>,
    path: &str,
    _key: &str,
    node: &Node,
) -> Option<FileObject> {
    file_object(
        decoder,
        path,
        node,
        "config",
        &["file", "content", "environment"],
    )
}

pub(super) fn secret(
    decoder: &mut Decoder<'_>,
    path: &str,
    _key: &str,
    node: &Node,
) -> Option<FileObject> {
    file_object(decoder, path, node, "secret", &["file", "environment"])
}

fn file_object(
    decoder: &mut Decoder<'_>,
    path: &str,
    node: &Node,
    place: &str,
    origins: &[&str],
) -> Option<FileObject> {
    let mut fields = Fields::open(decoder, node, place, path)?;
    let present = origins
        .iter()
        .filter(|key| fields.get(key).is_some())
        .count();
    let object = FileObject {
        name: fields.string("name").unwrap_or_default(),
        file: fields.string("file"),
        environment: fields.string("environment"),
        content: if place == "config" {
            fields.with("content", Decoder::string)
        } else {
            None
        },
        external: false,
        labels: fields.pairs("labels"),
        extensions: fields.extensions(),
    };
    if present != 1 && node.get("external").is_none() {
        let wanted = origins
            .iter()
            .map(|key| format!("`{key}`"))
            .collect::<Vec<_>>()
            .join(", ");
        let fault = Fault::new(0..0, format!("it needs exactly one of {wanted}"));
        return decoder.invalid(path, node, fault);
    }
    Some(object)
}
