//! Paths and queries.

use std::fmt::Write as _;

/// A path with its query, built piece by piece.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    text: String,
    separator: char,
}

impl Query {
    /// A path whose `{}` is `name`; slashes in it stay, for image names hold them.
    pub(crate) fn on(template: &str, name: &str) -> Self {
        let mut text = String::with_capacity(template.len() + name.len());
        let (before, after) = template.split_once("{}").unwrap_or((template, ""));
        text.push_str(before);
        escape(&mut text, name, b"-._~/:@+");
        text.push_str(after);
        Self {
            text,
            separator: '?',
        }
    }

    /// A path without a name in it.
    pub(crate) fn new(path: &str) -> Self {
        Self {
            text: path.to_owned(),
            separator: '?',
        }
    }

    /// Adds `key=value`.
    #[must_use]
    pub(crate) fn with(mut self, key: &str, value: impl AsRef<str>) -> Self {
        self.text.push(self.separator);
        self.separator = '&';
        self.text.push_str(key);
        self.text.push('=');
        escape(&mut self.text, value.as_ref(), b"-._~");
        self
    }

    /// Adds `key=value` when there is a value.
    #[must_use]
    pub(crate) fn maybe(self, key: &str, value: Option<impl AsRef<str>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Adds `key=1` when `flag` is set.
    #[must_use]
    pub(crate) fn flag(self, key: &str, flag: bool) -> Self {
        if flag { self.with(key, "1") } else { self }
    }

    /// Adds `filters` unless there are none.
    #[must_use]
    pub(crate) fn filters(self, filters: &bowline_api::Filters) -> Self {
        if filters.is_empty() {
            self
        } else {
            self.with("filters", filters.to_json())
        }
    }

    /// The whole.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

fn escape(out: &mut String, text: &str, plain: &[u8]) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_escaped_and_a_name_keeps_its_slashes() {
        let query = Query::on("/images/{}/json", "ghcr.io/a/b:1 2@sha256:0")
            .with("filters", r#"{"a":["b&c"]}"#)
            .flag("no", false)
            .flag("yes", true);
        assert_eq!(
            query.as_str(),
            "/images/ghcr.io/a/b:1%202@sha256:0/json?filters=%7B%22a%22%3A%5B%22b%26c%22%5D%7D&yes=1"
        );
    }
}
