//! A text that is no YAML: what to say beside the parser's own sentence.

use super::read::ReadError;
use crate::diagnostic::Diagnostic;
use crate::source::{SourceId, Span};

/// The fault of a text that could not be read.
pub(super) fn syntax_error(text: &str, id: SourceId, error: &ReadError) -> Diagnostic {
    let mut start = error.at.min(text.len());
    // The end of the file, or of a line, holds nothing to point at: show the last thing before.
    while start > 0 && (start == text.len() || text[start..].starts_with(['\n', '\r'])) {
        start -= text[..start].chars().next_back().map_or(1, char::len_utf8);
    }
    let one = |start: usize| Span {
        source: id,
        start,
        end: start + text[start..].chars().next().map_or(0, char::len_utf8),
    };
    let message = error.message.as_str();
    if message.contains("unknown anchor") {
        return unknown_anchor(text, one(start));
    }
    let diagnostic =
        Diagnostic::error("compose::yaml-syntax", "this is not valid YAML").at(one(start), message);
    let sign = text[start..].chars().next().unwrap_or(' ');
    if message.contains("tab") {
        diagnostic.help("YAML is indented with spaces, never with tabs")
    } else if message.contains("quoted scalar") {
        let open = text[..start].rfind(['"', '\'']);
        diagnostic.context(open.map(one), "is this quote closed?")
    } else if let Some(open) = open_bracket(&text[..start]).filter(|_| !message.contains("block")) {
        diagnostic.context(one(open), "is this bracket closed?")
    } else if message.contains("mapping values are not allowed") {
        diagnostic.help("a text that has `: ` in it needs quotes")
    } else if message.contains("unexpected character") {
        diagnostic.help(format!("a text that begins with `{sign}` needs quotes"))
    } else if message.contains("did not find expected") {
        match depths(text, start) {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        }
    } else {
        diagnostic
    }
}

/// An alias whose anchor is nowhere before it.
fn unknown_anchor(text: &str, at: Span) -> Diagnostic {
    let name = |text: &str| {
        let end = text.find(|c: char| c.is_whitespace() || ",[]{}".contains(c));
        text[..end.unwrap_or(text.len())].to_owned()
    };
    let wanted = name(text[at.start..].trim_start_matches('*'));
    let known: Vec<String> = text.split('&').skip(1).map(name).collect();
    let span = Span {
        end: (at.start + 1 + wanted.len()).min(text.len()),
        ..at
    };
    let fault = Diagnostic::error(
        "compose::yaml-alias",
        format!("there is no anchor `&{wanted}`"),
    )
    .at(span, "")
    .suggest(&wanted, known.iter().map(String::as_str));
    match fault.help.is_empty() {
        true => fault.help("an anchor stands before its first alias, in the same file"),
        false => fault,
    }
}

/// The innermost bracket that is open at the end of a text. Quotes and comments are skipped, roughly: what is asked is
/// whether to mention one.
fn open_bracket(text: &str) -> Option<usize> {
    let mut open = Vec::new();
    let mut quote = None;
    let mut before = ' ';
    let mut comment = false;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if comment => comment = c != '\n',
            (Some(end), c) if c == end => quote = None,
            (Some(_), _) => {}
            (None, '#') if before.is_whitespace() => comment = true,
            (None, '"' | '\'') if " \n[{,:".contains(before) => quote = Some(c),
            (None, '[' | '{') if " \n[{,:-".contains(before) => open.push(at),
            (None, ']' | '}') => {
                open.pop();
            }
            _ => {}
        }
        before = c;
    }
    open.pop()
}

/// How deep the line is, if no line before it is as deep.
fn depths(text: &str, at: usize) -> Option<String> {
    let depth = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let begin = text[..at].rfind('\n').map_or(0, |at| at + 1);
    let own = depth(text[begin..].lines().next()?);
    let mut above: Vec<usize> = text[..begin]
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .map(depth)
        .collect();
    let last = *above.last()?;
    above.retain(|depth| *depth <= last);
    if above.contains(&own) {
        return None;
    }
    let outer = above.iter().filter(|depth| **depth < own).max();
    let spaces = |count: usize| match count {
        1 => "1 space".to_owned(),
        _ => format!("{count} spaces"),
    };
    Some(match outer {
        Some(outer) => format!(
            "this line is {} deep; the lines above it are {outer} or {last}",
            spaces(own)
        ),
        None => format!(
            "this line is {} deep; the line above it is {last}",
            spaces(own)
        ),
    })
}
