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
    isolated: bool,
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
            Step::port_up(port, isolated, reflects()),
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
        .and_then(|()| wait_until_running(rtnl, port))
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

/// Whether bridged packets pass through the host's IP rules, as dockerd and others switch on for the whole host.
///
/// A container that reaches itself by a published port must then get its packet back through the port it came from.
fn reflects() -> bool {
    sysctl::get("net/bridge/bridge-nf-call-iptables").as_deref() == Some("1")
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
    Ok(rtnl.run(steps)?)
}

/// The port only forwards after the kernel has noticed the carrier, in a worker of its own. A first packet sent before
/// that is lost, and its sender waits a second to try again. Looking at the link makes newer kernels notice at once.
fn wait_until_running(rtnl: &mut Rtnl, port: &str) -> Result<()> {
    for _ in 0..LOOKS {
        match rtnl.link(port)? {
            Some(link) if link.running => return Ok(()),
            Some(_) => thread::sleep(PAUSE),
            None => break,
        }
    }
    Err(link::LinkError::missing(format!("wait for `{port}` to come up")).into())
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
