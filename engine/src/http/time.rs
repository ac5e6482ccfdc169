//! `since` and `until`: seconds since 1970, with nanoseconds behind a point.

use jiff::Timestamp;

use crate::error::{Error, Result};

/// Reads `1700000000`, `1700000000.25` or an RFC 3339 time. Empty means no bound.
pub(super) fn parse(key: &str, text: Option<&str>) -> Result<Option<Timestamp>> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let time = numeric(text).or_else(|| text.parse().ok());
    match time {
        Some(time) => Ok(Some(time)),
        None => Err(Error::invalid(format!(
            "invalid value {text:?} for {key}: neither seconds since 1970 nor an RFC 3339 time"
        ))),
    }
}

fn numeric(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // More than nine digits say nothing that a clock knows.
    let nanoseconds: i32 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Timestamp::new(seconds.parse().ok()?, nanoseconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_may_have_a_fraction() {
        let text = |time: &str| {
            parse("since", Some(time))
                .unwrap()
                .map(|time| time.to_string())
        };
        assert_eq!(text("1700000000").unwrap(), "2023-11-14T22:13:20Z");
        assert_eq!(text("1700000000.25").unwrap(), "2023-11-14T22:13:20.25Z");
        assert_eq!(
            text("1700000000.000000001").unwrap(),
            "2023-11-14T22:13:20.000000001Z"
        );
        assert_eq!(
            text("2023-11-14T22:13:20+00:00").unwrap(),
            "2023-11-14T22:13:20Z"
        );
        assert_eq!(text("0").unwrap(), "1970-01-01T00:00:00Z");
        assert_eq!((text(""), parse("since", None).unwrap()), (None, None));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["x", "1.x", "1.-5", "99999999999999999999", "10m"] {
            assert!(parse("since", Some(bad)).is_err(), "{bad}");
        }
    }
}
