//! Lists of strings, and the fields that are a list or a mapping.

use std::collections::BTreeMap;

use super::reader::Decoder;
use crate::diagnostic::Diagnostic;
use crate::grammar::Fault;
use crate::merge;
use crate::yaml::{Node, Resolved};

/// `KEY=VALUE` items or a mapping; a key alone, or a null, has no value.
pub(super) fn pairs(
    decoder: &mut Decoder<'_>,
    path: &str,
    node: &Node,
) -> BTreeMap<String, Option<String>> {
    let mut pairs = BTreeMap::new();
    if let Some(items) = node.sequence() {
        for item in items {
            let Some(Resolved::Text(text)) = item.resolved() else {
                let _none: Option<()> = decoder.wrong(path, item, "a list of `KEY=VALUE` strings");
                continue;
            };
            let (key, value) = match text.split_once('=') {
                Some((key, value)) => (key, Some(value.to_owned())),
                None => (text, None),
            };
            decoder.remember(&format!("{path}/{key}"), None, item.span);
            pairs.insert(key.to_owned(), value);
        }
        return pairs;
    }
    let Some(mapping) = node.mapping() else {
        let _none: Option<()> = decoder.wrong(path, node, "a mapping or a list");
        return pairs;
    };
    for (key, entry) in mapping {
        let path = format!("{path}/{key}");
        decoder.remember(&path, Some(entry.key_span), entry.value.span);
        if entry.value.is_null() {
            pairs.insert(key.clone(), None);
        } else if let Some(value) = decoder.printed(&path, &entry.value) {
            pairs.insert(key.clone(), Some(value));
        }
    }
    pairs
}

/// Variables; a name may neither be empty nor end in a space.
pub(super) fn environment(
    decoder: &mut Decoder<'_>,
    path: &str,
    node: &Node,
) -> BTreeMap<String, Option<String>> {
    let pairs = pairs(decoder, path, node);
    for key in pairs
        .keys()
        .filter(|key| key.is_empty() || key.trim() != key.as_str())
    {
        let span = decoder.spans.nearest(&format!("{path}/{key}"));
        decoder.faults.push(
            Diagnostic::error(
                "compose::invalid-value",
                format!("`{key}` cannot be the name of a variable"),
            )
            .at(span.map(|place| place.key.unwrap_or(place.value)), "")
            .help("write `NAME=value`, without spaces around the `=`"),
        );
    }
    pairs
}

/// A scalar or a list of strings; empty ones are dropped, repetitions too.
pub(super) fn unique(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for (index, item) in decoder.items(path, node).into_iter().enumerate() {
        let item_path = format!("{path}/{index}");
        decoder.remember(&item_path, None, item.span);
        match decoder.string(&item_path, item) {
            Some(text) if !text.is_empty() && !out.contains(&text) => out.push(text),
            _ => {}
        }
    }
    out
}

/// A list of strings or numbers without repetitions.
pub(super) fn numbers_too(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for (index, item) in decoder.list(path, node).iter().enumerate() {
        let item_path = format!("{path}/{index}");
        decoder.remember(&item_path, None, item.span);
        match decoder.string_or_number(&item_path, item) {
            Some(text) if !out.contains(&text) => out.push(text),
            _ => {}
        }
    }
    out
}

/// Extra hosts in either form, as sorted `name=address`.
pub(super) fn hosts(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Vec<String> {
    let mut out: Vec<(String, String)> = Vec::new();
    for item in merge::hosts_to_list(node.clone(), &mut decoder.faults) {
        let Some(text) = decoder.string(path, &item) else {
            continue;
        };
        let Some((name, address)) = text.split_once('=').or_else(|| text.split_once(':')) else {
            let fault = Fault::new(0..text.len(), "no address")
                .help("write `name=address`, for example `api=10.0.0.5` or `api=host-gateway`");
            let _none: Option<()> = decoder.invalid(path, &item, fault);
            continue;
        };
        let bare = address
            .strip_prefix('[')
            .and_then(|a| a.strip_suffix(']'))
            .unwrap_or(address);
        let host = (name.trim().to_owned(), bare.trim().to_owned());
        if host.1 != "host-gateway" && host.1.parse::<std::net::IpAddr>().is_err() {
            let fault = Fault::new(0..text.len(), format!("`{bare}` is not an IP address"))
                .help("write an address, or `host-gateway` for the machine itself");
            let _none: Option<()> = decoder.invalid(path, &item, fault);
        } else if !out.contains(&host) {
            out.push(host);
        }
    }
    let mut out: Vec<String> = out
        .into_iter()
        .map(|(name, address)| format!("{name}={address}"))
        .collect();
    out.sort();
    out
}
