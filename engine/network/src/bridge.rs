//! A bridge: the link, its settings, its addresses.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;

use crate::link::{Rtnl, Step};
use crate::model::{Bridge, Mac};
use crate::{NetworkError, Result, ipam, sysctl};

/// The largest MTU that is taken over from the host's uplink: larger ones are for those who ask for them.
const MTU: u32 = 1500;

/// Interface names end up in paths and in rules.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let good = (1..=15).contains(&name.len())
        && name != "."
        && name != ".."
        && name
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':' | b'"' | b'%'));
    if good {
        Ok(())
    } else {
        Err(NetworkError::InterfaceName(name.to_owned()))
    }
}

/// Makes the link unless it is there, and whatever is missing on it. Says whether it was made.
pub(crate) fn ensure(
    rtnl: &mut Rtnl,
    bridge: &Bridge,
    settings: impl FnOnce() -> Result<()>,
) -> Result<bool> {
    let name = &bridge.ifname;
    let made = match rtnl.link(name)? {
        Some(_) => false,
        None => {
            let mtu = match bridge.mtu {
                Some(mtu) => mtu,
                None => uplink_mtu(rtnl)?,
            };
            rtnl.run(vec![Step::bridge(name, Mac::stable("bridge", name), mtu)])?;
            true
        }
    };
    let prepared = settings().and_then(|()| give_addresses(rtnl, bridge));
    if prepared.is_err() && made {
        rtnl.run(vec![Step::delete(name)])?;
    }
    prepared.map(|()| made)
}

fn give_addresses(rtnl: &mut Rtnl, bridge: &Bridge) -> Result<()> {
    let name = &bridge.ifname;
    let index = rtnl
        .link(name)?
        .ok_or_else(|| NetworkError::NoBridge(name.clone()))?
        .index;
    for net in addresses(bridge) {
        match rtnl.run(vec![Step::address(name, index, net, false)]) {
            Err(error) if error.is_existing() => {}
            outcome => outcome?,
        }
    }
    Ok(rtnl.run(vec![Step::up(name)])?)
}

fn addresses(bridge: &Bridge) -> Vec<IpNet> {
    let v4 = bridge
        .v4
        .and_then(|lan| IpNet::new(lan.gateway.into(), lan.subnet.prefix_len()).ok());
    let v6 = bridge
        .v6
        .and_then(|lan| IpNet::new(lan.gateway.into(), lan.subnet.prefix_len()).ok());
    v4.into_iter().chain(v6).collect()
}

/// The MTU of the link behind the default route: a VPN or a cloud network may need less than Ethernet's.
fn uplink_mtu(rtnl: &mut Rtnl) -> Result<u32> {
    let uplinks: Vec<_> = rtnl
        .routes()?
        .into_iter()
        .filter(|route| route.net.prefix_len() == 0)
        .filter_map(|r| r.link)
        .collect();
    let mtus = rtnl
        .links()?
        .into_iter()
        .filter(|link| uplinks.contains(&link.index))
        .map(|link| link.mtu);
    // The kernel refuses IPv4 below 68 bytes, and a loopback link may hold a route to everywhere.
    Ok(mtus.filter(|mtu| *mtu >= 68).min().unwrap_or(MTU).min(MTU))
}

/// Settings of the bridge in the calling thread's namespace, before it comes up.
pub(crate) fn settings(bridge: &Bridge) -> Result<()> {
    let name = &bridge.ifname;
    // Ports published on 127.0.0.1 are rewritten to a container: only this lets 127.0.0.1 be a source here. What it
    // would let in besides is dropped by the rules.
    sysctl::set(&format!("net/ipv4/conf/{name}/route_localnet"), "1")?;
    sysctl::set_if_known(&format!("net/ipv6/conf/{name}/accept_ra"), "0")?;
    // Until its link-local address is known to be nobody else's, which takes a second, a router asks for no neighbour.
    // Hardware addresses here are made by us, so there is nothing to find out.
    sysctl::set_if_known(&format!("net/ipv6/conf/{name}/accept_dad"), "0")?;
    let without_ipv6 = if bridge.v6.is_some() { "0" } else { "1" };
    sysctl::set_if_known(&format!("net/ipv6/conf/{name}/disable_ipv6"), without_ipv6)
}

