//! Short forms become long forms.

use super::{Findings, forms, section};
use crate::diagnostic::Diagnostic;
use crate::grammar::Fault;
use crate::yaml::{Entry, Mapping, Node, Value};

/// Rewrites a tree. What has a wrong type stays as it is, the schema has told of it already.
pub(crate) fn canonical(root: &mut Node, findings: &mut Findings<'_>) {
    for (name, entry) in section(root, "services").into_iter().flatten() {
        let path = format!("services/{name}");
        service(&mut entry.value, &path, findings);
    }
    for (name, entry) in section(root, "jobs").into_iter().flatten() {
        let path = format!("jobs/{name}");
        container(&mut entry.value, &path, findings);
    }
    for kind in ["networks", "volumes", "secrets", "configs"] {
        for (name, entry) in section(root, kind).into_iter().flatten() {
            external(&mut entry.value, &format!("{kind}/{name}"), findings);
        }
    }
}

fn service(service: &mut Node, path: &str, findings: &mut Findings<'_>) {
    container(service, path, findings);
    if let Some(extends) = service.get_mut("extends")
        && extends.as_text().is_some()
    {
        wrap(extends, "service");
    }
    let watch = service.get_mut("develop").and_then(|d| d.get_mut("watch"));
    for rule in watch.and_then(Node::sequence_mut).into_iter().flatten() {
        for key in ["ignore", "include"] {
            rule.get_mut(key).map(to_list);
        }
    }
    let hooks = service.get_mut("pre_start").and_then(Node::sequence_mut);
    for (index, hook) in hooks.into_iter().flatten().enumerate() {
        container(hook, &format!("{path}/pre_start/{index}"), findings);
    }
}

fn container(service: &mut Node, path: &str, findings: &mut Findings<'_>) {
    if let Some(build) = service.get_mut("build") {
        forms::build(build, &format!("{path}/build"), findings);
    }
    if let Some(depends_on) = service.get_mut("depends_on") {
        self::depends_on(depends_on);
    }
    for key in ["networks", "models"] {
        service.get_mut(key).map(names_to_map);
    }
    for key in ["label_file", "dns", "env_file"] {
        service.get_mut(key).map(to_list);
    }
    if let Some(items) = service.get_mut("dns").and_then(Node::sequence_mut) {
        items.retain(|item| !item.is_null() && item.as_text() != Some(""));
    }
    for file in items(service, "env_file") {
        if file.as_text().is_some() {
            wrap(file, "path");
        }
        file.default_to("required", |span| Node::plain("true", span));
    }
    if let Some(gpus) = service.get_mut("gpus")
        && gpus.as_text().is_some()
    {
        wrap(gpus, "count");
        to_list(gpus);
    }
    for key in ["secrets", "configs"] {
        for item in items(service, key) {
            reference(item);
        }
    }
    for (index, item) in items(service, "devices").enumerate() {
        forms::device(item, &format!("{path}/devices/{index}"), findings);
    }
    for (index, item) in items(service, "volumes").enumerate() {
        forms::mount(item, &format!("{path}/volumes/{index}"), findings);
    }
    if let Some(Value::Sequence(items)) = service.get_mut("ports").map(|ports| &mut ports.value) {
        forms::ports(items, &format!("{path}/ports"), findings);
    }
}

fn items<'n>(service: &'n mut Node, key: &str) -> impl Iterator<Item = &'n mut Node> {
    service
        .get_mut(key)
        .and_then(Node::sequence_mut)
        .into_iter()
        .flatten()
}

/// A config or secret by its name alone.
pub(super) fn reference(item: &mut Node) {
    if item.as_text().is_some() {
        wrap(item, "source");
    }
}

/// A value becomes a mapping with it under one key.
pub(super) fn wrap(node: &mut Node, key: &str) {
    let span = node.span;
    let inner = std::mem::replace(node, Node::null(span));
    *node = Node::mapped([(key, inner)], span);
}

/// A string becomes a list of it.
fn to_list(node: &mut Node) {
    if node.as_text().is_some() || node.mapping().is_some() {
        let span = node.span;
        let inner = std::mem::replace(node, Node::null(span));
        *node = Node::new(Value::Sequence(vec![inner]), span);
    }
}

/// A list of names becomes a mapping of names to nothing.
fn names_to_map(node: &mut Node) {
    let span = node.span;
    if let Some(items) = node.sequence() {
        let names = items
            .iter()
            .filter_map(|item| Some((item.as_text()?.to_owned(), Node::null(item.span))));
        *node = Node::mapped(names, span);
    }
}

fn depends_on(node: &mut Node) {
    if node.sequence().is_some() {
        let span = node.span;
        let names = node.sequence().into_iter().flatten();
        let empty = |item: &Node| Node::new(Value::Mapping(Mapping::new()), item.span);
        let entries: Vec<_> = names
            .filter_map(|item| Some((item.as_text()?.to_owned(), empty(item))))
            .collect();
        *node = Node::mapped(entries, span);
    }
    for (_, entry) in node.mapping_mut().into_iter().flatten() {
        let dependency = &mut entry.value;
        dependency.default_to("condition", |span| Node::text("service_started", span));
        dependency.default_to("required", |span| Node::plain("true", span));
    }
}

/// `external: {name: x}` is an old way to write `external: true` and `name: x`.
fn external(resource: &mut Node, path: &str, findings: &mut Findings<'_>) {
    let Some(mapping) = resource.mapping_mut() else {
        return;
    };
    let Some(old) = mapping
        .get("external")
        .filter(|e| e.value.mapping().is_some())
    else {
        return;
    };
    let span = old.value.span;
    let inner = old.value.get("name").cloned();
    if let Some(entry) = mapping.get_mut("external") {
        entry.value = Node::plain("true", span);
    }
    let Some(inner) = inner else { return };
    findings.faults.push(
        Diagnostic::warning("compose::external-name", "`external.name` is obsolete")
            .at(inner.span, "")
            .help("write `external: true` and `name:` beside each other"),
    );
    match mapping.get("name") {
        Some(name) if name.value.as_text() != inner.as_text() => {
            let fault = Fault::new(0..0, "`name` and `external.name` differ")
                .help("keep `name` and write `external: true`");
            findings.invalid(path, &inner, fault);
        }
        Some(_) => {}
        None => {
            let entry = Entry {
                key_span: inner.span,
                value: inner,
            };
            mapping.insert("name".to_owned(), entry);
        }
    }
}
