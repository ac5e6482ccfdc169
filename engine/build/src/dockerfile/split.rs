//! A logical line into keyword, flags and the rest.

use std::ops::Range;

use super::Fault;
use super::fault::Mistake;
use super::lines::Statement;

/// A `--name[=value]` behind the keyword.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flag {
    /// Without the dashes.
    pub name: String,
    pub value: Option<String>,
    /// Bytes of the logical line.
    pub range: Range<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Split<'a> {
    pub keyword: &'a str,
    pub flags: Vec<Flag>,
    pub rest: &'a str,
}

/// White space that separates arguments. It is no line break and nothing beyond ASCII.
pub(super) fn is_blank(ch: char) -> bool {
    matches!(ch, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

pub(super) fn split(line: &str, escape: char) -> Split<'_> {
    let start = line.len() - line.trim_start().len();
    let trimmed = line.trim();
    let Some(end) = trimmed.find(is_blank) else {
        return Split {
            keyword: trimmed,
            flags: Vec::new(),
            rest: "",
        };
    };
    let rest = trimmed[end..].trim_start_matches(is_blank);
    let mut at = start + trimmed.len() - rest.len();
    let line_end = start + trimmed.len();
    let mut flags = Vec::new();
    loop {
        let left = &line[at..line_end];
        at += left.len() - left.trim_start().len();
        if !line[at..line_end].starts_with("--") {
            break;
        }
        let (word, end) = flag_word(&line[at..line_end], escape);
        let range = at..at + end;
        at = range.end;
        match word.strip_prefix("--") {
            // A bare `--` ends the flags, as in most programs.
            Some("") => break,
            Some(flag) => flags.push(flag_of(flag, range)),
            None => {}
        }
    }
    Split {
        keyword: &trimmed[..end],
        flags,
        rest: line[at..line_end].trim(),
    }
}

fn flag_of(text: &str, range: Range<usize>) -> Flag {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    Flag {
        name: name.to_owned(),
        value,
        range,
    }
}

/// A word with its quotes and escapes taken away, and where it ends.
fn flag_word(text: &str, escape: char) -> (String, usize) {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, ch)) = chars.next() {
        match quote {
            None if ch.is_whitespace() => return (word, at),
            None if matches!(ch, '\'' | '"') => quote = Some(ch),
            Some(open) if ch == open => quote = None,
            _ if ch == escape => word.extend(chars.next().map(|(_, ch)| ch)),
            _ => word.push(ch),
        }
    }
    (word, text.len())
}

/// Words as `ENV`, `LABEL` and `ARG` see them: split at white space outside quotes, with quotes and escapes kept for the
/// expansion to come.
pub(super) fn quoted_words(rest: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut inside = false;
    let mut quote = None;
    let mut chars = rest.chars().peekable();
    while let Some(ch) = chars.next() {
        match quote {
            None if ch.is_whitespace() => {
                if inside && !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                inside = false;
                continue;
            }
            None if matches!(ch, '\'' | '"') => quote = Some(ch),
            Some(open) if ch == open => quote = None,
            _ => {}
        }
        inside = true;
        // Nothing can be escaped between single quotes. An escape at the very end is dropped.
        if ch == escape && quote != Some('\'') {
            match chars.next() {
                Some(next) => word.extend([ch, next]),
                None => break,
            }
        } else {
            word.push(ch);
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// The flags an instruction knows.
pub(super) struct Flags<'a> {
    flags: &'a [Flag],
    statement: &'a Statement,
}

impl<'a> Flags<'a> {
    /// Checks that each flag is known, that only those of `several` come more than once, and that values are there.
    /// `switches` need none.
    pub(super) fn check(
        flags: &'a [Flag],
        statement: &'a Statement,
        known: &Known,
    ) -> Result<Self, Fault> {
        for (at, flag) in flags.iter().enumerate() {
            check_flag(flag, &flags[..at], known)
                .map_err(|fault| fault.place(statement.part(&flag.range), flag, known))?;
        }
        Ok(Self { flags, statement })
    }

    pub(super) fn value(&self, name: &str) -> Option<&'a str> {
        self.flag(name).and_then(|flag| flag.value.as_deref())
    }

    pub(super) fn flag(&self, name: &str) -> Option<&'a Flag> {
        self.flags.iter().find(|flag| flag.name == name)
    }

    pub(super) fn all(&self, name: &'a str) -> impl Iterator<Item = &'a Flag> {
        self.flags.iter().filter(move |flag| flag.name == name)
    }

    /// Whether a switch was given, and how it was set.
    pub(super) fn switch(&self, name: &str) -> Option<bool> {
        let flag = self.flag(name)?;
        let off = flag
            .value
            .as_deref()
            .is_some_and(|value| value.eq_ignore_ascii_case("false"));
        Some(!off)
    }

    pub(super) fn fault(&self, name: &str, mistake: Mistake) -> Fault {
        let span = self
            .flag(name)
            .map_or(self.statement.span, |flag| self.statement.part(&flag.range));
        Fault::new(mistake, span)
    }
}

/// Names of flags by what they take.
#[derive(Default)]
pub(super) struct Known {
    pub switches: &'static [&'static str],
    pub single: &'static [&'static str],
    pub several: &'static [&'static str],
    /// Flags of the stock front end that this builder does not serve.
    pub refused: &'static [&'static str],
}

struct FlagFault(Mistake);

impl FlagFault {
    fn place(self, span: super::Span, flag: &Flag, known: &Known) -> Fault {
        let unknown = matches!(self.0, Mistake::UnknownFlag(_));
        let fault = Fault::new(self.0, span);
        if !unknown {
            return fault;
        }
        let names = [known.switches, known.single, known.several].concat();
        fault.suggesting(&flag.name, names)
    }
}

fn check_flag(flag: &Flag, before: &[Flag], known: &Known) -> Result<(), FlagFault> {
    let name = flag.name.as_str();
    let fail = |mistake| Err(FlagFault(mistake));
    if known.refused.contains(&name) {
        return fail(Mistake::Unsupported(format!("--{name}")));
    }
    let switch = known.switches.contains(&name);
    if !switch && !known.single.contains(&name) && !known.several.contains(&name) {
        return fail(Mistake::UnknownFlag(name.to_owned()));
    }
    if !known.several.contains(&name) && before.iter().any(|other| other.name == name) {
        return fail(Mistake::RepeatedFlag(name.to_owned()));
    }
    match (&flag.value, switch) {
        (None, true) => Ok(()),
        (Some(value), true) if value.is_empty() => fail(Mistake::FlagWithoutValue(name.to_owned())),
        (Some(value), true) => match value.to_ascii_lowercase().as_str() {
            "true" | "false" => Ok(()),
            _ => fail(Mistake::FlagNotBoolean {
                flag: name.to_owned(),
                value: value.clone(),
            }),
        },
        (None, false) => fail(Mistake::FlagWithoutValue(name.to_owned())),
        (Some(_), false) => Ok(()),
    }
}
