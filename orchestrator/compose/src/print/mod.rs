//! The canonical form of a project, as `config` prints it.

mod emit;
mod order;

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::Serialize;

use crate::model::{FileObject, Network, Project, Service, Volume};
use crate::yaml::{Node, Resolved, Value};

/// The parts of a project that `config` prints, in its order and with sorted keys.
#[derive(Debug, Serialize)]
pub(crate) struct Canonical<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    configs: &'a BTreeMap<String, FileObject>,
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
    for key in [
        "name", "services", "networks", "volumes", "secrets", "configs",
    ] {
        root.extend(from.shift_remove(key).map(|value| (key.to_owned(), value)));
    }
    root.extend(from);
    drop_empty(&mut root);
    add_extensions(&mut root, project);
    let mut root = serde_json::Value::Object(root);
    order::sort(&mut root);
    escape(&emit::document(&root))
}

/// Leaves out what Compose writes in JSON only: nothing for `command`, and empty structures.
fn drop_empty(root: &mut serde_json::Map<String, serde_json::Value>) {
    let is_empty =
        |value: &serde_json::Value| value.as_object().is_some_and(serde_json::Map::is_empty);
    let entries =
        |root: &mut serde_json::Map<String, serde_json::Value>,
         section: &str,
         each: &dyn Fn(&mut serde_json::Map<String, serde_json::Value>)| {
            let section = root
                .get_mut(section)
                .and_then(serde_json::Value::as_object_mut);
            section
                .into_iter()
                .flatten()
                .filter_map(|(_, value)| value.as_object_mut())
                .for_each(each);
        };
    entries(root, "services", &|service| {
        service.retain(|key, value| {
            !(matches!(key.as_str(), "command" | "entrypoint") && value.is_null())
        });
        if let Some(deploy) = service
            .get_mut("deploy")
            .and_then(serde_json::Value::as_object_mut)
        {
            deploy.retain(|_, value| !is_empty(value));
        }
    });
    entries(root, "networks", &|network| {
        network.retain(|key, value| key != "ipam" || !is_empty(value));
    });
}

/// Adds the `x-*` keys of services and resources, which Compose writes in YAML only.
fn add_extensions(root: &mut serde_json::Map<String, serde_json::Value>, project: &Project) {
    let services = project
        .services
        .iter()
        .map(|(k, v)| ("services", k, &v.extensions));
    let networks = project
        .networks
        .iter()
        .map(|(k, v)| ("networks", k, &v.extensions));
    let volumes = project
        .volumes
        .iter()
        .map(|(k, v)| ("volumes", k, &v.extensions));
    let configs = project
        .configs
        .iter()
        .map(|(k, v)| ("configs", k, &v.extensions));
    let secrets = project
        .secrets
        .iter()
        .map(|(k, v)| ("secrets", k, &v.extensions));
    for (section, key, extensions) in services
        .chain(networks)
        .chain(volumes)
        .chain(configs)
        .chain(secrets)
    {
        let target = root.get_mut(section).and_then(|all| all.get_mut(key));
        if let Some(target) = target.and_then(serde_json::Value::as_object_mut) {
            target.extend(extensions.clone());
        }
    }
}

/// A dollar has to be read back as one.
fn escape(text: &str) -> String {
    text.replace('$', "$$")
}
