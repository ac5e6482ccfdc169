//! Keys of steps: a digest of everything the result depends on, each part with its length, so that no two different
//! steps give the same bytes.

use std::fmt::Write as _;

use bowline_image::Digest;
use sha2::{Digest as _, Sha256};

/// What changes when the meaning of keys does, so that older results are not taken for newer ones.
const VERSION: &str = "1";

/// A key in the making.
pub(crate) struct Key(Sha256);

impl Key {
    /// The key of this kind of step.
    pub(crate) fn new(kind: &str) -> Self {
        let mut key = Self(Sha256::new());
        key.text(VERSION);
        key.text(kind);
        key
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.0.update(number.to_le_bytes());
    }

    /// What `Debug` shows of a plain value: all its fields, by name.
    pub(crate) fn value(&mut self, value: &impl std::fmt::Debug) {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _infallible = write!(text, "{value:?}");
        self.text(&text);
    }

    pub(crate) fn digests(&mut self, digests: &[Digest]) {
        self.number(digests.len() as u64);
        for digest in digests {
            self.text(digest.hex());
        }
    }

    pub(crate) fn finish(self) -> Digest {
        finish(self.0)
    }
}

/// A hash's result as a digest.
pub(crate) fn finish(hash: Sha256) -> Digest {
    let mut hex = String::with_capacity(64);
    for byte in hash.finalize() {
        // Writing to a String cannot fail.
        let _infallible = write!(hex, "{byte:02x}");
    }
    // A full hash always reads back.
    Digest::from_hex(&hex).unwrap_or_else(|_| Digest::of(hex.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        let key = |parts: &[&str]| {
            let mut key = Key::new("x");
            parts.iter().for_each(|part| key.text(part));
            key.finish()
        };
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_ne!(key(&["a"]), key(&["a", ""]));
        assert_eq!(key(&["a"]), key(&["a"]));
    }
}
