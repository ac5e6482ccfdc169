//! Variables and quotes in the words of a Dockerfile, as the stock front end reads them: a subset of what a shell does,
//! with rules of its own where the two disagree.
//!
//! It knows `$x`, `${x}`, the modifiers `:-` `-` `:+` `+` `:?` `?` `#` `##` `%` `%%` `/` `//`, both kinds of quotes, and
//! the escape character, which a directive may make a backtick.

mod pattern;

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::str::Chars;

/// How a text is taken apart.
#[derive(Clone, Copy, Debug)]
pub struct Lexer {
    /// What takes the meaning from the character behind it.
    pub escape: char,
    /// Quotes stay in the result.
    pub raw_quotes: bool,
    /// Escape characters stay in the result.
    pub raw_escapes: bool,
    /// Quotes mean nothing.
    pub ignore_quotes: bool,
    /// An unset variable stays as it was written.
    pub keep_unset: bool,
}

/// Where variables come from.
pub trait Environment {
    /// The value of a variable, `None` if it is unset.
    fn value(&self, name: &str) -> Option<&str>;
}

/// An environment without variables.
#[derive(Clone, Copy, Debug)]
pub struct Empty;

impl Environment for Empty {
    fn value(&self, _name: &str) -> Option<&str> {
        None
    }
}

impl Environment for [(String, String)] {
    fn value(&self, name: &str) -> Option<&str> {
        let found = self.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// What became of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expanded {
    /// It as one word.
    pub text: String,
    /// It split at white space outside quotes.
    pub words: Vec<String>,
    /// Variables that had a value.
    pub matched: BTreeSet<String>,
    /// Variables that had none.
    pub unmatched: BTreeSet<String>,
}

/// Why a text cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// A quote without its partner.
    #[error("a {0} quote is not closed")]
    OpenQuote(&'static str),
    /// `${x` without an end.
    #[error("`}}` is missing after `${{`")]
    MissingBrace,
    /// `${x/y}`
    #[error("the second `/` of a replacement in `${{…}}` is missing")]
    MissingSlash,
    /// `${}`, `${:x}`, `${{`
    #[error("bad substitution: a name has to follow `${{`")]
    BadSubstitution,
    /// `${x^y}`
    #[error("`{0}` is no modifier of a variable")]
    Modifier(String),
    /// `${x:?message}`
    #[error("{name}: {message}")]
    Required {
        /// The variable.
        name: String,
        /// What the Dockerfile says about it.
        message: String,
    },
    /// `${x#\y}`
    #[error("`\\{0}` is no escape in a pattern, which knows `\\*`, `\\?` and `\\\\`")]
    Pattern(char),
}

impl Lexer {
    /// The plain one.
    pub fn new(escape: char) -> Self {
        Self {
            escape,
            raw_quotes: false,
            raw_escapes: false,
            ignore_quotes: false,
            keep_unset: false,
        }
    }

    /// Expands a text with the variables of an environment.
    pub fn expand(
        &self,
        text: &str,
        env: &(impl Environment + ?Sized),
    ) -> Result<Expanded, WordError> {
        let mut scan = Scan {
            lexer: self,
            env,
            chars: text.chars().peekable(),
            raw_escapes: self.raw_escapes,
            words: WordBuffer::default(),
            matched: BTreeSet::new(),
            unmatched: BTreeSet::new(),
        };
        let (text, words) = scan.until(None, self.raw_escapes)?;
        Ok(Expanded {
            text,
            words,
            matched: scan.matched,
            unmatched: scan.unmatched,
        })
    }
}

/// The word that is being put together. There is one for a whole text: a modifier's word inside `${…}` starts it anew, so
/// that what stood before it in the same word is lost to [`Expanded::words`], as in the stock front end.
#[derive(Default)]
struct WordBuffer(String);

#[derive(Default)]
struct Words {
    done: Vec<String>,
    inside: bool,
}

impl Words {
    fn add(&mut self, buffer: &mut WordBuffer, ch: char) {
        if !ch.is_whitespace() {
            buffer.0.push(ch);
            self.inside = true;
        } else if self.inside && !buffer.0.is_empty() {
            self.done.push(std::mem::take(&mut buffer.0));
            self.inside = false;
        }
    }

    fn add_raw(&mut self, buffer: &mut WordBuffer, text: &str) {
        buffer.0.push_str(text);
        self.inside = true;
    }

    fn finish(mut self, buffer: &mut WordBuffer) -> Vec<String> {
        if !buffer.0.is_empty() {
            self.done.push(std::mem::take(&mut buffer.0));
        }
        self.done
    }
}

struct Scan<'a, E: ?Sized> {
    lexer: &'a Lexer,
    env: &'a E,
    chars: Peekable<Chars<'a>>,
    raw_escapes: bool,
    words: WordBuffer,
    matched: BTreeSet<String>,
    unmatched: BTreeSet<String>,
}

