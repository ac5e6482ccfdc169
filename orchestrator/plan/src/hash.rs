//! Hashes of what an object is made from, over canonical JSON.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Why there is no hash.
#[derive(Debug, thiserror::Error)]
#[error("a model cannot be written as JSON")]
pub struct HashError(#[from] serde_json::Error);

/// A value as JSON without the named top-level keys, maps in the order of their keys: what our hash is
/// taken of, and what is recorded so that a later plan can say what changed.
///
/// # Errors
/// A value that JSON cannot express.
pub fn model<T: Serialize>(value: &T, without: &[&str]) -> Result<Value, HashError> {
    let mut tree = serde_json::to_value(value)?;
    if let Value::Object(map) = &mut tree {
        map.retain(|key, value| {
            !without.contains(&key.as_str()) && !key.starts_with("x-") && !value.is_null()
        });
    }
    canonical(&mut tree);
    Ok(tree)
}

/// Our hash of a model.
pub fn of(model: &Value) -> String {
    bytes(model.to_string().as_bytes())
}

/// The hash of raw bytes.
pub fn bytes(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

/// Maps sorted by key, so that the order in the file does not count.
fn canonical(tree: &mut Value) {
    match tree {
        Value::Object(map) => {
            map.sort_keys();
            map.values_mut().for_each(canonical);
        }
        Value::Array(items) => items.iter_mut().for_each(canonical),
        _ => {}
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn order_and_left_out_keys_do_not_count() {
        let left =
            json!({"image": "a", "scale": 1, "x-note": 1, "environment": {"A": "1", "B": "2"}});
        let right =
            json!({"environment": {"B": "2", "A": "1"}, "image": "a", "scale": 2, "user": null});
        let hash = |value| of(&model(&value, &["scale"]).unwrap());
        assert_eq!(hash(left.clone()), hash(right));
        assert_ne!(hash(left), hash(json!({"image": "b"})));
    }
}
