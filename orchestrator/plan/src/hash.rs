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

/// The hash that Compose takes of a value, so that both tools agree on what has changed: compact JSON
/// as the model writes it, keys of a service in the alphabet's order, letters escaped as Go does.
///
/// # Errors
/// A value that JSON cannot express.
pub fn compose<T: Serialize>(
    value: &T,
    without: &[&str],
    sorted: bool,
) -> Result<String, HashError> {
    // By way of text, because a number of single precision keeps its few digits only there.
    let mut tree: Value = serde_json::from_str(&serde_json::to_string(value)?)?;
    if let Value::Object(map) = &mut tree {
        map.retain(|key, _| !without.contains(&key.as_str()) && !key.starts_with("x-"));
        if sorted {
            map.sort_keys();
        }
    }
    let text = serde_json::to_string(&tree)?;
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                escaped.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            letter => escaped.push(letter),
        }
    }
    Ok(bytes(escaped.as_bytes()))
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

    #[test]
    fn composes_hash_is_the_one_its_config_command_prints() {
        // `docker compose config --hash` of v5.6.1 for services of this form.
        let service = json!({
            "command": null, "entrypoint": null, "image": "x", "networks": {"default": null},
            "healthcheck": {"test": ["CMD", "a"], "timeout": "3s", "interval": "1s", "retries": 10},
            "depends_on": {"b": {}}, "scale": 3
        });
        let hash = compose(&service, &["depends_on", "scale"], true).unwrap();
        assert_eq!(
            hash,
            "e26f967c18bb313d97a75524b93d48c78ec948e094a2f077de4a58ae1d05a024"
        );
        let network = json!({"name": "hello_default", "ipam": {}});
        assert_eq!(
            compose(&network, &[], false).unwrap(),
            "5c2845ed6b3a875e9ca354c8e0f092a9d249f5b35b05f3786756c4f6d295241c"
        );
        let escaped = json!({
            "command": null, "entrypoint": null, "environment": {"x": "1<2"}, "image": "x",
            "networks": {"default": null}
        });
        assert_eq!(
            compose(&escaped, &[], true).unwrap(),
            "034bb1edfcffb530c2a01399274e1f7caadbb9616ef15302ce4392bc5404a502"
        );
    }
}