impl<E: Environment + ?Sized> Scan<'_, E> {
    fn until(
        &mut self,
        stop: Option<char>,
        raw_escapes: bool,
    ) -> Result<(String, Vec<String>), WordError> {
        let outer = std::mem::replace(&mut self.raw_escapes, raw_escapes);
        let result = self.read(stop);
        self.raw_escapes = outer;
        result
    }

    fn read(&mut self, stop: Option<char>) -> Result<(String, Vec<String>), WordError> {
        let mut text = String::new();
        self.words.0.clear();
        let mut words = Words::default();
        while let Some(&ch) = self.chars.peek() {
            if Some(ch) == stop {
                self.chars.next();
                return Ok((text, words.finish(&mut self.words)));
            }
            match ch {
                '$' => {
                    let value = self.dollar()?;
                    for ch in value.chars() {
                        words.add(&mut self.words, ch);
                    }
                    text.push_str(&value);
                }
                '<' => {
                    let value = self.heredoc_mark();
                    words.add_raw(&mut self.words, &value);
                    text.push_str(&value);
                }
                '\'' | '"' if !self.lexer.ignore_quotes => {
                    let value = if ch == '"' {
                        self.double_quoted()?
                    } else {
                        self.single_quoted()?
                    };
                    words.add_raw(&mut self.words, &value);
                    text.push_str(&value);
                }
                _ => self.plain(&mut text, &mut words),
            }
        }
        match stop {
            Some('/') => Err(WordError::MissingSlash),
            Some(_) => Err(WordError::MissingBrace),
            None => Ok((text, words.finish(&mut self.words))),
        }
    }

    /// A character that means itself, perhaps behind an escape.
    fn plain(&mut self, text: &mut String, words: &mut Words) {
        let Some(ch) = self.chars.next() else {
            return;
        };
        if ch != self.lexer.escape {
            words.add(&mut self.words, ch);
            text.push(ch);
            return;
        }
        if self.raw_escapes {
            words.add_raw(&mut self.words, ch.encode_utf8(&mut [0; 4]));
            text.push(ch);
        }
        // An escape at the very end means nothing.
        if let Some(next) = self.chars.next() {
            words.add_raw(&mut self.words, next.encode_utf8(&mut [0; 4]));
            text.push(next);
        }
    }

    fn single_quoted(&mut self) -> Result<String, WordError> {
        let mut text = String::new();
        self.quote(&mut text);
        loop {
            match self.chars.peek() {
                None => return Err(WordError::OpenQuote("single")),
                Some('\'') => {
                    self.quote(&mut text);
                    return Ok(text);
                }
                Some(_) => text.extend(self.chars.next()),
            }
        }
    }

    fn double_quoted(&mut self) -> Result<String, WordError> {
        let mut text = String::new();
        self.quote(&mut text);
        loop {
            match self.chars.peek().copied() {
                None => return Err(WordError::OpenQuote("double")),
                Some('"') => {
                    self.quote(&mut text);
                    return Ok(text);
                }
                Some('$') => text.push_str(&self.dollar()?),
                Some(ch) => {
                    self.chars.next();
                    if ch == self.lexer.escape {
                        self.escaped_in_quotes(ch, &mut text);
                    } else {
                        text.push(ch);
                    }
                }
            }
        }
    }

    /// Between double quotes an escape works on three characters only, and stays before all others.
    fn escaped_in_quotes(&mut self, escape: char, text: &mut String) {
        if self.raw_escapes {
            text.push(escape);
        }
        match self.chars.peek().copied() {
            None => {}
            Some(next) if next == '"' || next == '$' || next == escape => {
                self.chars.next();
                text.push(next);
            }
            Some(_) => text.push(escape),
        }
    }

    fn quote(&mut self, text: &mut String) {
        let quote = self.chars.next();
        if self.lexer.raw_quotes {
            text.extend(quote);
        }
    }

    /// `<<` and the white space behind it belong to the word that follows: it may name a heredoc.
    fn heredoc_mark(&mut self) -> String {
        self.chars.next();
        if self.chars.next_if_eq(&'<').is_none() {
            return "<".to_owned();
        }
        let mut mark = "<<".to_owned();
        while let Some(space) = self.chars.next_if(|ch| matches!(ch, '\t' | '\r' | ' ')) {
            mark.push(space);
        }
        mark
    }

    fn dollar(&mut self) -> Result<String, WordError> {
        self.chars.next();
        if self.chars.next_if_eq(&'{').is_some() {
            return self.braced();
        }
        let name = self.name();
        if name.is_empty() {
            return Ok("$".to_owned());
        }
        match self.value(&name) {
            None if self.lexer.keep_unset => Ok(format!("${name}")),
            value => Ok(value.unwrap_or_default()),
        }
    }

    fn braced(&mut self) -> Result<String, WordError> {
        match self.chars.peek() {
            None => return Err(WordError::MissingBrace),
            Some('{' | '}' | ':') => return Err(WordError::BadSubstitution),
            Some(_) => {}
        }
        let name = self.name();
        match self.chars.next() {
            None => Err(WordError::MissingBrace),
            Some('}') => match self.value(&name) {
                None if self.lexer.keep_unset => Ok(format!("${{{name}}}")),
                value => Ok(value.unwrap_or_default()),
            },
            Some(':') => match self.chars.next() {
                None => Err(WordError::MissingBrace),
                Some(sign @ ('+' | '-' | '?')) => self.modified(&name, sign, true),
                Some(other) => Err(WordError::Modifier(format!(":{other}"))),
            },
            Some(sign @ ('+' | '-' | '?')) => self.modified(&name, sign, false),
            Some(sign @ ('#' | '%')) => self.trimmed(&name, sign),
            Some('/') => self.replaced(&name),
            Some(other) => Err(WordError::Modifier(other.to_string())),
        }
    }

    /// `${x:-word}` and its like. With a colon, an empty value is as good as none.
    fn modified(&mut self, name: &str, sign: char, colon: bool) -> Result<String, WordError> {
        let (word, _) = self.until(Some('}'), false)?;
        let value = self.value(name);
        if value.is_none() && self.lexer.keep_unset {
            let colon = if colon { ":" } else { "" };
            return Ok(format!("${{{name}{colon}{sign}{word}}}"));
        }
        let empty = colon && value.as_deref() == Some("");
        match (sign, value) {
            ('-', Some(value)) if !empty => Ok(value),
            ('-', _) => Ok(word),
            ('+', Some(_)) if !empty => Ok(word),
            ('+', _) => Ok(String::new()),
            (_, Some(value)) if !empty => Ok(value),
            (_, value) => {
                let state = if value.is_some() { "empty" } else { "unset" };
                let message = if word.is_empty() {
                    format!("is not allowed to be {state}")
                } else {
                    word
                };
                Err(WordError::Required {
                    name: name.to_owned(),
                    message,
                })
            }
        }
    }

    fn trimmed(&mut self, name: &str, sign: char) -> Result<String, WordError> {
        let (word, _) = self.until(Some('}'), true)?;
        let value = self.value(name);
        let Some(value) = value else {
            return Ok(if self.lexer.keep_unset {
                format!("${{{name}{sign}{word}}}")
            } else {
                String::new()
            });
        };
        let (greedy, pattern) = match word.strip_prefix(sign) {
            Some(rest) => (true, rest),
            None => (false, word.as_str()),
        };
        if sign == '#' {
            pattern::trim_prefix(pattern, &value, greedy)
        } else {
            pattern::trim_suffix(pattern, &value, greedy)
        }
    }

    fn replaced(&mut self, name: &str) -> Result<String, WordError> {
        let all = self.chars.next_if_eq(&'/').is_some();
        let (pattern, _) = self.until(Some('/'), true)?;
        let (replacement, _) = self.until(Some('}'), true)?;
        match self.value(name) {
            None if self.lexer.keep_unset => Ok(format!("${{{name}/{pattern}/{replacement}}}")),
            value => pattern::replace(&pattern, &value.unwrap_or_default(), &replacement, all),
        }
    }

    /// A name, a number, or one of the shell's special parameters.
    fn name(&mut self) -> String {
        let mut name = String::new();
        match self.chars.peek().copied() {
            Some(first) if first.is_numeric() => {
                while let Some(digit) = self.chars.next_if(|ch| ch.is_numeric()) {
                    name.push(digit);
                }
            }
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => name.extend(self.chars.next()),
            _ => {
                while let Some(ch) = self.chars.next_if(|ch| ch.is_alphanumeric() || *ch == '_') {
                    name.push(ch);
                }
            }
        }
        name
    }

    fn value(&mut self, name: &str) -> Option<String> {
        let value = self.env.value(name);
        if value.is_some() {
            self.matched.insert(name.to_owned());
        } else {
            self.unmatched.insert(name.to_owned());
        }
        value.map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_modifier_inside_a_word_starts_the_word_anew() {
        let env = [("x".to_owned(), "1".to_owned())];
        let lexer = Lexer::new('\\');
        let expanded = lexer.expand("a${y:-b}c d", env.as_slice()).unwrap();
        assert_eq!(expanded.text, "abc d");
        assert_eq!(expanded.words, ["bc", "d"]);
        assert!(expanded.unmatched.contains("y"));
    }

    #[test]
    fn heredoc_words_keep_their_white_space() {
        let expanded = Lexer::new('\\').expand("cat << EOF >x", &Empty).unwrap();
        assert_eq!(expanded.words, ["cat", "<< EOF", ">x"]);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r#"[ -~\t\n$\{\}\\"'/#%:?*äß]{0,40}"#, keep in any::<bool>()) {
            let env = [("x".to_owned(), "a/b c".to_owned()), ("_".to_owned(), String::new())];
            let lexer = Lexer { keep_unset: keep, ..Lexer::new('\\') };
            drop(lexer.expand(&text, env.as_slice()));
        }

        #[test]
        fn plain_text_stays(text in "[a-z0-9/._:=-]{0,20}") {
            let expanded = Lexer::new('\\').expand(&text, &Empty).unwrap();
            prop_assert_eq!(expanded.text, text);
        }
    }
}
