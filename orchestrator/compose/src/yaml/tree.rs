//! The tree a document becomes.

use indexmap::IndexMap;

use super::scalar::{Resolved, resolve};
use crate::source::Span;

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// The characters of the value; for a block, all of its lines.
    pub span: Span,
    /// `!reset` or `!override`.
    pub tag: Option<MergeTag>,
}

/// Compose's own tags, which steer how files are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeTag {
    /// Delete what earlier files said.
    Reset,
    /// Delete what earlier files said, then take this.
    Override,
}

/// The three shapes of YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A single word or text, or nothing.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys and values.
    Mapping(Mapping),
}

/// A scalar as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// The text, escapes already undone.
    pub text: String,
    /// Written without quotes, so that the dialect may see a number in it. Texts that came out
    /// of interpolation are never plain.
    pub plain: bool,
}

/// Keys in the order they were written.
pub type Mapping = IndexMap<String, Entry>;

/// One key of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where the key stands.
    pub key_span: Span,
    /// What it maps to.
    pub value: Node,
}

impl Node {
    /// A text that did not come from a file as such, at the place that caused it.
    #[must_use]
    pub fn text(text: impl Into<String>, span: Span) -> Self {
        Self::new(
            Value::Scalar(Scalar {
                text: text.into(),
                plain: false,
            }),
            span,
        )
    }

    /// Nothing, at a place.
    #[must_use]
    pub fn null(span: Span) -> Self {
        Self::new(
            Value::Scalar(Scalar {
                text: String::new(),
                plain: true,
            }),
            span,
        )
    }

    /// An untagged node.
    #[must_use]
    pub fn new(value: Value, span: Span) -> Self {
        Self {
            value,
            span,
            tag: None,
        }
    }

    /// What the dialect sees in a scalar; lists and mappings answer `None`.
    #[must_use]
    pub fn resolved(&self) -> Option<Resolved<'_>> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar.resolved()),
            _ => None,
        }
    }

    /// Whether it is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.resolved() == Some(Resolved::Null)
    }

    /// The mapping, if it is one.
    #[must_use]
    pub fn mapping(&self) -> Option<&Mapping> {
        match &self.value {
            Value::Mapping(mapping) => Some(mapping),
            _ => None,
        }
    }

    /// The mapping, if it is one, to be changed.
    pub fn mapping_mut(&mut self) -> Option<&mut Mapping> {
        match &mut self.value {
            Value::Mapping(mapping) => Some(mapping),
            _ => None,
        }
    }

    /// The items, if it is a list.
    #[must_use]
    pub fn sequence(&self) -> Option<&[Node]> {
        match &self.value {
            Value::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// The value under a key, if it is a mapping that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        Some(&self.mapping()?.get(key)?.value)
    }

    /// The value under a key, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        Some(&mut self.mapping_mut()?.get_mut(key)?.value)
    }

    /// The items, if it is a list, to be changed.
    pub fn sequence_mut(&mut self) -> Option<&mut Vec<Node>> {
        match &mut self.value {
            Value::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// A string and no other scalar.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self.resolved() {
            Some(Resolved::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A plain scalar that did not come from a file as such: a number, a boolean.
    #[must_use]
    pub fn plain(text: impl Into<String>, span: Span) -> Self {
        let text = text.into();
        Self::new(Value::Scalar(Scalar { text, plain: true }), span)
    }

    /// A mapping whose keys all stand at one place.
    #[must_use]
    pub fn mapped<K: Into<String>>(
        entries: impl IntoIterator<Item = (K, Node)>,
        span: Span,
    ) -> Self {
        let entries = entries.into_iter().map(|(key, value)| {
            let key_span = value.span;
            (key.into(), Entry { key_span, value })
        });
        Self::new(Value::Mapping(entries.collect()), span)
    }

    /// Adds a key that is missing; what is there stays.
    pub fn default_to(&mut self, key: &str, value: impl FnOnce(Span) -> Node) {
        let span = self.span;
        if let Some(mapping) = self.mapping_mut()
            && !mapping.contains_key(key)
        {
            let entry = Entry {
                key_span: span,
                value: value(span),
            };
            mapping.insert(key.to_owned(), entry);
        }
    }

    /// A word for people: `a mapping`, `a number`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
            Value::Scalar(scalar) => scalar.resolved().kind(),
        }
    }

    /// A text that equal values share, wherever they were written.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        match &self.value {
            Value::Scalar(_) => {
                let kind = match self.resolved() {
                    Some(Resolved::Int(_) | Resolved::Float(_)) => 'n',
                    Some(Resolved::Text(_)) => 't',
                    _ => 'o',
                };
                let text = self.resolved().and_then(Resolved::to_text);
                format!("{kind}{}", text.unwrap_or_default())
            }
            Value::Sequence(items) => {
                let items: Vec<String> = items.iter().map(Self::fingerprint).collect();
                format!("[{}]", items.join("\u{1}"))
            }
            Value::Mapping(mapping) => {
                let mut entries: Vec<String> = mapping
                    .iter()
                    .map(|(key, entry)| format!("{key}\u{2}{}", entry.value.fingerprint()))
                    .collect();
                entries.sort();
                format!("{{{}}}", entries.join("\u{1}"))
            }
        }
    }

    /// How many nodes it consists of.
    #[must_use]
    pub fn weight(&self) -> usize {
        1 + match &self.value {
            Value::Scalar(_) => 0,
            Value::Sequence(items) => items.iter().map(Self::weight).sum(),
            Value::Mapping(mapping) => mapping.values().map(|entry| entry.value.weight()).sum(),
        }
    }
}

impl Scalar {
    /// What the dialect sees in it.
    #[must_use]
    pub fn resolved(&self) -> Resolved<'_> {
        if self.plain {
            resolve(&self.text)
        } else {
            Resolved::Text(&self.text)
        }
    }
}
