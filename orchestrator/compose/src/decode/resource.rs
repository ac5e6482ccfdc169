//! Top-level networks, volumes, configs and secrets.

use super::fields::Fields;
use super::reader::Decoder;
use super::settings;
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
    let mut fields = Fields::open(decoder, node, path)?;
    Some(Network {
        name: fields.string("name").unwrap_or_default(),
        external: fields.flag("external"),
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

fn ipam(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<Ipam> {
    let mut fields = Fields::open(decoder, node, path)?;
    Some(Ipam {
        driver: fields.string("driver"),
        config: fields.each("config", pool),
        options: fields.pairs("options"),
    })
}

fn pool(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<IpamPool> {
    let mut fields = Fields::open(decoder, node, path)?;
    let subnet = |text: &str| is_subnet(text);
    let address = |text: &str| text.parse::<std::net::IpAddr>().is_ok();
    Some(IpamPool {
        subnet: fields.with("subnet", |d, p, n| checked(d, p, n, subnet, "a subnet")),
        gateway: fields.with("gateway", |d, p, n| {
            checked(d, p, n, address, "an IP address")
        }),
        ip_range: fields.with("ip_range", |d, p, n| checked(d, p, n, subnet, "a subnet")),
        aux_addresses: fields.pairs("aux_addresses"),
    })
}

/// A string that has to look like something before a network can be made of it.
fn checked(
    decoder: &mut Decoder<'_>,
    path: &str,
    node: &Node,
    good: impl Fn(&str) -> bool,
    what: &str,
) -> Option<String> {
    let text = decoder.string(path, node)?;
    if text.is_empty() {
        return None;
    }
    if !good(&text) {
        let fault = Fault::new(0..text.len(), format!("this is not {what}"));
        let fault = match what {
            "a subnet" => fault.help("write it like `10.1.0.0/16`"),
            _ => fault,
        };
        decoder.refuse(path, node, fault);
    }
    Some(text)
}

fn is_subnet(text: &str) -> bool {
    let parsed = text.split_once('/').and_then(|(address, bits)| {
        let address: std::net::IpAddr = address.parse().ok()?;
        let bits: u8 = bits.parse().ok()?;
        (bits <= if address.is_ipv4() { 32 } else { 128 }).then_some(())
    });
    parsed.is_some()
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
    let mut fields = Fields::open(decoder, node, path)?;
    Some(Volume {
        name: fields.string("name").unwrap_or_default(),
        external: fields.flag("external"),
        driver: fields.string("driver"),
        driver_opts: fields.pairs("driver_opts"),
        labels: fields.pairs("labels"),
        extensions: fields.extensions(),
    })
}

/// A config or a secret.
pub(super) fn file_object(
    decoder: &mut Decoder<'_>,
    path: &str,
    _key: &str,
    node: &Node,
) -> Option<FileObject> {
    let mut fields = Fields::open(decoder, node, path)?;
    let environment = fields.string("environment");
    Some(FileObject {
        name: fields.string("name").unwrap_or_default(),
        file: fields.string("file"),
        environment,
        content: fields.string("content"),
        external: fields.flag("external"),
        labels: fields.pairs("labels"),
        driver: fields.string("driver"),
        driver_opts: fields.collect("driver_opts", settings::strings),
        template_driver: fields.string("template_driver"),
        extensions: fields.extensions(),
    })
}
