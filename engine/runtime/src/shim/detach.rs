//! The keys by which a person leaves a terminal without ending what runs in it.

/// Docker's own: ctrl-p, ctrl-q.
const DEFAULT: [u8; 2] = [16, 17];

/// Looks for the keys in what a person types. They are never passed on; what only looked like them is.
#[derive(Debug)]
pub(super) struct DetachKeys {
    keys: Vec<u8>,
    seen: usize,
}

impl DetachKeys {
    /// Reads `ctrl-p,ctrl-q` or `a,b`. What cannot be read means the default; the engine has checked it before.
    pub(super) fn new(text: Option<&str>) -> Self {
        let keys = match text {
            None | Some("") => None,
            Some(text) => text.split(',').map(key).collect(),
        };
        Self {
            keys: keys.unwrap_or(DEFAULT.to_vec()),
            seen: 0,
        }
    }

    /// Appends to `out` what is to be passed on. True when the keys were complete: the rest was not looked at.
    pub(super) fn filter(&mut self, typed: &[u8], out: &mut Vec<u8>) -> bool {
        for byte in typed {
            if self.keys.get(self.seen) == Some(byte) {
                self.seen += 1;
                if self.seen == self.keys.len() {
                    return true;
                }
                continue;
            }
            out.extend_from_slice(&self.keys[..self.seen]);
            self.seen = usize::from(self.keys.first() == Some(byte));
            if self.seen == 0 {
                out.push(*byte);
            }
        }
        false
    }
}

fn key(name: &str) -> Option<u8> {
    let control = |key: &str| match key.as_bytes() {
        [letter @ b'a'..=b'z'] => Some(letter - b'a' + 1),
        [sign @ (b'@' | b'[' | b'\\' | b']' | b'^' | b'_')] => Some(sign & 0x1f),
        _ => None,
    };
    match name.strip_prefix("ctrl-") {
        Some(rest) => control(rest),
        None => name.as_bytes().first().copied().filter(|_| name.len() == 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &mut DetachKeys, text: &[u8]) -> (Vec<u8>, bool) {
        let mut out = Vec::new();
        let left = keys.filter(text, &mut out);
        (out, left)
    }

    #[test]
    fn the_keys_end_it_even_in_two_pieces_and_are_not_passed_on() {
        let mut keys = DetachKeys::new(None);
        assert_eq!(typed(&mut keys, b"ab\x10"), (b"ab".to_vec(), false));
        assert_eq!(typed(&mut keys, b"\x11c"), (vec![], true));
    }

    #[test]
    fn a_false_beginning_is_passed_on() {
        let mut keys = DetachKeys::new(None);
        assert_eq!(typed(&mut keys, b"\x10x"), (b"\x10x".to_vec(), false));
        assert_eq!(typed(&mut keys, b"\x10\x10\x11"), (b"\x10".to_vec(), true));
    }

    #[test]
    fn other_keys_can_be_chosen() {
        let mut keys = DetachKeys::new(Some("ctrl-@,x"));
        assert_eq!(
            typed(&mut keys, b"\x10\x11\x00x"),
            (b"\x10\x11".to_vec(), true)
        );
    }
}
