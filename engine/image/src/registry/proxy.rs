//! Which requests go through a proxy, and how to get through it.

use std::net::IpAddr;

use http::header::HeaderValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::auth::basic;
use super::url::{Place, Url};
use super::{RegistryError, Result};
use crate::settings::Proxies;

/// Longest answer to CONNECT.
const ANSWER_LIMIT: usize = 16 * 1024;

/// A proxy, and how we introduce ourselves to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proxy {
    pub(super) place: Place,
    pub(super) authorization: Option<HeaderValue>,
}

impl Proxy {
    /// The proxy for a connection to `place`, if any.
    pub(super) fn for_place(proxies: &Proxies, place: &Place) -> Result<Option<Self>> {
        let text = if place.tls {
            &proxies.https
        } else {
            &proxies.http
        };
        match text {
            Some(text) if !place.is_loopback() && !is_exempt(&proxies.none, place) => {
                Self::parse(text).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn parse(text: &str) -> Result<Self> {
        let wrong = || RegistryError::ProxyAddress(hide_password(text));
        let address = match text.split_once("://") {
            None => text,
            Some(("http", address)) => address,
            Some(_) => return Err(wrong()),
        };
        let (user, address) = match address.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, address),
        };
        let place = Url::parse(&format!("http://{address}"))
            .map_err(|_| wrong())?
            .place;
        let authorization = user.and_then(|user| {
            let (user, password) = user.split_once(':').unwrap_or((user, ""));
            basic(&unescape(user), &unescape(password))
        });
        Ok(Self {
            place,
            authorization,
        })
    }

    /// Has the proxy connect `stream` on to `target`.
    pub(super) async fn tunnel(&self, stream: &mut TcpStream, target: &Place) -> Result<()> {
        let authority = target.authority();
        let connect = |source| RegistryError::Connect {
            host: self.place.authority(),
            source,
        };
        let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
        if let Some(value) = self
            .authorization
            .as_ref()
            .and_then(|value| value.to_str().ok())
        {
            request = request + "Proxy-Authorization: " + value + "\r\n";
        }
        request.push_str("\r\n");
        stream
            .write_all(request.as_bytes())
            .await
            .map_err(connect)?;
        let mut answer = Vec::new();
        // Byte by byte: what follows the empty line belongs to TLS already.
        while !answer.ends_with(b"\r\n\r\n") && answer.len() < ANSWER_LIMIT {
            answer.push(stream.read_u8().await.map_err(connect)?);
        }
        let first = String::from_utf8_lossy(&answer);
        let first = first.lines().next().unwrap_or_default().to_owned();
        if first
            .split_whitespace()
            .nth(1)
            .is_some_and(|status| status.starts_with('2'))
        {
            return Ok(());
        }
        let proxy = self.place.authority();
        Err(RegistryError::Proxy {
            proxy,
            host: authority,
            answer: first,
        })
    }
}

/// Whether `NO_PROXY` names the place: `*`, a domain with or without its dot, an address, a network, each perhaps with
/// a port.
fn is_exempt(list: &str, place: &Place) -> bool {
    list.split(',')
        .map(str::trim)
        .filter(|rule| !rule.is_empty())
        .any(|rule| exempts(rule, place))
}

fn exempts(rule: &str, place: &Place) -> bool {
    if rule == "*" {
        return true;
    }
    if let (Some((network, bits)), Some(address)) = (rule.split_once('/'), place.address()) {
        return in_network(address, network, bits).unwrap_or(false);
    }
    let (name, port) = match rule.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, Some(port)),
        _ => (rule, None),
    };
    if port.is_some_and(|port| port.parse() != Ok(place.port)) {
        return false;
    }
    let name = name.trim_start_matches('*').to_ascii_lowercase();
    let host = place.host.as_str();
    match name.strip_prefix('.') {
        Some(domain) => host
            .strip_suffix(domain)
            .is_some_and(|rest| rest.ends_with('.')),
        None => {
            let below = host
                .strip_suffix(&name)
                .is_some_and(|rest| rest.ends_with('.'));
            host.trim_matches(['[', ']']) == name.trim_matches(['[', ']']) || below
        }
    }
}

fn in_network(address: IpAddr, network: &str, bits: &str) -> Option<bool> {
    let bits: u32 = bits.parse().ok()?;
    match (address, network.parse().ok()?) {
        (IpAddr::V4(address), IpAddr::V4(network)) if bits <= 32 => {
            let shift = |address: std::net::Ipv4Addr| u64::from(address.to_bits()) >> (32 - bits);
            Some(shift(address) == shift(network))
        }
        (IpAddr::V6(address), IpAddr::V6(network)) if bits <= 128 => {
            let same = (address.to_bits() ^ network.to_bits()).leading_zeros();
            Some(same >= bits)
        }
        _ => Some(false),
    }
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = match after {
            [a, b, ..] if *first == b'%' => std::str::from_utf8(&[*a, *b])
                .ok()
                .and_then(|hex| u8::from_str_radix(hex, 16).ok()),
            _ => None,
        };
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hide_password(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, address)) => format!("…@{address}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place {
        Url::parse(text).unwrap().place
    }

    #[test]
    fn some_places_need_no_proxy() {
        let list = "example.com, .corp.io,10.0.0.0/8,host:5000,192.168.1.1,fd00::/8";
        for exempt in [
            "https://example.com",
            "https://a.example.com",
            "https://x.corp.io",
            "http://10.2.3.4",
            "http://host:5000",
            "https://192.168.1.1",
            "https://[fd00::1]",
        ] {
            assert!(is_exempt(list, &place(exempt)), "{exempt}");
        }
        for other in [
            "https://badexample.com",
            "https://corp.io",
            "http://11.0.0.1",
            "http://host",
            "https://[fe80::1]",
        ] {
            assert!(!is_exempt(list, &place(other)), "{other}");
        }
        assert!(is_exempt("*", &place("https://any.where")));
    }

    #[test]
    fn proxies_are_chosen_by_scheme() {
        let proxies = Proxies {
            http: Some("proxy:3128".to_owned()),
            https: Some("http://us%40er:pw@secure:8080".to_owned()),
            none: String::new(),
        };
        let chosen = |url: &str| Proxy::for_place(&proxies, &place(url)).unwrap();
        let plain = chosen("http://x.io").unwrap();
        assert_eq!(
            (plain.place.authority().as_str(), plain.authorization),
            ("proxy:3128", None)
        );
        let secure = chosen("https://x.io").unwrap();
        assert_eq!(secure.place.authority(), "secure:8080");
        assert_eq!(secure.authorization, basic("us@er", "pw"));
        assert_eq!(chosen("http://localhost:5000"), None);
        let socks = Proxies {
            http: Some("socks5://a:b@x:1".into()),
            ..Proxies::default()
        };
        let error = Proxy::for_place(&socks, &place("http://x.io")).unwrap_err();
        assert!(!error.to_string().contains("a:b"), "{error}");
    }
}
