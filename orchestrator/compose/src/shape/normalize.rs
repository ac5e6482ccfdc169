//! What follows from what was written: the default network, implied dependencies, inherited
//! variables, names in the engine.

use std::collections::BTreeMap;

use super::{section, workloads};
use crate::diagnostic::Diagnostic;
use crate::merge;
use crate::schema;
use crate::yaml::{Entry, Mapping, Node, Resolved, Scalar, Value};

type Env = BTreeMap<String, String>;

/// Completes a whole project's tree.
pub(crate) fn normalize(
    root: &mut Node,
    project: &str,
    environment: &Env,
    faults: &mut Vec<Diagnostic>,
) {
    default_network(root);
    for entry in workloads(root) {
        let service = &mut entry.value;
        build(service, environment);
        if let Some(variables) = service.get_mut("environment") {
            inherit(variables, environment, true);
        }
        dependencies(service);
        let mounts = service.get_mut("volumes").and_then(Node::sequence_mut);
        for target in mounts
            .into_iter()
            .flatten()
            .filter_map(|m| m.get_mut("target"))
        {
            if let Some(text) = target.as_text() {
                let text = crate::load::path::clean(text);
                target.value = Value::Scalar(Scalar { text, plain: false });
            }
        }
        if let Some(policy) = service.get_mut("pull_policy")
            && policy.as_text() == Some("if_not_present")
        {
            *policy = Node::text("missing", policy.span);
        }
        pre_start(service, faults);
    }
    names(root, project);
}

/// Variables in the form of a list, without a value: they take the environment's.
pub(crate) fn listed_variables(root: &mut Node, environment: &Env) {
    for entry in workloads(root) {
        if let Some(variables) = entry.value.get_mut("environment")
            && variables.sequence().is_some()
        {
            inherit(variables, environment, true);
        }
    }
}

fn inherit(variables: &mut Node, environment: &Env, keep: bool) {
    match &mut variables.value {
        Value::Sequence(items) => {
            for item in items.iter_mut() {
                if let Some(name) = item.as_text()
                    && !name.contains('=')
                    && let Some(value) = environment.get(name)
                {
                    *item = Node::text(format!("{name}={value}"), item.span);
                }
            }
            if !keep {
                items.retain(|item| item.as_text().is_none_or(|text| text.contains('=')));
            }
        }
        Value::Mapping(mapping) => {
            for (name, entry) in mapping.iter_mut() {
                if entry.value.is_null()
                    && let Some(value) = environment.get(name)
                {
                    entry.value = Node::text(value, entry.key_span);
                }
            }
            if !keep {
                mapping.retain(|_, entry| !entry.value.is_null());
            }
        }
        Value::Scalar(_) => {}
    }
}

fn build(service: &mut Node, environment: &Env) {
    let Some(build) = service.get_mut("build") else {
        return;
    };
    build.default_to("context", |span| Node::text(".", span));
    if build.get("dockerfile_inline").is_none() {
        build.default_to("dockerfile", |span| Node::text("Dockerfile", span));
    }
    if let Some(arguments) = build.get_mut("args") {
        inherit(arguments, environment, false);
    }
}

/// A service that says nothing about networks is on the default one.
fn default_network(root: &mut Node) {
    let mut used = None;
    for entry in workloads(root) {
        let service = &mut entry.value;
        if service.get("provider").is_some() || service.get("network_mode").is_some() {
            continue;
        }
        let span = service.span;
        let Some(mapping) = service.mapping_mut() else {
            continue;
        };
        let on_default = match mapping.get("networks").map(|entry| &entry.value) {
            None => true,
            Some(networks) => networks.mapping().is_some_and(Mapping::is_empty),
        };
        if on_default {
            let value = Node::mapped([("default", Node::null(span))], span);
            let key_span = span;
            mapping.insert("networks".to_owned(), Entry { key_span, value });
        }
        let networks = mapping.get("networks").map(|entry| &entry.value);
        if networks.is_some_and(|networks| networks.get("default").is_some()) {
            used = Some(span);
        }
    }
    if let Some(span) = used {
        root.default_to("networks", |_| {
            Node::new(Value::Mapping(Mapping::new()), span)
        });
        if let Some(networks) = root.get_mut("networks") {
            networks.default_to("default", |_| Node::null(span));
        }
    }
}

