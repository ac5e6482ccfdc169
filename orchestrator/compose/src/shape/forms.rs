//! The short forms with a grammar of their own: builds, devices, mounts, ports.

use super::Findings;
use super::canonical::{reference, wrap};
use crate::diagnostic::Diagnostic;
use crate::grammar::{Fault, mount as short, port};
use crate::model::{Mount, Port};
use crate::source::Span;
use crate::yaml::{Mapping, Node, Resolved, Value};

/// `build`: a context alone, and what has short forms inside.
pub(super) fn build(build: &mut Node, path: &str, findings: &mut Findings<'_>) {
    if build.as_text().is_some() {
        wrap(build, "context");
        return;
    }
    let secrets = build.get_mut("secrets").and_then(Node::sequence_mut);
    secrets.into_iter().flatten().for_each(reference);
    for key in ["provenance", "sbom"] {
        if let Some(node) = build.get_mut(key)
            && let Some(Resolved::Bool(value)) = node.resolved()
        {
            *node = Node::text(value.to_string(), node.span);
        }
    }
    if let Some(contexts) = build.get_mut("additional_contexts") {
        let path = format!("{path}/additional_contexts");
        key_values(contexts, &path, findings, |_| {
            Err(Fault::new(0..0, "it is no `name=context`"))
        });
    }
    if let Some(keys) = build.get_mut("ssh") {
        let path = format!("{path}/ssh");
        key_values(keys, &path, findings, |id| match id {
            "default" => Ok(()),
            _ => Err(Fault::new(0..0, "a key without a path")
                .help("write `default` for the agent, or `name=path`")),
        });
    }
}

/// A list of `key=value` becomes a mapping; `lone` says whether a key alone will do.
fn key_values(
    node: &mut Node,
    path: &str,
    findings: &mut Findings<'_>,
    lone: impl Fn(&str) -> Result<(), Fault>,
) {
    let span = node.span;
    let Some(items) = node.sequence() else {
        return;
    };
    let mut entries: Vec<(String, Node)> = Vec::new();
    for item in items {
        let Some(text) = item.as_text() else { continue };
        match text.split_once('=') {
            Some((key, value)) => entries.push((key.to_owned(), Node::text(value, item.span))),
            None => match lone(text) {
                Ok(()) => entries.push((text.to_owned(), Node::null(item.span))),
                Err(fault) => findings.invalid(path, item, fault),
            },
        }
    }
    *node = Node::mapped(entries, span);
}

/// `source[:target[:permissions]]`
pub(super) fn device(node: &mut Node, path: &str, findings: &mut Findings<'_>) {
    let Some(text) = node.as_text() else { return };
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, permissions) = match *parts.as_slice() {
        [source] => (source, "", "rwm"),
        [source, target] => (source, target, "rwm"),
        [source, target, permissions] => (source, target, permissions),
        _ => {
            let fault = Fault::new(0..text.len(), "too many colons").help("use the long form");
            findings.invalid(path, node, fault);
            return;
        }
    };
    let target = if target.is_empty() { source } else { target };
    let text = |text: &str| Node::text(text, node.span);
    let entries = [
        ("source", text(source)),
        ("target", text(target)),
        ("permissions", text(permissions)),
    ];
    *node = Node::mapped(entries, node.span);
}

/// `[source:]target[:options]`
pub(super) fn mount(node: &mut Node, path: &str, findings: &mut Findings<'_>) {
    let Some(text) = node.as_text() else { return };
    match short::parse(text) {
        Ok((mount, unknown)) => {
            for fault in unknown {
                let span = crate::load::inside(findings.sources, node, fault.range);
                let warning =
                    Diagnostic::warning("compose::mount-option", fault.message).at(span, "");
                let warning = fault.help.into_iter().fold(warning, Diagnostic::help);
                findings.faults.push(warning);
            }
            *node = mount_node(&mount, node.span);
        }
        Err(fault) => findings.invalid(path, node, fault),
    }
}

fn mount_node(mount: &Mount, span: Span) -> Node {
    let text = |text: &str| Node::text(text, span);
    let empty = || Node::new(Value::Mapping(Mapping::new()), span);
    let mut entries = vec![("type", text(mount.kind.as_str()))];
    entries.extend(
        mount
            .source
            .as_deref()
            .map(|source| ("source", text(source))),
    );
    let target = crate::decode::clean_target(&mount.target);
    entries.push(("target", text(&target)));
    if mount.read_only {
        entries.push(("read_only", Node::plain("true", span)));
    }
    if let Some(options) = &mount.bind {
        let mut bind = empty();
        let create = options.create_host_path.to_string();
        bind.default_to("create_host_path", |span| Node::plain(create, span));
        for (key, value) in [
            ("selinux", &options.selinux),
            ("propagation", &options.propagation),
        ] {
            if let Some(value) = value {
                bind.default_to(key, |_| text(value));
            }
        }
        entries.push(("bind", bind));
    }
    if let Some(options) = &mount.volume {
        let mut volume = empty();
        if options.nocopy {
            volume.default_to("nocopy", |span| Node::plain("true", span));
        }
        entries.push(("volume", volume));
    }
    Node::mapped(entries, span)
}

/// Every short port becomes one long form for each port inside, in the order of their names.
pub(super) fn ports(items: &mut Vec<Node>, path: &str, findings: &mut Findings<'_>) {
    let mut out = Vec::with_capacity(items.len());
    let before = findings.lenient.then(|| items.clone());
    for (index, item) in std::mem::take(items).into_iter().enumerate() {
        let text = match item.resolved() {
            Some(Resolved::Text(text)) => text.to_owned(),
            Some(Resolved::Int(number)) => number.to_string(),
            None => {
                out.push(item);
                continue;
            }
            Some(_) => {
                let fault = Fault::new(0..0, "this is no port")
                    .help("write `HOST:CONTAINER`, for example `8080:80`");
                findings.invalid(&format!("{path}/{index}"), &item, fault);
                continue;
            }
        };
        match port::parse(&text) {
            Ok(mut found) => {
                // Compose sorts what a range gives as texts: 100 comes before 99.
                found.sort_by_cached_key(|port| format!("{}/{}", port.target, port.protocol));
                out.extend(found.iter().map(|port| port_node(port, item.span)));
            }
            Err(fault) => {
                if let Some(before) = before {
                    *items = before;
                    return;
                }
                findings.invalid(&format!("{path}/{index}"), &item, fault);
            }
        }
    }
    *items = out;
}

fn port_node(port: &Port, span: Span) -> Node {
    let text = |text: &str| Node::text(text, span);
    let mut entries = vec![("mode", text("ingress"))];
    entries.extend(port.host_ip.as_deref().map(|ip| ("host_ip", text(ip))));
    entries.push(("target", Node::plain(port.target.to_string(), span)));
    if let Some((low, high)) = port.published {
        let published = if low == high {
            low.to_string()
        } else {
            format!("{low}-{high}")
        };
        entries.push(("published", text(&published)));
    }
    entries.push(("protocol", text(port.protocol.as_str())));
    Node::mapped(entries, span)
}
