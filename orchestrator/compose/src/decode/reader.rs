//! Reading single values: scalars of each type, with the messages for those that do not fit.

use crate::diagnostic::Diagnostic;
use crate::grammar::{Fault, units};
use crate::model::{Bytes, Duration, Place, Spans};
use crate::schema::described;
use crate::source::{Sources, Span};
use crate::support::Refusal;
use crate::yaml::{Node, Resolved, Value};

/// What decoding collects.
pub(crate) struct Decoder<'a> {
    pub(super) sources: &'a Sources,
    pub(super) faults: Vec<Diagnostic>,
    pub(super) refusals: Vec<Refusal>,
    pub(super) spans: Spans,
}

/// What a decoder leaves behind.
pub(crate) struct Decoded {
    /// Everything that is wrong.
    pub(crate) faults: Vec<Diagnostic>,
    /// What can be said and not be done.
    pub(crate) refusals: Vec<Refusal>,
    /// Where each value was written.
    pub(crate) spans: Spans,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(sources: &'a Sources) -> Self {
        Self {
            sources,
            faults: Vec::new(),
            refusals: Vec::new(),
            spans: Spans::default(),
        }
    }

    pub(crate) fn finish(self) -> Decoded {
        Decoded {
            faults: self.faults,
            refusals: self.refusals,
            spans: self.spans,
        }
    }

    /// Something that means less than it seems to.
    pub(super) fn warn(&mut self, path: &str, node: &Node, fault: Fault) {
        let span = inside(self.sources, node, &fault);
        let message = format!("the rest of {} is dropped", described(path));
        let diagnostic =
            Diagnostic::warning("compose::invalid-value", message).at(span, fault.message);
        self.faults
            .push(fault.help.into_iter().fold(diagnostic, Diagnostic::help));
    }

    /// Something that Compose reads and that no container can be made with.
    pub(super) fn refuse(&mut self, path: &str, node: &Node, fault: Fault) {
        let span = inside(self.sources, node, &fault);
        let message = format!("{} is not valid", described(path));
        let diagnostic =
            Diagnostic::error("compose::invalid-value", message).at(span, fault.message);
        let diagnostic = fault.help.into_iter().fold(diagnostic, Diagnostic::help);
        self.refusals.push(Refusal::new(path, diagnostic));
    }

    /// A word the specification has and this version does not.
    pub(super) fn unsupported(&mut self, path: &str, node: &Node, what: &str, help: &str) {
        let message = format!("{what} is not supported yet");
        let diagnostic = Diagnostic::error("compose::unsupported-value", message).at(node.span, "");
        let diagnostic = match help {
            "" => diagnostic,
            help => diagnostic.help(help),
        };
        self.refusals.push(Refusal::new(path, diagnostic));
    }

    pub(super) fn remember(&mut self, path: &str, key: Option<Span>, value: Span) {
        self.spans.insert(path, Place { key, value });
    }

    /// A value of the wrong type; `None` so that callers can end with it.
    pub(super) fn wrong<T>(&mut self, path: &str, node: &Node, wanted: &str) -> Option<T> {
        let message = format!("{} must be {wanted}", described(path));
        self.faults.push(
            Diagnostic::error("compose::wrong-type", message)
                .at(node.span, format!("this is {}", node.kind())),
        );
        None
    }

    /// A value of the right type that means nothing.
    pub(super) fn invalid<T>(&mut self, path: &str, node: &Node, fault: Fault) -> Option<T> {
        let span = inside(self.sources, node, &fault);
        let message = format!("{} is not valid", described(path));
        let diagnostic =
            Diagnostic::error("compose::invalid-value", message).at(span, fault.message);
        self.faults
            .push(fault.help.into_iter().fold(diagnostic, Diagnostic::help));
        None
    }

    /// A string and nothing else; a number has to be quoted, or it might be printed differently.
    pub(super) fn string(&mut self, path: &str, node: &Node) -> Option<String> {
        match node.resolved() {
            Some(Resolved::Text(text) | Resolved::Timestamp(text)) => Some(text.to_owned()),
            Some(Resolved::Bool(_) | Resolved::Int(_) | Resolved::Float(_)) => {
                let written = self.sources.slice(node.span).to_owned();
                let _none: Option<()> = self.wrong(path, node, "a string");
                if let Some(fault) = self.faults.last_mut() {
                    fault.help.push(format!("quote it: \"{written}\""));
                }
                None
            }
            _ => self.wrong(path, node, "a string"),
        }
    }

    /// A string, or another scalar as Compose prints it. Null is `None` without a fault.
    pub(super) fn printed(&mut self, path: &str, node: &Node) -> Option<String> {
        match node.resolved() {
            Some(resolved) => resolved.to_text(),
            None => self.wrong(path, node, "a string, a number, a boolean or nothing"),
        }
    }

