//! Ulimits, logging, providers, models.

use std::collections::BTreeMap;

use super::fields::Fields;
use super::reader::Decoder;
use crate::model::{Logging, Model, Provider, ServiceModel, Ulimit};
use crate::yaml::{Node, Resolved, Value};

pub(super) fn ulimits(
    decoder: &mut Decoder<'_>,
    path: &str,
    node: &Node,
) -> BTreeMap<String, Ulimit> {
    let mut ulimits = BTreeMap::new();
    for (name, entry) in node.mapping().into_iter().flatten() {
        let path = format!("{path}/{name}");
        decoder.remember(&path, Some(entry.key_span), entry.value.span);
        ulimits.extend(ulimit(decoder, &path, &entry.value).map(|limit| (name.clone(), limit)));
    }
    ulimits
}

fn ulimit(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<Ulimit> {
    if node.mapping().is_none() {
        return decoder.integer(path, node).map(Ulimit::Single);
    }
    let mut fields = Fields::open(decoder, node, path)?;
    let (soft, hard) = (fields.integer("soft")?, fields.integer("hard")?);
    Some(Ulimit::Pair { soft, hard })
}

pub(super) fn logging(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<Logging> {
    let mut fields = Fields::open(decoder, node, path)?;
    let driver = fields.string("driver");
    let options = fields.pairs("options");
    if let Some(name) = &driver
        && !matches!(name.as_str(), "json-file" | "none")
        && let Some(node) = fields.get("driver")
    {
        let what = format!("the logging driver `{name}`");
        decoder.unsupported(path, node, &what, "use `json-file` or `none`");
    }
    Some(Logging { driver, options })
}

/// Strings by name; whole numbers are taken as they are printed, other scalars are not.
pub(super) fn strings(
    decoder: &mut Decoder<'_>,
    path: &str,
    node: &Node,
) -> BTreeMap<String, String> {
    let mut strings = BTreeMap::new();
    for (name, entry) in node.mapping().into_iter().flatten() {
        let path = format!("{path}/{name}");
        decoder.remember(&path, Some(entry.key_span), entry.value.span);
        let value = match entry.value.resolved() {
            Some(Resolved::Null) => Some(String::new()),
            Some(Resolved::Int(value)) => Some(value.to_string()),
            _ => decoder.string(&path, &entry.value),
        };
        strings.extend(value.map(|value| (name.clone(), value)));
    }
    strings
}

pub(super) fn provider(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<Provider> {
    let mut fields = Fields::open(decoder, node, path)?;
    Some(Provider {
        kind: fields.string("type").unwrap_or_default(),
        options: fields.collect("options", |_, _, node| {
            let entries = node.mapping().into_iter().flatten();
            entries
                .map(|(key, entry)| (key.clone(), values(&entry.value)))
                .collect()
        }),
    })
}

/// A scalar or a list of scalars, as they are printed.
fn values(node: &Node) -> Vec<String> {
    let text = |node: &Node| node.resolved().and_then(Resolved::to_text);
    match &node.value {
        Value::Sequence(items) => items.iter().filter_map(text).collect(),
        _ => text(node).into_iter().collect(),
    }
}

pub(super) fn model(
    decoder: &mut Decoder<'_>,
    path: &str,
    _key: &str,
    node: &Node,
) -> Option<Model> {
    let mut fields = Fields::open(decoder, node, path)?;
    Some(Model {
        name: fields.string("name"),
        model: fields.string("model"),
        context_size: fields.nonzero("context_size"),
        runtime_flags: fields.strings("runtime_flags"),
        extensions: fields.extensions(),
    })
}

pub(super) fn service_model(
    decoder: &mut Decoder<'_>,
    path: &str,
    node: &Node,
) -> Option<ServiceModel> {
    let mut fields = Fields::open(decoder, node, path)?;
    Some(ServiceModel {
        endpoint_var: fields.string("endpoint_var"),
        model_var: fields.string("model_var"),
    })
}
