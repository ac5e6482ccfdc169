//! Lines on the standard streams, with their prefixes.

use std::io::{self, Write};

use regex::bytes::Regex;

use super::{Line, Source};
use crate::ui::prefix_style;

/// How lines look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// `web-1  | ` before each line.
    pub(crate) prefix: bool,
    /// The time before each line.
    pub(crate) timestamps: bool,
    /// Prefixes in colour.
    pub(crate) color: bool,
}

/// Prints lines; prefixes are padded to the longest seen so far.
#[derive(Debug)]
pub(crate) struct Printer {
    shape: Shape,
    /// Lines that do not match are left out.
    grep: Option<Regex>,
    width: usize,
    out: Vec<u8>,
    errors: Vec<u8>,
}

/// Buffered output is written out when it has grown to this.
const FULL: usize = 64 * 1024;

impl Printer {
    /// A printer for containers with these prefixes, and others that come later.
    pub(crate) fn new<'a>(shape: Shape, prefixes: impl IntoIterator<Item = &'a str>) -> Self {
        let width = prefixes
            .into_iter()
            .map(|prefix| prefix.chars().count())
            .max()
            .unwrap_or(0);
        Self {
            shape,
            grep: None,
            width,
            out: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// Leaves out lines that do not match.
    #[must_use]
    pub(crate) fn matching(mut self, pattern: Option<Regex>) -> Self {
        self.grep = pattern;
        self
    }

    /// Prints a line of a container's log.
    pub(crate) fn print(&mut self, source: &Source, line: &Line) {
        let matches = |pattern: &Regex| pattern.is_match(&line.text);
        if !self.grep.as_ref().is_none_or(matches) {
            return;
        }
        self.width = self.width.max(source.prefix.chars().count());
        let bytes = render(self.shape, self.width, source, line);
        let buffer = if line.error {
            &mut self.errors
        } else {
            &mut self.out
        };
        buffer.extend_from_slice(&bytes);
        if self.out.len() + self.errors.len() > FULL {
            self.flush();
        }
    }

    /// Prints a word of our own about a container, such as how it ended.
    pub(crate) fn remark(&mut self, source: &Source, text: &str) {
        self.flush();
        let text = match self.shape.prefix {
            true => prefix_style(
                source.index,
                &format!("{} {text}", source.prefix),
                self.shape.color,
            ),
            false => format!("{} {text}", source.prefix),
        };
        let _closed = writeln!(io::stdout(), "{text}");
    }

    /// Writes out what is buffered. A reader that has left is no reason to fail.
    pub(crate) fn flush(&mut self) {
        let _closed = io::stdout()
            .write_all(&self.out)
            .and_then(|()| io::stdout().flush());
        let _closed = io::stderr().write_all(&self.errors);
        self.out.clear();
        self.errors.clear();
    }
}

fn render(shape: Shape, width: usize, source: &Source, line: &Line) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.text.len() + width + 48);
    if shape.prefix {
        let prefix = format!("{:<width$}  | ", source.prefix);
        out.extend_from_slice(prefix_style(source.index, &prefix, shape.color).as_bytes());
    }
    if shape.timestamps {
        out.extend_from_slice(line.time.as_bytes());
        out.push(b' ');
    }
    out.extend_from_slice(&line.text);
    out.push(b'\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_line_up() {
        let source = Source {
            id: "a".into(),
            prefix: "db-1".into(),
            index: 0,
        };
        let line = Line {
            time: "T".into(),
            error: false,
            text: b"ready".to_vec(),
        };
        let shape = |prefix, timestamps| Shape {
            prefix,
            timestamps,
            color: false,
        };
        let text = |shape| String::from_utf8(render(shape, 6, &source, &line)).unwrap();
        assert_eq!(text(shape(true, false)), "db-1    | ready\n");
        assert_eq!(text(shape(true, true)), "db-1    | T ready\n");
        assert_eq!(text(shape(false, false)), "ready\n");
    }
}
