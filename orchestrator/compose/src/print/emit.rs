//! Writing YAML: block style, two spaces, quotes where go-yaml would read something else.

use serde_json::Value;

use crate::yaml::{Resolved, resolve};

/// A value as a YAML document.
pub(super) fn document(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => mapping(&mut out, map, 0),
        Value::Array(items) if !items.is_empty() => sequence(&mut out, items, 0),
        other => {
            inline(&mut out, other, 0);
            out.push('\n');
        }
    }
    out
}

fn mapping(out: &mut String, map: &serde_json::Map<String, Value>, depth: usize) {
    for (index, (key, value)) in map.iter().enumerate() {
        // The first key of a mapping in a list stands behind the dash.
        if index > 0 || !out.ends_with("- ") {
            indent(out, depth);
        }
        out.push_str(&key_text(key));
        out.push(':');
        child(out, value, depth);
    }
}

fn sequence(out: &mut String, items: &[Value], depth: usize) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 || !out.ends_with("- ") {
            indent(out, depth);
        }
        out.push_str("- ");
        match item {
            Value::Object(map) if !map.is_empty() => mapping(out, map, depth + 1),
            Value::Array(items) if !items.is_empty() => sequence(out, items, depth + 1),
            other => {
                inline(out, other, depth);
                out.push('\n');
            }
        }
    }
}

/// What follows a key.
fn child(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            mapping(out, map, depth + 1);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            sequence(out, items, depth + 1);
        }
        other => {
            out.push(' ');
            inline(out, other, depth);
            out.push('\n');
        }
    }
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

fn inline(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) if is_block(text) => block(out, text, depth + 1),
        Value::String(text) => out.push_str(&key_text(text)),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
    }
}

/// Whether a text is best shown with its line breaks.
fn is_block(text: &str) -> bool {
    let odd = |c: char| c != '\n' && !is_printable(c);
    text.contains('\n')
        && !text.starts_with([' ', '\n', '\t'])
        && !text.trim_end_matches('\n').ends_with([' ', '\t'])
        && !text.contains(" \n")
        && !text.chars().any(odd)
        && !text.trim_matches('\n').is_empty()
}

/// `|`, with the sign that says how many line breaks end the text.
fn block(out: &mut String, text: &str, depth: usize) {
    let body = text.trim_end_matches('\n');
    out.push_str(match text.len() - body.len() {
        0 => "|-",
        1 => "|",
        _ => "|+",
    });
    for line in body
        .split('\n')
        .chain((2..=text.len() - body.len()).map(|_| ""))
    {
        out.push('\n');
        if !line.is_empty() {
            indent(out, depth);
            out.push_str(line);
        }
    }
}

/// A text on one line, quoted if it has to be.
fn key_text(text: &str) -> String {
    let typed = !matches!(resolve(text), Resolved::Text(_)) || text == "<<";
    if typed || text.chars().any(|c| !is_printable(c)) {
        return double_quoted(text);
    }
    if is_old_boolean(text) || is_base_60(text) || !is_plain(text) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    text.to_owned()
}

/// YAML 1.1 knew more booleans; old readers still do.
fn is_old_boolean(text: &str) -> bool {
    matches!(
        text.to_ascii_lowercase().as_str(),
        "y" | "n" | "yes" | "no" | "on" | "off"
    )
}

/// YAML 1.1 read `22:22` as a number too.
fn is_base_60(text: &str) -> bool {
    let mut parts = text.strip_prefix(['-', '+']).unwrap_or(text).split(':');
    let first = parts.next().unwrap_or("");
    let rest: Vec<&str> = parts.collect();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits(first)
        && !rest.is_empty()
        && rest
            .iter()
            .all(|part| digits(part) && part.parse::<u8>().is_ok_and(|n| n < 60))
}

fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(
            c,
            '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}'
        )
}

/// Whether a text without line breaks means itself when it stands in a block without quotes.
fn is_plain(text: &str) -> bool {
    let first = text.chars().next();
    let indicator = |c: char| "#,[]{}&*!|>'\"%@`".contains(c);
    let lone = |c: char| text.len() == 1 || text[1..].starts_with(' ') && "-?:".contains(c);
    first.is_some_and(|c| !(indicator(c) || "-?:".contains(c) && lone(c)))
        && !text.starts_with("---")
        && !text.starts_with("...")
        && !text.starts_with(' ')
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
}

fn double_quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_printable(c) => out.push(c),
            c if u32::from(c) < 0x100 => out.push_str(&format!("\\x{:02X}", u32::from(c))),
            c => out.push_str(&format!("\\u{:04X}", u32::from(c))),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Sources;
    use crate::yaml::read_documents;
    use proptest::prelude::*;

    fn read(text: &str) -> Value {
        let mut sources = Sources::default();
        let id = sources.add("out", text);
        let mut faults = Vec::new();
        let documents = read_documents(&sources, id, &mut faults);
        assert_eq!(faults, [], "{text}");
        super::super::plain_json(&documents[0])
    }

    #[test]
    fn quotes() {
        let cases = [
            ("nginx:1", "nginx:1"),
            ("1", "\"1\""),
            ("", "\"\""),
            ("true", "\"true\""),
            ("yes", "'yes'"),
            ("a: b", "'a: b'"),
            ("- a", "'- a'"),
            ("-a", "-a"),
            ("*x", "'*x'"),
            ("it's", "it's"),
            ("a\tb", "\"a\\tb\""),
            ("${A}", "${A}"),
            ("{a}", "'{a}'"),
        ];
        for (text, expected) in cases {
            assert_eq!(key_text(text), expected);
        }
    }

    #[test]
    fn shapes() {
        let value = serde_json::json!({
            "a": {"b": [1, {"c": null, "d": []}, [2, 3]], "e": {}},
            "text": "one\ntwo\n",
            "last": "x\ny",
        });
        let text = document(&value);
        assert_eq!(read(&text), value);
        insta::assert_snapshot!(text, @r"
        a:
          b:
            - 1
            - c: null
              d: []
            - - 2
              - 3
          e: {}
        text: |
          one
          two
        last: |-
          x
          y
        ");
    }

    fn texts() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-c0-9:#,?!&*|>'\"%@`{}\\[\\] .\n\t~<_-]{0,12}",
            ".{0,6}",
            "0x[0-9a-f]{1,3}"
        ]
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::from),
            texts().prop_map(Value::String),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((texts(), inner), 0..4)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn what_is_printed_is_read_back(value in values()) {
            let text = document(&value);
            prop_assert_eq!(read(&text), value, "{}", text);
        }
    }
}
