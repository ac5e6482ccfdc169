//! Reading mappings: which keys they may have, and each key with its type.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::reader::{Decoder, described};
use crate::diagnostic::Diagnostic;
use crate::model::{Bytes, Duration};
use crate::support::{self, Support};
use crate::yaml::{Mapping, Node, Resolved};

/// A mapping at a place of the specification.
pub(super) struct Fields<'d, 's, 'n> {
    pub(super) decoder: &'d mut Decoder<'s>,
    mapping: &'n Mapping,
    path: String,
}

impl<'d, 's, 'n> Fields<'d, 's, 'n> {
    /// Opens a mapping and checks its keys; `None` if it is no mapping.
    pub(super) fn open(
        decoder: &'d mut Decoder<'s>,
        node: &'n Node,
        place: &str,
        path: &str,
    ) -> Option<Self> {
        let Some(mapping) = node.mapping() else {
            return decoder.wrong(
                if path.is_empty() { "the file" } else { path },
                node,
                "a mapping",
            );
        };
        let fields = Self {
            decoder,
            mapping,
            path: path.to_owned(),
        };
        for (key, entry) in mapping {
            fields
                .decoder
                .remember(&fields.at(key), Some(entry.key_span), entry.value.span);
            let fault = match support::of(place, key) {
                Support::Supported => continue,
                Support::Refused => refused(key, path),
                Support::Unknown => unknown(key, place, path),
            };
            fields.decoder.faults.push(fault.at(entry.key_span, ""));
        }
        Some(fields)
    }

    /// The path of a key.
    pub(super) fn at(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}/{key}", self.path)
        }
    }

    /// The value of a key, unless it is absent or null.
    pub(super) fn get(&self, key: &str) -> Option<&'n Node> {
        self.mapping
            .get(key)
            .map(|entry| &entry.value)
            .filter(|value| !value.is_null())
    }

    /// Reads a key with a function, if it is there.
    pub(super) fn with<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&mut Decoder<'s>, &str, &'n Node) -> Option<T>,
    ) -> Option<T> {
        let node = self.get(key)?;
        let path = self.at(key);
        read(self.decoder, &path, node)
    }

    /// The same for lists and mappings, where absent is empty.
    pub(super) fn collect<T: Default>(
        &mut self,
        key: &str,
        read: impl FnOnce(&mut Decoder<'s>, &str, &'n Node) -> T,
    ) -> T {
        self.with(key, |decoder, path, node| Some(read(decoder, path, node)))
            .unwrap_or_default()
    }

    pub(super) fn string(&mut self, key: &str) -> Option<String> {
        self.with(key, Decoder::string)
            .filter(|text| !text.is_empty())
    }

    pub(super) fn boolean(&mut self, key: &str) -> Option<bool> {
        self.with(key, Decoder::boolean)
    }

    pub(super) fn flag(&mut self, key: &str) -> bool {
        self.boolean(key).unwrap_or_default()
    }

    pub(super) fn integer(&mut self, key: &str) -> Option<i64> {
        self.with(key, Decoder::integer)
    }

    pub(super) fn bytes(&mut self, key: &str) -> Option<Bytes> {
        self.with(key, Decoder::bytes)
    }

    pub(super) fn duration(&mut self, key: &str) -> Option<Duration> {
        self.with(key, Decoder::duration)
    }

    /// Strings under names chosen by the person, or `KEY=VALUE` items.
    pub(super) fn pairs(&mut self, key: &str) -> BTreeMap<String, String> {
        let pairs = self.collect(key, super::lists::pairs);
        pairs
            .into_iter()
            .map(|(name, value)| (name, value.unwrap_or_default()))
            .collect()
    }

    /// A scalar or a list of strings, without empty items and repetitions.
    pub(super) fn unique(&mut self, key: &str) -> Vec<String> {
        self.collect(key, super::lists::unique)
    }

    /// `x-*` keys as plain JSON.
    pub(super) fn extensions(&self) -> BTreeMap<String, serde_json::Value> {
        self.mapping
            .iter()
            .filter(|(key, _)| key.starts_with("x-"))
            .map(|(key, entry)| (key.clone(), crate::print::plain_json(&entry.value)))
            .collect()
    }

    /// `version` was once needed and means nothing now.
    pub(super) fn version(&mut self) {
        if let Some(entry) = self.mapping.get("version") {
            self.decoder.faults.push(
                Diagnostic::warning("compose::version", "`version` is obsolete and ignored")
                    .at(entry.key_span, "")
                    .help("remove the line"),
            );
        }
    }

    /// A mapping of names to things of one kind, in the file's order.
    pub(super) fn named_in_order<T>(
        &mut self,
        key: &str,
        read: impl Fn(&mut Decoder<'s>, &str, &str, &'n Node) -> Option<T>,
    ) -> IndexMap<String, T> {
        let Some(node) = self.get(key) else {
            return IndexMap::new();
        };
        let path = self.at(key);
        let Some(entries) = node.mapping() else {
            let _none: Option<()> = self.decoder.wrong(&path, node, "a mapping of names");
            return IndexMap::new();
        };
        let mut things = IndexMap::new();
        for (name, entry) in entries {
            let path = format!("{path}/{name}");
            self.decoder
                .remember(&path, Some(entry.key_span), entry.value.span);
            if !is_name(name) {
                self.decoder.faults.push(
                    Diagnostic::error("compose::name", format!("`{name}` cannot be a name here"))
                        .at(entry.key_span, "")
                        .help("use letters, digits, `.`, `_` and `-`"),
                );
                continue;
            }
            things.extend(
                read(self.decoder, &path, name, &entry.value).map(|thing| (name.clone(), thing)),
            );
        }
        things
    }

    /// A mapping of names to things of one kind.
    pub(super) fn named<T>(
        &mut self,
        key: &str,
        read: impl Fn(&mut Decoder<'s>, &str, &str, &'n Node) -> Option<T>,
    ) -> BTreeMap<String, T> {
        self.named_in_order(key, read).into_iter().collect()
    }

    /// A boolean, or the deprecated `external: {name: ...}`.
    pub(super) fn external(&mut self) -> (bool, Option<String>) {
        match self.get("external") {
            Some(node) if node.mapping().is_some() => {
                let name = node
                    .get("name")
                    .and_then(Node::resolved)
                    .and_then(Resolved::to_text);
                (true, name)
            }
            _ => (self.flag("external"), None),
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

fn owner(path: &str) -> String {
    if path.is_empty() {
        String::new()
    } else {
        format!(" in {}", described(path))
    }
}

fn refused(key: &str, path: &str) -> Diagnostic {
    let message = format!("`{key}`{} is not supported yet", owner(path));
    Diagnostic::error("compose::unsupported-key", message)
}

fn unknown(key: &str, place: &str, path: &str) -> Diagnostic {
    let message = format!("unknown key `{key}`{}", owner(path));
    let diagnostic =
        Diagnostic::error("compose::unknown-key", message).suggest(key, support::supported(place));
    if !diagnostic.help.is_empty() {
        return diagnostic;
    }
    let right_place = match support::elsewhere(key, place) {
        Some("project") => "at the top level of the file",
        Some("service") => "to a service",
        Some("deploy") => "under `deploy`",
        Some("limits") => "under `deploy.resources.limits`",
        Some("healthcheck") => "under `healthcheck`",
        _ => return diagnostic,
    };
    diagnostic.help(format!(
        "`{key}` belongs {right_place}, check the indentation"
    ))
}