    /// A string or a number.
    pub(super) fn string_or_number(&mut self, path: &str, node: &Node) -> Option<String> {
        match node.resolved() {
            Some(Resolved::Null | Resolved::Bool(_)) | None => {
                self.wrong(path, node, "a string or a number")
            }
            Some(resolved) => resolved.to_text(),
        }
    }

    pub(super) fn boolean(&mut self, path: &str, node: &Node) -> Option<bool> {
        let text = match node.resolved() {
            Some(Resolved::Bool(value)) => return Some(value),
            Some(Resolved::Text(text)) => text,
            _ => return self.wrong(path, node, "`true` or `false`"),
        };
        let value = match text.to_ascii_lowercase().as_str() {
            "true" => return Some(true),
            "false" => return Some(false),
            "yes" | "y" | "on" => true,
            "no" | "n" | "off" => false,
            _ => return self.wrong(path, node, "`true` or `false`"),
        };
        self.faults.push(
            Diagnostic::warning(
                "compose::boolean",
                format!("`{text}` is a string in YAML 1.2"),
            )
            .at(node.span, format!("taken as `{value}`"))
            .help(format!("write `{value}`")),
        );
        Some(value)
    }

    pub(super) fn integer(&mut self, path: &str, node: &Node) -> Option<i64> {
        let value = match node.resolved() {
            Some(Resolved::Int(value)) => i64::try_from(value).ok(),
            Some(Resolved::Text(text)) => text.parse().ok(),
            Some(Resolved::Float(value)) => truncated(value),
            _ => None,
        };
        value.or_else(|| self.wrong(path, node, "a whole number"))
    }

    /// A whole number of some smaller type.
    pub(super) fn natural<T: TryFrom<i64>>(&mut self, path: &str, node: &Node) -> Option<T> {
        let value = self.integer(path, node)?;
        T::try_from(value).ok().or_else(|| {
            let length = self.sources.slice(node.span).len();
            self.invalid(
                path,
                node,
                Fault::new(0..length, format!("{value} is out of range")),
            )
        })
    }

    pub(super) fn float(&mut self, path: &str, node: &Node) -> Option<f32> {
        let value = node
            .resolved()
            .and_then(Resolved::to_text)
            .and_then(|t| t.parse::<f32>().ok());
        let value = value.filter(|value| value.is_finite());
        value.or_else(|| self.wrong(path, node, "a number"))
    }

    /// A size. A number with decimals and no unit is none, and counts as if it were not there.
    pub(super) fn bytes(&mut self, path: &str, node: &Node) -> Option<Bytes> {
        let text = match node.resolved() {
            Some(Resolved::Int(value)) => return i64::try_from(value).ok().map(Bytes),
            Some(Resolved::Float(_)) => return None,
            _ => self.string(path, node)?,
        };
        if let Ok(plain) = text.parse() {
            return Some(Bytes(plain));
        }
        units::bytes(&text)
            .map_err(|fault| self.invalid::<()>(path, node, fault))
            .ok()
    }

    pub(super) fn duration(&mut self, path: &str, node: &Node) -> Option<Duration> {
        if let Some(Resolved::Int(value)) = node.resolved() {
            let length = self.sources.slice(node.span).len();
            let fault = Fault::new(0..length, "a duration needs a unit")
                .help(format!("for seconds write `{value}s`"));
            return self.invalid(path, node, fault);
        }
        let text = self.string(path, node)?;
        units::duration(&text)
            .map_err(|fault| self.invalid::<()>(path, node, fault))
            .ok()
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(
        &mut self,
        path: &str,
        node: &Node,
        words: &[(&str, T)],
    ) -> Option<T> {
        let text = self.string(path, node)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        self.faults.push(
            Diagnostic::error(
                "compose::invalid-value",
                format!("{} cannot be `{text}`", described(path)),
            )
            .at(node.span, format!("expected one of {}", names.join(", ")))
            .suggest(&text, names),
        );
        None
    }

    /// A scalar or a list of scalars, as a list.
    pub(super) fn items<'n>(&mut self, path: &str, node: &'n Node) -> Vec<&'n Node> {
        match &node.value {
            Value::Sequence(items) => items.iter().collect(),
            Value::Scalar(_) if node.is_null() => Vec::new(),
            Value::Scalar(_) => vec![node],
            Value::Mapping(_) => self
                .wrong(path, node, "a string or a list")
                .unwrap_or_default(),
        }
    }

    /// A list.
    pub(super) fn list<'n>(&mut self, path: &str, node: &'n Node) -> &'n [Node] {
        match node.sequence() {
            Some(items) => items,
            None => self.wrong(path, node, "a list").unwrap_or_default(),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "only for floats that are small, and Compose cuts decimals too"
)]
fn truncated(value: f64) -> Option<i64> {
    (value.abs() < 1e15).then_some(value as i64)
}

/// The place of a fault inside a scalar.
fn inside(sources: &Sources, node: &Node, fault: &Fault) -> Span {
    crate::load::inside(sources, node, fault.range.clone())
}
