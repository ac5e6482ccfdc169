//! A container's interfaces as the kernel is asked for them. Pure.

use std::collections::BTreeMap;

use bowline_network::{Endpoint as Interface, Mac};
use ipnet::{Ipv4Net, Ipv6Net};

use crate::engine::networks;
use crate::error::{Error, Result};
use crate::record::{ContainerRecord, Endpoint, NetworkRecord};

/// One for each network that has a bridge, in the order of the record.
pub(super) fn interfaces(
    record: &ContainerRecord,
    networks: &BTreeMap<String, NetworkRecord>,
) -> Result<Vec<Interface>> {
    let mut interfaces = Vec::new();
    for (at, (name, endpoint)) in record.endpoints.iter().enumerate() {
        let network = networks.get(name);
        if let Some(network) = network.filter(|network| network.driver == "bridge") {
            interfaces.push(interface(at, endpoint, network)?);
        }
    }
    Ok(interfaces)
}

/// A record of before interfaces had names in it means the one by number.
pub(super) fn ifname(at: usize, endpoint: &Endpoint) -> String {
    match endpoint.ifname.as_str() {
        "" => format!("eth{at}"),
        name => name.to_owned(),
    }
}

/// The lowest metric has the default route: the highest priority, then the first of them. The distance leaves room for
/// networks that are joined later with a higher priority.
fn metric(at: usize, priority: i64) -> u32 {
    const MIDDLE: i64 = 1 << 20;
    const STEP: i64 = 64;
    let rank = MIDDLE - priority.clamp(-8000, 8000) * STEP;
    let at = i64::try_from(at).unwrap_or(STEP).min(STEP - 1);
    u32::try_from(rank + at).unwrap_or(u32::MAX)
}

/// The interface number `at` of `endpoint` in `network`, as the kernel is asked for it.
pub(crate) fn interface(
    at: usize,
    endpoint: &Endpoint,
    network: &NetworkRecord,
) -> Result<Interface> {
    let unsound = |error: &dyn std::error::Error| Error::failed("read the network's subnet", error);
    let length = |subnet: &str| subnet.parse::<Ipv4Net>().map(|net| net.prefix_len());
    let v4 = endpoint.ipv4.map(|address| {
        let length = length(&network.subnet).map_err(|error| unsound(&error))?;
        Ipv4Net::new(address, length).map_err(|error| unsound(&error))
    });
    let v6 = endpoint.ipv6.map(|address| {
        let subnet = network
            .subnet6
            .parse::<Ipv6Net>()
            .map_err(|error| unsound(&error))?;
        Ipv6Net::new(address, subnet.prefix_len()).map_err(|error| unsound(&error))
    });
    let out = !network.internal;
    Ok(Interface {
        ifname: ifname(at, endpoint),
        bridge: network.bridge.clone(),
        mac: Mac(endpoint.mac.unwrap_or_default()),
        v4: v4.transpose()?,
        v6: v6.transpose()?,
        gateway4: network.gateway.filter(|_| out),
        gateway6: network.gateway6.filter(|_| out),
        metric: metric(at, endpoint.settings.gw_priority),
        mtu: None,
        link_local: networks::link_local(&endpoint.settings)?,
        sysctls: networks::endpoint_sysctls(&endpoint.settings)?,
        announce: true,
    })
}
