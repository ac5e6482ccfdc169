//! A container's interface: a veth pair whose far end is born in the container's namespace.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::thread;
use std::time::Duration;

use bowline_sys::netns::with_netns;
use ipnet::IpNet;

use crate::link::{self, Peer, Rtnl, Step};
use crate::model::Endpoint;
use crate::{NetworkError, Result, bridge, sysctl};

/// How often, and how far apart, a link is looked at that should be running already.
const LOOKS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(1);

/// Makes the pair, sets up both ends, and returns when packets pass. Leaves nothing behind when it fails.
pub(crate) fn connect(
    rtnl: &mut Rtnl,
    netns: BorrowedFd<'_>,
    endpoint: &Endpoint,
    port: &str,
    behaviour: Port,
) -> Result<()> {
    bridge::check_name(&endpoint.ifname)?;
    let sysctls = sysctl::of_endpoint(&endpoint.ifname, &endpoint.sysctls)?;
    let master = rtnl
        .link(&endpoint.bridge)?
        .ok_or_else(|| NetworkError::NoBridge(endpoint.bridge.clone()))?;
    let mtu = endpoint.mtu.unwrap_or(master.mtu);
    let peer = Peer {
        ifname: &endpoint.ifname,
        mac: endpoint.mac,
        netns,
    };
    let pair = || {
        vec![
            Step::veth(port, mtu, master.index, &peer),
            Step::port_up(port, behaviour.isolated, behaviour.hairpin),
        ]
    };
    match rtnl.run(pair()) {
        // An engine that died halfway left it; its far end may have another address.
        Err(error) if error.is_existing() => {
            disconnect(rtnl, port)?;
            rtnl.run(pair())?;
        }
        outcome => outcome?,
    }
    let inside = with_netns(netns, || set_up(endpoint, &sysctls))?;
    let done = inside
        .and_then(|()| wait_until_running(rtnl, &[port, &endpoint.bridge]))
        .and_then(|()| announce(netns, endpoint));
    if done.is_err() {
        disconnect(rtnl, port)?;
    }
    done
}

/// Takes both ends away; that it is gone already is no error.
pub(crate) fn disconnect(rtnl: &mut Rtnl, port: &str) -> Result<()> {
    match rtnl.run(vec![Step::delete(port)]) {
        Err(error) if error.is_missing() => Ok(()),
        outcome => Ok(outcome?),
    }
}

/// How the host's end behaves as a port of the bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    /// It does not talk to other isolated ports.
    pub(crate) isolated: bool,
    /// It may send a packet back to where it came from.
    pub(crate) hairpin: bool,
}

/// The port's behaviour, from settings of the calling thread's namespace, which should be the host's.
///
/// Where bridged packets pass through the host's IP rules, as dockerd switches on for the whole host, our rules keep
/// members apart, and a packet to a published port is turned round inside the bridge: isolation would drop it, and a
/// container that reaches itself needs it back through its own port. Elsewhere only isolation keeps members apart.
pub(crate) fn port(icc: bool) -> Port {
    let hairpin = sysctl::get("net/bridge/bridge-nf-call-iptables").as_deref() == Some("1");
    Port {
        isolated: !icc && !hairpin,
        hairpin,
    }
}

