//! `extends`: a service that starts from another one, in this file or in a file beside it.

use std::collections::BTreeSet;

use super::discover::Found;
use super::{Env, Session, interpolate, path};
use crate::diagnostic::Diagnostic;
use crate::merge;
use crate::source::Span;
use crate::yaml::{self, Node, Resolved, Value};

/// Resolves every `extends` of a document.
pub(crate) fn apply(
    session: &mut Session<'_>,
    document: &mut Node,
    found: &Found,
    environment: &Env,
) {
    let Some(services) = document.get("services").and_then(Node::mapping) else {
        return;
    };
    let names: Vec<String> = services
        .iter()
        .filter(|(_, entry)| entry.value.get("extends").is_some())
        .map(|(name, _)| name.clone())
        .collect();
    let original = document.clone();
    for name in names {
        let mut walk = Walk {
            session,
            found,
            environment,
            seen: Vec::new(),
        };
        let resolved = walk.service(&original, None, &name);
        if let Some(services) = document
            .mapping_mut()
            .and_then(|root| root.get_mut("services"))
            && let Some(entry) = services
                .value
                .mapping_mut()
                .and_then(|all| all.get_mut(&name))
            && let Some(resolved) = resolved
        {
            entry.value = resolved;
        }
    }
}

struct Walk<'s, 'a> {
    session: &'s mut Session<'a>,
    found: &'s Found,
    environment: &'s Env,
    /// The chain so far: file, service, and where the `extends` stands.
    seen: Vec<(Option<String>, String, Span)>,
}

impl Walk<'_, '_> {
    /// A service of a document with its own `extends` resolved.
    fn service(&mut self, document: &Node, file: Option<&str>, name: &str) -> Option<Node> {
        let mut service = document.get("services")?.get(name)?.clone();
        let Some(mapping) = service.mapping_mut() else {
            return Some(service);
        };
        let Some(extends) = mapping.shift_remove("extends") else {
            return Some(service);
        };
        let at = extends.value.span;
        self.seen
            .push((file.map(str::to_owned), name.to_owned(), at));
        let (target, other) = self.target(&extends.value)?;
        let base = match other {
            None => self.base(document, file, &target, at)?,
            Some(other) => {
                let dir = file
                    .and_then(path::parent)
                    .unwrap_or(&self.found.directory)
                    .to_owned();
                let other = path::join(&dir, &other);
                let foreign = self.read(&other, at)?;
                self.base(&foreign, Some(&other), &target, at)?
            }
        };
        Some(merge::merge_service(
            base,
            service,
            &mut self.session.faults,
        ))
    }

    /// The service and the file an `extends` names.
    fn target(&mut self, extends: &Node) -> Option<(String, Option<String>)> {
        let text = |node: &Node| match node.resolved() {
            Some(Resolved::Text(text)) => Some(text.to_owned()),
            _ => None,
        };
        let service = match &extends.value {
            Value::Mapping(_) => extends.get("service").and_then(text),
            _ => text(extends),
        };
        let file = extends.get("file").and_then(text);
        let unknown = extends
            .mapping()
            .into_iter()
            .flatten()
            .find(|(key, _)| !matches!(key.as_str(), "service" | "file"));
        if let Some((key, entry)) = unknown {
            self.session.faults.push(
                Diagnostic::error(
                    "compose::unknown-key",
                    format!("unknown key `{key}` in `extends`"),
                )
                .at(entry.key_span, "")
                .suggest(key, ["service", "file"]),
            );
        }
        if service.is_none() {
            self.session.faults.push(
                Diagnostic::error("compose::extends", "`extends` has to name a service")
                    .at(extends.span, "")
                    .help("write `extends: NAME` or `extends: {service: NAME, file: FILE}`"),
            );
        }
        Some((service?, file))
    }

