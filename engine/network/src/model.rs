//! What the engine asks for, in its own words: bridges, endpoints, publications.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// An IPv4 subnet and the address the bridge holds in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lan4 {
    /// The subnet, written with its network address.
    pub subnet: Ipv4Net,
    /// The bridge's own address; also where an internal network is reached from the host.
    pub gateway: Ipv4Addr,
}

/// An IPv6 subnet and the address the bridge holds in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lan6 {
    /// The subnet, written with its network address.
    pub subnet: Ipv6Net,
    /// The bridge's own address.
    pub gateway: Ipv6Addr,
}

/// One bridge network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bridge {
    /// Interface name, from [`crate::Host::bridge_name`] or chosen by the user.
    pub ifname: String,
    /// IPv4 side; `None` makes a network without IPv4.
    pub v4: Option<Lan4>,
    /// IPv6 side.
    pub v6: Option<Lan6>,
    /// No way in or out but between its own members and the host.
    pub internal: bool,
    /// Whether members may talk to each other.
    pub icc: bool,
    /// Whether traffic that leaves the host takes the host's address.
    pub masquerade: bool,
    /// MTU of the bridge and of its members; `None` takes that of the default route's link, at most 1500.
    pub mtu: Option<u32>,
}

/// One interface inside a container and its attachment to a bridge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Name inside the container, `eth0`.
    pub ifname: String,
    /// Interface name of the bridge.
    pub bridge: String,
    /// Hardware address, from [`Mac::stable`] unless the user wants another.
    pub mac: Mac,
    /// IPv4 address with the subnet's prefix length.
    pub v4: Option<Ipv4Net>,
    /// IPv6 address with the subnet's prefix length.
    pub v6: Option<Ipv6Net>,
    /// Where the default route points; `None` on internal networks.
    pub gateway4: Option<Ipv4Addr>,
    /// Where the IPv6 default route points.
    pub gateway6: Option<Ipv6Addr>,
    /// Metric of the default routes: the lowest wins, so the caller numbers endpoints by `gw_priority` and order.
    pub metric: u32,
    /// MTU, `None` for the bridge's.
    pub mtu: Option<u32>,
    /// More addresses, of link scope.
    pub link_local: Vec<IpAddr>,
    /// Settings below `net.`, with `IFNAME` standing for the interface.
    pub sysctls: BTreeMap<String, String>,
    /// Tell the neighbours at once that this address has this hardware address. Needed only where the pair may be new.
    pub announce: bool,
}

/// A transport protocol that ports belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proto {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Proto {
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

impl fmt::Display for Proto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// One published port that the kernel forwards: exactly one element of one map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Publication {
    /// Protocol.
    pub proto: Proto,
    /// The host address it is limited to; `None` for all of the target's family.
    pub host_ip: Option<IpAddr>,
    /// Port on the host.
    pub host_port: u16,
    /// Where it leads.
    pub target: SocketAddr,
}

/// A hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The address that belongs to `host` in `network`, always the same and locally administered.
    ///
    /// When `host` is the container's IP address, no neighbour can ever hold a stale entry: the pair never changes.
    pub fn stable(network: &str, host: &str) -> Self {
        let digest = Sha256::new()
            .chain_update(network)
            .chain_update([0])
            .chain_update(host)
            .finalize();
        let mut bytes = [0; 6];
        bytes.copy_from_slice(&digest[..6]);
        bytes[0] = (bytes[0] & 0xfc) | 0x02;
        Self(bytes)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

/// What is wrong with a hardware address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid MAC address: {0}")]
pub struct BadMac(String);

impl FromStr for Mac {
    type Err = BadMac;

    fn from_str(text: &str) -> std::result::Result<Self, BadMac> {
        let bad = || BadMac(text.to_owned());
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().filter(|p| p.len() == 2).ok_or_else(bad)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| bad())?;
        }
        // The lowest bit of the first byte marks a group, which no interface can be.
        if parts.next().is_some() || bytes[0] & 1 == 1 {
            return Err(bad());
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Mac {
    type Error = BadMac;

    fn try_from(text: String) -> std::result::Result<Self, BadMac> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stable_mac_is_local_unicast_and_differs_by_network() {
        let mac = Mac::stable("shop_default", "10.200.3.2");
        assert_eq!(mac, Mac::stable("shop_default", "10.200.3.2"));
        assert_ne!(mac, Mac::stable("blog_default", "10.200.3.2"));
        assert_eq!(mac.0[0] & 0x03, 0x02);
    }

    #[test]
    fn a_mac_reads_back_and_refuses_what_no_interface_can_have() {
        let mac: Mac = "02:42:ac:11:00:0A".parse().unwrap();
        assert_eq!(mac.to_string(), "02:42:ac:11:00:0a");
        for bad in [
            "",
            "02:42:ac:11:00",
            "02:42:ac:11:00:0a:0b",
            "01:42:ac:11:00:0a",
            "2:42:ac:11:0:a",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }
}
