//! Faults in files: what is wrong, where, and what to do about it.

use std::fmt::Write as _;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet, renderer::DecorStyle};
use serde::Serialize;

use crate::source::{Location, SourceId, Sources, Span};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing can be done with the project.
    Error,
    /// The project works, perhaps not as its author thinks.
    Warning,
}

/// A piece of source and what is to be said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The characters.
    pub span: Span,
    /// The remark, may be empty.
    pub text: String,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// A stable name such as `compose::unknown-key`.
    pub code: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// One sentence without a full stop.
    pub message: String,
    /// The place of the fault.
    pub primary: Option<Label>,
    /// Other places that explain it.
    pub context: Vec<Label>,
    /// What to try.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// An error without a place yet.
    #[must_use]
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            primary: None,
            context: Vec::new(),
            help: Vec::new(),
        }
    }

    /// A warning without a place yet.
    #[must_use]
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, message)
        }
    }

    /// Sets the place.
    #[must_use]
    pub fn at(mut self, span: impl Into<Option<Span>>, text: impl Into<String>) -> Self {
        self.primary = span.into().map(|span| Label {
            span,
            text: text.into(),
        });
        self
    }

    /// Adds a place that explains the fault.
    #[must_use]
    pub fn context(mut self, span: impl Into<Option<Span>>, text: impl Into<String>) -> Self {
        self.context.extend(span.into().map(|span| Label {
            span,
            text: text.into(),
        }));
        self
    }

    /// Adds something to try.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }

    /// Adds ``did you mean `x`?`` if some candidate is close enough to what was written.
    #[must_use]
    pub fn suggest<'a>(self, word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        match crate::similar::closest(word, candidates) {
            Some(other) => self.help(format!("did you mean `{other}`?")),
            None => self,
        }
    }

    /// The text for people, with the source lines it is about.
    #[must_use]
    pub fn render(&self, sources: &Sources, color: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = level
            .primary_title(self.message.as_str())
            .id(self.code)
            .elements(
                self.annotated_sources()
                    .into_iter()
                    .filter_map(|id| self.snippet(sources, id)),
            );
        if self.primary.is_none() {
            group = group.elements(
                self.help
                    .iter()
                    .map(|text| Level::HELP.message(text.as_str())),
            );
        }
        let mut report = vec![group];
        if self.primary.is_some() {
            report.extend(
                self.help
                    .iter()
                    .map(|text| Group::with_title(Level::HELP.secondary_title(text.as_str()))),
            );
        }
        let renderer = if color {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        renderer.decor_style(DecorStyle::Ascii).render(&report)
    }

    /// The form for programs.
    #[must_use]
    pub fn to_json(&self, sources: &Sources) -> serde_json::Value {
        let label = |label: &Label| {
            serde_json::json!({
                "location": sources.location(label.span),
                "end": sources.location(Span { start: label.span.end, ..label.span }),
                "text": label.text,
            })
        };
        serde_json::json!({
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "primary": self.primary.as_ref().map(label),
            "context": self.context.iter().map(label).collect::<Vec<_>>(),
            "help": self.help,
        })
    }

    /// Where the fault is, if it has a place.
    #[must_use]
    pub fn location(&self, sources: &Sources) -> Option<Location> {
        sources.location(self.primary.as_ref()?.span)
    }

    /// The sources it has labels in, the primary one first.
    fn annotated_sources(&self) -> Vec<SourceId> {
        let mut ids = Vec::new();
        for label in self.primary.iter().chain(&self.context) {
            if !ids.contains(&label.span.source) {
                ids.push(label.span.source);
            }
        }
        ids
    }

    fn snippet<'a>(
        &'a self,
        sources: &'a Sources,
        id: SourceId,
    ) -> Option<Snippet<'a, annotate_snippets::Annotation<'a>>> {
        let source = sources.get(id)?;
        let annotate = |kind: AnnotationKind, label: &'a Label| {
            let range = clip(&source.text, label.span.start..label.span.end);
            let annotation = kind.span(range);
            if label.text.is_empty() {
                annotation
            } else {
                annotation.label(label.text.as_str())
            }
        };
        let primary = self.primary.iter().filter(|label| label.span.source == id);
        let context = self.context.iter().filter(|label| label.span.source == id);
        Some(
            Snippet::source(&*source.text)
                .path(source.name.as_str())
                .annotations(primary.map(|label| annotate(AnnotationKind::Primary, label)))
                .annotations(context.map(|label| annotate(AnnotationKind::Context, label))),
        )
    }
}