    fn base(
        &mut self,
        document: &Node,
        file: Option<&str>,
        target: &str,
        at: Span,
    ) -> Option<Node> {
        let here = |(f, s, _): &(Option<String>, String, Span)| f.as_deref() == file && s == target;
        if let Some(from) = self.seen.iter().position(here) {
            self.cycle(from, target);
            return None;
        }
        let services = document.get("services").and_then(Node::mapping);
        let names: BTreeSet<&str> = services
            .iter()
            .flat_map(|s| s.keys())
            .map(String::as_str)
            .collect();
        if !names.contains(target) {
            let place = file.map(|f| format!(" of {}", path::shown(&self.session.options.cwd, f)));
            let message = format!(
                "there is no service `{target}`{} to extend",
                place.unwrap_or_default()
            );
            self.session.faults.push(
                Diagnostic::error("compose::extends", message)
                    .at(at, "")
                    .suggest(target, names),
            );
            return None;
        }
        self.service(document, file, target)
    }

    /// Services that extend each other. Each of them finds the cycle; the first by name tells it.
    fn cycle(&mut self, from: usize, target: &str) {
        let chain: Vec<&str> = self
            .seen
            .iter()
            .map(|(_, service, _)| service.as_str())
            .collect();
        if from > 0 || chain.iter().any(|service| *service < chain[0]) {
            return;
        }
        let message = format!(
            "services extend each other: {} -> {target}",
            chain.join(" -> ")
        );
        let mut fault = Diagnostic::error("compose::extends", message);
        for (index, (_, service, span)) in self.seen.iter().enumerate() {
            let next = chain.get(index + 1).unwrap_or(&target);
            let text = format!("`{service}` extends `{next}`");
            fault = if index == 0 {
                fault.at(*span, text)
            } else {
                fault.context(*span, text)
            };
        }
        self.session.faults.push(fault);
    }

    /// Another file, interpolated, with the paths in its services made absolute.
    fn read(&mut self, file: &str, at: Span) -> Option<Node> {
        let shown = path::shown(&self.session.options.cwd, file);
        let text = match self.session.files.read(file) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("cannot read {shown}: {error}");
                self.session
                    .faults
                    .push(Diagnostic::error("compose::extends", message).at(at, ""));
                return None;
            }
        };
        let source = self.session.sources.add(shown, text);
        let documents =
            yaml::read_documents(&self.session.sources, source, &mut self.session.faults);
        let mut document = documents.into_iter().next()?;
        interpolate::interpolate(self.session, &mut document, self.environment);
        let dir = path::parent(file).unwrap_or("/").to_owned();
        if let Some(services) = document
            .mapping_mut()
            .and_then(|root| root.get_mut("services"))
            && let Some(services) = services.value.mapping_mut()
        {
            for entry in services.values_mut() {
                absolute_paths(&mut entry.value, &dir);
            }
        }
        Some(document)
    }
}

/// Relative paths in a service of a foreign file are seen from that file's folder.
fn absolute_paths(service: &mut Node, dir: &str) {
    let absolute = |node: &mut Node| {
        if let Value::Scalar(scalar) = &mut node.value
            && !scalar.text.starts_with('~')
        {
            scalar.text = path::join(dir, &scalar.text);
        }
    };
    let Some(mapping) = service.mapping_mut() else {
        return;
    };
    if let Some(entry) = mapping.get_mut("env_file") {
        match &mut entry.value.value {
            Value::Scalar(_) => absolute(&mut entry.value),
            Value::Sequence(items) => items.iter_mut().for_each(|item| {
                match item.mapping_mut().and_then(|long| long.get_mut("path")) {
                    Some(path) => absolute(&mut path.value),
                    None => absolute(item),
                }
            }),
            Value::Mapping(_) => {}
        }
    }
    let Some(entry) = mapping.get_mut("volumes") else {
        return;
    };
    let Value::Sequence(items) = &mut entry.value.value else {
        return;
    };
    for item in items {
        match &mut item.value {
            Value::Scalar(scalar) if scalar.text.starts_with('.') => {
                if let Some((source, rest)) = scalar.text.split_once(':') {
                    scalar.text = format!("{}:{rest}", path::join(dir, source));
                }
            }
            Value::Mapping(long) => {
                let bind = long
                    .get("type")
                    .is_some_and(|kind| kind.value.resolved() == Some(Resolved::Text("bind")));
                if let (true, Some(source)) = (bind, long.get_mut("source")) {
                    absolute(&mut source.value);
                }
            }
            _ => {}
        }
    }
}
