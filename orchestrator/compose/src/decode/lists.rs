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

/// Variables; in a list a name may not end in a space.
pub(super) fn environment(
    decoder: &mut Decoder<'_>,
    path: &str,
    node: &Node,
) -> BTreeMap<String, Option<String>> {
    for item in node.sequence().unwrap_or_default() {
        let text = item.as_text().unwrap_or("");
        let key = text.split_once('=').map_or(text, |(key, _)| key);
        if key.ends_with(char::is_whitespace) {
            let message = format!("`{key}` cannot be the name of a variable");
            decoder.faults.push(
                Diagnostic::error("compose::invalid-value", message)
                    .at(item.span, "")
                    .help("write `NAME=value`, without spaces around the `=`"),
            );
        }
    }
    pairs(decoder, path, node)
}

/// A scalar or a list of strings, as they are.
pub(super) fn strings(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for (index, item) in decoder.items(path, node).into_iter().enumerate() {
        let item_path = format!("{path}/{index}");
        decoder.remember(&item_path, None, item.span);
        out.extend(decoder.string(&item_path, item));
    }
    out
}

/// A list of strings or numbers.
pub(super) fn numbers_too(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for (index, item) in decoder.list(path, node).iter().enumerate() {
        let item_path = format!("{path}/{index}");
        decoder.remember(&item_path, None, item.span);
        out.extend(decoder.string_or_number(&item_path, item));
    }
    out
}

/// Extra hosts in either form, as sorted `name=address`; several addresses are parted by commas.
pub(super) fn hosts(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for item in merge::to_items(node.clone()) {
        let Some(text) = decoder.string(path, &item) else {
            continue;
        };
        let listed = node.sequence().is_some();
        let Some((name, addresses)) = text.split_once('=').or_else(|| text.split_once(':')) else {
            let fault = Fault::new(0..text.len(), "no address")
                .help("write `name=address`, for example `api=10.0.0.5` or `api=host-gateway`");
            let _none: Option<()> = decoder.invalid(path, &item, fault);
            continue;
        };
        if name.is_empty() || name.contains([':', '=']) {
            let fault = Fault::new(0..text.len(), format!("`{name}` is not the name of a host"));
            let _none: Option<()> = decoder.invalid(path, &item, fault);
            continue;
        }
        let separator = if listed { "," } else { "\0" };
        for address in addresses.split(separator) {
            let bare = address
                .strip_prefix('[')
                .and_then(|a| a.strip_suffix(']'))
                .unwrap_or(address);
            if bare != "host-gateway" && bare.parse::<std::net::IpAddr>().is_err() {
                let fault = Fault::new(0..text.len(), format!("`{bare}` is not an IP address"))
                    .help("write an address, or `host-gateway` for the machine itself");
                decoder.refuse(path, &item, fault);
            }
            out.push(format!("{name}={bare}"));
        }
    }
    out.sort();
    out
}
