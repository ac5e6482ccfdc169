//! Values as Go prints and judges them.

use std::cmp::Ordering;

use serde_json::Value;

/// What a value is, for errors.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Whether a condition takes it as true: everything but nothing, zero and what is empty.
pub(super) fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(bool) => *bool,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// As `print` shows it: lists in square brackets, maps sorted by key.
pub(super) fn show(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".into(),
        Value::Bool(bool) => bool.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let parts: Vec<String> = list.iter().map(show).collect();
            format!("[{}]", parts.join(" "))
        }
        Value::Object(map) => {
            let mut parts: Vec<(&String, &Value)> = map.iter().collect();
            parts.sort_by_key(|(key, _)| *key);
            let parts: Vec<String> = parts
                .into_iter()
                .map(|(key, value)| format!("{key}:{}", show(value)))
                .collect();
            format!("map[{}]", parts.join(" "))
        }
    }
}

/// The order of two values of a kind that has one.
pub(super) fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
        },
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

/// Whether two values are the same; numbers by what they count.
pub(super) fn same(left: &Value, right: &Value) -> bool {
    order(left, right).map_or_else(|| left == right, Ordering::is_eq)
}

/// The value of `KEY` in an object, or in a text of `KEY=VALUE,…`, as labels are listed.
pub(super) fn label(labels: &Value, key: &str) -> Option<String> {
    match labels {
        Value::Object(map) => map.get(key).map(show),
        Value::String(text) => text
            .split(',')
            .filter_map(|entry| entry.split_once('='))
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value.to_owned()),
        _ => None,
    }
}
