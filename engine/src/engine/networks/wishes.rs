//! What a request asks of a network or an endpoint, checked; and a record as the kernel's half. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bowline_api::{EndpointSettings, NetworkCreate};
use bowline_network::{Bridge, Lan4, Lan6, Mac};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::PREDEFINED;
use crate::error::{Error, Result};
use crate::record::{Endpoint, NetworkRecord};

const ICC: &str = "com.docker.network.bridge.enable_icc";
const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
pub(super) const BRIDGE_NAME: &str = "com.docker.network.bridge.name";
const MTU: &str = "com.docker.network.driver.mtu";
const PREFIX: &str = "com.docker.network.container_iface_prefix";
const IFNAME: &str = "com.docker.network.endpoint.ifname";
const SYSCTLS: &str = "com.docker.network.endpoint.sysctls";
const HOST_BINDING: &str = "com.docker.network.bridge.host_binding_ipv4";

/// An endpoint in `network` as asked for, checked.
///
/// # Errors
/// An address or hardware address that cannot be.
pub(crate) fn endpoint(
    network: &NetworkRecord,
    id: String,
    mut settings: EndpointSettings,
) -> Result<Endpoint> {
    let asked = settings.ipam_config.clone().unwrap_or_default();
    let addresses = [
        (&asked.ipv4_address, &network.subnet),
        (&asked.ipv6_address, &network.subnet6),
    ];
    for (address, subnet) in addresses {
        if address.is_empty() {
            continue;
        }
        let parsed = address.parse::<IpAddr>();
        let parsed =
            parsed.map_err(|_| Error::invalid(format!("invalid IP address: {address}")))?;
        let inside = subnet
            .parse::<IpNet>()
            .is_ok_and(|subnet| subnet.contains(&parsed));
        if !inside || !network.ipam_asked {
            return Err(Error::invalid(if network.ipam_asked {
                format!("no configured subnet or ip-range contain the IP address {address}")
            } else {
                "invalid config for network: user specified IP address is supported only when connecting to networks with user configured subnets".into()
            }));
        }
    }
    if !settings.mac_address.is_empty() {
        let parsed = settings.mac_address.parse::<Mac>();
        parsed.map_err(|error| Error::invalid(error.to_string()))?;
    }
    if network.name == "bridge"
        && settings
            .aliases
            .as_ref()
            .is_some_and(|list| !list.is_empty())
    {
        return Err(Error::invalid(
            "invalid config for network bridge: network-scoped aliases are only supported for user-defined networks",
        ));
    }
    link_local(&settings)?;
    endpoint_sysctls(&settings)?;
    if let Some(name) = option(&settings, IFNAME).filter(|name| !is_interface_name(name)) {
        return Err(Error::invalid(format!(
            "`{name}` cannot be an interface's name: up to 15 characters, no slash, no space"
        )));
    }
    // Clients send operational fields back; only wishes are kept.
    settings.ip_address = String::new();
    settings.gateway = String::new();
    settings.global_ipv6_address = String::new();
    settings.endpoint_id = String::new();
    Ok(Endpoint {
        network: network.id.clone(),
        id,
        settings,
        ..Endpoint::default()
    })
}

/// The kernel half of a record; `None` for host and none.
pub(crate) fn bridge(record: &NetworkRecord) -> Option<Bridge> {
    if record.driver != "bridge" {
        return None;
    }
    let on = |key: &str| {
        record
            .options
            .get(key)
            .is_none_or(|value| truth(value) != Some(false))
    };
    let v4 = record.subnet.parse::<Ipv4Net>().ok().zip(record.gateway);
    let v6 = record.subnet6.parse::<Ipv6Net>().ok().zip(record.gateway6);
    Some(Bridge {
        ifname: record.bridge.clone(),
        v4: v4.map(|(subnet, gateway)| Lan4 { subnet, gateway }),
        v6: v6.map(|(subnet, gateway)| Lan6 { subnet, gateway }),
        internal: record.internal,
        icc: on(ICC),
        masquerade: on(MASQUERADE),
        mtu: record.options.get(MTU).and_then(|text| text.parse().ok()),
    })
}

fn option<'s>(settings: &'s EndpointSettings, key: &str) -> Option<&'s str> {
    let options = settings.driver_opts.as_ref()?;
    options.get(key).map(String::as_str)
}

/// The kernel's rule (`dev_valid_name`).
fn is_interface_name(name: &str) -> bool {
    !["", ".", ".."].contains(&name)
        && name.len() < 16
        && !name.contains(|letter: char| letter == '/' || letter == ':' || letter.is_whitespace())
}

/// The name of an endpoint's interface where `used` are the container's others: the one asked for, or the network's
/// prefix and the lowest number that is free.
///
/// # Errors
/// The one asked for is another's.
pub(crate) fn interface_name(
    network: &NetworkRecord,
    settings: &EndpointSettings,
    used: &BTreeSet<String>,
) -> Result<String> {
    if let Some(name) = option(settings, IFNAME) {
        return match used.contains(name) {
            true => Err(Error::invalid(format!(
                "two interfaces of a container cannot both be `{name}`"
            ))),
            false => Ok(name.into()),
        };
    }
    let prefix = network.options.get(PREFIX).map_or("eth", String::as_str);
    let mut names = (0..=used.len()).map(|number| format!("{prefix}{number}"));
    let free = names.find(|name| !used.contains(name));
    Ok(free.unwrap_or_else(|| format!("{prefix}0")))
}

