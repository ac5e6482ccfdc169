//! Published and exposed ports.

use super::fields::Fields;
use super::reader::Decoder;
use crate::grammar::{Fault, port};
use crate::model::Port;
use crate::yaml::Node;

/// All ports; ranges were expanded before.
pub(super) fn ports(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Vec<Port> {
    let mut ports = Vec::new();
    for (index, item) in node.sequence().unwrap_or_default().iter().enumerate() {
        let path = format!("{path}/{index}");
        decoder.remember(&path, None, item.span);
        ports.extend(port(decoder, &path, item));
    }
    ports
}

fn port(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<Port> {
    let mut fields = Fields::open(decoder, node, path)?;
    let target = fields.with("target", Decoder::natural::<u16>);
    let published = fields.with("published", published);
    let protocol = fields.with("protocol", |decoder, path, node| {
        let text = decoder.string(path, node)?;
        port::protocol(&text, 0..text.len())
            .map_err(|fault| decoder.invalid::<()>(path, node, fault))
            .ok()
    });
    Some(Port {
        name: fields.string("name"),
        mode: fields.string("mode"),
        host_ip: fields.string("host_ip"),
        target: target?,
        published,
        protocol: protocol.unwrap_or_default(),
        app_protocol: fields.string("app_protocol"),
    })
}

fn published(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<(u16, u16)> {
    let text = decoder.string_or_number(path, node)?;
    if text.is_empty() {
        return None;
    }
    port::range(&text, 0..text.len())
        .map_err(|fault| decoder.invalid::<()>(path, node, fault))
        .ok()
}

/// `expose`: a port or a range, maybe with a protocol.
pub(super) fn expose(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Vec<String> {
    let exposed = super::lists::numbers_too(decoder, path, node);
    for text in &exposed {
        let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let checked = port::range(ports, 0..ports.len())
            .and_then(|_| port::protocol(protocol, 0..protocol.len()));
        if let Err(fault) = checked {
            let range = 0..0;
            decoder.refuse(path, node, Fault { range, ..fault });
        }
    }
    exposed
}
