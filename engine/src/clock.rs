//! Wall-clock text as the API writes it.

use std::time::Duration;

use jiff::Timestamp;

/// The zero time of the API's Go clients: "never".
pub(crate) const NEVER: &str = "0001-01-01T00:00:00Z";

/// Now, RFC 3339 with nanoseconds, UTC.
pub(crate) fn now() -> String {
    text(Timestamp::now())
}

/// A time as RFC 3339 with nine fractional digits, UTC.
pub(crate) fn text(time: Timestamp) -> String {
    format!("{time:.9}")
}

/// Time since the moment in `text`; zero where it cannot be read or lies ahead.
pub(crate) fn since(text: &str) -> Duration {
    text.parse::<Timestamp>()
        .ok()
        .and_then(|then| Duration::try_from(Timestamp::now().duration_since(then)).ok())
        .unwrap_or_default()
}

/// Seconds since the epoch of the moment in `text`; 0 where it cannot be read.
pub(crate) fn seconds(text: &str) -> i64 {
    text.parse::<Timestamp>()
        .map(Timestamp::as_second)
        .unwrap_or_default()
}

/// A span in the words of `docker ps`: "Less than a second", "About a minute", "3 hours".
pub(crate) fn human(span: Duration) -> String {
    let seconds = span.as_secs();
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match seconds {
        0 => "Less than a second".into(),
        1 => "1 second".into(),
        2..60 => format!("{seconds} seconds"),
        60..120 => "About a minute".into(),
        120..3600 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".into(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 14 => format!("{} days", hours / 24),
        _ if hours < 24 * 60 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_nine_digits_and_read_back() {
        let time: Timestamp = "2026-01-02T03:04:05.5Z".parse().unwrap();
        assert_eq!(text(time), "2026-01-02T03:04:05.500000000Z");
        assert_eq!(seconds(NEVER), -62_135_596_800);
        assert!(since(&now()) < Duration::from_secs(1));
    }

    #[test]
    fn spans_use_dockers_words() {
        let words = [0, 1, 59, 60, 130, 3599, 3700, 90_000, 86_400 * 15]
            .map(|seconds| human(Duration::from_secs(seconds)));
        assert_eq!(
            words,
            [
                "Less than a second",
                "1 second",
                "59 seconds",
                "About a minute",
                "2 minutes",
                "59 minutes",
                "About an hour",
                "25 hours",
                "2 weeks"
            ]
        );
    }
}
