//! Ports: `80/tcp` as a key, and where it is bound on the host.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::wire::wire;

wire! {
    /// One place on the host where a container's port is (or shall be) reached.
    pub struct PortBinding {
        /// Empty in a request means every address; never empty in an answer.
        pub host_ip: String,
        /// Empty or `0` in a request means any free port; `8000-8010` means any free port of these.
        pub host_port: String,
    }

    /// The empty object Go writes for set members: `{"80/tcp": {}}`.
    pub struct Empty {}
}

/// `{"80/tcp": [..]}`; `None` (`null`) for a port that is exposed and not published.
pub type PortMap = BTreeMap<String, Option<Vec<PortBinding>>>;

/// `{"80/tcp": {}}`.
pub type PortSet = BTreeMap<String, Option<Empty>>;

/// A container's port and its protocol, as the keys of [`PortMap`] spell it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortSpec {
    /// The port inside the container.
    pub port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

/// A key of a port map that is no port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPort(pub String);

impl fmt::Display for BadPort {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "invalid port specification: {:?}", self.0)
    }
}

impl std::error::Error for BadPort {}

impl fmt::Display for PortSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.port, self.protocol)
    }
}

impl FromStr for PortSpec {
    type Err = BadPort;

    /// Reads `80`, `80/tcp`, `53/UDP`. A missing protocol is TCP; port 0 is no port.
    fn from_str(text: &str) -> Result<Self, BadPort> {
        let bad = || BadPort(text.to_owned());
        let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let protocol = if protocol.is_empty() { "tcp" } else { protocol }.to_ascii_lowercase();
        // Rust's own reading would let a leading plus pass.
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port
            .parse()
            .ok()
            .filter(|port| digits && *port != 0)
            .ok_or_else(bad)?;
        match protocol.as_str() {
            "tcp" | "udp" | "sctp" => Ok(Self { port, protocol }),
            _ => Err(bad()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_without_protocol_is_tcp() {
        assert_eq!("80".parse::<PortSpec>().unwrap().to_string(), "80/tcp");
        assert_eq!("53/UDP".parse::<PortSpec>().unwrap().to_string(), "53/udp");
        for bad in ["", "0", "70000", "x/tcp", "80/icmp", "80-90/tcp", "+80"] {
            assert!(bad.parse::<PortSpec>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_exposed_port_that_is_not_published_is_null() {
        let map: PortMap =
            serde_json::from_str(r#"{"80/tcp":null,"81/tcp":[{"HostPort":"8081"}]}"#).unwrap();
        assert_eq!(map["80/tcp"], None);
        assert_eq!(
            serde_json::to_string(&map).unwrap(),
            r#"{"80/tcp":null,"81/tcp":[{"HostIp":"","HostPort":"8081"}]}"#
        );
    }
}
