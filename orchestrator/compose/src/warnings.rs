//! What loads and may still not be what its author thinks.

use std::collections::HashSet;

use crate::diagnostic::Diagnostic;
use crate::grammar::dotenv;
use crate::load::{Env, path};
use crate::model::{Condition, Probe, Project};
use crate::source::{Sources, Span};
use crate::yaml::{Node, Resolved, Scalar, Value};

/// Scalars without quotes that are not what they look like, here or to other readers of YAML.
pub(crate) fn scalars(document: &Node, faults: &mut Vec<Diagnostic>) {
    let mut told = HashSet::new();
    let of = |section: &str| document.get(section).and_then(Node::mapping);
    for service in of("services").into_iter().flat_map(|all| all.values()) {
        texts_of_service(&service.value, &mut |node| text(node, &mut told, faults));
        let ports = service.value.get("ports").and_then(Node::sequence);
        for port in ports.into_iter().flatten() {
            sexagesimal(port, &mut told, faults);
        }
    }
    for section in ["networks", "volumes", "configs", "secrets"] {
        for resource in of(section).into_iter().flat_map(|all| all.values()) {
            for key in ["labels", "driver_opts"] {
                values(resource.value.get(key), &mut |node| {
                    text(node, &mut told, faults);
                });
            }
        }
    }
}

/// Values of a service that end as text, whatever they look like.
fn texts_of_service(service: &Node, see: &mut dyn FnMut(&Node)) {
    for key in ["environment", "labels", "annotations"] {
        values(service.get(key), see);
    }
    let below = |outer: &str, key: &str| service.get(outer)?.get(key);
    values(below("build", "args"), see);
    values(below("build", "labels"), see);
    values(below("deploy", "labels"), see);
}

fn values(mapping: Option<&Node>, see: &mut dyn FnMut(&Node)) {
    let entries = mapping.and_then(Node::mapping);
    for entry in entries.into_iter().flat_map(|entries| entries.values()) {
        see(&entry.value);
    }
}

fn plain(node: &Node) -> Option<&Scalar> {
    match &node.value {
        Value::Scalar(scalar) if scalar.plain => Some(scalar),
        _ => None,
    }
}

/// A value that ends as text.
fn text(node: &Node, told: &mut HashSet<&'static str>, faults: &mut Vec<Diagnostic>) {
    let Some(scalar) = plain(node) else {
        return;
    };
    let written = scalar.text.as_str();
    match scalar.resolved() {
        resolved @ (Resolved::Int(_) | Resolved::Float(_)) => {
            let Some(read) = resolved.to_text().filter(|read| read != written) else {
                return;
            };
            faults.push(
                Diagnostic::warning(
                    "compose::unquoted",
                    format!("`{written}` without quotes is the number {read}"),
                )
                .at(node.span, format!("the container gets `{read}`"))
                .help(format!("write \"{written}\" to keep the text")),
            );
        }
        Resolved::Timestamp(_) if told.insert("date") => {
            other_readers(node, written, "a date", faults);
        }
        Resolved::Text(_) if boolean(written).is_some() && told.insert("boolean") => {
            let read = boolean(written).unwrap_or_default();
            other_readers(node, written, read, faults);
        }
        _ => {}
    }
}

/// The word that readers of YAML 1.1 see.
fn boolean(text: &str) -> Option<&'static str> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "on" | "y" => Some("true"),
        "no" | "off" | "n" => Some("false"),
        _ => None,
    }
}

/// `22:22` counts in sixties to readers of YAML 1.1.
fn sexagesimal(node: &Node, told: &mut HashSet<&'static str>, faults: &mut Vec<Diagnostic>) {
    let Some(written) = plain(node).map(|scalar| scalar.text.as_str()) else {
        return;
    };
    let Some((host, container)) = written.split_once(':') else {
        return;
    };
    let (Ok(host), Ok(container)) = (host.parse::<u32>(), container.parse::<u32>()) else {
        return;
    };
    if host > 0 && container < 60 && told.insert("sexagesimal") {
        let read = u64::from(host) * 60 + u64::from(container);
        other_readers(node, written, &format!("the number {read}"), faults);
    }
}

fn other_readers(node: &Node, written: &str, read: &str, faults: &mut Vec<Diagnostic>) {
    let message = format!("`{written}` without quotes is {read} to readers of YAML 1.1");
    faults.push(
        Diagnostic::warning("compose::yaml-1-1", message)
            .at(node.span, "text here")
            .help(format!(
                "write \"{written}\", and it is the same everywhere"
            )),
    );
}

