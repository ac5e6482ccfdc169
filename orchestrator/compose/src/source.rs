//! Source texts and the places in them: what a span means, and which line and column it is.

use std::sync::Arc;

/// One text that was read: a compose file, an env file, or standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The name shown to people: the path as they gave it, or relative to where they are.
    pub name: String,
    /// The whole text.
    pub text: Arc<str>,
}

/// Which of the [`Sources`] a span lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(usize);

impl SourceId {
    /// Its number among the sources.
    pub(crate) fn index(self) -> usize {
        self.0
    }

    /// The source with a number.
    pub(crate) fn at(index: usize) -> Self {
        Self(index)
    }
}

/// A byte range in one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The text it lies in.
    pub source: SourceId,
    /// The first byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// The part of this span that covers `range`, counted from its start.
    #[must_use]
    pub fn slice(self, range: std::ops::Range<usize>) -> Self {
        let start = (self.start + range.start).min(self.end);
        let end = (self.start + range.end).clamp(start, self.end);
        Self { start, end, ..self }
    }
}

/// A span as people write it: `compose.yaml:4:18`, both numbers counted from one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Location {
    /// The source's name.
    pub file: String,
    /// Line, from one.
    pub line: usize,
    /// Column in characters, from one.
    pub column: usize,
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Every text read while loading a project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources(Vec<Source>);

impl Sources {
    /// Adds a text and returns its id.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>) -> SourceId {
        self.0.push(Source {
            name: name.into(),
            text: text.into(),
        });
        SourceId(self.0.len() - 1)
    }

    /// The source behind an id. Ids only come from [`Sources::add`], so it is always there for
    /// the set that gave it out; a foreign id answers `None`.
    #[must_use]
    pub fn get(&self, id: SourceId) -> Option<&Source> {
        self.0.get(id.0)
    }

    /// Every source, in the order they were read.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.0.iter()
    }

    /// The first source of a name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<SourceId> {
        self.0.iter().position(|s| s.name == name).map(SourceId)
    }

    /// The text under a span, empty if the span is foreign to this set.
    #[must_use]
    pub fn slice(&self, span: Span) -> &str {
        self.get(span.source)
            .and_then(|s| s.text.get(span.start..span.end))
            .unwrap_or("")
    }

    /// Where a span starts, in the form editors understand.
    #[must_use]
    pub fn location(&self, span: Span) -> Option<Location> {
        let source = self.get(span.source)?;
        let before = source.text.get(..span.start.min(source.text.len()))?;
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Some(Location {
            file: source.name.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_not_bytes() {
        let mut sources = Sources::default();
        let source = sources.add("compose.yaml", "a: 1\nü: xy\n");
        let span = Span {
            source,
            start: 9,
            end: 11,
        };
        assert_eq!(sources.slice(span), "xy");
        assert_eq!(
            sources.location(span).unwrap().to_string(),
            "compose.yaml:2:4"
        );
    }
}
