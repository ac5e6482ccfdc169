//! What differs between the model an object was made from and the one that is wished for, in words.
//!
//! The recorded model travels in a label, deflated, so that a plan can say what changed without asking
//! the engine for anything but the lists it reads anyway.

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde_json::{Map, Value};

type Entries = Map<String, Value>;

/// So many changes are told; the rest is counted.
const TOLD: usize = 3;
/// A value longer than this is cut.
const WIDTH: usize = 48;
/// No model is larger; what claims to be is not ours.
const LARGEST: u64 = 4 << 20;

/// One value that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Keys from the object down to the value.
    pub path: Vec<String>,
    /// What it was made with, if with anything.
    pub from: Option<Value>,
    /// What is wished for, if anything.
    pub to: Option<Value>,
}

/// The text of the label that records a model.
pub fn record(model: &Value) -> String {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    let text = model.to_string();
    // Writing to memory cannot fail; an empty record merely tells less later.
    let deflated = encoder
        .write_all(text.as_bytes())
        .and_then(|()| encoder.finish());
    URL_SAFE_NO_PAD.encode(deflated.unwrap_or_default())
}

/// The model that a label records; `None` where it is not one of ours.
pub fn recall(label: &str) -> Option<Value> {
    let deflated = URL_SAFE_NO_PAD.decode(label).ok()?;
    let mut text = String::new();
    let mut inflated = DeflateDecoder::new(deflated.as_slice()).take(LARGEST);
    inflated.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// Every value that differs, in the order of the keys.
pub fn changes(from: &Value, to: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    compare(&mut Vec::new(), Some(from), Some(to), &mut found);
    found
}

fn compare(
    path: &mut Vec<String>,
    from: Option<&Value>,
    to: Option<&Value>,
    found: &mut Vec<Change>,
) {
    match (from, to) {
        (from, to) if from == to => {}
        (Some(Value::Object(from)), Some(Value::Object(to))) => entries(path, from, to, found),
        // A section that came or went is told by its entries.
        (Some(Value::Object(from)), None) if !from.is_empty() => {
            entries(path, from, &Map::new(), found);
        }
        (None, Some(Value::Object(to))) if !to.is_empty() => {
            entries(path, &Map::new(), to, found);
        }
        (Some(Value::Array(from)), Some(Value::Array(to))) if is_set(path) => {
            members(path, from, to, found);
        }
        (from, to) => found.push(Change {
            path: path.clone(),
            from: from.cloned(),
            to: to.cloned(),
        }),
    }
}

fn entries(path: &mut Vec<String>, from: &Entries, to: &Entries, found: &mut Vec<Change>) {
    let mut keys: Vec<&String> = from.keys().chain(to.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        path.push(key.clone());
        compare(path, from.get(key), to.get(key), found);
        path.pop();
    }
}

/// In a command every word counts at its place; in other lists what counts is what they hold.
fn is_set(path: &[String]) -> bool {
    !matches!(
        path.last().map(String::as_str),
        Some("command" | "entrypoint" | "test")
    )
}

/// Members that came and went. One that went and one that came are one change.
fn members(path: &[String], from: &[Value], to: &[Value], found: &mut Vec<Change>) {
    let gone: Vec<&Value> = from.iter().filter(|item| !to.contains(item)).collect();
    let came: Vec<&Value> = to.iter().filter(|item| !from.contains(item)).collect();
    if gone.is_empty() && came.is_empty() {
        let (from, to) = (Value::Array(from.to_vec()), Value::Array(to.to_vec()));
        found.push(Change {
            path: path.to_vec(),
            from: Some(from),
            to: Some(to),
        });
    }
    for index in 0..gone.len().max(came.len()) {
        found.push(Change {
            path: path.to_vec(),
            from: gone.get(index).map(|item| (*item).clone()),
            to: came.get(index).map(|item| (*item).clone()),
        });
    }
}

/// The changes as a cause: `environment.DEBUG: 0 → 1 (compose.yaml:14)`.
pub(crate) fn cause(
    root: &str,
    recorded: Option<&str>,
    wished: &Value,
    place: &dyn Fn(&str) -> Option<String>,
) -> String {
    let Some(model) = recorded.and_then(recall) else {
        return "configuration changed".into();
    };
    let all = changes(&model, wished);
    let mut told: Vec<String> = all
        .iter()
        .take(TOLD)
        .map(|change| change.sentence(root, place))
        .collect();
    match all.len().saturating_sub(TOLD) {
        _ if all.is_empty() => return "configuration changed".into(),
        0 => {}
        more => told.push(format!("{more} more")),
    }
    told.join(", ")
}

impl Change {
    /// Where and what: `image: app:1 → app:2 (compose.yaml:4)`.
    pub(crate) fn sentence(&self, root: &str, place: &dyn Fn(&str) -> Option<String>) -> String {
        if let [kind, object] = self.path.as_slice()
            && kind == "contents"
        {
            return format!("content of {object} changed");
        }
        let name = self.path.join(".");
        let what = match (&self.from, &self.to) {
            _ if self.is_confidential() => format!("{name}: changed"),
            (None, Some(Value::Null)) => format!("{name}: added"),
            (Some(Value::Null), None) => format!("{name}: removed"),
            // What differs may be too deep to be seen on a line.
            (Some(from), Some(to)) if brief(from) == brief(to) => format!("{name}: changed"),
            (Some(from), Some(to)) => format!("{name}: {} → {}", brief(from), brief(to)),
            (None, Some(to)) => format!("{name}: {} added", brief(to)),
            (Some(from), None) => format!("{name}: {} removed", brief(from)),
            (None, None) => name,
        };
        let place = self.to.as_ref().and_then(|_| {
            let path = [root]
                .into_iter()
                .chain(self.path.iter().map(String::as_str));
            place(&path.collect::<Vec<_>>().join("/"))
        });
        match place {
            Some(place) => format!("{what} ({place})"),
            None => what,
        }
    }

    /// A plan ends up in terminals and build logs, where no password belongs.
    fn is_confidential(&self) -> bool {
        const WORDS: &[&str] = &["PASS", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "AUTH"];
        let name = self.path.last().map(|key| key.to_ascii_uppercase());
        let named = self.path.first().is_some_and(|key| key == "environment")
            && name.is_some_and(|name| WORDS.iter().any(|word| name.contains(word)));
        let holds = |value: &Option<Value>| {
            let text = value.as_ref().and_then(Value::as_str);
            text.and_then(|text| text.split_once("://"))
                .is_some_and(|(_, rest)| rest.contains('@'))
        };
        named || holds(&self.from) || holds(&self.to)
    }
}

/// A value on a line: ports and mounts in the short form in which people write them.
fn brief(value: &Value) -> String {
    let text = match value {
        Value::String(text) if text.is_empty() => "\"\"".into(),
        Value::String(text) => text.replace('\n', "⏎"),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(brief).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) => match (map.get("target"), outside(map)) {
            (Some(target), Some(outside)) => format!("{}:{}", brief(outside), brief(target)),
            (Some(target), None) => brief(target),
            // A step before the start is known by what it runs.
            (None, _) => map.get("command").map_or_else(|| value.to_string(), brief),
        },
        other => other.to_string(),
    };
    match text.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn outside(map: &Entries) -> Option<&Value> {
    map.get("published").or_else(|| map.get("source"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(from: &Value, to: &Value) -> String {
        cause("services/web", Some(&record(from)), to, &|path| {
            (path == "services/web/environment/DEBUG").then(|| "compose.yaml:14".into())
        })
    }

    #[test]
    fn a_value_is_told_with_its_place() {
        let text = said(
            &json!({"environment": {"DEBUG": "0", "A": "1"}}),
            &json!({"environment": {"DEBUG": "1", "A": "1"}}),
        );
        assert_eq!(text, "environment.DEBUG: 0 → 1 (compose.yaml:14)");
    }

    #[test]
    fn what_came_and_what_went_is_told() {
        assert_eq!(
            said(&json!({"a": 1}), &json!({"b": "x"})),
            "a: 1 removed, b: x added"
        );
    }

    #[test]
    fn ports_and_mounts_are_told_in_their_short_form() {
        let port = |published: &str| json!({"ports": [{"target": 80, "published": published}]});
        assert_eq!(
            said(&port("8080"), &port("8081")),
            "ports: 8080:80 → 8081:80"
        );
        let bind = |source: &str| json!({"volumes": [{"source": source, "target": "/d"}]});
        assert_eq!(said(&bind("/a"), &bind("/b")), "volumes: /a:/d → /b:/d");
    }

    #[test]
    fn words_of_a_command_keep_their_places() {
        assert_eq!(
            said(
                &json!({"command": ["sh", "-c", "a"]}),
                &json!({"command": ["sh", "-c", "b"]})
            ),
            "command: [sh, -c, a] → [sh, -c, b]"
        );
    }

    #[test]
    fn another_order_is_a_change_too() {
        let list = |items: [&str; 2]| json!({"dns": items});
        assert_eq!(
            said(&list(["a", "b"]), &list(["b", "a"])),
            "dns: [a, b] → [b, a]"
        );
    }

    #[test]
    fn passwords_are_not_told() {
        let set = |value: &str| json!({"environment": {"DB_PASSWORD": value}});
        assert_eq!(
            said(&set("a"), &set("b")),
            "environment.DB_PASSWORD: changed"
        );
        let url = |value: &str| json!({"environment": {"DB": value}});
        let text = said(&url("pg://u:one@db"), &url("pg://u:two@db"));
        assert_eq!(text, "environment.DB: changed");
    }

    #[test]
    fn many_changes_are_counted_and_long_ones_cut() {
        let to = json!({"a": 1, "b": 2, "c": 3, "d": 4, "e": 5});
        assert_eq!(
            said(&json!({}), &to),
            "a: 1 added, b: 2 added, c: 3 added, 2 more"
        );
        let text = said(&json!({}), &json!({"a": "x".repeat(100)}));
        assert_eq!(text, format!("a: {}… added", "x".repeat(WIDTH)));
    }

    #[test]
    fn a_record_survives_the_round_trip_and_foreign_text_is_no_record() {
        let model = json!({"image": "a", "environment": {"ä": "ö"}});
        assert_eq!(recall(&record(&model)), Some(model));
        assert_eq!(recall("nonsense!"), None);
        assert_eq!(recall("AAAA"), None);
    }
}