/// A file that gives another value to something that it includes.
pub(crate) fn include_override(
    section: &str,
    name: &str,
    included: &Node,
    own: &Node,
    faults: &mut Vec<Diagnostic>,
) {
    let mut replaced = Vec::new();
    differing(included, own, &mut Vec::new(), &mut replaced);
    let Some((path, before, after)) = replaced.first() else {
        return;
    };
    let kind = section.trim_end_matches('s');
    let others = match replaced.len() {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    let message = format!("{kind} `{name}` is included, and `{path}`{others} is replaced here");
    faults.push(
        Diagnostic::warning("compose::include-override", message)
            .at(*after, "this is used")
            .context(*before, "this is not")
            .help("if it is meant, say so in a file of its own: `path: [included.yaml, override.yaml]`"),
    );
}

/// Scalars that both have and that are not the same.
fn differing(
    before: &Node,
    after: &Node,
    path: &mut Vec<String>,
    out: &mut Vec<(String, Span, Span)>,
) {
    match (&before.value, &after.value) {
        (Value::Mapping(before), Value::Mapping(after)) => {
            for (key, entry) in after {
                let Some(known) = before.get(key) else {
                    continue;
                };
                path.push(key.clone());
                differing(&known.value, &entry.value, path, out);
                path.pop();
            }
        }
        (Value::Scalar(_), Value::Scalar(_))
            if !before.is_null()
                && !after.is_null()
                && before.fingerprint() != after.fingerprint() =>
        {
            out.push((path.join("."), before.span, after.span));
        }
        _ => {}
    }
}

/// Services that are awaited to be healthy and have no healthcheck of their own.
pub(crate) fn no_healthcheck(project: &Project, faults: &mut Vec<Diagnostic>) {
    for (name, service) in &project.services {
        for (other, dependency) in &service.depends_on {
            let Some(awaited) = project.services.get(other) else {
                continue;
            };
            if dependency.condition != Condition::ServiceHealthy || awaited.provider.is_some() {
                continue;
            }
            let check = awaited.healthcheck.as_ref();
            let off = check.is_some_and(|check| check.disable || check.test == Some(Probe::None));
            let (message, label) = if off {
                (
                    format!("`{name}` waits for `{other}` to be healthy, whose healthcheck is off"),
                    "`up` fails here",
                )
            } else if check.is_some_and(|check| check.test.is_some()) || awaited.build.is_some() {
                continue;
            } else {
                (
                    format!("`{name}` waits for `{other}` to be healthy, which has no healthcheck"),
                    "`up` fails here, unless the image brings one",
                )
            };
            let place = format!("services/{name}/depends_on/{other}");
            let written = project.spans.get(&format!("{place}/condition"));
            let span = written
                .map(|place| place.value)
                .or_else(|| project.key_span(&place));
            faults.push(
                Diagnostic::warning("compose::no-healthcheck", message)
                    .at(span, label)
                    .context(project.key_span(&format!("services/{other}")), "")
                    .help(format!(
                        "give `{other}` a `healthcheck:`, or wait with `condition: service_started`"
                    )),
            );
        }
    }
}

/// Lines of env files that the caller's environment makes meaningless, if the project uses them.
pub(crate) fn shadowed(
    sources: &Sources,
    caller: &Env,
    cwd: &str,
    env_files: &[String],
    faults: &mut Vec<Diagnostic>,
) {
    for file in env_files {
        let Some(id) = sources.named(&path::shown(cwd, file)) else {
            continue;
        };
        let Some(text) = sources.get(id).map(|source| &source.text) else {
            continue;
        };
        let lookup = |name: &str| caller.get(name).cloned();
        for (name, value) in dotenv::parse(text, &lookup).unwrap_or_default() {
            let stronger = caller.get(&name).filter(|other| **other != value);
            if stronger.is_none() || !mentioned(sources, env_files, cwd, &name) {
                continue;
            }
            let span = dotenv::line_of(text, &name).map(|start| Span {
                source: id,
                start,
                end: start + name.len(),
            });
            faults.push(
                Diagnostic::warning(
                    "compose::shadowed-variable",
                    format!("`{name}` is set in the environment, which is stronger than this line"),
                )
                .at(span, "has no effect")
                .help(format!("`env -u {name} bowline ...` runs without it")),
            );
        }
    }
}

/// Whether some file says `$NAME`, other than the env files themselves.
fn mentioned(sources: &Sources, env_files: &[String], cwd: &str, name: &str) -> bool {
    let env_files: HashSet<String> = env_files
        .iter()
        .map(|file| path::shown(cwd, file))
        .collect();
    let in_text = |text: &str| {
        text.match_indices(name).any(|(at, _)| {
            let before = text[..at].trim_end_matches('{');
            let after = text[at + name.len()..].chars().next();
            before.ends_with('$') && !after.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
        })
    };
    sources
        .iter()
        .filter(|source| !env_files.contains(&source.name))
        .any(|source| in_text(&source.text))
}
