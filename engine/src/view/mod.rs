//! Records as the API shows them. Pure.

mod inspect;
mod network;
mod summary;

pub(crate) use inspect::inspect;
pub(crate) use network::{dns_names, network, volume};
pub(crate) use summary::{Query, summary};

use std::collections::BTreeMap;

use bowline_api::{EndpointSettings, MountPoint as ApiMount, PortBinding, PortMap, PortSpec};

use crate::record::{ContainerRecord, MountKind, MountPoint, NetworkRecord};

/// Networks by name, as a view needs them.
pub(crate) type Networks = BTreeMap<String, NetworkRecord>;

fn mount(point: &MountPoint) -> ApiMount {
    let volume = point.kind == MountKind::Volume;
    let propagation = match point.kind {
        MountKind::Bind if point.propagation.is_empty() => "rprivate".into(),
        _ => point.propagation.clone(),
    };
    ApiMount {
        kind: match point.kind {
            MountKind::Bind => "bind".into(),
            MountKind::Volume => "volume".into(),
            MountKind::Tmpfs => "tmpfs".into(),
            MountKind::Image => "image".into(),
        },
        name: point.name.clone(),
        source: point.source.to_string_lossy().into_owned(),
        destination: point.destination.to_string_lossy().into_owned(),
        driver: if volume {
            "local".into()
        } else {
            String::new()
        },
        mode: point.mode.clone(),
        rw: point.writable,
        propagation,
    }
}

/// Exposed ports are keys even when nothing is published; published ones exist only while it runs.
fn ports(record: &ContainerRecord) -> PortMap {
    let normal = |port: &str| {
        port.parse::<PortSpec>()
            .map_or_else(|_| port.to_owned(), |port| port.to_string())
    };
    let mut map: PortMap = record
        .config
        .exposed_ports
        .keys()
        .map(|port| (normal(port), None))
        .collect();
    for bound in &record.ports {
        let key = format!("{}/{}", bound.container_port, bound.protocol);
        map.entry(key)
            .or_default()
            .get_or_insert_default()
            .push(PortBinding {
                host_ip: bound.host_ip.to_string(),
                host_port: bound.host_port.to_string(),
            });
    }
    map
}

fn endpoints(record: &ContainerRecord, networks: &Networks) -> BTreeMap<String, EndpointSettings> {
    let one = |name: &String| {
        let endpoint = &record.endpoints[name];
        (
            name.clone(),
            network::endpoint(record, name, endpoint, networks.get(name)),
        )
    };
    record.endpoints.keys().map(one).collect()
}
