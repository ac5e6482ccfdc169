//! The query of a request.

use std::str::FromStr;

use super::path::decode;
use crate::error::{Error, Result};

/// Keys and values in the order they came.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads `a=1&b=two+words`.
    pub(super) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key, true), decode(value, true))
        });
        Self(pairs.collect())
    }

    /// The first value of `key`.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.all(key).next()
    }

    /// The first value of `key` unless it is empty.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.get(key)
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
    }

    /// Every value of `key`.
    pub(super) fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// Whether `key` is set to anything but a word for no.
    pub(super) fn flag(&self, key: &str) -> bool {
        self.flag_or(key, false)
    }

    /// As [`Self::flag`], and `default` when `key` is absent.
    pub(super) fn flag_or(&self, key: &str, default: bool) -> bool {
        let Some(value) = self.get(key) else {
            return default;
        };
        let word = value.trim().to_ascii_lowercase();
        !matches!(word.as_str(), "" | "0" | "no" | "false" | "none")
    }

    /// The number under `key`, `None` when it is absent or empty.
    pub(super) fn number<N: FromStr>(&self, key: &str) -> Result<Option<N>> {
        let Some(text) = self.get(key).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Error::invalid(format!(
                "invalid value {text:?} for {key}: not a number in range"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_and_may_repeat() {
        let query = Query::parse("names=a%2Fb&names=c+d&t=&flag");
        assert_eq!(query.all("names").collect::<Vec<_>>(), ["a/b", "c d"]);
        assert_eq!((query.get("t"), query.text("t")), (Some(""), None));
        assert!(!query.flag("flag") && query.get("flag").is_some());
    }

    #[test]
    fn anything_but_a_word_for_no_is_yes() {
        for no in ["", "0", "No", "FALSE", "none", "+false+"] {
            assert!(!Query::parse(&format!("a={no}")).flag("a"), "{no}");
        }
        for yes in ["1", "true", "yes", "2", "x"] {
            assert!(Query::parse(&format!("a={yes}")).flag("a"), "{yes}");
        }
        assert!(Query::default().flag_or("stream", true));
        assert!(!Query::parse("stream=0").flag_or("stream", true));
    }

    #[test]
    fn a_number_that_is_none_is_refused() {
        assert_eq!(Query::parse("t=-1").number::<i64>("t").unwrap(), Some(-1));
        assert_eq!(Query::parse("t=").number::<i64>("t").unwrap(), None);
        assert!(Query::parse("t=x").number::<i64>("t").is_err());
        assert!(Query::parse("h=-1").number::<u32>("h").is_err());
    }
}
