//! Go templates, as far as people use them with `--format`, over JSON objects.
//!
//! Text between actions is copied. In actions: fields, variables, pipelines, literals, `if`, `with`, `range`, `break`,
//! `continue`, comments, trim markers, and the functions of [`functions::NAMES`]. What is missing (`define`, `template`,
//! `block`) is refused by name. Every error names its line and column.
//!
//! A field that is not there is an error when it is printed, but false in a condition: engines leave out what does not
//! apply, such as the health of a container without a healthcheck.

mod eval;
mod functions;
mod lex;
mod parse;
mod printf;
mod value;

#[cfg(test)]
mod tests;

use serde_json::Value;
use thiserror::Error;

/// What is wrong with a template, or with what it was applied to.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Fault {
    /// An action that does not end.
    #[error("an action that begins here has no `}}}}`")]
    Unclosed,
    /// A string that does not end.
    #[error("a string that begins here has no end")]
    UnclosedString,
    /// A comment that does not end where its action does.
    #[error("a comment that begins here has no `*/`")]
    UnclosedComment,
    /// A character that nothing begins with.
    #[error("unexpected `{0}`")]
    Character(char),
    /// A number that is none.
    #[error("`{0}` is not a number")]
    Number(String),
    /// Something else was expected.
    #[error("{found} where {wanted} was expected")]
    Unexpected {
        /// What stands there.
        found: String,
        /// What should.
        wanted: &'static str,
    },
    /// A block without its end.
    #[error("`{0}` has no `{{{{end}}}}`")]
    NoEnd(&'static str),
    /// An action of Go that is not there.
    #[error("`{0}` is not supported")]
    Unsupported(String),
    /// A function that is not there.
    #[error("unknown function `{0}`")]
    Function(String),
    /// A variable that was not set.
    #[error("unknown variable `{0}`")]
    Variable(String),
    /// A field that is not there.
    #[error("there is no field `{field}`{}", suggestion(.similar.as_deref()))]
    Field {
        /// Its path from where it was looked up.
        field: String,
        /// One that is there.
        similar: Option<String>,
    },
    /// A function got too many values, or too few.
    #[error("`{function}` takes {wanted}, not {given}")]
    Count {
        /// Its name.
        function: String,
        /// How many it takes, in words.
        wanted: &'static str,
        /// How many there were.
        given: usize,
    },
    /// A function got a value it cannot use.
    #[error("`{function}` cannot be used with {kind}")]
    Kind {
        /// Its name.
        function: String,
        /// What it got.
        kind: &'static str,
    },
    /// A place outside of a list or text.
    #[error("index {index} is outside of {length} elements")]
    Range {
        /// The place.
        index: i64,
        /// How many there are.
        length: usize,
    },
    /// Values given to something that is no function.
    #[error("values are given to something that is not a function")]
    NotFunction,
}

fn suggestion(similar: Option<&str>) -> String {
    similar.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

/// A fault and its place, counted in lines and characters from one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("template:{line}:{column}: {fault}")]
pub(crate) struct TemplateError {
    /// Line, from 1.
    pub(crate) line: usize,
    /// Character in the line, from 1.
    pub(crate) column: usize,
    /// What is wrong there.
    pub(crate) fault: Fault,
}

/// A byte offset and a fault; offsets become places where the text is known.
type Offset<T> = Result<T, (usize, Fault)>;

/// A template that was read.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    text: String,
    nodes: Vec<parse::Node>,
}

impl Template {
    /// Reads a template.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let nodes = lex::pieces(text)
            .and_then(parse::parse)
            .map_err(|fault| place(text, fault))?;
        Ok(Self {
            text: text.to_owned(),
            nodes,
        })
    }

    /// Applies it to a value.
    pub(crate) fn render(&self, dot: &Value) -> Result<String, TemplateError> {
        eval::render(&self.nodes, dot).map_err(|fault| place(&self.text, fault))
    }
}

fn place(text: &str, (offset, fault): (usize, Fault)) -> TemplateError {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    TemplateError {
        line,
        column: before[start..].chars().count() + 1,
        fault,
    }
}
