//! The words behind a verb: options anywhere, the rest in order.

use std::fmt::Display;
use std::str::FromStr;

/// Why a verb did not do its work.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Called wrongly.
    Usage(String),
    /// Tried, and failed.
    Failed(String),
}

/// An exit code, or why there is none.
pub(crate) type Outcome = Result<i32, Fault>;

/// Turns an error into a [`Fault`] that says what was tried.
pub(crate) trait OrFail<T> {
    fn or_fail(self, tried: impl Display) -> Result<T, Fault>;
}

impl<T, E: Display> OrFail<T> for Result<T, E> {
    fn or_fail(self, tried: impl Display) -> Result<T, Fault> {
        self.map_err(|error| Fault::Failed(format!("{tried}: {error}")))
    }
}

/// Words not yet taken.
#[derive(Debug)]
pub(crate) struct Words(Vec<String>);

impl Words {
    pub(crate) fn new(words: impl Iterator<Item = String>) -> Self {
        Self(words.collect())
    }

    /// Takes `--name VALUE` or `--name=VALUE`; the first of several.
    pub(crate) fn option(&mut self, name: &str) -> Result<Option<String>, Fault> {
        let at = self.0.iter().position(|word| {
            word == name
                || word
                    .strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with('='))
        });
        let Some(at) = at else { return Ok(None) };
        let word = self.0.remove(at);
        if let Some((_, value)) = word.split_once('=') {
            return Ok(Some(value.to_owned()));
        }
        if at == self.0.len() {
            return Err(Fault::Usage(format!("{name} needs a value")));
        }
        Ok(Some(self.0.remove(at)))
    }

    /// Takes an option whose value has to be a `T`.
    pub(crate) fn parsed<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, Fault> {
        self.option(name)?
            .map(|value| parse(name, &value))
            .transpose()
    }

    /// Takes `--name`, and says whether it was there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|word| word != name);
        before != self.0.len()
    }

    /// Takes the next word.
    pub(crate) fn next(&mut self, what: &str) -> Result<String, Fault> {
        match self.0.is_empty() {
            true => Err(Fault::Usage(format!("{what} is missing"))),
            false => Ok(self.0.remove(0)),
        }
    }

    /// Takes the next word, which has to be a `T`.
    pub(crate) fn next_parsed<T: FromStr>(&mut self, what: &str) -> Result<T, Fault> {
        parse(what, &self.next(what)?)
    }

    /// Takes the next word if there is one.
    pub(crate) fn maybe(&mut self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }

    /// All that is left.
    pub(crate) fn rest(self) -> Vec<String> {
        self.0
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<(), Fault> {
        match self.0.first() {
            Some(word) => Err(Fault::Usage(format!("`{word}` is too much"))),
            None => Ok(()),
        }
    }
}

fn parse<T: FromStr>(what: &str, value: &str) -> Result<T, Fault> {
    value
        .parse()
        .map_err(|_| Fault::Usage(format!("{what} cannot be `{value}`")))
}
