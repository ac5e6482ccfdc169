//! Networks and volumes of the file as bodies that create them.

use std::collections::BTreeMap;

use bowline_api::{EndpointIpam, EndpointSettings, Ipam, IpamPool, NetworkCreate, VolumeCreate};
use bowline_compose::model::{Attachment, Network, Volume};
use bowline_plan::changes::record;
use bowline_plan::{Hashes, labels};
use serde_json::Value;

/// The labels that every object of a project bears.
pub(super) fn common_labels(
    project: &str,
    hashes: &Hashes,
    model: &Value,
) -> BTreeMap<String, String> {
    let mut all = BTreeMap::from([
        (labels::PROJECT.to_owned(), project.to_owned()),
        (
            labels::VERSION.to_owned(),
            env!("CARGO_PKG_VERSION").to_owned(),
        ),
    ]);
    all.extend(
        hashes
            .compose
            .clone()
            .map(|hash| (labels::CONFIG_HASH.to_owned(), hash)),
    );
    all.extend(
        hashes
            .own
            .clone()
            .map(|hash| (labels::OWN_HASH.to_owned(), hash)),
    );
    if !model.is_null() {
        all.insert(labels::OWN_CONFIG.to_owned(), record(model));
    }
    all
}

/// The body that creates a network.
pub(super) fn network(
    project: &str,
    key: &str,
    network: &Network,
    made_from: (&Hashes, &Value),
) -> NetworkCreate {
    let mut all = network.labels.clone();
    all.extend(common_labels(project, made_from.0, made_from.1));
    all.insert(labels::NETWORK.to_owned(), key.to_owned());
    NetworkCreate {
        name: network.name.clone(),
        driver: network.driver.clone().unwrap_or_else(|| "bridge".into()),
        enable_ipv4: network.enable_ipv4,
        enable_ipv6: network.enable_ipv6,
        ipam: ipam(network),
        internal: network.internal,
        attachable: network.attachable,
        options: network.driver_opts.clone(),
        labels: all,
        ..NetworkCreate::default()
    }
}

fn ipam(network: &Network) -> Option<Ipam> {
    let wish = &network.ipam;
    if wish.driver.is_none() && wish.config.is_empty() && wish.options.is_empty() {
        return None;
    }
    let pools = wish.config.iter().map(|pool| IpamPool {
        subnet: pool.subnet.clone().unwrap_or_default(),
        ip_range: pool.ip_range.clone().unwrap_or_default(),
        gateway: pool.gateway.clone().unwrap_or_default(),
        auxiliary_addresses: pool.aux_addresses.clone(),
    });
    Some(Ipam {
        driver: wish.driver.clone().unwrap_or_else(|| "default".into()),
        options: wish.options.clone(),
        config: pools.collect(),
    })
}

/// The body that creates a volume.
pub(super) fn volume(
    project: &str,
    key: &str,
    volume: &Volume,
    made_from: (&Hashes, &Value),
) -> VolumeCreate {
    let mut all = volume.labels.clone();
    all.extend(common_labels(project, made_from.0, made_from.1));
    all.insert(labels::VOLUME.to_owned(), key.to_owned());
    VolumeCreate {
        name: volume.name.clone(),
        driver: volume.driver.clone().unwrap_or_else(|| "local".into()),
        driver_opts: volume.driver_opts.clone(),
        labels: all,
    }
}

/// How a container sits on a network: it answers to its own name, its service's and the aliases.
pub(super) fn endpoint(
    wish: Option<&Attachment>,
    names: &[&str],
    links: &[String],
) -> EndpointSettings {
    let plain = Attachment::default();
    let wish = wish.unwrap_or(&plain);
    let mut aliases: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    aliases.extend(
        wish.aliases
            .iter()
            .filter(|alias| !names.contains(&alias.as_str()))
            .cloned(),
    );
    let mut driver_opts = wish.driver_opts.clone();
    if let Some(name) = &wish.interface_name {
        driver_opts.insert("com.docker.network.endpoint.ifname".into(), name.clone());
    }
    let fixed = wish.ipv4_address.is_some()
        || wish.ipv6_address.is_some()
        || !wish.link_local_ips.is_empty();
    EndpointSettings {
        ipam_config: fixed.then(|| EndpointIpam {
            ipv4_address: wish.ipv4_address.clone().unwrap_or_default(),
            ipv6_address: wish.ipv6_address.clone().unwrap_or_default(),
            link_local_ips: wish.link_local_ips.clone(),
        }),
        links: (!links.is_empty()).then(|| links.to_vec()),
        aliases: Some(aliases),
        driver_opts: (!driver_opts.is_empty()).then_some(driver_opts),
        gw_priority: wish.gw_priority.unwrap_or(0),
        mac_address: wish.mac_address.clone().unwrap_or_default(),
        ..EndpointSettings::default()
    }
}
