//! The short form of a port: `[[ip:][host]:]container[/protocol]`, each side maybe a range.

use std::net::IpAddr;
use std::ops::Range;

use super::Fault;
use crate::model::{Port, Protocol};

/// An inclusive range of ports.
pub type Ports = (u16, u16);

/// Parses a short form into one entry per container port.
///
/// # Errors
/// A part that is no port, range, address or protocol, or ranges of different lengths.
pub fn parse(text: &str) -> Result<Vec<Port>, Fault> {
    let (rest, protocol) = split_protocol(text)?;
    let (rest, container) = match rest.rfind(':') {
        Some(colon) => (Some(0..colon), colon + 1..rest.len()),
        None => (None, 0..rest.len()),
    };
    if container.is_empty() {
        return Err(Fault::new(0..text.len(), "no container port")
            .help("write `HOST:CONTAINER`, for example `8080:80`"));
    }
    let target = range(text, container.clone())?;
    if target.0 == 0 {
        return Err(Fault::new(container, "a container port cannot be 0"));
    }
    let (host_ip, host) = match rest {
        Some(rest) => split_host(text, rest)?,
        None => (None, 0..0),
    };
    let published = if host.is_empty() {
        None
    } else {
        Some(range(text, host.clone())?)
    };
    let entry = |target, published| Port {
        name: None,
        mode: Some("ingress".to_owned()),
        host_ip: host_ip.clone(),
        target,
        published,
        protocol,
        app_protocol: None,
    };
    let count = target.1 - target.0;
    match published {
        // A range before a single port means: any free port of it.
        Some(published) if count == 0 => Ok(vec![entry(target.0, Some(published))]),
        Some((low, high)) if high - low != count => Err(Fault::new(
            host.start..container.end,
            "the two ranges have different lengths",
        )
        .help(format!(
            "{} host ports, {} container ports",
            high - low + 1,
            u32::from(count) + 1
        ))),
        _ => Ok((0..=count)
            .map(|n| entry(target.0 + n, published.map(|(low, _)| (low + n, low + n))))
            .collect()),
    }
}

/// `80`, or `80-90`.
///
/// # Errors
/// A part that is no port, or an end before the start.
pub fn range(text: &str, at: Range<usize>) -> Result<Ports, Fault> {
    let port = |at: Range<usize>| {
        let digits = &text[at.clone()];
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse::<u16>().ok().filter(|_| plain).ok_or_else(|| {
            Fault::new(at, format!("`{digits}` is not a port"))
                .help("a port is a number up to 65535")
        })
    };
    match text[at.clone()].find('-') {
        None => port(at).map(|port| (port, port)),
        Some(dash) => {
            let low = port(at.start..at.start + dash)?;
            let high = port(at.start + dash + 1..at.end)?;
            if high < low {
                return Err(Fault::new(at, "this range ends before it starts"));
            }
            Ok((low, high))
        }
    }
}

/// A protocol by name, in any case.
///
/// # Errors
/// Anything but tcp, udp, sctp.
pub fn protocol(text: &str, at: Range<usize>) -> Result<Protocol, Fault> {
    match text[at.clone()].to_ascii_lowercase().as_str() {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        "sctp" => Ok(Protocol::Sctp),
        other => Err(Fault::new(at, format!("`{other}` is not a protocol"))
            .help("protocols are tcp, udp and sctp")),
    }
}

fn split_protocol(text: &str) -> Result<(&str, Protocol), Fault> {
    match text.find('/') {
        None => Ok((text, Protocol::Tcp)),
        Some(slash) => Ok((&text[..slash], protocol(text, slash + 1..text.len())?)),
    }
}

/// What stands before the container port: `[ip:]host`, the address maybe in brackets.
fn split_host(text: &str, at: Range<usize>) -> Result<(Option<String>, Range<usize>), Fault> {
    let Some(colon) = text[at.clone()].rfind(':') else {
        return Ok((None, at));
    };
    let (ip, host) = (at.start..at.start + colon, at.start + colon + 1..at.end);
    if ip.is_empty() {
        return Ok((None, host));
    }
    let bare = text[ip.clone()]
        .trim_start_matches('[')
        .trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(_) => Ok((Some(bare.to_owned()), host)),
        Err(_) => Err(Fault::new(ip, format!("`{bare}` is not an IP address"))
            .help("write the address itself, names are not looked up: `127.0.0.1:8080:80`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let one = |p: Port| {
            let ip = p.host_ip.map(|ip| format!("{ip} ")).unwrap_or_default();
            let published = match p.published {
                None => String::new(),
                Some((a, b)) if a == b => format!("{a}>"),
                Some((a, b)) => format!("{a}-{b}>"),
            };
            format!("{ip}{published}{}/{}", p.target, p.protocol)
        };
        match parse(text) {
            Ok(ports) => ports.into_iter().map(one).collect::<Vec<_>>().join(", "),
            Err(fault) => format!("{:?} {}", fault.range, fault.message),
        }
    }

    #[test]
    fn short_forms() {
        let cases = [
            ("80", "80/tcp"),
            ("80/UDP", "80/udp"),
            ("8080:80", "8080>80/tcp"),
            ("80-82", "80/tcp, 81/tcp, 82/tcp"),
            ("8080-8081:80-81", "8080>80/tcp, 8081>81/tcp"),
            ("9000-9005:90", "9000-9005>90/tcp"),
            ("127.0.0.1::80", "127.0.0.1 80/tcp"),
            ("127.0.0.1:0:80", "127.0.0.1 0>80/tcp"),
            ("[::1]:80:81/sctp", "::1 80>81/sctp"),
            ("::1:81:82", "::1 81>82/tcp"),
            (":80", "80/tcp"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn refused() {
        let cases = [
            ("", "0..0 no container port"),
            ("80:", "0..3 no container port"),
            ("a:80", "0..1 `a` is not a port"),
            ("70000:80", "0..5 `70000` is not a port"),
            ("80:0", "3..4 a container port cannot be 0"),
            ("80/foo", "3..6 `foo` is not a protocol"),
            ("8081-8080:80", "0..9 this range ends before it starts"),
            (
                "8080-8081:80-82",
                "0..15 the two ranges have different lengths",
            ),
            ("localhost:80:80", "0..9 `localhost` is not an IP address"),
            ("+8:80", "0..2 `+8` is not a port"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "[0-9:/.\\[\\]a-f-]{0,24}|.{0,8}") {
            let _result = parse(&text);
        }
    }
}
