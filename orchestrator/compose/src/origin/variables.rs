//! Where the variables of a text get their values from.

use serde::Serialize;

use super::Asked;
use super::layers::Reader;
use crate::grammar::dotenv;
use crate::source::{Location, Span};

/// A variable in a text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What it is here; `None` if it is not set.
    pub value: Option<String>,
    /// Who sets it, the strongest first.
    pub sources: Vec<VariableSource>,
}

/// One place that gives a variable a value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VariableSource {
    /// `environment` is the caller's, `env_file` a file such as `.env`, `default` stands in the text itself.
    pub kind: &'static str,
    /// The line of an env file.
    pub location: Option<Location>,
    /// The value there.
    pub value: String,
}

/// The variables of a text, each once.
pub(super) fn of_text(
    asked: &Asked<'_>,
    reader: &Reader<'_>,
    text: &str,
    extra: &[String],
) -> Vec<Variable> {
    let mut variables: Vec<Variable> = Vec::new();
    for (name, default) in mentioned(text) {
        if variables.iter().any(|known| known.name == name) {
            continue;
        }
        let mut variable = named(asked, reader, &name, extra);
        variable.sources.extend(default.map(|value| VariableSource {
            kind: "default",
            location: None,
            value,
        }));
        variables.push(variable);
    }
    variables
}

/// One variable.
pub(super) fn named(
    asked: &Asked<'_>,
    reader: &Reader<'_>,
    name: &str,
    extra: &[String],
) -> Variable {
    let mut sources = Vec::new();
    sources.extend(asked.environment.get(name).map(|value| VariableSource {
        kind: "environment",
        location: None,
        value: value.clone(),
    }));
    let known = asked.project.environment.get(name);
    let mut of_files: Vec<VariableSource> = asked
        .project
        .env_files
        .iter()
        .chain(extra)
        .filter_map(|file| in_file(asked, reader, file, name))
        .collect();
    // Of several env files, the one that gave the value comes first; loading knows which.
    of_files.sort_by_key(|source| Some(&source.value) != known);
    sources.extend(of_files);
    let own_name = (name == "COMPOSE_PROJECT_NAME").then(|| asked.project.name.clone());
    let value = known.cloned().or(own_name);
    let value = value.or_else(|| sources.first().map(|source| source.value.clone()));
    Variable {
        name: name.to_owned(),
        value,
        sources,
    }
}

/// What an env file says of a variable.
pub(super) fn in_file(
    asked: &Asked<'_>,
    reader: &Reader<'_>,
    file: &str,
    name: &str,
) -> Option<VariableSource> {
    let id = reader.source(file)?;
    let sources = reader.sources.borrow();
    let text = &sources.get(id)?.text;
    let lookup = |name: &str| asked.project.environment.get(name).cloned();
    let pairs = dotenv::parse(text, &lookup).ok()?;
    let (_, value) = pairs.into_iter().rev().find(|(key, _)| key == name)?;
    let span = dotenv::line_of(text, name).map(|start| Span {
        source: id,
        start,
        end: start + name.len(),
    });
    Some(VariableSource {
        kind: "env_file",
        location: span.and_then(|span| sources.location(span)),
        value,
    })
}

/// Names after a dollar, with the default that stands beside them; those inside of defaults too.
fn mentioned(text: &str) -> Vec<(String, Option<String>)> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            rest = after;
            continue;
        }
        let braced = rest.starts_with('{');
        let body = rest.strip_prefix('{').unwrap_or(rest);
        let len = body
            .bytes()
            .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
            .count();
        if len == 0 || body.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        let after = &body[len..];
        let default = braced.then(|| default(after)).flatten();
        out.push((body[..len].to_owned(), default));
        rest = after;
    }
    out
}

/// The text after `:-` or `-`, up to the brace that closes it.
fn default(text: &str) -> Option<String> {
    let text = text.strip_prefix(':').unwrap_or(text).strip_prefix('-')?;
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(text[..at].to_owned()),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}
