//! Variables in every string of a document; keys stay as they are.

use super::{Env, Session};
use crate::diagnostic::Diagnostic;
use crate::grammar::template;
use crate::shape::cast;
use crate::source::{Sources, Span};
use crate::yaml::{Node, Resolved, Scalar, Value};

/// Replaces variables in all values of a document, and casts them to what their fields want.
pub(crate) fn interpolate(session: &mut Session<'_>, document: &mut Node, environment: &Env) {
    if !session.options.no_interpolate {
        walk(session, document, environment, &mut Vec::new());
    }
}

fn walk(session: &mut Session<'_>, node: &mut Node, environment: &Env, path: &mut Vec<String>) {
    match &mut node.value {
        Value::Sequence(items) => {
            path.push("0".to_owned());
            for item in items {
                walk(session, item, environment, path);
            }
            path.pop();
        }
        Value::Mapping(mapping) => {
            for (key, entry) in mapping {
                path.push(key.clone());
                walk(session, &mut entry.value, environment, path);
                path.pop();
            }
        }
        Value::Scalar(_) => {
            scalar(session, node, environment);
            cast::apply(path, node, &mut session.faults);
        }
    }
}

fn scalar(session: &mut Session<'_>, node: &mut Node, environment: &Env) {
    let Some(Resolved::Text(text)) = node.resolved() else {
        return;
    };
    if !text.contains('$') {
        return;
    }
    let mut unset = Vec::new();
    let lookup = |name: &str| environment.get(name).cloned();
    let result = template::substitute(text, &lookup, &mut unset);
    for variable in unset {
        let span = inside(&session.sources, node, variable.range);
        warn_unset(session, &variable.name, span);
    }
    match result {
        Ok(text) => node.value = Value::Scalar(Scalar { text, plain: false }),
        Err(fault) => {
            let span = inside(&session.sources, node, fault.range);
            let diagnostic =
                Diagnostic::error("compose::interpolation", fault.message).at(span, "");
            session
                .faults
                .push(fault.help.into_iter().fold(diagnostic, Diagnostic::help));
        }
    }
}

/// One warning for each variable, at its first use.
fn warn_unset(session: &mut Session<'_>, name: &str, span: Span) {
    if !session.unset.insert(name.to_owned()) {
        return;
    }
    let message = format!("the variable `{name}` is not set and counts as empty");
    session.faults.push(
        Diagnostic::warning("compose::unset-variable", message)
            .at(span, "")
            .help(format!(
                "set it in the environment or in `.env`, or write `${{{name}:-}}`"
            )),
    );
}

/// The place of some bytes of a scalar's text. A text with escapes or of several lines does not
/// stand in the file as it is; then the whole scalar is meant.
pub(crate) fn inside(sources: &Sources, node: &Node, range: std::ops::Range<usize>) -> Span {
    let Value::Scalar(scalar) = &node.value else {
        return node.span;
    };
    let written = sources.slice(node.span);
    let quote = usize::from(written.starts_with(['"', '\'']));
    let bare = written
        .get(quote..written.len().saturating_sub(quote))
        .unwrap_or("");
    if bare == scalar.text && range.start < range.end {
        node.span.slice(range.start + quote..range.end + quote)
    } else {
        node.span
    }
}
