//! Fresh ids and generated names.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};

/// 64 random hex digits, never all decimal in the first twelve: such a short id would pass for a number.
///
/// # Errors
/// The kernel's random source cannot be read.
pub(crate) fn fresh() -> io::Result<String> {
    loop {
        let mut bytes = [0_u8; 32];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        let id = bytes
            .iter()
            .fold(String::with_capacity(64), |mut id, byte| {
                // Writing into a String cannot fail.
                let _ = write!(id, "{byte:02x}");
                id
            });
        if id.as_bytes()[..12].iter().any(u8::is_ascii_alphabetic) {
            return Ok(id);
        }
    }
}

/// A name for a container that came without one, made of its id.
pub(crate) fn name_from(id: &str) -> String {
    const FIRST: [&str; 16] = [
        "brisk", "calm", "clear", "deft", "eager", "fair", "glad", "keen", "lucid", "mild", "neat",
        "plain", "quick", "ready", "sound", "warm",
    ];
    const SECOND: [&str; 16] = [
        "anchor", "beacon", "bollard", "boom", "cleat", "compass", "deck", "halyard", "helm",
        "jib", "keel", "mast", "rudder", "sextant", "spar", "tiller",
    ];
    let digit = |at: usize| {
        let digit = id.as_bytes().get(at).copied().map_or('0', char::from);
        digit.to_digit(16).unwrap_or_default() as usize
    };
    format!(
        "{}_{}_{}",
        FIRST[digit(0)],
        SECOND[digit(1)],
        id.get(2..6).unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_full_and_differ() {
        let (one, other) = (fresh().unwrap(), fresh().unwrap());
        assert!(bowline_api::ids::is_full_id(&one) && one != other);
    }

    #[test]
    fn generated_names_are_names() {
        assert_eq!(name_from("0123456789"), "brisk_beacon_2345");
        assert!(bowline_api::ids::is_name(&name_from("")));
    }
}