/// A range inside the text, on character boundaries, and at most to the end of its first line: a
/// fault about a whole block is shown at the line where the block starts.
fn clip(text: &str, range: std::ops::Range<usize>) -> std::ops::Range<usize> {
    let floor = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = floor(range.start);
    let end = floor(range.end).max(start);
    let line = text[start..end].find('\n').map_or(end, |at| start + at);
    start..line
}

/// All faults one after another, with an empty line between them.
#[must_use]
pub fn render_all(diagnostics: &[Diagnostic], sources: &Sources, color: bool) -> String {
    let mut out = String::new();
    for (index, diagnostic) in diagnostics.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        // Writing to a string cannot fail.
        let _written = writeln!(out, "{}", diagnostic.render(sources, color));
    }
    out
}

/// For programs: an object in each line, with `error` as other failures of the command line have it.
#[must_use]
pub fn render_json(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    let mut out = String::new();
    for diagnostic in diagnostics {
        let mut object = serde_json::json!({"error": diagnostic.severity == Severity::Error});
        if let (Some(all), serde_json::Value::Object(own)) =
            (object.as_object_mut(), diagnostic.to_json(sources))
        {
            all.extend(own);
        }
        // Writing to a string cannot fail.
        let _written = writeln!(out, "{object}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_golden_message() {
        let mut sources = Sources::default();
        let text =
            "services:\n  web:\n    image: nginx\n    depends_on: [dbb]\n  db:\n    image: p\n";
        let source = sources.add("compose.yaml", text);
        let span = |needle: &str| {
            let start = text.find(needle).unwrap();
            Span {
                source,
                start,
                end: start + needle.len(),
            }
        };
        let db = Span {
            end: span("db:").end - 1,
            ..span("db:")
        };
        let shown = Diagnostic::error(
            "compose::undefined-service",
            "service `web` depends on undefined service `dbb`",
        )
        .at(span("dbb"), "not defined in this project")
        .context(db, "a service with a similar name")
        .suggest("dbb", ["web", "db"])
        .render(&sources, false);
        insta::assert_snapshot!(shown, @r"
        error[compose::undefined-service]: service `web` depends on undefined service `dbb`
         --> compose.yaml:4:18
          |
        4 |     depends_on: [dbb]
          |                  ^^^ not defined in this project
        5 |   db:
          |   -- a service with a similar name
          |
        help: did you mean `db`?
        ");
    }

    #[test]
    fn the_form_for_programs() {
        let mut sources = Sources::default();
        let source = sources.add("compose.yaml", "a: 1\nbb: 2\n");
        let fault = Diagnostic::error("compose::unknown-key", "unknown key `bb`")
            .at(
                Span {
                    source,
                    start: 5,
                    end: 7,
                },
                "here",
            )
            .help("did you mean `b`?");
        let expected = serde_json::json!({
            "code": "compose::unknown-key",
            "severity": "error",
            "message": "unknown key `bb`",
            "primary": {
                "location": {"file": "compose.yaml", "line": 2, "column": 1},
                "end": {"file": "compose.yaml", "line": 2, "column": 3},
                "text": "here",
            },
            "context": [],
            "help": ["did you mean `b`?"],
        });
        assert_eq!(fault.to_json(&sources), expected);
    }
}
