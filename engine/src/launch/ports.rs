//! Published ports: from the API's bindings to requests, and from a record back to what the kernel forwards. Pure.

use std::net::{IpAddr, SocketAddr};

use bowline_api::{PortBinding, PortSpec};
use bowline_network::{PortRequest, Proto, Publication};
use bowline_runtime::ForwardProtocol;

use crate::engine::networks::host_binding;
use crate::error::{Error, Result};
use crate::record::{BoundPort, ContainerRecord};
use crate::view::Networks;

/// What `record` wants published.
///
/// # Errors
/// A port or address that cannot be read.
pub(crate) fn requests(record: &ContainerRecord, networks: &Networks) -> Result<Vec<PortRequest>> {
    let first = record
        .endpoints
        .keys()
        .next()
        .and_then(|name| networks.get(name));
    let default = first.and_then(host_binding);
    let mut requests = Vec::new();
    for (key, bindings) in &record.host.port_bindings {
        let port = read_spec(key)?;
        let any = [PortBinding::default()];
        let bindings = bindings
            .as_deref()
            .filter(|list| !list.is_empty())
            .unwrap_or(&any);
        for binding in bindings {
            requests.push(request(&port, binding, default)?);
        }
    }
    if record.host.publish_all_ports {
        let bound = |key: &String| record.host.port_bindings.contains_key(key);
        for key in record.config.exposed_ports.keys().filter(|key| !bound(key)) {
            requests.push(request(&read_spec(key)?, &PortBinding::default(), default)?);
        }
    }
    // Ranges last: a port asked for by number must not be taken by somebody who has a choice.
    requests.sort_by_key(|request| {
        request
            .host_ports
            .map_or(u16::MAX, |(first, last)| last - first)
    });
    Ok(requests)
}

fn read_spec(key: &str) -> Result<PortSpec> {
    key.parse()
        .map_err(|error: bowline_api::port::BadPort| Error::invalid(error.to_string()))
}

fn request(port: &PortSpec, binding: &PortBinding, default: Option<IpAddr>) -> Result<PortRequest> {
    let proto = match port.protocol.as_str() {
        "tcp" => Proto::Tcp,
        "udp" => Proto::Udp,
        other => {
            return Err(Error::unsupported(format!(
                "publishing {other} ports is not supported yet"
            )));
        }
    };
    let host_ip = match binding
        .host_ip
        .trim_start_matches('[')
        .trim_end_matches(']')
    {
        "" => default,
        text => {
            let address = text.parse();
            Some(address.map_err(|_| Error::invalid(format!("invalid IP address: {text}")))?)
        }
    };
    let host_ports = range(&binding.host_port)?;
    Ok(PortRequest {
        proto,
        host_ip,
        host_ports,
        container_port: port.port,
    })
}

/// `8080`, `8000-8010`, or nothing for the kernel's choice.
fn range(text: &str) -> Result<Option<(u16, u16)>> {
    let invalid = || Error::invalid(format!("invalid port specification: \"{text}\""));
    if ["", "0"].contains(&text) {
        return Ok(None);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let first: u16 = first.parse().map_err(|_| invalid())?;
    let last: u16 = last.parse().map_err(|_| invalid())?;
    if first == 0 || first > last {
        return Err(invalid());
    }
    Ok(Some((first, last)))
}

/// Requests for exactly what is bound already, in the order of the record.
pub(crate) fn bound_requests(record: &ContainerRecord) -> Vec<PortRequest> {
    let one = |bound: &BoundPort| PortRequest {
        proto: match bound.protocol.as_str() {
            "udp" => Proto::Udp,
            _ => Proto::Tcp,
        },
        host_ip: Some(bound.host_ip),
        host_ports: Some((bound.host_port, bound.host_port)),
        container_port: bound.container_port,
    };
    record.ports.iter().map(one).collect()
}

/// What the kernel forwards for a container whose record says what is bound: the rule the reservation followed.
pub(crate) fn publications(record: &ContainerRecord) -> Vec<Publication> {
    let v4 = record
        .endpoints
        .values()
        .find_map(|endpoint| endpoint.ipv4)
        .map(IpAddr::V4);
    let v6 = record
        .endpoints
        .values()
        .find_map(|endpoint| endpoint.ipv6)
        .map(IpAddr::V6);
    let one = |bound: &BoundPort| {
        // ::1 cannot leave the loopback link; the shim serves it.
        if bound.host_ip.is_ipv6() && bound.host_ip.is_loopback() {
            return None;
        }
        let target = if bound.host_ip.is_ipv4() { v4 } else { v6 }?;
        Some(Publication {
            proto: if bound.protocol == "udp" {
                Proto::Udp
            } else {
                Proto::Tcp
            },
            host_ip: Some(bound.host_ip).filter(|address| !address.is_unspecified()),
            host_port: bound.host_port,
            target: SocketAddr::new(target, bound.container_port),
        })
    };
    record.ports.iter().filter_map(one).collect()
}

/// Reads the name a served socket is kept under: `forward-tcp-10.0.0.2:80-0`.
pub(crate) fn parse_forward(name: &str) -> Option<(ForwardProtocol, SocketAddr)> {
    let rest = name.strip_prefix("forward-")?;
    let (protocol, rest) = rest.split_once('-')?;
    let (target, _) = rest.rsplit_once('-')?;
    let protocol = match protocol {
        "tcp" => ForwardProtocol::Tcp,
        "udp" => ForwardProtocol::Udp,
        _ => return None,
    };
    Some((protocol, target.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_ports_are_one_a_range_or_free() {
        assert_eq!(range("").unwrap(), None);
        assert_eq!(range("80").unwrap(), Some((80, 80)));
        assert_eq!(range("80-90").unwrap(), Some((80, 90)));
        for wrong in ["x", "90-80", "0-3", "70000"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn kept_names_read_back() {
        let target: SocketAddr = "10.0.0.2:80".parse().unwrap();
        let read = parse_forward(&format!("forward-tcp-{target}-0"));
        assert_eq!(read, Some((ForwardProtocol::Tcp, target)));
        assert_eq!(parse_forward("port-tcp-80-0"), None);
    }

    #[test]
    fn loopback_of_ipv6_is_not_the_kernels() {
        let mut record = ContainerRecord::default();
        let endpoint = crate::record::Endpoint {
            ipv4: Some([10, 0, 0, 2].into()),
            ..crate::record::Endpoint::default()
        };
        record.endpoints.insert("front".into(), endpoint);
        for address in ["0.0.0.0", "127.0.0.1", "::", "::1"] {
            record.ports.push(BoundPort {
                container_port: 80,
                protocol: "tcp".into(),
                host_ip: address.parse().unwrap(),
                host_port: 8080,
            });
        }
        let forwarded: Vec<Option<IpAddr>> = publications(&record)
            .iter()
            .map(|publication| publication.host_ip)
            .collect();
        assert_eq!(forwarded, [None, Some("127.0.0.1".parse().unwrap())]);
    }
}
