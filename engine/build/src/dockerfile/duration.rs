//! Durations as Go writes them: `1h30m`, `1.5s`, `300ms`.

const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// Nanoseconds; `None` if the text is no duration or does not fit.
pub(super) fn nanoseconds(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total: i64 = 0;
    let mut any = false;
    while !rest.is_empty() {
        let end = rest.find(|ch: char| !ch.is_ascii_digit() && ch != '.')?;
        let (number, after) = rest.split_at(end);
        let unit_end = after
            .find(|ch: char| ch.is_ascii_digit() || ch == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let factor = UNITS.iter().find(|(name, _)| *name == unit)?.1;
        total = total.checked_add(scaled(number, factor)?)?;
        rest = after;
        any = true;
    }
    any.then_some(if negative { -total } else { total })
}

/// The whole part exactly, the fraction as a floating number does it.
fn scaled(number: &str, factor: f64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: i64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let fraction: f64 = if fraction.is_empty() {
        0.0
    } else {
        format!("0.{fraction}").parse().ok()?
    };
    whole
        .checked_mul(truncated(factor))?
        .checked_add(truncated(fraction * factor))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "at most one hour in nanoseconds"
)]
fn truncated(value: f64) -> i64 {
    value as i64
}

#[cfg(test)]
mod tests {
    use super::nanoseconds;

    #[test]
    fn durations() {
        for (text, want) in [
            ("1m30s", Some(90_000_000_000)),
            ("1.5s", Some(1_500_000_000)),
            (".5ms", Some(500_000)),
            ("0", Some(0)),
            ("-2s", Some(-2_000_000_000)),
            ("1", None),
            ("s", None),
            ("", None),
            ("1x", None),
            ("9999999h", None),
        ] {
            assert_eq!(nanoseconds(text), want, "{text}");
        }
    }
}
