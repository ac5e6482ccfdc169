//! Where something stands in a Dockerfile.

/// A point in the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// Bytes before it.
    pub offset: usize,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
}

/// A stretch of the text, its end excluded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// Its first character.
    pub start: Position,
    /// What follows its last character.
    pub end: Position,
}

impl Span {
    /// The smallest stretch that holds both.
    pub fn to(self, other: Self) -> Self {
        Self {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }

    /// The lines it touches, counted from 1.
    pub fn lines(&self) -> std::ops::RangeInclusive<usize> {
        let last = if self.end.column == 1 && self.end.line > self.start.line {
            self.end.line - 1
        } else {
            self.end.line
        };
        self.start.line..=last
    }
}

/// Positions of a text, by byte offset.
#[derive(Clone, Debug)]
pub(crate) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let after = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            text,
            starts: std::iter::once(0).chain(after).collect(),
        }
    }

    /// The place of a byte; what lies beyond the text is its end.
    pub(crate) fn position(&self, offset: usize) -> Position {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts[line - 1];
        Position {
            offset,
            line,
            column: self.text[start..offset].chars().count() + 1,
        }
    }

    pub(crate) fn span(&self, start: usize, end: usize) -> Span {
        Span {
            start: self.position(start),
            end: self.position(end.max(start)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_offsets_bytes() {
        let lines = Lines::new("FROM a\n# ä b\n");
        let at = lines.position("FROM a\n# ä b".find('b').unwrap());
        assert_eq!((at.line, at.column, at.offset), (2, 5, 12));
        assert_eq!(lines.position(7).line, 2);
        assert_eq!(lines.position(99).line, 3);
        assert_eq!(lines.span(0, 7).lines(), 1..=1);
    }
}
