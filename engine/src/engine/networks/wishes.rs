//! What a request asks of a network or an endpoint, checked; and a record as the kernel's half. Pure.

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
        ("EnableIPv4=false", request.enable_ipv4 == Some(false)),
    ];
    match refused.iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(Error::unsupported(format!("{name} is not supported yet"))),
        None => Ok(()),
    }
}
