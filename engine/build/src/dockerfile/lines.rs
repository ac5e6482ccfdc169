//! The text of a Dockerfile as statements: continuation lines joined, comments and empty lines gone, directives read,
//! heredocs collected.

use std::ops::Range;

use super::fault::{Fault, Mistake};
use super::heredoc::{Heredoc, heredocs_of};
use super::span::Lines;
use super::{Span, forms};
use crate::warnings::{Rule, Warning};

/// An instruction before anything in it was understood.
#[derive(Clone, Debug, Default)]
pub(super) struct Statement {
    /// Its lines joined.
    pub text: String,
    /// Comments right above it.
    pub comments: Vec<String>,
    pub heredocs: Vec<Heredoc>,
    /// From its first character to the end of its last line.
    pub span: Span,
    /// Its lines one by one: where each begins in `text`, and its place in the file.
    pieces: Vec<(usize, Span)>,
}

impl Statement {
    /// The place of a part of the logical line.
    pub(super) fn part(&self, range: &Range<usize>) -> Span {
        self.point(range.start)
            .to(self.point(range.end.max(1) - 1).end_after())
    }

    fn point(&self, at: usize) -> Span {
        let piece = self.pieces.iter().rev().find(|(start, _)| *start <= at);
        let Some((start, line)) = piece else {
            return self.span;
        };
        let before = self.text.get(*start..at).unwrap_or_default();
        let mut place = line.start;
        place.offset += before.len();
        place.column += before.chars().count();
        Span {
            start: place,
            end: place,
        }
    }
}

impl Span {
    /// The character at a point.
    fn end_after(self) -> Self {
        let mut end = self.end;
        end.offset += 1;
        end.column += 1;
        Self {
            start: self.start,
            end,
        }
    }
}

/// What the lines of a file are.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub statements: Vec<Statement>,
    pub escape: char,
    pub check: Option<(String, Span)>,
    pub faults: Vec<Fault>,
    pub warnings: Vec<Warning>,
}

/// Longest line, in bytes, its end excluded.
const LONGEST: usize = 65_535;

pub(super) fn read(text: &str) -> Read {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        text,
        places: Lines::new(text),
        rest: text.split_inclusive('\n').peekable(),
        offset: 0,
        directives: Some(Vec::new()),
        read: Read {
            escape: '\\',
            ..Read::default()
        },
    };
    reader.run();
    reader.read
}

struct Reader<'a> {
    text: &'a str,
    places: Lines<'a>,
    rest: std::iter::Peekable<std::str::SplitInclusive<'a, char>>,
    offset: usize,
    /// Names seen so far; gone behind the first line that is no directive.
    directives: Option<Vec<String>>,
    read: Read,
}

impl<'a> Reader<'a> {
    fn run(&mut self) {
        let mut comments = Vec::new();
        while let Some((at, line)) = self.next_line() {
            let start = at + line.len() - line.trim_start().len();
            let content = line.trim_end_matches(['\r', '\n']).trim_start();
            if let Some(comment) = content.strip_prefix('#') {
                if !self.directive(content, start) {
                    note_comment(&mut comments, comment);
                }
                continue;
            }
            self.directives = None;
            let (piece, open) = continues(content, self.read.escape);
            if piece.is_empty() && !open {
                continue;
            }
            let mut statement = Statement {
                comments: std::mem::take(&mut comments),
                ..Statement::default()
            };
            self.add(&mut statement, piece, start, content.len());
            if open {
                self.continued(&mut statement);
            }
            self.heredocs(&mut statement);
            self.read.statements.push(statement);
        }
        if self.read.statements.is_empty() && self.read.faults.is_empty() {
            let end = self.places.span(self.text.len(), self.text.len());
            self.read.faults.push(Fault::new(Mistake::Empty, end));
        }
    }

