//! `SOURCE_DATE_EPOCH`: the time that a reproducible build gives for all it did.

use super::Options;
use crate::dockerfile::{Fault, Mistake, Span};

/// The build argument as a time of RFC 3339, if it was given.
pub(super) fn created(options: &Options) -> Result<Option<String>, Fault> {
    let Some(text) = options
        .args
        .get("SOURCE_DATE_EPOCH")
        .filter(|text| !text.is_empty())
    else {
        return Ok(None);
    };
    let seconds: Option<u64> = text.parse().ok();
    match seconds.filter(|seconds| *seconds < 253_402_300_800) {
        Some(seconds) => Ok(Some(rfc3339(seconds))),
        None => Err(Fault::new(Mistake::Epoch(text.clone()), Span::default())),
    }
}

/// Days are counted from a 1 March, so that leap days come last in their year.
fn rfc3339(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day + 2) / 153;
    let date = day - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn times() {
        for (seconds, want) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), want);
        }
    }
}
