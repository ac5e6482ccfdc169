//! The path of a request: its API version, and what it is about.

use std::fmt;

/// A version of the API, as `/v1.51/…` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ApiVersion {
    major: u16,
    minor: u16,
}

impl ApiVersion {
    /// What requests without a version get, and the most that any request gets.
    pub(super) const NEWEST: Self = Self::one(51);
    /// Below this, requests are refused.
    pub(super) const OLDEST: Self = Self::one(24);

    /// Version 1.`minor`.
    pub(super) const fn one(minor: u16) -> Self {
        Self { major: 1, minor }
    }

    /// Reads digits and dots; a part that is missing or no number counts as 0, as in Docker.
    fn parse(text: &str) -> Self {
        let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
        Self {
            major: parts.next().unwrap_or(0),
            minor: parts.next().unwrap_or(0),
        }
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.major, self.minor)
    }
}

/// A path without its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// As asked for; not clamped.
    pub(super) version: Option<ApiVersion>,
    /// Decoded, without slashes in front.
    pub(super) path: String,
}

impl Target {
    /// Splits the raw path of a request.
    pub(super) fn parse(raw: &str) -> Self {
        let path = collapse(&decode(raw, false));
        let prefix = path.strip_prefix('v').and_then(|rest| rest.split_once('/'));
        match prefix {
            Some((version, rest)) if is_version(version) => Self {
                version: Some(ApiVersion::parse(version)),
                path: rest.to_owned(),
            },
            _ => Self {
                version: None,
                path,
            },
        }
    }
}

fn is_version(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// Without slashes in front, and without doubled ones: clients that join a base URL and a path often send two.
fn collapse(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for letter in path.chars() {
        if letter != '/' || !(out.is_empty() || out.ends_with('/')) {
            out.push(letter);
        }
    }
    out
}

/// Undoes percent-encoding; what is no encoding stays as it is. In a query `+` is a space.
pub(super) fn decode(text: &str, plus_is_space: bool) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'%', [high, low, beyond @ ..]) if is_hex(*high) && is_hex(*low) => {
                out.push(digit(*high) << 4 | digit(*low));
                rest = beyond;
            }
            (b'+', _) if plus_is_space => out.push(b' '),
            _ => out.push(*byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

/// The value of a hexadecimal digit.
fn digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => (byte | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(raw: &str) -> (Option<String>, String) {
        let target = Target::parse(raw);
        (
            target.version.map(|version| version.to_string()),
            target.path,
        )
    }

    #[test]
    fn a_version_is_split_off() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            split("/v1.51/containers/json"),
            (some("1.51"), "containers/json".into())
        );
        assert_eq!(split("/containers/json"), (None, "containers/json".into()));
        assert_eq!(
            split("//v1.40//containers//json"),
            (some("1.40"), "containers/json".into())
        );
        assert_eq!(split("/v2/x"), (some("2.0"), "x".into()));
        assert_eq!(split("/volumes/v1.2"), (None, "volumes/v1.2".into()));
        assert_eq!(split("/v1.51"), (None, "v1.51".into()));
        assert_eq!(split("/vx/y"), (None, "vx/y".into()));
        assert_eq!(split("/"), (None, String::new()));
    }

    #[test]
    fn a_path_is_decoded() {
        assert_eq!(split("/images/a%2Fb%3A1/json").1, "images/a/b:1/json");
        assert_eq!(decode("a%2", true), "a%2");
        assert_eq!(decode("a+b%zz%C3%A4", true), "a b%zzä");
        assert_eq!(decode("a+b", false), "a+b");
    }

    #[test]
    fn versions_are_ordered_as_numbers() {
        assert!(ApiVersion::parse("1.9") < ApiVersion::OLDEST);
        assert!(ApiVersion::parse("1.100") > ApiVersion::NEWEST);
        assert_eq!(ApiVersion::NEWEST.to_string(), bowline_api::API_VERSION);
        assert_eq!(ApiVersion::OLDEST.to_string(), bowline_api::MIN_API_VERSION);
    }

    proptest! {
        #[test]
        fn any_path_splits_and_a_prefix_changes_nothing_else(path in "[a-z0-9/%:@._-]{0,40}", minor in 0u16..99) {
            let bare = Target::parse(&format!("/x/{path}"));
            let versioned = Target::parse(&format!("/v1.{minor}/x/{path}"));
            prop_assert_eq!(bare.version, None);
            prop_assert_eq!(versioned.version, Some(ApiVersion::one(minor)));
            prop_assert_eq!(bare.path, versioned.path);
        }

        #[test]
        fn what_is_encoded_is_decoded(text in ".{0,20}") {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            prop_assert_eq!(decode(&encoded, true), text);
        }
    }
}
