//! What names and ids may look like.

/// How many digits of an id people are shown.
pub const SHORT: usize = 12;

/// The first twelve digits of an id, with any `sha256:` in front removed.
pub fn short(id: &str) -> &str {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    digits.get(..SHORT).unwrap_or(digits)
}

/// Whether `text` is a whole id: 64 lower-case hexadecimal digits.
pub fn is_full_id(text: &str) -> bool {
    text.len() == 64 && is_id_prefix(text)
}

/// Whether `text` could be the beginning of an id.
pub fn is_id_prefix(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether `name` may name a container or a volume: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
pub fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphanumeric())
        && name.len() > 1
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_needs_two_characters_and_a_plain_first_one() {
        for good in ["ab", "web-1", "A_b.c", "0-"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "a", "-ab", ".ab", "a/b", "a b", "ä1"] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_short_id_has_no_algorithm() {
        assert_eq!(short("sha256:0123456789abcdef"), "0123456789ab");
        assert_eq!(short("0123"), "0123");
    }
}
