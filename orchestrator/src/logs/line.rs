//! From chunks of a log stream, with the engine's time before each message, to lines.

use std::sync::Arc;

use bowline_api::stdcopy::Stream;
use bowline_client::LogChunk;

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// When it was written, as the engine prints it. This form sorts as text.
    pub(crate) time: Arc<str>,
    /// Whether it came from standard error.
    pub(crate) error: bool,
    /// The text without the newline.
    pub(crate) text: Vec<u8>,
}

/// `2024-01-02T03:04:05.123456789Z`
const TIME: usize = 30;
/// Engines cut longer lines into messages of this size, each with a time of its own.
const PIECE: usize = 16 * 1024;

/// Puts chunks together to lines, each stream for itself.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    out: Vec<u8>,
    error: Vec<u8>,
}

impl Splitter {
    /// The lines that a chunk completes.
    pub(crate) fn push(&mut self, chunk: &LogChunk) -> Vec<Line> {
        let error = chunk.stream == Stream::Stderr;
        let buffer = if error {
            &mut self.error
        } else {
            &mut self.out
        };
        buffer.extend_from_slice(&chunk.bytes);
        let Some(end) = buffer.iter().rposition(|byte| *byte == b'\n') else {
            return Vec::new();
        };
        let rest = buffer.split_off(end + 1);
        let whole = std::mem::replace(buffer, rest);
        whole[..end]
            .split(|byte| *byte == b'\n')
            .map(|raw| parse(raw, error))
            .collect()
    }

    /// What is left when the stream has ended: a line without a newline.
    pub(crate) fn finish(&mut self) -> Vec<Line> {
        let buffers = [
            (std::mem::take(&mut self.out), false),
            (std::mem::take(&mut self.error), true),
        ];
        let full = buffers.into_iter().filter(|(raw, _)| !raw.is_empty());
        full.map(|(raw, error)| parse(&raw, error)).collect()
    }
}

fn parse(raw: &[u8], error: bool) -> Line {
    let (time, rest) = split_time(raw).unwrap_or(("", raw));
    let mut text = Vec::with_capacity(rest.len());
    let mut rest = rest;
    // Behind a full piece of a long line stands the time of the next one.
    while rest.len() > PIECE
        && let Some((_, next)) = split_time(&rest[PIECE..])
    {
        text.extend_from_slice(&rest[..PIECE]);
        rest = next;
    }
    text.extend_from_slice(rest);
    if text.last() == Some(&b'\r') {
        text.pop();
    }
    Line {
        time: time.into(),
        error,
        text,
    }
}

fn split_time(raw: &[u8]) -> Option<(&str, &[u8])> {
    let time = std::str::from_utf8(raw.get(..TIME)?).ok()?;
    let rest = &raw[TIME..];
    let is_time = time.ends_with('Z') && time.as_bytes()[10] == b'T' && time.as_bytes()[19] == b'.';
    if !is_time || rest.first().is_some_and(|byte| *byte != b' ') {
        return None;
    }
    Some((time, rest.get(1..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const T1: &str = "2024-01-02T03:04:05.000000001Z";
    const T2: &str = "2024-01-02T03:04:05.000000002Z";

    fn chunk(stream: Stream, text: &str) -> LogChunk {
        LogChunk {
            stream,
            bytes: text.to_owned().into_bytes().into(),
        }
    }

    #[test]
    fn chunks_may_end_anywhere() {
        let mut splitter = Splitter::default();
        let text = format!("{T1} one\n{T2} two\n{T2} rest");
        let (left, right) = text.split_at(40);
        let mut lines = splitter.push(&chunk(Stream::Stdout, left));
        lines.extend(splitter.push(&chunk(Stream::Stderr, &format!("{T1} other\r\n"))));
        lines.extend(splitter.push(&chunk(Stream::Stdout, right)));
        lines.extend(splitter.finish());
        let shown: Vec<(&str, bool, String)> = lines
            .iter()
            .map(|line| {
                (
                    &*line.time,
                    line.error,
                    String::from_utf8_lossy(&line.text).into(),
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                (T1, false, "one".to_owned()),
                (T1, true, "other".to_owned()),
                (T2, false, "two".to_owned()),
                (T2, false, "rest".to_owned()),
            ]
        );
    }

    #[test]
    fn long_lines_lose_the_times_inside() {
        let piece = "x".repeat(PIECE);
        let text = format!("{T1} {piece}{T2} {piece}{T2} end\n");
        let lines = Splitter::default().push(&chunk(Stream::Stdout, &text));
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].text.len(), 2 * PIECE + 3);
        assert_eq!(&*lines[0].time, T1);
    }

    #[test]
    fn empty_lines_and_lines_without_a_time_stay() {
        let text = format!("{T1} \n{T1}\nplain\n");
        let lines = Splitter::default().push(&chunk(Stream::Stdout, &text));
        assert_eq!(lines.len(), 3);
        assert!(lines[0].text.is_empty() && lines[1].text.is_empty());
        assert_eq!(lines[2].text, b"plain");
    }
}
