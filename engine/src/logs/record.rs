//! One line of a json-file log.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bowline_api::stdcopy::Stream;
use jiff::Timestamp;
use serde::Deserialize;

/// What a container printed at once: a line, or a part of one that was too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// stdout or stderr.
    pub stream: Stream,
    /// RFC 3339 as it stands in the file.
    pub time: String,
    /// With the line's end, unless the line goes on in the next record.
    pub text: String,
    /// What the log options `labels`, `env` and `tag` added.
    pub attributes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    log: Cow<'a, str>,
    #[serde(borrow, default)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(default)]
    attrs: BTreeMap<String, String>,
}

/// How every record begins. Quotes inside a text are escaped, so this occurs at a beginning only.
const BEGINNING: &[u8] = br#"{"log":"#;

impl Record {
    /// Reads a line. Where a crash left half a record or a run of NULs in front of a whole one, the whole one counts;
    /// `None` when there is none.
    pub fn parse(line: &[u8]) -> Option<Self> {
        Self::parse_whole(line).or_else(|| {
            let last = line
                .windows(BEGINNING.len())
                .rposition(|window| window == BEGINNING)?;
            Self::parse_whole(line.get(last..).filter(|_| last > 0)?)
        })
    }

    fn parse_whole(line: &[u8]) -> Option<Self> {
        let line: Line<'_> = serde_json::from_slice(line).ok()?;
        let stream = if line.stream == "stderr" {
            Stream::Stderr
        } else {
            Stream::Stdout
        };
        Some(Self {
            stream,
            time: line.time.into_owned(),
            text: line.log.into_owned(),
            attributes: line.attrs,
        })
    }

    /// When it was printed; `None` if the file says nonsense.
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.time.parse().ok()
    }

    /// The time with nine digits behind the point, so that lines align and sort as text.
    pub fn padded_time(&self) -> String {
        let Some(seconds) = self.time.strip_suffix('Z') else {
            return self.time.clone();
        };
        let (whole, digits) = seconds.split_once('.').unwrap_or((seconds, ""));
        format!("{whole}.{digits:0<9}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        r#"{"log":"a \"{\\\"log\\\":\" b\n","stream":"stderr","time":"2026-01-02T03:04:05.5Z"}"#;

    #[test]
    fn a_record_is_read_and_its_time_padded() {
        let record = Record::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(record.stream, Stream::Stderr);
        assert_eq!(record.text, "a \"{\\\"log\\\":\" b\n");
        assert_eq!(record.padded_time(), "2026-01-02T03:04:05.500000000Z");
    }

    #[test]
    fn what_a_crash_left_in_front_is_skipped() {
        let whole = Record::parse(GOOD.as_bytes());
        for garbage in [
            "\0\0\0\0",
            r#"{"log":"half a li"#,
            r#"{"log":"a\n","stream":"std"#,
        ] {
            assert_eq!(
                Record::parse(format!("{garbage}{GOOD}").as_bytes()),
                whole,
                "{garbage:?}"
            );
        }
        for nothing in ["", "\0\0", "text", r#"{"log":"half a li"#] {
            assert_eq!(Record::parse(nothing.as_bytes()), None, "{nothing:?}");
        }
    }
}
