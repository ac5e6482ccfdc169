//! Ports of a service as the engine wants them, and as a person visits them.

use std::collections::BTreeSet;

use bowline_api::{ContainerSummary, PortBinding, PortMap, PortSet};
use bowline_compose::model::Port;

/// Ports that are opened on the host. The engine picks from ranges, all of a container's at once.
pub(super) fn bindings(ports: &[Port]) -> PortMap {
    let mut map = PortMap::new();
    for port in ports {
        let binding = PortBinding {
            host_ip: port.host_ip.clone().unwrap_or_default(),
            host_port: match port.published {
                Some((low, high)) if low == high => low.to_string(),
                Some((low, high)) => format!("{low}-{high}"),
                None => String::new(),
            },
        };
        let key = format!("{}/{}", port.target, port.protocol);
        map.entry(key)
            .or_default()
            .get_or_insert_default()
            .push(binding);
    }
    map
}

/// Ports that are known, opened or not. `expose` may hold ranges.
pub(super) fn exposed(expose: &[String], ports: &[Port]) -> PortSet {
    let mut set = PortSet::new();
    for entry in expose {
        let (range, protocol) = entry.split_once('/').unwrap_or((entry, "tcp"));
        let (low, high) = range.split_once('-').unwrap_or((range, range));
        if let (Ok(low), Ok(high)) = (low.parse::<u16>(), high.parse::<u16>()) {
            set.extend((low..=high).map(|port| (format!("{port}/{protocol}"), None)));
        }
    }
    set.extend(
        ports
            .iter()
            .map(|port| (format!("{}/{}", port.target, port.protocol), None)),
    );
    set.into_keys()
        .map(|key| (key, Some(bowline_api::port::Empty::default())))
        .collect()
}

/// Where a person reaches what a container publishes: `http://` for TCP, the address for the rest.
pub(crate) fn urls(container: &ContainerSummary) -> Vec<String> {
    let mut urls = BTreeSet::new();
    for port in &container.ports {
        let Some(public) = port.public_port else {
            continue;
        };
        // Every address includes the one that is always there.
        let host = match port.ip.as_str() {
            "" | "0.0.0.0" | "::" => "localhost".to_owned(),
            ip if ip.contains(':') => format!("[{ip}]"),
            ip => ip.to_owned(),
        };
        urls.insert(match port.kind.as_str() {
            "tcp" => format!("http://{host}:{public}"),
            kind => format!("{host}:{public}/{kind}"),
        });
    }
    urls.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bowline_api::PortSummary;
    use bowline_compose::model::Protocol;

    fn port(target: u16, published: Option<(u16, u16)>) -> Port {
        Port {
            name: None,
            mode: None,
            host_ip: None,
            target,
            published,
            protocol: Protocol::Tcp,
            app_protocol: None,
        }
    }

    #[test]
    fn ranges_and_any_port_are_left_to_the_engine() {
        let ports = [
            port(80, Some((8080, 8080))),
            port(80, Some((9000, 9005))),
            port(81, None),
        ];
        let map = bindings(&ports);
        let hosts = |key: &str| -> Vec<String> {
            map[key]
                .iter()
                .flatten()
                .map(|binding| binding.host_port.clone())
                .collect()
        };
        assert_eq!(hosts("80/tcp"), ["8080", "9000-9005"]);
        assert_eq!(hosts("81/tcp"), [""]);
        let known = exposed(&["3000-3002/udp".into(), "80".into()], &ports);
        let keys: Vec<&str> = known.keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            ["3000/udp", "3001/udp", "3002/udp", "80/tcp", "81/tcp"]
        );
    }

    #[test]
    fn a_url_for_each_published_port() {
        let port = |ip: &str, public_port, kind: &str| PortSummary {
            ip: ip.into(),
            private_port: 80,
            public_port,
            kind: kind.into(),
        };
        let container = ContainerSummary {
            ports: vec![
                port("0.0.0.0", Some(8080), "tcp"),
                port("::", Some(8080), "tcp"),
                port("127.0.0.1", Some(53), "udp"),
                port("", None, "tcp"),
            ],
            ..ContainerSummary::default()
        };
        assert_eq!(
            urls(&container),
            ["127.0.0.1:53/udp", "http://localhost:8080"]
        );
    }
}
