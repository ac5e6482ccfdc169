//! Networks, endpoints and volumes as the API shows them.

use std::collections::BTreeMap;

use bowline_api::{EndpointSettings, Ipam, IpamPool, Network, NetworkMember, Volume};

use crate::record::{ContainerRecord, Endpoint, NetworkRecord, Origin, VolumeRecord};
use crate::roots::Roots;

fn prefix_length(subnet: &str) -> i64 {
    subnet
        .split_once('/')
        .and_then(|(_, length)| length.parse().ok())
        .unwrap_or_default()
}

fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// An endpoint; addresses show while the container runs, as Docker shows them.
pub(super) fn endpoint(
    record: &ContainerRecord,
    name: &str,
    endpoint: &Endpoint,
    network: Option<&NetworkRecord>,
) -> EndpointSettings {
    let mut shown = endpoint.settings.clone();
    shown.network_id.clone_from(&endpoint.network);
    shown.endpoint_id = String::new();
    let user_defined = !["bridge", "host", "none"].contains(&name);
    if user_defined {
        shown.dns_names = Some(dns_names(record, endpoint));
    }
    if !record.phase.is_alive() {
        return shown;
    }
    shown.endpoint_id.clone_from(&endpoint.id);
    if let Some(address) = endpoint.ipv4 {
        shown.ip_address = address.to_string();
        shown.ip_prefix_len = prefix_length(network.map_or("", |network| &network.subnet));
    }
    if let Some(address) = endpoint.ipv6 {
        shown.global_ipv6_address = address.to_string();
        shown.global_ipv6_prefix_len =
            prefix_length(network.map_or("", |network| &network.subnet6));
    }
    shown.mac_address = endpoint.mac.map(mac_text).unwrap_or_default();
    if let Some(network) = network.filter(|network| !network.internal) {
        shown.gateway = network
            .gateway
            .map(|address| address.to_string())
            .unwrap_or_default();
        shown.ipv6_gateway = network
            .gateway6
            .map(|address| address.to_string())
            .unwrap_or_default();
    }
    shown
}

/// Names a container answers to on one network: its own, its aliases, its short id, its host name.
pub(crate) fn dns_names(record: &ContainerRecord, endpoint: &Endpoint) -> Vec<String> {
    let mut names = vec![record.name.clone()];
    names.extend(endpoint.settings.aliases.iter().flatten().cloned());
    names.push(record.short_id().to_owned());
    names.push(record.config.hostname.clone());
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| !name.is_empty() && seen.insert(name.clone()));
    names
}

/// A network with its running members.
pub(crate) fn network(
    record: &NetworkRecord,
    members: &[std::sync::Arc<ContainerRecord>],
) -> Network {
    let pool = |subnet: &String, gateway: Option<String>, range: &str| {
        let inside = subnet.parse::<ipnet::IpNet>().ok();
        let auxiliary = record.auxiliary.iter();
        let auxiliary = auxiliary.filter(|(_, one)| inside.is_some_and(|net| net.contains(*one)));
        IpamPool {
            subnet: subnet.clone(),
            gateway: gateway.unwrap_or_default(),
            ip_range: range.into(),
            auxiliary_addresses: auxiliary
                .map(|(name, one)| (name.clone(), one.to_string()))
                .collect(),
        }
    };
    let mut config = Vec::new();
    if !record.subnet.is_empty() {
        let gateway = record.gateway.map(|address| address.to_string());
        config.push(pool(&record.subnet, gateway, &record.ip_range));
    }
    if !record.subnet6.is_empty() {
        let gateway = record.gateway6.map(|address| address.to_string());
        config.push(pool(&record.subnet6, gateway, &record.ip_range6));
    }
    let members = members.iter().filter(|member| member.phase.is_alive());
    let members = members.filter_map(|member| {
        let endpoint = member.endpoints.get(&record.name)?;
        let with_length = |address: Option<String>, subnet: &str| {
            address
                .map(|address| format!("{address}/{}", prefix_length(subnet)))
                .unwrap_or_default()
        };
        let shown = NetworkMember {
            name: member.name.clone(),
            endpoint_id: endpoint.id.clone(),
            mac_address: endpoint.mac.map(mac_text).unwrap_or_default(),
            ipv4_address: with_length(endpoint.ipv4.map(|a| a.to_string()), &record.subnet),
            ipv6_address: with_length(endpoint.ipv6.map(|a| a.to_string()), &record.subnet6),
        };
        Some((member.id.clone(), shown))
    });
    Network {
        name: record.name.clone(),
        id: record.id.clone(),
        created: record.created.clone(),
        scope: "local".into(),
        driver: record.driver.clone(),
        enable_ipv4: !record.without_ipv4,
        enable_ipv6: !record.subnet6.is_empty(),
        ipam: Ipam {
            driver: "default".into(),
            config,
            ..Ipam::default()
        },
        internal: record.internal,
        attachable: record.attachable,
        containers: members.collect(),
        options: record.options.clone(),
        labels: record.labels.clone(),
        ..Network::default()
    }
}

/// A volume.
pub(crate) fn volume(record: &VolumeRecord, roots: &Roots) -> Volume {
    let mut labels = record.labels.clone();
    if record.anonymous {
        labels
            .entry("com.docker.volume.anonymous".into())
            .or_default();
    }
    Volume {
        created_at: record.created.clone(),
        driver: "local".into(),
        labels,
        mountpoint: roots
            .volume(&record.name)
            .join("_data")
            .to_string_lossy()
            .into_owned(),
        name: record.name.clone(),
        options: record.options.clone(),
        scope: "local".into(),
        status: record.origin.as_ref().map(origin).unwrap_or_default(),
        usage_data: None,
    }
}

fn origin(origin: &Origin) -> BTreeMap<String, String> {
    let name = match origin.tag.as_str() {
        "" => origin.volume.clone(),
        tag => format!("{}:{tag}", origin.volume),
    };
    [("Origin", name), ("OriginTaken", origin.taken.clone())]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
}
