//! Names of signals, which `STOPSIGNAL` checks and does not change.

const NAMES: [&str; 34] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
    "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP",
    "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
];

/// Whether a text is a signal's number, which may be any but zero, or its name, with or without `SIG`.
pub(super) fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<i64>() {
        return number != 0;
    }
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    NAMES.contains(&name) || is_real_time(name)
}

/// `RTMIN`, `RTMIN+1` to `RTMIN+15`, `RTMAX-14` to `RTMAX`
fn is_real_time(name: &str) -> bool {
    let offset = |rest: &str, most: u8| {
        let number = rest
            .parse::<u8>()
            .ok()
            .filter(|number| (1..=most).contains(number));
        number.is_some_and(|number| number.to_string() == rest)
    };
    match (name.strip_prefix("RTMIN+"), name.strip_prefix("RTMAX-")) {
        (Some(rest), _) => offset(rest, 15),
        (_, Some(rest)) => offset(rest, 14),
        _ => matches!(name, "RTMIN" | "RTMAX"),
    }
}

#[cfg(test)]
mod tests {
    use super::is_signal;

    #[test]
    fn names_and_numbers() {
        for good in [
            "9",
            "SIGTERM",
            "term",
            "sigquit",
            "RTMIN+15",
            "SIGRTMAX-1",
            "77",
        ] {
            assert!(is_signal(good), "{good}");
        }
        for bad in ["0", "", "SIG", "FOO", "RTMIN+16", "RTMAX-0", "RTMIN+01"] {
            assert!(!is_signal(bad), "{bad}");
        }
    }
}
