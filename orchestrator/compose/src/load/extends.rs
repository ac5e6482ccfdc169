//! `extends`: a service that starts from another one, in this file or in a file beside it.

use std::collections::HashMap;

use super::assemble::{self, Scope};
use super::{Session, discover, path};
use crate::diagnostic::Diagnostic;
use crate::merge;
use crate::shape::reset;
use crate::source::Span;
use crate::yaml::{Mapping, Node, Value};

/// Resolves every `extends` of a document.
pub(crate) fn apply(
    session: &mut Session<'_>,
    scope: &Scope,
    document: &mut Node,
    resets: &[Vec<String>],
) {
    let Some(services) = document.get_mut("services").and_then(Node::mapping_mut) else {
        return;
    };
    let names: Vec<String> = services
        .iter()
        .filter(|(_, entry)| entry.value.get("extends").is_some())
        .map(|(name, _)| name.clone())
        .collect();
    if names.is_empty() {
        return;
    }
    let here = Services {
        file: None,
        services: std::mem::take(services),
        resets: resets.to_vec(),
    };
    let mut walk = Walk {
        session,
        scope,
        files: vec![here],
        by_path: HashMap::new(),
        seen: Vec::new(),
    };
    for name in names {
        walk.seen.clear();
        walk.resolve(0, &name);
    }
    *services = std::mem::take(&mut walk.files[0].services);
}

/// The services of one file. Those that are resolved have no `extends` any more.
struct Services {
    /// The file, none for the document itself.
    file: Option<String>,
    services: Mapping,
    resets: Vec<Vec<String>>,
}

struct Walk<'s, 'a> {
    session: &'s mut Session<'a>,
    scope: &'s Scope,
    /// The document, and every file that was read.
    files: Vec<Services>,
    /// Where a file is in `files`, if it could be read.
    by_path: HashMap<String, Option<usize>>,
    /// The chain so far: file, service, and where the `extends` stands.
    seen: Vec<(usize, String, Span)>,
}

impl Walk<'_, '_> {
    /// Resolves the `extends` of one service in place. False if that failed.
    fn resolve(&mut self, file: usize, name: &str) -> bool {
        let Some(entry) = self.files[file].services.get_mut(name) else {
            return false;
        };
        let Some(extends) = entry
            .value
            .mapping_mut()
            .and_then(|service| service.shift_remove("extends"))
        else {
            return true;
        };
        let at = extends.value.span;
        self.seen.push((file, name.to_owned(), at));
        let base = self.base(file, &extends.value);
        self.seen.pop();
        let Some(base) = base else { return false };
        // Nothing is what an empty service is made of.
        let Some(mut base) = base.filter(|base| base.mapping().is_some()) else {
            return true;
        };
        let here = &mut self.files[file];
        reset::apply_below(&mut base, "services", name, &here.resets);
        if let Some(entry) = here.services.get_mut(name) {
            let span = entry.value.span;
            let over = std::mem::replace(&mut entry.value, Node::null(span));
            entry.value =
                merge::merge_entry_of("services", name, base, over, &mut self.session.faults);
        }
        true
    }

    /// The service that is extended, resolved itself; `Some(None)` if it is empty.
    fn base(&mut self, here: usize, extends: &Node) -> Option<Option<Node>> {
        let (target, path) = self.target(extends)?;
        let file = match path {
            Some(path) => self.read(&path, extends.span)?,
            None => here,
        };
        let same =
            |(other, service, _): &(usize, String, Span)| *other == file && *service == target;
        if let Some(from) = self.seen.iter().position(same) {
            self.cycle(from, &target);
            return None;
        }
        if !self.files[file].services.contains_key(&target) {
            self.absent(file, &target, extends.span);
            return None;
        }
        if !self.resolve(file, &target) {
            return None;
        }
        let found = self.files[file].services.get(&target);
        let found = found.map(|entry| entry.value.clone());
        Some(found.filter(|node| !node.is_null()))
    }

    fn absent(&mut self, file: usize, target: &str, at: Span) {
        let file = &self.files[file];
        let place = file
            .file
            .as_deref()
            .map(|file| format!(" of {}", path::shown(&self.session.options.cwd, file)));
        let message = format!(
            "there is no service `{target}`{} to extend",
            place.unwrap_or_default()
        );
        let names = file.services.keys().map(String::as_str);
        self.session.faults.push(
            Diagnostic::error("compose::extends", message)
                .at(at, "")
                .suggest(target, names),
        );
    }

    /// The service and the file an `extends` names.
    fn target(&mut self, extends: &Node) -> Option<(String, Option<String>)> {
        let service = match &extends.value {
            Value::Mapping(_) => extends.get("service").and_then(Node::as_text),
            _ => extends.as_text(),
        };
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
        let Some(service) = service else {
            self.session.faults.push(
                Diagnostic::error("compose::extends", "`extends` has to name a service")
                    .at(extends.span, "")
                    .help("write `extends: NAME` or `extends: {service: NAME, file: FILE}`"),
            );
            return None;
        };
        let file = extends.get("file").and_then(Node::as_text);
        if let Some(file) = file
            && discover::remote(file)
        {
            let fault = discover::remote_fault(file, Some(extends.span));
            self.session.faults.push(fault);
            return None;
        }
        let file = file.map(|file| path::join(&self.scope.directory, file));
        Some((service.to_owned(), file))
    }

    /// Services that extend each other, from one of the chain on.
    fn cycle(&mut self, from: usize, target: &str) {
        let chain: Vec<&str> = self.seen[from..]
            .iter()
            .map(|(_, service, _)| service.as_str())
            .collect();
        let message = format!(
            "services extend each other: {} -> {target}",
            chain.join(" -> ")
        );
        let mut fault = Diagnostic::error("compose::extends", message);
        for (index, (_, service, span)) in self.seen[from..].iter().enumerate() {
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

    /// The services of another file, with their paths laid onto the way to it.
    fn read(&mut self, file: &str, at: Span) -> Option<usize> {
        if let Some(known) = self.by_path.get(file) {
            return *known;
        }
        self.by_path.insert(file.to_owned(), None);
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
        let parsed = assemble::parse(self.session, file.to_owned(), source);
        let (mut root, resets) = assemble::loose(self.session, self.scope, parsed);
        let directory = path::parent(file).unwrap_or("/");
        let base = path::relative(&self.scope.directory, directory);
        self.session.resolve_paths(&mut root, &base);
        let services = root.get_mut("services").and_then(Node::mapping_mut);
        let services = services.map(std::mem::take).unwrap_or_default();
        self.files.push(Services {
            file: Some(file.to_owned()),
            services,
            resets,
        });
        let place = self.files.len() - 1;
        self.by_path.insert(file.to_owned(), Some(place));
        Some(place)
    }
}