/// Links, shared namespaces and shared volumes need their other side to be there first.
fn dependencies(service: &mut Node) {
    let texts = |key: &str| -> Vec<Node> {
        let items = service.get(key).and_then(Node::sequence);
        items.into_iter().flatten().cloned().collect()
    };
    let mut implied: Vec<(String, bool, Node)> = Vec::new();
    for link in texts("links") {
        if let Some(text) = link.as_text() {
            let parts: Vec<&str> = text.split(':').collect();
            let name = if parts.len() == 2 { parts[0] } else { text };
            implied.push((name.to_owned(), true, link));
        }
    }
    for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        if let Some(node) = service.get(key)
            && let Some(name) = node.as_text().and_then(|t| t.strip_prefix("service:"))
        {
            implied.push((name.to_owned(), true, node.clone()));
        }
    }
    for shared in texts("volumes_from") {
        if let Some(text) = shared.as_text()
            && !text.starts_with("container:")
        {
            let name = text.split(':').next().unwrap_or(text);
            implied.push((name.to_owned(), false, shared));
        }
    }
    if implied.is_empty() {
        return;
    }
    service.default_to("depends_on", |span| {
        Node::new(Value::Mapping(Mapping::new()), span)
    });
    let Some(depends_on) = service.get_mut("depends_on") else {
        return;
    };
    for (name, restart, from) in implied {
        let entries = [
            ("condition", Node::text("service_started", from.span)),
            ("restart", Node::plain(restart.to_string(), from.span)),
            ("required", Node::plain("true", from.span)),
        ];
        let dependency = Node::mapped(entries, from.span);
        if let Some(mapping) = depends_on.mapping_mut() {
            let key_span = from.span;
            mapping.entry(name).or_insert(Entry {
                key_span,
                value: dependency,
            });
        }
    }
}

/// What runs before a service runs as the service would, but for its volumes.
fn pre_start(service: &mut Node, faults: &mut Vec<Diagnostic>) {
    let span = service.span;
    let (Some(own), Some(hooks)) = (service.mapping(), service.get("pre_start")) else {
        return;
    };
    let Some(hooks) = hooks.sequence() else {
        return;
    };
    let known = schema::places().get("container");
    let shared: Mapping = own
        .iter()
        .filter(|(key, _)| {
            key.as_str() != "volumes" && known.is_some_and(|keys| keys.contains_key(key.as_str()))
        })
        .map(|(key, entry)| (key.clone(), entry.clone()))
        .collect();
    let shared = Node::new(Value::Mapping(shared), span);
    let hooks: Vec<Node> = hooks
        .iter()
        .map(|hook| merge::merge_entry_of("services", "*", shared.clone(), hook.clone(), faults))
        .collect();
    if let Some(node) = service.get_mut("pre_start") {
        node.value = Value::Sequence(hooks);
    }
}

/// Resources without a name of their own are named after the project and their key.
fn names(root: &mut Node, project: &str) {
    for kind in ["networks", "volumes", "configs", "secrets"] {
        for (key, entry) in section(root, kind).into_iter().flatten() {
            let resource = &mut entry.value;
            let span = entry.key_span;
            if resource.is_null() {
                *resource = Node::new(Value::Mapping(Mapping::new()), span);
            }
            let external = resource.get("external").and_then(Node::resolved);
            let external = external == Some(Resolved::Bool(true));
            resource.default_to("name", |_| match external {
                true => Node::text(key, span),
                false => Node::text(format!("{project}_{key}"), span),
            });
        }
    }
}
