//! What a plain scalar means in the dialect of go-yaml.
//!
//! It is YAML 1.2 with pieces of 1.1: `yes` is a text, but `014` is twelve and `1_000` a thousand.

/// The meaning of a scalar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Resolved<'a> {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number; wide enough for both signs of 64 bits.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// A date or a time. Kept as written: what it would be printed as is nobody's wish.
    Timestamp(&'a str),
    /// Anything else.
    Text(&'a str),
}

impl Resolved<'_> {
    /// A word for people.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Timestamp(_) => "a date",
            Self::Text(_) => "a string",
        }
    }

    /// The text that Compose makes of a scalar where it wants a string but takes others: numbers
    /// are printed anew, so `1.10` becomes `1.1`. Null has none.
    #[must_use]
    pub fn to_text(self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Bool(value) => Some(value.to_string()),
            Self::Int(value) => Some(value.to_string()),
            Self::Float(value) => Some(go_float(value)),
            Self::Timestamp(text) | Self::Text(text) => Some(text.to_owned()),
        }
    }
}

/// Resolves a plain scalar.
#[must_use]
pub fn resolve(text: &str) -> Resolved<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Resolved::Null,
        "true" | "True" | "TRUE" => return Resolved::Bool(true),
        "false" | "False" | "FALSE" => return Resolved::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Resolved::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Resolved::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Resolved::Float(f64::NEG_INFINITY),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Resolved::Text(text);
    }
    if is_timestamp(text) {
        return Resolved::Timestamp(text);
    }
    let digits = text.replace('_', "");
    if let Some(value) = integer(&digits) {
        return Resolved::Int(value);
    }
    let float = is_float(&digits).then(|| digits.parse().ok()).flatten();
    match float.filter(|value: &f64| value.is_finite()) {
        Some(value) => Resolved::Float(value),
        None => Resolved::Text(text),
    }
}

/// A whole number as Go reads one with base 0: a leading `0` is octal, `0x`, `0o`, `0b` too.
fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = if let Some(rest) = lower.strip_prefix("0x") {
        (16, rest)
    } else if let Some(rest) = lower.strip_prefix("0o") {
        (8, rest)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (2, rest)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else {
        (10, lower.as_str())
    };
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    let value = i128::from(u64::from_str_radix(digits, radix).ok()?);
    let value = if negative { -value } else { value };
    (value >= i128::from(i64::MIN)).then_some(value)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let whole = digits(rest);
    let mut rest = &rest[whole..];
    if let Some(after) = rest.strip_prefix('.') {
        let decimals = digits(after);
        if whole + decimals == 0 {
            return false;
        }
        rest = &after[decimals..];
    } else if whole == 0 {
        return false;
    }
    let Some(exponent) = rest.strip_prefix(['e', 'E']) else {
        return rest.is_empty();
    };
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    !exponent.is_empty() && digits(exponent) == exponent.len()
}

/// `2001-1-2`, alone or followed by a time.
fn is_timestamp(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let (Some(year), Some(month), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let day_len = rest.bytes().take_while(u8::is_ascii_digit).count();
    let in_range = |text: &str, max: u32| {
        (1..=2).contains(&text.len()) && text.parse().is_ok_and(|n: u32| (1..=max).contains(&n))
    };
    if year.len() != 4
        || !year.bytes().all(|b| b.is_ascii_digit())
        || !month.bytes().all(|b| b.is_ascii_digit())
        || !in_range(month, 12)
        || !in_range(&rest[..day_len], 31)
    {
        return false;
    }
    let time = &rest[day_len..];
    time.is_empty() || time.strip_prefix(['T', 't', ' ']).is_some_and(is_time)
}

/// `15:4:5`, with a fraction and a zone if there are any.
fn is_time(text: &str) -> bool {
    let clock_end = text.find(['Z', '+', '-', ' ']).unwrap_or(text.len());
    let mut parts = text[..clock_end].split(':');
    let number = |part: Option<&str>| {
        part.is_some_and(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
    };
    number(parts.next()) && number(parts.next()) && number(parts.next()) && parts.next().is_none()
}

/// A float as Go's `%v` prints it: the shortest digits that read back, with an exponent when that
/// is below -4 or above 5.
fn go_float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value != 0.0 && !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs());
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_go_yaml_reads_them() {
        let cases = [
            ("014", "12"),
            ("0644", "420"),
            ("0o644", "420"),
            ("0x1F", "31"),
            ("0b11", "3"),
            ("-0x10", "-16"),
            ("1_000", "1000"),
            ("08", "8"),
            ("1.10", "1.1"),
            ("1e3", "1000"),
            ("1e21", "1e+21"),
            ("100000.0", "100000"),
            ("1000000.0", "1e+06"),
            ("1e400", "1e400"),
            ("0.00001", "1e-05"),
            ("+5", "5"),
            (".5", "0.5"),
            ("5.", "5"),
            ("12345678901234567890", "12345678901234567890"),
            ("22:22", "22:22"),
            ("1.2.3", "1.2.3"),
            ("-", "-"),
            ("+-5", "+-5"),
            ("0x", "0x"),
            ("1e", "1e"),
            ("yes", "yes"),
            ("True", "true"),
            ("2001-01-01", "2001-01-01"),
            (".inf", "+Inf"),
        ];
        for (text, expected) in cases {
            assert_eq!(resolve(text).to_text().as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn kinds() {
        assert_eq!(resolve("~"), Resolved::Null);
        assert_eq!(resolve("nUll"), Resolved::Text("nUll"));
        assert_eq!(resolve("2001-01-01"), Resolved::Timestamp("2001-01-01"));
        assert_eq!(resolve("2001-12-14t21:59:43.10-05:00").kind(), "a date");
        assert_eq!(resolve("2001-13-01"), Resolved::Text("2001-13-01"));
        assert_eq!(resolve("off"), Resolved::Text("off"));
    }
}
