//! Published and exposed ports.

use super::fields::Fields;
use super::reader::Decoder;
use crate::grammar::{Fault, port};
use crate::model::{Port, Protocol};
use crate::source::Span;
use crate::yaml::{Node, Resolved};

/// All ports, ranges expanded, each published one once.
pub(super) fn ports(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Vec<Port> {
    let mut ports: Vec<(Port, Span)> = Vec::new();
    for item in decoder.list(path, node) {
        let found = match item.mapping() {
            Some(_) => long(decoder, path, item).into_iter().collect(),
            None => short(decoder, path, item).unwrap_or_default(),
        };
        for port in found {
            match ports.iter_mut().find(|(known, _)| key(known) == key(&port)) {
                Some(known) => *known = (port, item.span),
                None => ports.push((port, item.span)),
            }
        }
    }
    for (index, (_, span)) in ports.iter().enumerate() {
        decoder.remember(&format!("{path}/{index}"), None, *span);
    }
    ports.into_iter().map(|(port, _)| port).collect()
}

/// What makes two entries the same.
fn key(port: &Port) -> (&str, Option<(u16, u16)>, u16, Protocol) {
    let ip = port.host_ip.as_deref().unwrap_or("0.0.0.0");
    (ip, port.published, port.target, port.protocol)
}

fn short(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<Vec<Port>> {
    let text = match node.resolved() {
        Some(Resolved::Text(text)) => text.to_owned(),
        Some(Resolved::Int(number)) => number.to_string(),
        _ => return decoder.wrong(path, node, "a list of strings, numbers or mappings"),
    };
    port::parse(&text)
        .map_err(|fault| decoder.invalid::<()>(path, node, fault))
        .ok()
}

fn long(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<Port> {
    let mut fields = Fields::open(decoder, node, "port", path)?;
    let target = fields.with("target", Decoder::natural::<u16>);
    let published = fields.with("published", published);
    let protocol = fields.with("protocol", |decoder, path, node| {
        let text = decoder.string(path, node)?;
        port::protocol(&text, 0..text.len())
            .map_err(|fault| decoder.invalid::<()>(path, node, fault))
            .ok()
    });
    let host_ip = fields.with("host_ip", |decoder, path, node| {
        let text = decoder.string(path, node)?;
        if text.is_empty() || text.parse::<std::net::IpAddr>().is_ok() {
            return Some(text);
        }
        decoder.invalid(
            path,
            node,
            Fault::new(0..text.len(), "this is not an IP address"),
        )
    });
    let (name, app_protocol) = (fields.string("name"), fields.string("app_protocol"));
    let mode = fields.with("mode", |decoder, path, node| {
        decoder.word(path, node, &[("ingress", "ingress"), ("host", "host")])
    });
    let missing = fields.get("target").is_none() || target == Some(0);
    if missing {
        let fault = Fault::new(0..0, "no `target`: the port inside the container");
        return decoder.invalid(path, node, fault);
    }
    Some(Port {
        name,
        mode: Some(mode.unwrap_or("ingress").to_owned()),
        host_ip: host_ip.filter(|ip| !ip.is_empty()),
        target: target?,
        published,
        protocol: protocol.unwrap_or_default(),
        app_protocol,
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
            let _none: Option<()> = decoder.invalid(
                path,
                node,
                Fault {
                    range: 0..0,
                    ..fault
                },
            );
        }
    }
    exposed
}
