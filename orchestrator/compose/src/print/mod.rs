//! The canonical form of a project, as `config` prints it.

mod differences;
mod emit;
pub mod hashed;
mod order;

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::Serialize;

use crate::model::{FileObject, Job, Network, Project, Service, Volume};
use crate::yaml::{Node, Resolved, Value};

/// The parts of a project that `config` prints, in its order and with sorted keys.
#[derive(Debug, Serialize)]
pub(crate) struct Canonical<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    configs: &'a BTreeMap<String, FileObject>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    jobs: &'a BTreeMap<String, Job>,
    name: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    networks: &'a BTreeMap<String, Network>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    secrets: &'a BTreeMap<String, FileObject>,
    services: BTreeMap<&'a str, &'a Service>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    volumes: &'a BTreeMap<String, Volume>,
    #[serde(flatten)]
    extensions: &'a BTreeMap<String, serde_json::Value>,
}

/// The canonical view of a project.
pub(crate) fn canonical(project: &Project) -> Canonical<'_> {
    Canonical {
        configs: &project.configs,
        jobs: &project.jobs,
        name: &project.name,
        networks: &project.networks,
        secrets: &project.secrets,
        services: sorted(&project.services),
        volumes: &project.volumes,
        extensions: &project.extensions,
    }
}

fn sorted(services: &IndexMap<String, Service>) -> BTreeMap<&str, &Service> {
    services
        .iter()
        .map(|(name, service)| (name.as_str(), service))
        .collect()
}

/// A tree without a type of its own (`x-*`) as JSON.
pub(crate) fn plain_json(node: &Node) -> serde_json::Value {
    use serde_json::Value as Json;
    match &node.value {
        Value::Sequence(items) => items.iter().map(plain_json).collect(),
        // Go keeps such a mapping without an order and prints it sorted.
        Value::Mapping(mapping) => mapping
            .iter()
            .map(|(key, entry)| (key.clone(), plain_json(&entry.value)))
            .collect::<BTreeMap<_, _>>()
            .into_iter()
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Scalar(scalar) => match scalar.resolved() {
            Resolved::Null => Json::Null,
            Resolved::Bool(value) => value.into(),
            Resolved::Int(value) => match (i64::try_from(value), u64::try_from(value)) {
                (Ok(value), _) => value.into(),
                (_, Ok(value)) => value.into(),
                _ => scalar.text.clone().into(),
            },
            Resolved::Float(value) => float_json(value, &scalar.text),
            Resolved::Timestamp(text) | Resolved::Text(text) => text.into(),
        },
    }
}

/// A whole float is printed without its point; what JSON cannot say stays a text.
fn float_json(value: f64, text: &str) -> serde_json::Value {
    match format!("{value}").parse::<i64>() {
        Ok(whole) => whole.into(),
        Err(_) => serde_json::Number::from_f64(value)
            .map_or_else(|| text.into(), serde_json::Value::Number),
    }
}

/// The project as `config --format json` prints it.
#[must_use]
pub fn json(project: &Project) -> String {
    let mut text = serde_json::to_string_pretty(&canonical(project)).unwrap_or_default();
    text.push('\n');
    escape(&text)
}

/// The project as `config` prints it.
#[must_use]
pub fn yaml(project: &Project) -> String {
    let canonical = serde_json::to_value(canonical(project)).unwrap_or_default();
    let serde_json::Value::Object(mut from) = canonical else {
        return String::new();
    };
    let mut root = serde_json::Map::new();
    if !project.models.is_empty() {
        let models = serde_json::to_value(&project.models).unwrap_or_default();
        from.insert("models".to_owned(), models);
    }
    for key in [
        "name", "services", "jobs", "networks", "volumes", "secrets", "configs", "models",
    ] {
        root.extend(from.shift_remove(key).map(|value| (key.to_owned(), value)));
    }
    root.extend(from);
    let mut root = serde_json::Value::Object(root);
    differences::apply(&mut root);
    for extension in &project.nested_extensions {
        differences::extend(&mut root, extension);
    }
    order::sort(&mut root);
    escape(&emit::document(&root))
}

/// A tree that is no model yet, with its dollars as they are.
#[must_use]
pub fn tree_json(tree: &serde_json::Value) -> String {
    let mut text = serde_json::to_string_pretty(tree).unwrap_or_default();
    text.push('\n');
    text
}

/// The same as YAML.
#[must_use]
pub fn tree_yaml(tree: &serde_json::Value) -> String {
    let mut tree = tree.clone();
    order::sort_all(&mut tree);
    emit::document(&tree)
}

/// A dollar has to be read back as one.
fn escape(text: &str) -> String {
    text.replace('$', "$$")
}
