//! Numbers as people say them.

use std::time::Duration;

/// `3.2s`, `1m05s`.
pub(crate) fn seconds(elapsed: Duration) -> String {
    match elapsed.as_secs() {
        0..60 => format!("{:.1}s", elapsed.as_secs_f64()),
        whole => format!("{}m{:02}s", whole / 60, whole % 60),
    }
}

/// `12.3MB`, in powers of a thousand, as Docker prints sizes.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut unit = 0;
    let mut scaled = count;
    let mut rest = 0;
    while scaled >= 1000 && unit + 1 < UNITS.len() {
        rest = scaled % 1000;
        scaled /= 1000;
        unit += 1;
    }
    match (unit, scaled) {
        (0, _) => format!("{scaled}B"),
        (_, 100..) => format!("{scaled}{}", UNITS[unit]),
        _ => format!("{scaled}.{}{}", rest / 100, UNITS[unit]),
    }
}

/// `1.22kB` or `892KiB`, with so many significant digits at most, as Docker's statistics print sizes.
pub(crate) fn significant_bytes(count: u64, base: u64, digits: usize) -> String {
    const DECIMAL: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    const BINARY: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let units = if base == 1024 { BINARY } else { DECIMAL };
    let mut unit = 0;
    let mut divisor: u64 = 1;
    while unit + 1 < units.len() && count / divisor >= base {
        divisor *= base;
        unit += 1;
    }
    let scaled = count as f64 / divisor as f64;
    let whole = (count / divisor).to_string();
    let places = digits.saturating_sub(whole.len());
    let text = format!("{scaled:.places$}");
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    format!("{text}{}", units[unit])
}

/// `5 minutes ago`, from seconds since the epoch.
pub(crate) fn age(created: i64, now: i64) -> String {
    let span = u64::try_from(now.saturating_sub(created)).unwrap_or(0);
    let (count, unit) = match span {
        0..60 => (span, "second"),
        60..3600 => (span / 60, "minute"),
        3600..86_400 => (span / 3600, "hour"),
        _ => (span / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural} ago")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(bytes(0), "0B");
        assert_eq!(bytes(1234), "1.2kB");
        assert_eq!(bytes(144_000_000), "144MB");
        assert_eq!(significant_bytes(0, 1024, 4), "0B");
        assert_eq!(significant_bytes(892 * 1024, 1024, 4), "892KiB");
        assert_eq!(significant_bytes(25_276_000_000, 1024, 4), "23.54GiB");
        assert_eq!(significant_bytes(1_090, 1000, 3), "1.09kB");
        assert_eq!(significant_bytes(999, 1000, 3), "999B");
        assert_eq!(seconds(Duration::from_millis(3240)), "3.2s");
        assert_eq!(seconds(Duration::from_secs(65)), "1m05s");
        assert_eq!(age(0, 60), "1 minute ago");
        assert_eq!(age(0, 7300), "2 hours ago");
    }
}
