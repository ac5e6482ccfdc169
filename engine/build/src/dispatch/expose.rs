//! `EXPOSE`: ports, ranges of them, and what was once allowed beside them.

use std::net::IpAddr;

/// What an argument of `EXPOSE` means.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Exposed {
    /// `80/tcp`
    pub ports: Vec<String>,
    /// The protocol is not written in lower case.
    pub odd_case: bool,
    /// It names an address or a port of the host.
    pub host: bool,
}

/// Reads `[[address:]host-port:]port[-port][/protocol]`; `None` if it is none.
pub(super) fn parse(text: &str) -> Option<Exposed> {
    let mut parts = text.rsplitn(3, ':');
    let container = parts.next()?;
    let (host_port, address) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let (range, protocol) = container.split_once('/').unwrap_or((container, ""));
    let protocol = if protocol.is_empty() { "tcp" } else { protocol };
    let lower = protocol.to_lowercase();
    if !matches!(lower.as_str(), "tcp" | "udp" | "sctp") || !is_address(address) {
        return None;
    }
    let (first, last) = ports(range)?;
    if !host_port.is_empty() {
        let (host_first, host_last) = ports(host_port)?;
        if last != first && last - first != host_last - host_first {
            return None;
        }
    }
    Some(Exposed {
        ports: (first..=last)
            .map(|port| format!("{port}/{lower}"))
            .collect(),
        odd_case: protocol != lower,
        host: !address.is_empty() || !host_port.is_empty(),
    })
}

fn is_address(text: &str) -> bool {
    let inner = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    text.is_empty() || inner.unwrap_or(text).parse::<IpAddr>().is_ok()
}

fn ports(range: &str) -> Option<(u16, u16)> {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let port = |text: &str| text.strip_prefix('+').unwrap_or(text).parse::<u16>().ok();
    let (first, last) = (port(first)?, port(last)?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports_of(text: &str) -> Option<Vec<String>> {
        parse(text).map(|exposed| exposed.ports)
    }

    #[test]
    fn forms() {
        assert_eq!(ports_of("80").unwrap(), ["80/tcp"]);
        assert_eq!(ports_of("53/UDP").unwrap(), ["53/udp"]);
        assert_eq!(
            ports_of("8000-8002/sctp").unwrap(),
            ["8000/sctp", "8001/sctp", "8002/sctp"]
        );
        assert_eq!(ports_of("127.0.0.1:8080:80").unwrap(), ["80/tcp"]);
        assert_eq!(ports_of("[::1]:8080:80").unwrap(), ["80/tcp"]);
        assert!(parse("8080:80").unwrap().host && parse("80/TCP").unwrap().odd_case);
        for wrong in [
            "",
            "x",
            "80/icmp",
            "70000",
            "90-80",
            "/tcp",
            "1.2.3:80:80",
            "1-3:4-5",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
