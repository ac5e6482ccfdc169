//! Whether a merged tree has only keys that exist, with values of their types.

use std::collections::HashMap;

use super::{Key, Map, Place, Type, is_extensible, places};
use crate::diagnostic::Diagnostic;
use crate::source::{Sources, Span};
use crate::yaml::{Mapping, Node, Resolved, Value};

/// Adds a fault for everything in a tree that the table does not allow.
pub(crate) fn check(sources: &Sources, root: &Node, faults: &mut Vec<Diagnostic>) {
    let mut checker = Checker {
        sources,
        faults,
        path: Vec::new(),
    };
    if root.mapping().is_none() {
        checker.wrong(root, &[Type::Place("project")]);
        return;
    }
    checker.value(root, &[Type::Place("project")]);
}

/// The same for an `include`, which is gone from a merged tree.
pub(crate) fn check_include(sources: &Sources, node: &Node, faults: &mut Vec<Diagnostic>) {
    let types = places().get("project").and_then(|keys| keys.get("include"));
    let mut checker = Checker {
        sources,
        faults,
        path: vec!["include".to_owned()],
    };
    if let Some(known) = types {
        checker.value(node, &known.types);
    }
}

struct Checker<'a> {
    sources: &'a Sources,
    faults: &'a mut Vec<Diagnostic>,
    path: Vec<String>,
}

