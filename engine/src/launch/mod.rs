//! From a container record to what the shim is asked to run.

pub(crate) mod block;
pub(crate) mod devices;
pub(crate) mod files;
pub(crate) mod log;
pub(crate) mod ports;
mod resources;
pub(crate) mod spec;

/// Bytes of `10m`, `1g`, `512k` (powers of 1024, as Docker's units have it).
pub(crate) fn size(text: &str) -> Option<u64> {
    let text = text.trim().to_lowercase();
    let text = text.trim_end_matches('b').trim_end_matches('i');
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let shift = match &text[digits.len()..] {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(super::size("10m"), Some(10 << 20));
        assert_eq!(super::size("2KiB"), Some(2048));
        assert_eq!(super::size("7"), Some(7));
        assert_eq!(super::size("x"), None);
    }
}
