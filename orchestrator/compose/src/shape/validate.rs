//! What the types of values cannot say: keys that exclude each other, addresses, blanks.

use std::net::IpAddr;

use super::Findings;
use crate::diagnostic::Diagnostic;
use crate::grammar::Fault;
use crate::schema::described;
use crate::source::Span;
use crate::yaml::{Mapping, Node, Resolved};

/// Checks a merged tree in its long forms.
pub(crate) fn validate(root: &Node, findings: &mut Findings<'_>) {
    let entries = |key: &str| root.get(key).and_then(Node::mapping).into_iter().flatten();
    for (name, entry) in entries("services") {
        service(&entry.value, &format!("services/{name}"), findings);
    }
    for (name, entry) in entries("volumes") {
        external(&entry.value, &format!("volumes/{name}"), findings);
    }
    for (name, entry) in entries("configs") {
        let place = (format!("configs/{name}"), entry.key_span);
        origin(
            &entry.value,
            place,
            &["file", "environment", "content"],
            findings,
        );
    }
    for (name, entry) in entries("secrets") {
        let place = (format!("secrets/{name}"), entry.key_span);
        origin(&entry.value, place, &["file", "environment"], findings);
    }
}

fn items<'n>(node: &'n Node, key: &str) -> impl Iterator<Item = &'n Node> {
    node.get(key).and_then(Node::sequence).into_iter().flatten()
}

fn service(service: &Node, path: &str, findings: &mut Findings<'_>) {
    for (index, port) in items(service, "ports").enumerate() {
        if let Some(ip) = port.get("host_ip")
            && let Some(text) = ip.as_text()
            && text.parse::<IpAddr>().is_err()
        {
            let fault = Fault::new(0..text.len(), "this is not an IP address");
            findings.invalid(&format!("{path}/ports/{index}/host_ip"), ip, fault);
        }
    }
    let watch = service.get("develop");
    for rule in watch
        .into_iter()
        .flat_map(|develop| items(develop, "watch"))
    {
        if let Some(place) = rule.get("path")
            && place.as_text() == Some("")
        {
            let fault = Fault::new(0..0, "this path is empty");
            findings.invalid(&format!("{path}/develop/watch/path"), place, fault);
        }
    }
    let reservations = service
        .get("deploy")
        .and_then(|deploy| deploy.get("resources")?.get("reservations"));
    let requests = reservations
        .into_iter()
        .flat_map(|reservations| items(reservations, "devices"))
        .chain(items(service, "gpus"));
    for request in requests {
        if let (Some(count), Some(ids)) = (key(request, "count"), key(request, "device_ids")) {
            findings.faults.push(
                Diagnostic::error(
                    "compose::contradiction",
                    format!(
                        "{} asks for a number of devices and for certain ones",
                        described(path)
                    ),
                )
                .at(count, "")
                .context(ids, "")
                .help("keep `count` or `device_ids`"),
            );
        }
    }
}

fn key(node: &Node, key: &str) -> Option<Span> {
    Some(node.mapping()?.get(key)?.key_span)
}

fn is_true(mapping: &Mapping, key: &str) -> bool {
    mapping
        .get(key)
        .is_some_and(|entry| entry.value.resolved() == Some(Resolved::Bool(true)))
}

/// What is external is configured by whoever made it.
fn external(volume: &Node, path: &str, findings: &mut Findings<'_>) {
    let Some(mapping) = volume.mapping().filter(|m| is_true(m, "external")) else {
        return;
    };
    let allowed = |key: &str| matches!(key, "external" | "name") || key.starts_with("x-");
    if let Some((key, entry)) = mapping.iter().find(|(key, _)| !allowed(key)) {
        let external = mapping.get("external").map(|entry| entry.key_span);
        findings.faults.push(
            Diagnostic::error(
                "compose::contradiction",
                format!("{} is external and has `{key}`", described(path)),
            )
            .at(entry.key_span, "")
            .context(external, "")
            .help("an external volume has only `external: true` and `name:`"),
        );
    }
}

/// Where the text of a config or secret comes from.
fn origin(
    object: &Node,
    (path, at): (String, Span),
    origins: &[&str],
    findings: &mut Findings<'_>,
) {
    let Some(mapping) = object.mapping() else {
        return;
    };
    let present: Vec<Span> = origins
        .iter()
        .filter_map(|origin| Some(mapping.get(*origin)?.key_span))
        .collect();
    let names: Vec<String> = origins.iter().map(|origin| format!("`{origin}`")).collect();
    let what = described(&path);
    let names = names.join(", ");
    if let [first, second, ..] = present.as_slice() {
        findings.faults.push(
            Diagnostic::error(
                "compose::contradiction",
                format!("{what} has more than one of {names}"),
            )
            .at(*second, "")
            .context(*first, ""),
        );
    } else if present.is_empty()
        && !mapping.contains_key("driver")
        && !mapping.contains_key("external")
    {
        findings.faults.push(
            Diagnostic::error(
                "compose::missing-key",
                format!("{what} has none of {names}"),
            )
            .at(at, "")
            .help("say where its text comes from, or `external: true`"),
        );
    }
}