    /// The lines that follow a line with a continuation sign. Comments between them are nothing, empty lines are nothing
    /// either, but will not be for ever.
    fn continued(&mut self, statement: &mut Statement) {
        let mut empty = false;
        let mut open = true;
        while open && let Some((at, line)) = self.next_line() {
            let content = line.trim_end_matches(['\r', '\n']);
            if content.trim_start().starts_with('#') {
                continue;
            }
            if content.trim_start().is_empty() {
                empty = true;
                continue;
            }
            let (piece, more) = continues(content, self.read.escape);
            self.add(statement, piece, at, content.len());
            open = more;
        }
        if empty {
            self.read.warnings.push(Warning {
                rule: Rule::NoEmptyContinuation,
                message: "Empty continuation line".to_owned(),
                span: statement
                    .pieces
                    .last()
                    .map_or(statement.span, |(_, span)| *span),
            });
        }
    }

    fn next_line(&mut self) -> Option<(usize, &'a str)> {
        let line = self.rest.next()?;
        let at = self.offset;
        self.offset += line.len();
        if line.len() > LONGEST {
            let span = self.places.span(at, at + line.trim_end().len());
            self.read.faults.push(Fault::new(Mistake::LongLine, span));
        }
        Some((at, line))
    }

    fn add(&self, statement: &mut Statement, piece: &str, at: usize, length: usize) {
        let span = self.places.span(at, at + length);
        statement.span = if statement.pieces.is_empty() {
            span
        } else {
            statement.span.to(span)
        };
        statement.pieces.push((statement.text.len(), span));
        statement.text.push_str(piece);
    }

    /// Reads a comment as a directive, if it is one and may still be one.
    fn directive(&mut self, line: &str, at: usize) -> bool {
        let Some(seen) = &mut self.directives else {
            return false;
        };
        let Some((name, value)) = directive_of(line, "#") else {
            self.directives = None;
            return false;
        };
        let span = self.places.span(at, at + line.trim_end().len());
        if seen.contains(&name) {
            let fault = Fault::new(Mistake::RepeatedDirective(name), span);
            self.read.faults.push(fault);
            return true;
        }
        match (name.as_str(), value) {
            ("escape", "\\") => self.read.escape = '\\',
            ("escape", "`") => self.read.escape = '`',
            ("escape", other) => {
                let mistake = Mistake::EscapeCharacter(other.to_owned());
                self.read.faults.push(Fault::new(mistake, span));
            }
            ("check", value) => self.read.check = Some((value.to_owned(), span)),
            _ => {}
        }
        seen.push(name);
        true
    }

    fn heredocs(&mut self, statement: &mut Statement) {
        if !statement.text.contains("<<")
            || !forms::may_hold_heredocs(&statement.text, self.read.escape)
        {
            return;
        }
        let heredocs = match heredocs_of(&statement.text) {
            Ok(heredocs) => heredocs,
            Err(error) => {
                self.read.faults.push(Fault::new(error, statement.span));
                return;
            }
        };
        for mut heredoc in heredocs {
            let mut closed = false;
            while let Some((at, line)) = self.next_line() {
                let end = at + line.trim_end_matches(['\r', '\n']).len();
                statement.span = statement.span.to(self.places.span(at, end));
                closed = heredoc.ends_at(line);
                if closed {
                    break;
                }
                heredoc.content.push_str(line);
            }
            if !closed {
                let mistake = Mistake::OpenHeredoc(heredoc.name.clone());
                let first = statement
                    .pieces
                    .first()
                    .map_or(statement.span, |(_, span)| *span);
                self.read.faults.push(Fault::new(mistake, first));
            }
            statement.heredocs.push(heredoc);
        }
    }
}

/// A comment without words ends the comments that belong to an instruction.
fn note_comment(comments: &mut Vec<String>, comment: &str) {
    match comment.trim() {
        "" => comments.clear(),
        comment => comments.push(comment.to_owned()),
    }
}

/// A line without its continuation sign, and whether it had one. A sign behind another one is none.
fn continues(line: &str, escape: char) -> (&str, bool) {
    let trimmed = line.trim_end_matches([' ', '\t']);
    match trimmed.strip_suffix(escape) {
        Some(before) if !before.ends_with(escape) => (before, true),
        _ => (line, false),
    }
}

/// `# name = value`, if the name is that of a directive.
pub(super) fn directive_of<'a>(line: &'a str, sign: &str) -> Option<(String, &'a str)> {
    let (name, value) = line.strip_prefix(sign)?.split_once('=')?;
    let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
    let known = matches!(name.as_str(), "syntax" | "escape" | "check");
    (known && !value.is_empty()).then_some((name, value))
}
