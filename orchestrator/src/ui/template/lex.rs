//! Text and actions, and the tokens of actions.

use super::{Fault, Offset};

/// Text, or the tokens of an action.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    Text(String),
    /// Where the action begins, and what is in it.
    Action(usize, Vec<Token>),
}

/// A token and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) at: usize,
    pub(super) kind: Kind,
    /// Whether white space stands before it: `.A .B` are two values, `.A.B` is one.
    pub(super) apart: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// `.Name`
    Field(String),
    /// `.` alone
    Dot,
    /// `$name`, or `$` alone
    Variable(String),
    Word(String),
    Text(String),
    Number(serde_json::Number),
    Open,
    Close,
    Pipe,
    Comma,
    Declare,
    Assign,
}

/// Cuts a template into pieces.
pub(super) fn pieces(text: &str) -> Offset<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut at = 0;
    let mut trim = false;
    while let Some(found) = text[at..].find("{{") {
        let open = at + found;
        let mut inside = open + 2;
        let trims_left = text[inside..].starts_with('-') && starts_with_space(&text[inside + 1..]);
        if trims_left {
            inside += 1;
        }
        push_text(&mut pieces, &text[at..open], trim, trims_left);
        let (tokens, end) = action(text, open, inside)?;
        pieces.extend(tokens.map(|tokens| Piece::Action(open, tokens)));
        trim = end.trims;
        at = end.at;
    }
    push_text(&mut pieces, &text[at..], trim, false);
    Ok(pieces)
}

fn starts_with_space(text: &str) -> bool {
    text.starts_with(char::is_whitespace)
}

fn push_text(pieces: &mut Vec<Piece>, text: &str, left: bool, right: bool) {
    let text = if left { text.trim_start() } else { text };
    let text = if right { text.trim_end() } else { text };
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

/// Where an action ends, and whether the text behind it loses its leading space.
struct End {
    at: usize,
    trims: bool,
}

fn end(text: &str, at: usize) -> Option<End> {
    let rest = &text[at..];
    if rest.starts_with("}}") {
        return Some(End {
            at: at + 2,
            trims: false,
        });
    }
    let trimmed = rest.trim_start();
    (trimmed.len() < rest.len() && trimmed.starts_with("-}}")).then(|| End {
        at: at + rest.len() - trimmed.len() + 3,
        trims: true,
    })
}

/// The tokens of the action at `open` whose inside begins at `at`; none for a comment.
fn action(text: &str, open: usize, at: usize) -> Offset<(Option<Vec<Token>>, End)> {
    let inside = &text[at..];
    let comment = inside.trim_start();
    if comment.starts_with("/*") {
        let close = inside.find("*/").ok_or((open, Fault::UnclosedComment))?;
        let end = end(text, at + close + 2).ok_or((open, Fault::UnclosedComment))?;
        return Ok((None, end));
    }
    let mut reader = Reader {
        text,
        at,
        apart: true,
    };
    let mut tokens = Vec::new();
    loop {
        if let Some(end) = end(text, reader.at) {
            return Ok((Some(tokens), end));
        }
        if reader.skip_space() {
            continue;
        }
        match reader.token()? {
            Some(token) => tokens.push(token),
            None => return Err((open, Fault::Unclosed)),
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    apart: bool,
}

fn is_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    /// Takes as long as the letters fit.
    fn take(&mut self, fits: impl Fn(char) -> bool) -> String {
        let rest = self.rest();
        let length = rest.find(|letter| !fits(letter)).unwrap_or(rest.len());
        let taken = rest[..length].to_owned();
        self.at += length;
        taken
    }

    /// Whether there was any. The space before a trim marker is part of the action's end, so that is looked for first.
    fn skip_space(&mut self) -> bool {
        let space = self.rest().len() - self.rest().trim_start().len();
        self.at += space;
        self.apart |= space > 0;
        space > 0
    }

    /// The next token; none at the end of the template.
    fn token(&mut self) -> Offset<Option<Token>> {
        let at = self.at;
        let Some(first) = self.rest().chars().next() else {
            return Ok(None);
        };
        let kind = self.kind(first)?;
        let apart = std::mem::take(&mut self.apart);
        Ok(Some(Token { at, kind, apart }))
    }

    fn kind(&mut self, first: char) -> Offset<Kind> {
        let at = self.at;
        let single = |kind| Some((kind, first.len_utf8()));
        let fixed = match first {
            '(' => single(Kind::Open),
            ')' => single(Kind::Close),
            '|' => single(Kind::Pipe),
            ',' => single(Kind::Comma),
            '=' => single(Kind::Assign),
            ':' if self.rest().starts_with(":=") => Some((Kind::Declare, 2)),
            _ => None,
        };
        if let Some((kind, length)) = fixed {
            self.at += length;
            return Ok(kind);
        }
        match first {
            '.' => {
                self.at += 1;
                let name = self.take(is_name);
                Ok(if name.is_empty() {
                    Kind::Dot
                } else {
                    Kind::Field(name)
                })
            }
            '$' => {
                self.at += 1;
                Ok(Kind::Variable(format!("${}", self.take(is_name))))
            }
            '"' => self.quoted(),
            '`' => self.raw(),
            '\'' => Err((at, Fault::Character('\''))),
            _ if first.is_ascii_digit() || matches!(first, '-' | '+') => self.number(),
            _ if is_name(first) => Ok(Kind::Word(self.take(is_name))),
            _ => Err((at, Fault::Character(first))),
        }
    }

    fn raw(&mut self) -> Offset<Kind> {
        let inside = &self.rest()[1..];
        let length = inside.find('`').ok_or((self.at, Fault::UnclosedString))?;
        let text = inside[..length].to_owned();
        self.at += length + 2;
        Ok(Kind::Text(text))
    }

    fn quoted(&mut self) -> Offset<Kind> {
        let mut text = String::new();
        let rest = self.rest();
        let mut letters = rest.char_indices().skip(1);
        while let Some((offset, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.at += offset + 1;
                    return Ok(Kind::Text(text));
                }
                '\n' => break,
                '\\' => match letters.next().map(|(_, escaped)| escaped) {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some(escaped @ ('"' | '\\' | '\'')) => text.push(escaped),
                    Some(other) => return Err((self.at + offset, Fault::Character(other))),
                    None => break,
                },
                letter => text.push(letter),
            }
        }
        Err((self.at, Fault::UnclosedString))
    }

    fn number(&mut self) -> Offset<Kind> {
        let at = self.at;
        let text =
            self.take(|letter| letter.is_alphanumeric() || matches!(letter, '.' | '-' | '+' | '_'));
        let plain = text.replace('_', "");
        let whole = match plain.strip_prefix("0x") {
            Some(digits) => i64::from_str_radix(digits, 16).ok(),
            None => plain.parse::<i64>().ok(),
        };
        let number = match whole {
            Some(whole) => Some(whole.into()),
            None => plain
                .parse::<f64>()
                .ok()
                .and_then(serde_json::Number::from_f64),
        };
        number.map(Kind::Number).ok_or((at, Fault::Number(text)))
    }
}
