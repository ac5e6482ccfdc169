//! What of the host bears on networks, for `bowline doctor`. Reads, and changes nothing.

use std::fs;
use std::os::fd::AsFd;

use bowline_sys::netns::with_netns;

use crate::nft::{Family, Nft};
use crate::{Result, beside, sysctl};

/// The host's state as far as it can be seen by this process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent observations, each named where it is read"
)]
pub struct Survey {
    /// Why nf_tables cannot be used; `None` when it can.
    pub nft_error: Option<String>,
    /// IPv4 forwarding; enabled by the first network that needs it.
    pub forwards_ipv4: bool,
    /// IPv6 forwarding; the same.
    pub forwards_ipv6: bool,
    /// Whether the kernel has IPv6 at all.
    pub has_ipv6: bool,
    /// A FORWARD chain in nf_tables (iptables-nft, dockerd) drops by policy; we add an accept there.
    pub forward_policy_drop: bool,
    /// iptables-legacy has a filter table, whose policy cannot be read or met by netlink: if it drops forwarded
    /// packets, `iptables-legacy -I FORWARD` has to let our interfaces through.
    pub iptables_legacy: bool,
    /// firewalld is at work: its zones reject forwarded packets of interfaces that it does not know.
    pub firewalld: bool,
    /// Bridged packets pass through the host's IP rules.
    pub bridge_netfilter: bool,
}

/// Looks around in the given namespace.
pub fn survey(root_netns: impl AsFd) -> Result<Survey> {
    with_netns(root_netns, here).map_err(Into::into)
}

fn here() -> Survey {
    let on = |key: &str| sysctl::get(key).as_deref() == Some("1");
    let (nft_error, forward_policy_drop, firewalld) = match rules() {
        Ok((drops, firewalld)) => (None, drops, firewalld),
        Err(error) => (Some(reason(&error)), false, false),
    };
    Survey {
        nft_error,
        forwards_ipv4: on("net/ipv4/ip_forward"),
        forwards_ipv6: on("net/ipv6/conf/all/forwarding"),
        has_ipv6: sysctl::get("net/ipv6/conf/all/disable_ipv6").is_some(),
        forward_policy_drop,
        iptables_legacy: ["ip_tables_names", "ip6_tables_names"].iter().any(|file| {
            fs::read_to_string(format!("/proc/thread-self/net/{file}"))
                .is_ok_and(|tables| tables.lines().any(|table| table == "filter"))
        }),
        firewalld,
        bridge_netfilter: on("net/bridge/bridge-nf-call-iptables"),
    }
}

fn rules() -> Result<(bool, bool)> {
    let mut nft = Nft::open()?;
    Ok((
        beside::drops_forwarded(&mut nft)?,
        nft.has_table(Family::Inet, "firewalld")?,
    ))
}

/// The error with its causes, on one line.
fn reason(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
