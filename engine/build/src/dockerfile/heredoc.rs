//! `<<EOF`: files that stand in the Dockerfile.

use crate::words::{Empty, Lexer, WordError};

/// A heredoc with what stands in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heredoc {
    /// The word behind `<<`, without quotes: the line that ends it, and a file's name.
    pub name: String,
    /// No part of it was quoted: variables in it are expanded (by `COPY` and `ADD`; in `RUN` the shell decides).
    pub expand: bool,
    /// `<<-`: tabs at the beginning of its lines are dropped.
    pub chomp: bool,
    /// The lines, with their ends.
    pub content: String,
}

impl Heredoc {
    /// The lines as they are to be used.
    pub fn text(&self) -> String {
        if !self.chomp {
            return self.content.clone();
        }
        let lines = self.content.split_inclusive('\n');
        lines.map(|line| line.trim_start_matches('\t')).collect()
    }

    /// Whether a line of the Dockerfile ends it.
    pub(super) fn ends_at(&self, line: &str) -> bool {
        let line = line.trim_end_matches(['\r', '\n']);
        let line = if self.chomp {
            line.trim_start_matches('\t')
        } else {
            line
        };
        line == self.name
    }
}

/// Reads a word as the beginning of a heredoc; `None` if it is none.
pub(crate) fn heredoc_of(word: &str) -> Result<Option<Heredoc>, WordError> {
    let rest = word.trim_start_matches(|ch: char| ch.is_ascii_digit());
    let Some(rest) = rest.strip_prefix("<<") else {
        return Ok(None);
    };
    let (chomp, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let rest = rest.trim_start_matches(|ch: char| ch.is_ascii_whitespace());
    if rest.is_empty() || rest.contains('<') {
        return Ok(None);
    }
    // What differs when quotes are kept has quotes.
    let lexer = Lexer {
        keep_unset: true,
        ..Lexer::new('\\')
    };
    let plain = lexer.expand(rest, &Empty)?.words;
    let [name] = plain.as_slice() else {
        return Ok(None);
    };
    let raw = Lexer {
        raw_quotes: true,
        ..lexer
    };
    let raw = raw.expand(rest, &Empty)?.words;
    let quotes = |text: &str| text.matches(['\'', '"']).count();
    Ok(Some(Heredoc {
        name: name.clone(),
        expand: raw.first().map(|raw| quotes(raw)) == Some(quotes(name)),
        chomp,
        content: String::new(),
    }))
}

/// The heredocs that a logical line begins, in order. A line whose quotes are not closed begins none.
pub(super) fn heredocs_of(line: &str) -> Result<Vec<Heredoc>, WordError> {
    let lexer = Lexer {
        raw_quotes: true,
        raw_escapes: true,
        keep_unset: true,
        ..Lexer::new('\\')
    };
    let words = lexer
        .expand(line, &Empty)
        .map(|expanded| expanded.words)
        .unwrap_or_default();
    words
        .iter()
        .filter_map(|word| heredoc_of(word).transpose())
        .collect()
}
