//! What to write instead of a value of the wrong kind.

use super::{Type, places};
use crate::support;
use crate::yaml::{Node, Value};

/// Keys whose values are times.
const TIMES: [&str; 9] = [
    "interval",
    "timeout",
    "start_period",
    "start_interval",
    "stop_grace_period",
    "delay",
    "window",
    "monitor",
    "pull_refresh_after",
];

/// The value in a form that would do.
pub(super) fn instead(
    path: &[String],
    node: &Node,
    written: &str,
    types: &[Type],
) -> Option<String> {
    let key = path.last()?.as_str();
    let has = |wanted: fn(&Type) -> bool| types.iter().any(wanted);
    let text = has(|kind| matches!(kind, Type::Text(_) | Type::PullPolicy | Type::ContainerName));
    let bare = written.trim_matches(['"', '\'']);
    match &node.value {
        Value::Scalar(_) if written.contains('\n') || written.is_empty() => None,
        Value::Scalar(_) if text && TIMES.contains(&key) => {
            Some(format!("say of what: `{key}: {bare}s`"))
        }
        Value::Scalar(_) if text => Some(format!("quote it: \"{bare}\"")),
        Value::Scalar(_) if has(|kind| matches!(kind, Type::List(..))) => {
            Some(format!("write a list: `{key}: [\"{bare}\"]`"))
        }
        Value::Scalar(_) if has(|kind| matches!(kind, Type::Map(_))) && bare.contains('=') => {
            Some(format!("write a list: `{key}: [\"{bare}\"]`"))
        }
        Value::Scalar(_) if has(|kind| matches!(kind, Type::Place(_) | Type::Map(_))) => {
            Some(format!("write `name: value` lines below `{key}:`"))
        }
        Value::Sequence(_) if key == "services" => {
            Some("write `name:` instead of `- name:`".to_owned())
        }
        Value::Sequence(_) if !has(|kind| matches!(kind, Type::Place(_) | Type::Map(_))) => {
            Some("write one value, without `- ` or `[ ]`".to_owned())
        }
        Value::Sequence(_) => Some("write `name: value` lines, without `- `".to_owned()),
        Value::Mapping(_) if has(|kind| matches!(kind, Type::List(..))) => {
            Some("write `- ` before each item".to_owned())
        }
        Value::Scalar(_) | Value::Mapping(_) => None,
    }
}

/// Where an unknown key belongs, or which ones there are.
pub(super) fn other_keys(key: &str, place: &str) -> Option<String> {
    if let Some(right) = support::elsewhere(key, place) {
        return Some(format!("`{key}` belongs {right}, check the indentation"));
    }
    let known: Vec<&str> = places().get(place)?.keys().copied().collect();
    (known.len() <= 12).then(|| format!("the keys here are {}", known.join(", ")))
}
