//! The `filters` query: a JSON object of lists or of sets.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value};

/// Conditions by key. Values of one key are alternatives, but for `label`, where all must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters(BTreeMap<String, BTreeSet<String>>);

/// Why a `filters` query is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterError {
    /// Not JSON, or not an object of lists or of sets.
    Malformed,
    /// A key that this list does not know.
    Unknown(String),
}

impl fmt::Display for FilterError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => out.write_str("invalid filter: not a JSON object of lists or sets"),
            Self::Unknown(key) => write!(out, "invalid filter '{key}'"),
        }
    }
}

impl std::error::Error for FilterError {}

impl Filters {
    /// No condition.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads both forms: `{"label":["a=b"]}` and `{"label":{"a=b":true}}`. A set's member counts whatever its value is,
    /// as in Docker. Empty text is no filter.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let value: Value = serde_json::from_str(text).map_err(|_| FilterError::Malformed)?;
        let object = match value {
            Value::Object(object) => object,
            Value::Null => return Ok(Self::default()),
            _ => return Err(FilterError::Malformed),
        };
        let mut filters = Self::default();
        for (key, values) in object {
            filters.0.insert(key, members(values)?);
        }
        Ok(filters)
    }

    /// Adds a condition.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.0
            .entry(key.to_owned())
            .or_default()
            .insert(value.into());
        self
    }

    /// Whether there is no condition.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuses keys that are not in `known`.
    pub fn allow_only(&self, known: &[&str]) -> Result<(), FilterError> {
        match self.0.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(FilterError::Unknown(key.clone())),
            None => Ok(()),
        }
    }

    /// Whether `key` has a condition.
    pub fn has(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|values| !values.is_empty())
    }

    /// The values of `key`.
    pub fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.get(key).into_iter().flatten().map(String::as_str)
    }

    /// All keys that are present.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether one of the values of `key` pleases `test`, or `key` has none.
    pub fn any(&self, key: &str, test: impl FnMut(&str) -> bool) -> bool {
        !self.has(key) || self.values(key).any(test)
    }

    /// Whether one of the values of `key` is `wanted`, or `key` has none.
    pub fn matches(&self, key: &str, wanted: &str) -> bool {
        self.any(key, |value| value == wanted)
    }

    /// The truth asked for by `key` (`dangling`, `is-task` …): `None` when not asked, or asked for both.
    pub fn truth(&self, key: &str) -> Result<Option<bool>, FilterError> {
        let mut wanted = BTreeSet::new();
        for value in self.values(key) {
            match value {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => wanted.insert(true),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => wanted.insert(false),
                _ => return Err(FilterError::Unknown(format!("{key}={value}"))),
            };
        }
        Ok(if wanted.len() == 1 {
            wanted.first().copied()
        } else {
            None
        })
    }

    /// Whether `labels` have every `label` (`key` or `key=value`) and none of the `label!`.
    pub fn matches_labels(&self, labels: &BTreeMap<String, String>) -> bool {
        let holds = |condition: &str| match condition.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|have| have == value),
            None => labels.contains_key(condition),
        };
        self.values("label").all(holds) && !self.values("label!").any(holds)
    }

    /// The query's value, in the form every engine reads.
    pub fn to_json(&self) -> String {
        let object: Map<String, Value> = self
            .0
            .iter()
            .map(|(key, values)| {
                let set = values
                    .iter()
                    .map(|value| (value.clone(), Value::Bool(true)))
                    .collect();
                (key.clone(), Value::Object(set))
            })
            .collect();
        Value::Object(object).to_string()
    }
}

fn members(values: Value) -> Result<BTreeSet<String>, FilterError> {
    match values {
        Value::Object(set) => Ok(set.into_iter().map(|(member, _)| member).collect()),
        Value::Array(list) => list
            .into_iter()
            .map(|member| match member {
                Value::String(text) => Ok(text),
                Value::Bool(truth) => Ok(truth.to_string()),
                Value::Number(number) => Ok(number.to_string()),
                _ => Err(FilterError::Malformed),
            })
            .collect(),
        Value::Null => Ok(BTreeSet::new()),
        _ => Err(FilterError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_and_sets_mean_the_same() {
        let list = Filters::parse(r#"{"label":["a=b","c"],"status":["running"]}"#).unwrap();
        let set = Filters::parse(r#"{"label":{"a=b":true,"c":false},"status":{"running":true}}"#)
            .unwrap();
        assert_eq!(list, set);
        assert_eq!(
            list.to_json(),
            r#"{"label":{"a=b":true,"c":true},"status":{"running":true}}"#
        );
    }

    #[test]
    fn an_unknown_key_is_named() {
        let filters = Filters::parse(r#"{"colour":["red"]}"#).unwrap();
        let refused = filters.allow_only(&["label"]).unwrap_err();
        assert_eq!(refused.to_string(), "invalid filter 'colour'");
    }

    #[test]
    fn every_label_must_hold() {
        let labels = BTreeMap::from([
            ("a".to_owned(), "b".to_owned()),
            ("c".to_owned(), String::new()),
        ]);
        let holds = |text: &str| Filters::parse(text).unwrap().matches_labels(&labels);
        assert!(holds(r#"{"label":["a=b","c"]}"#));
        assert!(holds(r#"{"label":["c="]}"#));
        assert!(!holds(r#"{"label":["a=b","d"]}"#));
        assert!(!holds(r#"{"label":["a=x"]}"#));
        assert!(!holds(r#"{"label!":["a"]}"#));
    }

    #[test]
    fn malformed_filters_are_refused() {
        for bad in ["[", "[]", "1", r#"{"label":1}"#, r#"{"label":[[]]}"#] {
            assert_eq!(Filters::parse(bad), Err(FilterError::Malformed), "{bad}");
        }
        for none in ["", " ", "null", "{}"] {
            assert_eq!(Filters::parse(none), Ok(Filters::new()), "{none}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(map in proptest::collection::btree_map(
            ".{0,8}", proptest::collection::btree_set(".{0,12}", 0..4), 0..4)) {
            let filters = Filters(map);
            prop_assert_eq!(Filters::parse(&filters.to_json()).unwrap(), filters);
        }

        #[test]
        fn no_text_panics(text in ".{0,64}") {
            drop(Filters::parse(&text));
        }
    }
}
