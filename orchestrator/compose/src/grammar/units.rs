//! Sizes (`1.5g`), durations (`1m30s`) and ages (`1d2h`).

use super::Fault;
use crate::model::{Bytes, Duration};

/// A size: a number, maybe with decimals, and a unit whose multiples are binary.
///
/// # Errors
/// No number, an unknown unit, or more than fits.
pub fn bytes(text: &str) -> Result<Bytes, Fault> {
    let whole = 0..text.len();
    let split = text
        .rfind(|c: char| c.is_ascii_digit() || c == '.')
        .map_or(0, |at| at + 1);
    let (number, unit) = (&text[..split], text[split..].trim_start());
    let number = number.trim();
    let Some(factor) = unit_factor(unit) else {
        let start = text.len() - unit.len();
        return Err(
            Fault::new(start..text.len(), format!("unknown unit `{unit}`"))
                .help("units are b, k, m, g, t, p, or kb, mb, ...: `512m`, `1.5g`"),
        );
    };
    if unit.is_empty() && number == "-1" {
        return Ok(Bytes(-1));
    }
    if let (Ok(number), Ok(factor)) = (number.parse::<i64>(), i64::try_from(factor)) {
        let product = number.checked_mul(factor).filter(|_| number >= 0);
        return product
            .map(Bytes)
            .ok_or_else(|| Fault::new(whole, "not a possible size"));
    }
    let valid = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    match number.parse::<f64>() {
        Ok(value) if valid => {
            decimal_bytes(value, factor).ok_or_else(|| Fault::new(whole, "not a possible size"))
        }
        _ => Err(Fault::new(whole, "not a size").help("write a number and a unit: `512m`, `1.5g`")),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "bounds are checked, and Compose computes in floats too"
)]
fn decimal_bytes(value: f64, factor: u64) -> Option<Bytes> {
    let product = value * factor as f64;
    (product < i64::MAX as f64).then_some(Bytes(product as i64))
}

fn unit_factor(unit: &str) -> Option<u64> {
    let lower = unit.to_ascii_lowercase();
    let power = match lower.as_bytes().first() {
        None => return Some(1),
        Some(b'b') if lower == "b" => return Some(1),
        Some(b'k') => 1,
        Some(b'm') => 2,
        Some(b'g') => 3,
        Some(b't') => 4,
        Some(b'p') => 5,
        Some(_) => return None,
    };
    matches!(&lower[1..], "" | "b" | "ib").then(|| 1024_u64.pow(power))
}

/// A duration as Go reads one, with `d` and `w` besides.
///
/// # Errors
/// No number, a missing or unknown unit, or more than fits.
pub fn duration(text: &str) -> Result<Duration, Fault> {
    let (negative, mut rest) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    if rest == "0" {
        return Ok(Duration(0));
    }
    if rest.is_empty() {
        return Err(not_a_duration(0..text.len()));
    }
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let start = text.len() - rest.len();
        let number = rest
            .bytes()
            .take_while(|b| b.is_ascii_digit() || *b == b'.')
            .count();
        let unit = rest[number..]
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len() - number);
        let (digits, unit_text) = (&rest[..number], &rest[number..number + unit]);
        let part = start..start + number + unit;
        if !digits.bytes().any(|b| b.is_ascii_digit()) {
            return Err(not_a_duration(part));
        }
        if unit_text.is_empty() {
            return Err(Fault::new(part, "a duration needs a unit")
                .help(format!("for seconds write `{text}s`")));
        }
        let Some(factor) = duration_unit(unit_text) else {
            return Err(Fault::new(
                start + number..start + number + unit,
                format!("unknown unit `{unit_text}`"),
            )
            .help("units are us, ms, s, m, h, d, w"));
        };
        let nanos = scaled(digits, factor).ok_or_else(|| not_a_duration(part))?;
        total = total
            .checked_add(nanos)
            .ok_or_else(|| Fault::new(0..text.len(), "longer than can be counted"))?;
        rest = &rest[number + unit..];
    }
    Ok(Duration(if negative { -total } else { total }))
}

fn not_a_duration(range: std::ops::Range<usize>) -> Fault {
    Fault::new(range, "not a duration").help("write numbers and units: `30s`, `1m30s`, `1.5s`")
}

fn duration_unit(unit: &str) -> Option<i64> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60 * 1_000_000_000,
        "h" => 3_600 * 1_000_000_000,
        "d" => 24 * 3_600 * 1_000_000_000,
        "w" => 7 * 24 * 3_600 * 1_000_000_000,
        _ => return None,
    })
}

/// `1.5` times a factor, exactly, dropping what is smaller than one.
fn scaled(digits: &str, factor: i64) -> Option<i64> {
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    if decimals.contains('.') {
        return None;
    }
    let whole: i64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut total = whole.checked_mul(factor)?;
    let mut unit = i128::from(factor);
    let mut fraction: i128 = 0;
    let mut scale: i128 = 1;
    for digit in decimals.bytes().take(18) {
        fraction = fraction * 10 + i128::from(digit - b'0');
        scale *= 10;
    }
    unit *= fraction;
    total = total.checked_add(i64::try_from(unit / scale).ok()?)?;
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let cases = [
            ("5", 5),
            ("512m", 536_870_912),
            ("64mib", 67_108_864),
            ("64 mb", 67_108_864),
            ("1.5g", 1_610_612_736),
            ("1KB", 1024),
            ("2b", 2),
            ("0", 0),
            ("-1", -1),
        ];
        for (text, expected) in cases {
            assert_eq!(bytes(text), Ok(Bytes(expected)), "{text}");
        }
        for text in [
            "",
            "m",
            "10x",
            "1.2.3m",
            "-5m",
            "99999999999g",
            "1e3",
            "é5",
            "5é",
        ] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations() {
        let second = 1_000_000_000;
        let cases = [
            ("0", 0),
            ("1s", second),
            ("1.5s", 1_500_000_000),
            ("1m30s", 90 * second),
            ("100ms", 100_000_000),
            ("5us", 5_000),
            ("1.5h", 5400 * second),
            ("1d2h", 26 * 3600 * second),
            ("-1s", -second),
            (".5s", second / 2),
        ];
        for (text, expected) in cases {
            assert_eq!(duration(text), Ok(Duration(expected)), "{text}");
        }
        for (text, range) in [
            ("10", 0..2),
            ("1h30", 2..4),
            ("foo", 0..3),
            ("5y", 1..2),
            ("", 0..0),
            ("1..5s", 0..5),
        ] {
            assert_eq!(duration(text).unwrap_err().range, range, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "[0-9.kmgbsh -]{0,24}|.{0,6}") {
            let _size = bytes(&text);
            let _duration = duration(&text);
        }

        #[test]
        fn durations_print_and_read(nanos in 0..i64::MAX) {
            proptest::prop_assert_eq!(duration(&Duration(nanos).to_string()), Ok(Duration(nanos)));
        }
    }
}
