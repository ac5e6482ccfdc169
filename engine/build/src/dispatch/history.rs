//! How the stock builder writes instructions into an image's history: with the printing rules of Go, which it is
//! written in.

use crate::dockerfile::Healthcheck;

/// The keyword of a step's name in capitals.
pub(super) fn named(text: &str) -> String {
    match text.split_once(' ') {
        Some((keyword, rest)) => format!("{} {rest}", keyword.to_uppercase()),
        None => text.to_uppercase(),
    }
}

/// `["a" "b"]`
pub(super) fn quoted_list(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word, '"')).collect();
    format!("[{}]", words.join(" "))
}

/// The structure as Go prints it when each of its fields is to be quoted. The number of retries comes out as a character.
pub(super) fn healthcheck(check: &Healthcheck) -> String {
    let times = [
        check.interval,
        check.timeout,
        check.start_period,
        check.start_interval,
    ];
    let times: Vec<String> = times
        .iter()
        .map(|time| quoted(&duration(*time), '"'))
        .collect();
    let retries = u32::try_from(check.retries).ok().and_then(char::from_u32);
    let retries = quoted(&retries.unwrap_or('\u{fffd}').to_string(), '\'');
    format!(
        "HEALTHCHECK &{{{} {} {retries}}}",
        quoted_list(&check.test),
        times.join(" ")
    )
}

fn quoted(text: &str, quote: char) -> String {
    let mut result = String::from(quote);
    for ch in text.chars() {
        match ch {
            '\u{7}' => result.push_str("\\a"),
            '\u{8}' => result.push_str("\\b"),
            '\u{c}' => result.push_str("\\f"),
            '\n' => result.push_str("\\n"),
            '\r' => result.push_str("\\r"),
            '\t' => result.push_str("\\t"),
            '\u{b}' => result.push_str("\\v"),
            '\\' => result.push_str("\\\\"),
            ch if ch == quote => result.extend(['\\', ch]),
            ' ' => result.push(' '),
            ch if !ch.is_control() && !ch.is_whitespace() => result.push(ch),
            ch if u32::from(ch) < 0x80 => result.push_str(&format!("\\x{:02x}", u32::from(ch))),
            ch if u32::from(ch) < 0x10000 => result.push_str(&format!("\\u{:04x}", u32::from(ch))),
            ch => result.push_str(&format!("\\U{:08x}", u32::from(ch))),
        }
    }
    result.push(quote);
    result
}

/// `1h0m30s`, `1.5s`, `300ms`
fn duration(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let total = nanoseconds.unsigned_abs();
    match total {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{total}ns"),
        1_000..1_000_000 => format!("{sign}{}µs", decimal(total, 1_000)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", decimal(total, 1_000_000)),
        _ => {
            let minutes = total / 60_000_000_000;
            let seconds = decimal(total % 60_000_000_000, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

fn decimal(value: u64, unit: u64) -> String {
    let digits = unit.to_string().len() - 1;
    let fraction = format!("{:0digits$}", value % unit);
    match fraction.trim_end_matches('0') {
        "" => (value / unit).to_string(),
        fraction => format!("{}.{fraction}", value / unit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (value, want) in [
            (0, "0s"),
            (1_500_000, "1.5ms"),
            (30_000_000_000, "30s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (1_000_000_001, "1.000000001s"),
        ] {
            assert_eq!(duration(value), want);
        }
    }

    #[test]
    fn quotes() {
        let words = ["a \"b\"".to_owned(), "\t\u{1}ü\u{a0}".to_owned()];
        assert_eq!(quoted_list(&words), r#"["a \"b\"" "\t\x01ü\u00a0"]"#);
        assert_eq!(named("run echo run"), "RUN echo run");
        let check = Healthcheck {
            test: vec!["NONE".to_owned()],
            retries: 39,
            ..Healthcheck::default()
        };
        assert_eq!(
            healthcheck(&check),
            r#"HEALTHCHECK &{["NONE"] "0s" "0s" "0s" "0s" '\''}"#
        );
    }
}
