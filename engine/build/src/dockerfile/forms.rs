//! What stands behind a keyword, by the form that the keyword asks for.

use super::fault::Mistake;
use super::split::{is_blank, quoted_words, split};

/// Arguments as they were written, with variables and quotes untouched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Arguments {
    pub words: Vec<String>,
    /// They were a JSON array.
    pub json: bool,
}

/// `key=value`, or `key value` of the old form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    /// Left of the sign.
    pub key: String,
    /// Right of it.
    pub value: String,
    /// Written without the sign.
    pub legacy: bool,
}

/// The whole rest as one word, if there is any.
pub(super) fn text(rest: &str) -> Arguments {
    let words = if rest.is_empty() {
        Vec::new()
    } else {
        vec![rest.to_owned()]
    };
    Arguments { words, json: false }
}

/// A JSON array or, if it is none, the whole rest for a shell.
pub(super) fn command(rest: &str) -> Result<Arguments, Mistake> {
    Ok(json(rest)?.unwrap_or_else(|| text(rest)))
}

/// A JSON array or, if it is none, words between white space.
pub(super) fn list(rest: &str) -> Result<Arguments, Mistake> {
    Ok(json(rest)?.unwrap_or_else(|| words(rest)))
}

/// Words between white space.
pub(super) fn words(rest: &str) -> Arguments {
    let words = rest.split(is_blank).filter(|word| !word.is_empty());
    Arguments {
        words: words.map(str::to_owned).collect(),
        json: false,
    }
}

/// What looks like an array but is no JSON is not one; an array of something else than strings is a mistake.
fn json(rest: &str) -> Result<Option<Arguments>, Mistake> {
    if !rest.starts_with('[') {
        return Ok(None);
    }
    let Ok(values) = serde_json::from_str::<Vec<serde_json::Value>>(rest) else {
        return Ok(None);
    };
    let strings = values.into_iter().map(|value| match value {
        serde_json::Value::String(text) => Ok(text),
        _ => Err(Mistake::NotStrings),
    });
    Ok(Some(Arguments {
        words: strings.collect::<Result<_, _>>()?,
        json: true,
    }))
}

/// The pairs of `ENV` and `LABEL`. The first word tells the form: without `=` in it, all the rest is one value.
pub(super) fn pairs(rest: &str, escape: char, keyword: &'static str) -> Result<Vec<Pair>, Mistake> {
    let words = quoted_words(rest, escape);
    let Some(first) = words.first() else {
        return Err(Mistake::AtLeastOne(keyword));
    };
    if !first.contains('=') {
        let (key, value) = rest
            .split_once(is_blank)
            .ok_or(Mistake::TwoArguments(keyword))?;
        return pair(key, value.trim_start_matches(is_blank), true, keyword).map(|pair| vec![pair]);
    }
    let pairs = words.iter().map(|word| match word.split_once('=') {
        Some((key, value)) => pair(key, value, false, keyword),
        None => Err(Mistake::NoEquals(word.clone())),
    });
    pairs.collect()
}

fn pair(key: &str, value: &str, legacy: bool, keyword: &'static str) -> Result<Pair, Mistake> {
    if key.is_empty() {
        return Err(Mistake::BlankName(keyword));
    }
    Ok(Pair {
        key: key.to_owned(),
        value: value.to_owned(),
        legacy,
    })
}

/// Whether a logical line may begin heredocs: `RUN`, `COPY` and `ADD` without a JSON array, also behind `ONBUILD`.
pub(super) fn may_hold_heredocs(line: &str, escape: char) -> bool {
    let parts = split(line, escape);
    match parts.keyword.to_ascii_lowercase().as_str() {
        "onbuild" => {
            let inner = split(parts.rest, escape);
            !inner.keyword.eq_ignore_ascii_case("onbuild") && may_hold_heredocs(parts.rest, escape)
        }
        "run" | "copy" | "add" => !matches!(json(parts.rest), Ok(Some(_))),
        _ => false,
    }
}
