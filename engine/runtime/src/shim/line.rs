//! Output cut into lines as Docker's `json-file` keeps them.

use std::collections::BTreeMap;

/// The longest line; what is longer becomes several, of which only the last ends in a newline.
const LONGEST: usize = 16 * 1024;

/// Bytes of one stream that have not made a line yet.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    begun: Vec<u8>,
}

impl Assembler {
    /// Hands each line that `bytes` completes to `emit`, newline included.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut emit: impl FnMut(&[u8])) {
        while !bytes.is_empty() {
            let room = LONGEST - self.begun.len();
            let window = &bytes[..bytes.len().min(room)];
            let newline = window.iter().position(|byte| *byte == b'\n');
            let length = newline.map_or(window.len(), |at| at + 1);
            let (part, rest) = bytes.split_at(length);
            let complete = newline.is_some() || length == room;
            match (complete, self.begun.is_empty()) {
                (true, true) => emit(part),
                (true, false) => {
                    self.begun.extend_from_slice(part);
                    emit(&self.begun);
                    self.begun = Vec::new();
                }
                (false, _) => self.begun.extend_from_slice(part),
            }
            bytes = rest;
        }
    }

    /// Hands over what never got a newline.
    pub(super) fn finish(&mut self, mut emit: impl FnMut(&[u8])) {
        if !self.begun.is_empty() {
            emit(&self.begun);
            self.begun = Vec::new();
        }
    }
}

/// Appends a line of the log file.
pub(super) fn encode(
    into: &mut Vec<u8>,
    text: &[u8],
    stream: &str,
    time: &str,
    attrs: &BTreeMap<String, String>,
) {
    into.extend_from_slice(b"{\"log\":");
    quote(into, text);
    into.extend_from_slice(b",\"stream\":\"");
    into.extend_from_slice(stream.as_bytes());
    into.extend_from_slice(b"\",\"time\":\"");
    into.extend_from_slice(time.as_bytes());
    into.push(b'"');
    if !attrs.is_empty() {
        into.extend_from_slice(b",\"attrs\":{");
        for (index, (key, value)) in attrs.iter().enumerate() {
            if index > 0 {
                into.push(b',');
            }
            quote(into, key.as_bytes());
            into.push(b':');
            quote(into, value.as_bytes());
        }
        into.push(b'}');
    }
    into.extend_from_slice(b"}\n");
}

/// A JSON string. What is not UTF-8 becomes the replacement character, for JSON has no other way.
fn quote(into: &mut Vec<u8>, text: &[u8]) {
    into.push(b'"');
    for chunk in text.utf8_chunks() {
        chunk.valid().chars().for_each(|char| escape(into, char));
        if !chunk.invalid().is_empty() {
            into.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    into.push(b'"');
}

fn escape(into: &mut Vec<u8>, char: char) {
    match char {
        '"' => into.extend_from_slice(b"\\\""),
        '\\' => into.extend_from_slice(b"\\\\"),
        '\n' => into.extend_from_slice(b"\\n"),
        '\r' => into.extend_from_slice(b"\\r"),
        '\t' => into.extend_from_slice(b"\\t"),
        // Control characters, and the two line ends that JavaScript does not take in a string.
        '\0'..='\x1f' | '\u{2028}' | '\u{2029}' => {
            into.extend_from_slice(format!("\\u{:04x}", u32::from(char)).as_bytes());
        }
        other => into.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(assembler: &mut Assembler, bytes: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        assembler.push(bytes, |line| {
            found.push(String::from_utf8_lossy(line).into_owned());
        });
        found
    }

    #[test]
    fn a_line_is_kept_until_its_newline_or_the_end() {
        let mut assembler = Assembler::default();
        assert_eq!(lines(&mut assembler, b"one\ntw"), ["one\n"]);
        assert_eq!(lines(&mut assembler, b"o\n\nthree"), ["two\n", "\n"]);
        let mut rest = Vec::new();
        assembler.finish(|line| rest.push(line.to_vec()));
        assert_eq!(rest, [b"three"]);
    }

    #[test]
    fn a_long_line_becomes_parts_without_newlines() {
        let mut assembler = Assembler::default();
        let long = [vec![b'x'; 2 * LONGEST + 5], b"\n".to_vec()].concat();
        let mut found = Vec::new();
        for piece in long.chunks(1000) {
            found.extend(lines(&mut assembler, piece));
        }
        assert_eq!(
            found.iter().map(String::len).collect::<Vec<_>>(),
            [LONGEST, LONGEST, 6]
        );
        assert_eq!(found.concat().as_bytes(), long);
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_one_part_and_its_newline_another() {
        let mut assembler = Assembler::default();
        let text = [vec![b'x'; LONGEST], b"\n".to_vec()].concat();
        assert_eq!(
            lines(&mut assembler, &text)
                .iter()
                .map(String::len)
                .collect::<Vec<_>>(),
            [LONGEST, 1]
        );
    }

    #[test]
    fn the_file_line_is_json_whatever_the_bytes() {
        let mut line = Vec::new();
        let attrs = BTreeMap::from([("a".to_owned(), "\"b\"".to_owned())]);
        encode(
            &mut line,
            b"tab\t \x01 \xff \xe2\x82\xac \"q\"\n",
            "stdout",
            "T",
            &attrs,
        );
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["log"], "tab\t \u{1} \u{fffd} \u{20ac} \"q\"\n");
        assert_eq!(value["attrs"]["a"], "\"b\"");
        assert!(line.ends_with(b"\n"));
    }
}