/// Link-local addresses beside the leased ones.
///
/// # Errors
/// One that is none.
pub(crate) fn link_local(settings: &EndpointSettings) -> Result<Vec<IpAddr>> {
    let asked = settings.ipam_config.iter();
    let texts = asked.flat_map(|asked| &asked.link_local_ips);
    texts
        .map(|text| {
            let address = text.parse::<IpAddr>().ok().filter(|address| match address {
                IpAddr::V4(address) => address.is_link_local(),
                IpAddr::V6(address) => address.is_unicast_link_local(),
            });
            address.ok_or_else(|| Error::invalid(format!("invalid link-local IP address: {text}")))
        })
        .collect()
}

/// Kernel settings of the interface, `net.ipv4.conf.IFNAME.log_martians=1,…`.
///
/// # Errors
/// A part without a value.
pub(crate) fn endpoint_sysctls(settings: &EndpointSettings) -> Result<BTreeMap<String, String>> {
    let list = option(settings, SYSCTLS).unwrap_or_default();
    let parts = list
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    parts
        .map(|part| match part.split_once('=') {
            Some((key, value)) => Ok((key.trim().to_owned(), value.trim().to_owned())),
            None => Err(Error::invalid(format!(
                "`{part}` of {SYSCTLS} has no value: write SETTING=VALUE"
            ))),
        })
        .collect()
}

/// The address ports are published at where the request names none.
pub(crate) fn host_binding(record: &NetworkRecord) -> Option<IpAddr> {
    record
        .options
        .get(HOST_BINDING)
        .and_then(|text| text.parse().ok())
}

fn truth(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "1" | "t" | "true" => Some(true),
        "0" | "f" | "false" => Some(false),
        _ => None,
    }
}

pub(super) fn check(request: &NetworkCreate) -> Result<()> {
    if request.name.trim().is_empty() {
        return Err(Error::invalid("invalid network name: name is empty"));
    }
    if PREDEFINED.iter().any(|(name, _)| *name == request.name) {
        let name = &request.name;
        return Err(Error::forbidden(format!(
            "operation is not permitted on predefined {name} network"
        )));
    }
    if !["", "default", "bridge"].contains(&request.driver.as_str()) {
        return Err(Error::unsupported(format!(
            "network driver `{}` is not supported yet; use bridge",
            request.driver
        )));
    }
    for (key, value) in &request.options {
        let sound = match key.as_str() {
            ICC | MASQUERADE => truth(value).is_some(),
            MTU => value.parse::<u32>().is_ok(),
            HOST_BINDING => value.parse::<IpAddr>().is_ok(),
            BRIDGE_NAME => true,
            PREFIX => is_interface_name(value),
            _ => {
                return Err(Error::unsupported(format!(
                    "network option `{key}` is not supported yet"
                )));
            }
        };
        if !sound {
            return Err(Error::invalid(format!(
                "invalid value `{value}` of network option `{key}`"
            )));
        }
    }
    let refused = [
        ("ConfigOnly", request.config_only),
        (
            "ConfigFrom",
            request
                .config_from
                .as_ref()
                .is_some_and(|from| !from.network.is_empty()),
        ),
        ("Ingress", request.ingress),
    ];
    if request.enable_ipv4 == Some(false) && request.enable_ipv6 != Some(true) {
        return Err(Error::invalid(
            "IPv4 or IPv6 must be enabled: without either, nobody on the network has an address",
        ));
    }
    match refused.iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(Error::unsupported(format!("{name} is not supported yet"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> EndpointSettings {
        let options = BTreeMap::from([(IFNAME.to_owned(), name.to_owned())]);
        EndpointSettings {
            driver_opts: Some(options),
            ..EndpointSettings::default()
        }
    }

    #[test]
    fn an_interface_takes_the_lowest_number_that_is_free() {
        let mut network = NetworkRecord::default();
        let used = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let plain = EndpointSettings::default();
        let name = |network: &NetworkRecord, names: &[&str]| {
            interface_name(network, &plain, &used(names)).unwrap()
        };
        assert_eq!(name(&network, &[]), "eth0");
        assert_eq!(name(&network, &["eth0", "eth2", "lan"]), "eth1");
        network.options.insert(PREFIX.into(), "lan".into());
        assert_eq!(name(&network, &["eth0", "lan0"]), "lan1");
        assert_eq!(
            interface_name(&network, &named("wan"), &used(&["eth0"])).unwrap(),
            "wan"
        );
        interface_name(&network, &named("wan"), &used(&["wan"])).unwrap_err();
    }

    #[test]
    fn what_an_endpoint_cannot_have_is_refused() {
        for name in ["", "a/b", "has space", "sixteen-letters-"] {
            let refused = endpoint(&NetworkRecord::default(), "id".into(), named(name));
            assert!(refused.is_err(), "{name}");
        }
        let local = |text: &str| EndpointSettings {
            ipam_config: Some(bowline_api::EndpointIpam {
                link_local_ips: vec![text.into()],
                ..bowline_api::EndpointIpam::default()
            }),
            ..EndpointSettings::default()
        };
        assert_eq!(link_local(&local("169.254.7.7")).unwrap().len(), 1);
        assert_eq!(link_local(&local("fe80::7")).unwrap().len(), 1);
        for text in ["10.0.0.1", "fd00::1", "x"] {
            link_local(&local(text)).unwrap_err();
        }
    }
}