/// The container's side, in the calling thread's namespace: settings first, then addresses, then up, then routes.
fn set_up(endpoint: &Endpoint, sysctls: &[(String, String)]) -> Result<()> {
    let name = &endpoint.ifname;
    let v6 = endpoint.v6.is_some() || endpoint.link_local.iter().any(IpAddr::is_ipv6);
    sysctl::set_if_known(
        &format!("net/ipv6/conf/{name}/disable_ipv6"),
        if v6 { "0" } else { "1" },
    )?;
    sysctl::set_if_known(&format!("net/ipv6/conf/{name}/accept_ra"), "0")?;
    sysctl::set_if_known(&format!("net/ipv6/conf/{name}/accept_dad"), "0")?;
    // Whoever reaches a neighbour by a published port is told by the host of a shorter way, on which the neighbour
    // would be asked for an address that it does not have. IPv4 takes the advice unless both settings refuse it.
    for link in ["all", name] {
        sysctl::set(&format!("net/ipv4/conf/{link}/accept_redirects"), "0")?;
    }
    sysctl::set_if_known(&format!("net/ipv6/conf/{name}/accept_redirects"), "0")?;
    for (key, value) in sysctls {
        sysctl::set(key, value)?;
    }
    let mut rtnl = Rtnl::open()?;
    let index = rtnl
        .link(name)?
        .ok_or_else(|| link::LinkError::missing(format!("find `{name}`")))?
        .index;
    let own = endpoint
        .v4
        .map(IpNet::V4)
        .into_iter()
        .chain(endpoint.v6.map(IpNet::V6));
    let mut steps: Vec<_> = own
        .map(|net| Step::address(name, index, net, false))
        .collect();
    steps.extend(
        endpoint
            .link_local
            .iter()
            .map(|&ip| Step::address(name, index, IpNet::from(ip), true)),
    );
    steps.push(Step::up(name));
    let (v4, v6) = (
        endpoint.gateway4.map(IpAddr::V4),
        endpoint.gateway6.map(IpAddr::V6),
    );
    for gateway in v4.into_iter().chain(v6) {
        let inside = endpoint
            .v4
            .is_some_and(|net| IpNet::V4(net).contains(&gateway))
            || endpoint
                .v6
                .is_some_and(|net| IpNet::V6(net).contains(&gateway));
        steps.push(Step::default_route(
            index,
            gateway,
            endpoint.metric,
            !inside,
        ));
    }
    rtnl.run(steps)?;
    wait_until_own(&mut rtnl, endpoint)
}

/// An IPv6 address takes part at once in what is sent, but what is received for it is refused until a worker of the
/// kernel has made a route of it, even where there is no duplicate detection. The first answer would be lost.
fn wait_until_own(rtnl: &mut Rtnl, endpoint: &Endpoint) -> Result<()> {
    let own: Vec<_> = endpoint
        .v6
        .iter()
        .map(|net| IpNet::from(IpAddr::V6(net.addr())))
        .collect();
    let mut looks = 0..LOOKS;
    loop {
        let routes = if own.is_empty() {
            Vec::new()
        } else {
            rtnl.routes()?
        };
        if own
            .iter()
            .all(|address| routes.iter().any(|route| route.net == *address))
        {
            return Ok(());
        }
        if looks.next().is_none() {
            let what = format!("wait for the address of `{}`", endpoint.ifname);
            return Err(link::LinkError::missing(what).into());
        }
        thread::sleep(PAUSE);
    }
}

/// A port only forwards, and a bridge with its first port only sends, after the kernel has noticed the carrier, in a
/// worker of its own. A first packet before that is lost, and its sender waits a second to try again. Looking at the
/// link makes newer kernels notice at once.
fn wait_until_running(rtnl: &mut Rtnl, links: &[&str]) -> Result<()> {
    for name in links {
        let mut looks = 0..LOOKS;
        while !rtnl.link(name)?.is_some_and(|link| link.running) {
            if looks.next().is_none() {
                return Err(
                    link::LinkError::missing(format!("wait for `{name}` to come up")).into(),
                );
            }
            thread::sleep(PAUSE);
        }
    }
    Ok(())
}

/// Tells the neighbours, when asked to, which hardware address belongs to this address now.
fn announce(netns: BorrowedFd<'_>, endpoint: &Endpoint) -> Result<()> {
    if !endpoint.announce {
        return Ok(());
    }
    let name = &endpoint.ifname;
    with_netns(netns, || {
        sysctl::set(&format!("net/ipv4/conf/{name}/arp_notify"), "1")?;
        sysctl::set_if_known(&format!("net/ipv6/conf/{name}/ndisc_notify"), "1")?;
        Ok(Rtnl::open()?.run(vec![Step::readdress(name, endpoint.mac)])?)
    })?
}
