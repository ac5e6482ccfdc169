//! One entry for each thing: a later item of a list takes the place of an earlier one that is about
//! the same.

use std::collections::HashMap;

use super::{Findings, section};
use crate::grammar::{Fault, mount};
use crate::yaml::{Mapping, Node, Resolved};

/// What an item is about; `None` leaves it alone.
type Key = fn(&Node) -> Result<Option<String>, Fault>;

const SERVICE: [(&str, Key); 19] = [
    ("annotations", pair),
    ("cap_add", pair),
    ("cap_drop", pair),
    ("configs", config),
    ("devices", device),
    ("dns", pair),
    ("dns_opt", pair),
    ("dns_search", pair),
    ("env_file", env_file),
    ("environment", pair),
    ("expose", expose),
    ("labels", pair),
    ("links", pair),
    ("ports", port),
    ("profiles", pair),
    ("secrets", secret),
    ("sysctls", pair),
    ("tmpfs", pair),
    ("volumes", volume),
];

/// Applies the rule of each list in a tree.
pub(crate) fn unique(root: &mut Node, findings: &mut Findings<'_>) {
    for (name, entry) in section(root, "services").into_iter().flatten() {
        let Some(service) = entry.value.mapping_mut() else {
            continue;
        };
        let path = format!("services/{name}");
        for (key, index) in SERVICE {
            list(service, key, &path, index, findings);
        }
        if let Some(build) = nested(service, "build") {
            for key in ["args", "additional_contexts", "tags", "labels"] {
                list(build, key, &format!("{path}/build"), pair, findings);
            }
        }
        if let Some(deploy) = nested(service, "deploy") {
            list(deploy, "labels", &format!("{path}/deploy"), pair, findings);
        }
        for (network, entry) in nested(service, "networks").into_iter().flatten() {
            if let Some(attachment) = entry.value.mapping_mut() {
                let path = format!("{path}/networks/{network}");
                list(attachment, "aliases", &path, pair, findings);
                list(attachment, "link_local_ips", &path, pair, findings);
            }
        }
    }
    for (name, entry) in section(root, "networks").into_iter().flatten() {
        if let Some(network) = entry.value.mapping_mut() {
            list(
                network,
                "labels",
                &format!("networks/{name}"),
                pair,
                findings,
            );
        }
    }
}

fn nested<'n>(mapping: &'n mut Mapping, key: &str) -> Option<&'n mut Mapping> {
    mapping.get_mut(key)?.value.mapping_mut()
}

fn list(mapping: &mut Mapping, key: &str, path: &str, index: Key, findings: &mut Findings<'_>) {
    let Some(items) = mapping
        .get_mut(key)
        .and_then(|entry| entry.value.sequence_mut())
    else {
        return;
    };
    if items.len() < 2 && !matches!(key, "expose" | "volumes" | "ports" | "devices") {
        return;
    }
    let mut places: HashMap<String, usize> = HashMap::with_capacity(items.len());
    let mut out: Vec<Node> = Vec::with_capacity(items.len());
    for (number, item) in std::mem::take(items).into_iter().enumerate() {
        match index(&item) {
            Ok(None) => out.push(item),
            Ok(Some(about)) => match places.get(&about) {
                Some(place) => out[*place] = item,
                None => {
                    places.insert(about, out.len());
                    out.push(item);
                }
            },
            Err(fault) => {
                findings.invalid(&format!("{path}/{key}/{number}"), &item, fault);
                out.push(item);
            }
        }
    }
    *items = out;
}

/// What stands before the `=`. What is no string is told of by the schema.
#[expect(clippy::unnecessary_wraps, reason = "one of several with one type")]
fn pair(item: &Node) -> Result<Option<String>, Fault> {
    let text = item.as_text();
    Ok(text.map(|text| text.split_once('=').map_or(text, |(key, _)| key).to_owned()))
}

fn target(item: &Node, what: &str) -> Result<Option<String>, Fault> {
    match item.get("target").map(Node::resolved) {
        Some(Some(resolved)) => Ok(resolved.to_text()),
        Some(None) => Ok(None),
        None => Err(Fault::new(0..0, format!("no `target`: {what}"))),
    }
}

fn volume(item: &Node) -> Result<Option<String>, Fault> {
    if item.mapping().is_some() {
        return target(item, "the path inside the container");
    }
    // A faulty short form is told of when it becomes a long one.
    let parsed = item.as_text().and_then(|text| mount::parse(text).ok());
    Ok(parsed.map(|(mount, _)| mount.target))
}

fn device(item: &Node) -> Result<Option<String>, Fault> {
    if item.mapping().is_some() {
        return target(item, "the path inside the container");
    }
    Ok(item.as_text().map(|text| {
        let mut parts = text.split(':');
        let source = parts.next().unwrap_or("");
        parts.next().unwrap_or(source).to_owned()
    }))
}

#[expect(clippy::unnecessary_wraps, reason = "one of several with one type")]
fn config(item: &Node) -> Result<Option<String>, Fault> {
    Ok(reference(item, ""))
}

#[expect(clippy::unnecessary_wraps, reason = "one of several with one type")]
fn secret(item: &Node) -> Result<Option<String>, Fault> {
    Ok(reference(item, "/run/secrets"))
}

fn reference(item: &Node, folder: &str) -> Option<String> {
    if let Some(source) = item.as_text() {
        return Some(format!("{folder}/{source}"));
    }
    item.mapping()?;
    match item.get("target").and_then(Node::as_text) {
        Some(target) => Some(target.to_owned()),
        None => {
            let source = item.get("source").and_then(Node::as_text).unwrap_or("");
            Some(format!("{folder}/{source}"))
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "one of several with one type")]
fn env_file(item: &Node) -> Result<Option<String>, Fault> {
    let path = item.get("path").unwrap_or(item);
    Ok(path.as_text().map(str::to_owned))
}

fn expose(item: &Node) -> Result<Option<String>, Fault> {
    match item.resolved() {
        Some(Resolved::Text(text)) => Ok(Some(text.to_owned())),
        Some(Resolved::Int(number)) => Ok(Some(number.to_string())),
        Some(Resolved::Float(_)) => Err(Fault::new(0..0, "a port is a whole number")),
        _ => Ok(None),
    }
}

fn port(item: &Node) -> Result<Option<String>, Fault> {
    if item.mapping().is_none() {
        return Ok(item.resolved().and_then(Resolved::to_text));
    }
    if item.get("target").is_none() {
        return Err(Fault::new(
            0..0,
            "no `target`: the port inside the container",
        ));
    }
    // A number and the same number as a text are two things here.
    let shown = |key: &str, default: &str| match item.get(key).and_then(Node::resolved) {
        Some(Resolved::Int(number)) if key == "published" => format!("int {number}"),
        Some(resolved) => resolved.to_text().unwrap_or_default(),
        None => default.to_owned(),
    };
    Ok(Some(format!(
        "{} {} {} {}",
        shown("host_ip", "0.0.0.0"),
        shown("published", "none"),
        shown("target", ""),
        shown("protocol", "tcp"),
    )))
}