impl Checker<'_> {
    fn value(&mut self, node: &Node, types: &[Type]) {
        match &node.value {
            Value::Scalar(_) => self.scalar(node, types),
            Value::Sequence(items) => {
                let list = types.iter().find_map(|kind| match kind {
                    Type::List(inner, unique) => Some((inner, *unique)),
                    _ => None,
                });
                if let Some((inner, unique)) = list {
                    for (index, item) in items.iter().enumerate() {
                        self.path.push(index.to_string());
                        self.value(item, inner);
                        self.path.pop();
                    }
                    if unique {
                        self.repetition(items);
                    }
                } else if !types.contains(&Type::Any) {
                    self.wrong(node, types);
                }
            }
            Value::Mapping(mapping) => {
                let known = types.iter().find_map(|kind| match kind {
                    Type::Place(name) => Some((*name, places().get(name)?)),
                    _ => None,
                });
                let free = types.iter().find_map(|kind| match kind {
                    Type::Map(map) => Some(map),
                    _ => None,
                });
                match (known, free) {
                    (Some((name, keys)), _) => self.place(node, mapping, name, keys),
                    (None, Some(map)) => self.map(mapping, map),
                    (None, None) if types.contains(&Type::Any) => {}
                    (None, None) => self.wrong(node, types),
                }
            }
        }
    }

    fn place(&mut self, node: &Node, mapping: &Mapping, name: &'static str, keys: &Place) {
        for (key, entry) in mapping {
            match keys.get(key.as_str()) {
                Some(known) => {
                    self.path.push(key.clone());
                    self.value(&entry.value, &known.types);
                    self.path.pop();
                }
                None if key.starts_with("x-") && is_extensible(name) => {}
                None => {
                    let fault = unknown(key, name, &self.path.join("/"));
                    self.faults.push(fault.at(entry.key_span, ""));
                }
            }
        }
        let missing = |(key, known): &(&&str, &Key)| known.required && !mapping.contains_key(**key);
        for (key, known) in keys.iter().filter(missing) {
            let what = described(&self.path.join("/"));
            let fault = Diagnostic::error("compose::missing-key", format!("{what} has no `{key}`"))
                .at(self.head(node), "");
            self.faults.push(match wanted(&known.types) {
                words if words.starts_with("one of") => fault.help(format!("`{key}` is {words}")),
                _ => fault,
            });
        }
        let triggers = ["manual", "schedule"];
        if name == "triggers" && !triggers.iter().any(|key| mapping.contains_key(*key)) {
            let message = "a job needs something that starts it";
            self.faults.push(
                Diagnostic::error("compose::missing-key", message)
                    .at(self.head(node), "")
                    .help("write `manual: true`, or a `schedule:`"),
            );
        }
    }

    /// The first line of a value that may be long.
    fn head(&self, node: &Node) -> Span {
        let text = self.sources.slice(node.span);
        let end = text.find('\n').unwrap_or(text.len());
        node.span.slice(0..end.max(1))
    }

    fn map(&mut self, mapping: &Mapping, map: &Map) {
        for (key, entry) in mapping {
            if map.keys.accepts(key) {
                self.path.push(key.clone());
                self.value(&entry.value, &map.values);
                self.path.pop();
            } else if map.closed {
                self.faults.push(
                    Diagnostic::error("compose::name", format!("`{key}` cannot be a name here"))
                        .at(entry.key_span, "")
                        .help("use letters, digits, `.`, `_` and `-`"),
                );
            }
        }
    }

    fn scalar(&mut self, node: &Node, types: &[Type]) {
        let Some(resolved) = node.resolved() else {
            return;
        };
        let fits = |kind: &Type| match (kind, resolved) {
            (Type::Any, _)
            | (Type::Null, Resolved::Null)
            | (Type::Bool, Resolved::Bool(_))
            | (Type::Number, Resolved::Int(_)) => true,
            (Type::Number, Resolved::Float(value)) => value.is_finite(),
            (Type::Text(words), Resolved::Text(text) | Resolved::Timestamp(text)) => {
                words.is_empty() || words.contains(&text)
            }
            (Type::Int(low, high), Resolved::Int(value)) => {
                (i128::from(*low)..=i128::from(*high)).contains(&value)
            }
            (Type::Int(..), Resolved::Float(value)) => value.fract() == 0.0,
            (Type::PullPolicy, Resolved::Text(text)) => is_pull_policy(text),
            (Type::ContainerName, Resolved::Text(text)) => has_container_name(text),
            _ => false,
        };
        if types.iter().any(fits) {
            return;
        }
        match (words(types), resolved) {
            (words, Resolved::Text(text)) if !words.is_empty() => self.word(node, text, &words),
            (_, Resolved::Text(text)) if types.contains(&Type::ContainerName) => {
                let message = format!("`{text}` cannot be the name of a container");
                self.faults.push(
                    Diagnostic::error("compose::invalid-value", message)
                        .at(node.span, "")
                        .help(
                            "use at least two letters, digits, `_`, `.`, `-`, starting with a letter or digit",
                        ),
                );
            }
            _ => self.wrong(node, types),
        }
    }

    fn word(&mut self, node: &Node, text: &str, words: &[&'static str]) {
        let what = described(&self.path.join("/"));
        self.faults.push(
            Diagnostic::error(
                "compose::invalid-value",
                format!("{what} cannot be `{text}`"),
            )
            .at(node.span, format!("expected one of {}", words.join(", ")))
            .suggest(text, words.iter().copied()),
        );
    }

    fn wrong(&mut self, node: &Node, types: &[Type]) {
        let path = if self.path.is_empty() {
            "the file".to_owned()
        } else {
            self.path.join("/")
        };
        let what = described(&path);
        let fault = |message| Diagnostic::error("compose::wrong-type", message);
        if node.is_null() {
            let span = self.nothing(node);
            self.faults.push(
                fault(format!("{what} has no value"))
                    .at(span, format!("it must be {}", wanted(types)))
                    .help("give it a value, or remove the key"),
            );
            return;
        }
        let wanted = wanted(types);
        let mut diagnostic = fault(format!("{what} must be {wanted}"))
            .at(self.head(node), format!("this is {}", node.kind()));
        let written = self.sources.slice(node.span);
        if let Some(instead) = super::help::instead(&self.path, node, written, types) {
            diagnostic = diagnostic.help(instead);
        }
        self.faults.push(diagnostic);
    }

    /// Where a value is missing: the end of what stands before it.
    fn nothing(&self, node: &Node) -> Span {
        let Some(source) = self.sources.get(node.span.source) else {
            return node.span;
        };
        let before = source.text.get(..node.span.start).unwrap_or("").trim_end();
        let start = before
            .char_indices()
            .next_back()
            .map_or(0, |(index, _)| index);
        match node.span.start == node.span.end {
            true => Span {
                start,
                end: before.len(),
                ..node.span
            },
            false => node.span,
        }
    }

    fn repetition(&mut self, items: &[Node]) {
        let mut seen: HashMap<String, Span> = HashMap::new();
        for item in items {
            let key = item.fingerprint();
            if let Some(first) = seen.get(&key) {
                let what = described(&self.path.join("/"));
                self.faults.push(
                    Diagnostic::error(
                        "compose::repetition",
                        format!("{what} has the same item twice"),
                    )
                    .at(item.span, "written again here")
                    .context(*first, "first written here"),
                );
            } else {
                seen.insert(key, item.span);
            }
        }
    }
}