/// Lets the host forward, if it does not yet, in the calling thread's namespace.
pub(crate) fn enable_forwarding(bridge: &Bridge) -> Result<()> {
    if bridge.v4.is_some() && sysctl::get("net/ipv4/ip_forward").as_deref() != Some("1") {
        tracing::info!(
            "enabling net.ipv4.ip_forward: containers could not reach anything otherwise"
        );
        sysctl::set("net/ipv4/ip_forward", "1")?;
    }
    if bridge.v6.is_some() && sysctl::get("net/ipv6/conf/all/forwarding").as_deref() != Some("1") {
        tracing::info!(
            "enabling net.ipv6.conf.all.forwarding: containers could not reach anything otherwise"
        );
        keep_router_advertisements()?;
        sysctl::set("net/ipv6/conf/all/forwarding", "1")?;
    }
    Ok(())
}

/// A host that forwards ignores router advertisements unless told otherwise, and would lose its own default route.
fn keep_router_advertisements() -> Result<()> {
    let Ok(links) = fs::read_dir("/proc/sys/net/ipv6/conf") else {
        return Ok(());
    };
    for link in links.flatten() {
        let name = link.file_name();
        let key = format!("net/ipv6/conf/{}/accept_ra", name.to_string_lossy());
        if sysctl::get(&key).as_deref() == Some("1") {
            sysctl::set(&key, "2")?;
        }
    }
    Ok(())
}

/// Another interface that came to the same subnet in the same moment, as a second engine's bridge may.
///
/// Both may see each other and both give up; then both choose anew, from different starting points.
pub(crate) fn rival(rtnl: &mut Rtnl, bridge: &Bridge) -> Result<Option<(IpNet, String)>> {
    let subnets: Vec<IpNet> = bridge
        .v4
        .map(|lan| lan.subnet.into())
        .into_iter()
        .chain(bridge.v6.map(|lan| lan.subnet.into()))
        .collect();
    let links = rtnl.links()?;
    let own = links
        .iter()
        .find(|link| link.name == bridge.ifname)
        .map(|link| link.index);
    let found = rtnl.addresses()?.into_iter().find_map(|address| {
        let subnet = subnets
            .iter()
            .find(|subnet| ipam::overlaps(subnet, &address.net))?;
        (address.link != own).then_some((*subnet, address.link))
    });
    Ok(found.map(|(subnet, index)| {
        let name = links
            .into_iter()
            .find(|link| Some(link.index) == index)
            .map(|link| link.name);
        (subnet, name.unwrap_or_default())
    }))
}

/// The servers of a resolv.conf, each as a network of one address.
pub(crate) fn name_servers(resolv_conf: &Path) -> Vec<IpNet> {
    let text = fs::read_to_string(resolv_conf).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter_map(|rest| {
            rest.trim()
                .split(['%', ' ', '\t', '#'])
                .next()?
                .parse::<IpAddr>()
                .ok()
        })
        .map(IpNet::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_be_paths_or_too_long_are_refused() {
        for good in ["docker0", "bl7q2xabcdefgh", "br-1"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "..", "a/b", "a b", "sixteencharacter", "br%d"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn name_servers_are_read_with_scopes_and_comments() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resolv.conf");
        fs::write(
            &path,
            "# x\nnameserver 10.0.0.53\n  nameserver fe80::1%eth0 # y\nsearch lan\n",
        )
        .unwrap();
        let found = name_servers(&path);
        assert_eq!(
            found,
            ["10.0.0.53/32", "fe80::1/128"].map(|net| net.parse().unwrap())
        );
        assert!(name_servers(&dir.path().join("missing")).is_empty());
    }
}