/// `always`, `every_12h`, ...
fn is_pull_policy(text: &str) -> bool {
    let words = [
        "always",
        "never",
        "build",
        "if_not_present",
        "missing",
        "refresh",
        "daily",
        "weekly",
    ];
    let is_age = |mut age: &str| {
        let mut parts = 0;
        while !age.is_empty() {
            let digits = age.bytes().take_while(u8::is_ascii_digit).count();
            let unit = age[digits..].starts_with(['w', 'd', 'h', 'm', 's']);
            if digits == 0 || !unit {
                return false;
            }
            age = &age[digits + 1..];
            parts += 1;
        }
        parts > 0
    };
    words.contains(&text) || text.strip_prefix("every_").is_some_and(is_age)
}

/// Whether two characters in a row can be a container's name; Compose asks for no more.
fn has_container_name(text: &str) -> bool {
    let first = |b: u8| b.is_ascii_alphanumeric();
    let other = |b: u8| first(b) || matches!(b, b'_' | b'.' | b'-');
    text.as_bytes()
        .windows(2)
        .any(|pair| first(pair[0]) && other(pair[1]))
}

/// The words a value has to be one of, if that is all it can be.
fn words(types: &[Type]) -> Vec<&'static str> {
    types
        .iter()
        .flat_map(|kind| match kind {
            Type::Text(words) => words.clone(),
            Type::PullPolicy => vec![
                "always",
                "never",
                "missing",
                "build",
                "daily",
                "weekly",
                "every_12h",
            ],
            _ => Vec::new(),
        })
        .collect()
}

/// The types for people.
fn wanted(types: &[Type]) -> String {
    // What may be a text may be written in quotes, where a boolean alone is meant.
    let flag = types == [Type::Bool, Type::Text(Vec::new())]
        || types == [Type::Text(Vec::new()), Type::Bool];
    let mut names: Vec<String> = Vec::new();
    for kind in types {
        let name = match kind {
            Type::Text(_) if flag => continue,
            Type::Text(words) if !words.is_empty() => format!("one of {}", words.join(", ")),
            Type::Text(_) | Type::PullPolicy | Type::ContainerName => "a string".to_owned(),
            Type::Int(low, high) if *low > i64::MIN && *high < i64::MAX => {
                format!("a whole number from {low} to {high}")
            }
            Type::Int(..) => "a whole number".to_owned(),
            Type::Number => "a number".to_owned(),
            Type::Bool => "`true` or `false`".to_owned(),
            Type::List(..) => "a list".to_owned(),
            Type::Map(_) | Type::Place(_) => "a mapping".to_owned(),
            Type::Null | Type::Any => continue,
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => "something else".to_owned(),
    }
}

/// A path as people call it: ``services/web/healthcheck/interval`` is
/// ``healthcheck.interval of service `web` ``.
pub(crate) fn described(path: &str) -> String {
    let mut parts = path.split('/');
    let (top, name) = (parts.next().unwrap_or(""), parts.next());
    let rest: Vec<&str> = parts
        .filter(|part| part.parse::<usize>().is_err())
        .collect();
    let kind = top.strip_suffix('s').unwrap_or(top);
    match (name, rest.is_empty()) {
        (None, _) if top == "the file" => top.to_owned(),
        (None, _) => format!("`{top}`"),
        (Some(name), true) => format!("{kind} `{name}`"),
        (Some(name), false) => format!("`{}` of {kind} `{name}`", rest.join(".")),
    }
}

fn unknown(key: &str, place: &str, path: &str) -> Diagnostic {
    let owner = if path.is_empty() {
        String::new()
    } else {
        format!(" in {}", described(path))
    };
    let diagnostic = Diagnostic::error(
        "compose::unknown-key",
        format!("unknown key `{key}`{owner}"),
    );
    let known = places().get(place).into_iter().flat_map(|keys| keys.keys());
    let diagnostic = diagnostic.suggest(key, known.copied());
    if !diagnostic.help.is_empty() {
        return diagnostic;
    }
    super::help::other_keys(key, place)
        .into_iter()
        .fold(diagnostic, Diagnostic::help)
}
