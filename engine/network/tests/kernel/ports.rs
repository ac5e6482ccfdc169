//! Reserving host ports.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use bowline_network::{PortError, PortRequest, Proto, Target};
use bowline_sys::netns::with_netns;

use crate::world::*;

const TARGET: Target = Target {
    v4: Some(Ipv4Addr::new(10, 77, 1, 2)),
    v6: None,
};

fn request(proto: Proto, host_ip: Option<&str>, host_ports: Option<(u16, u16)>) -> PortRequest {
    PortRequest {
        proto,
        host_ip: host_ip.map(ip),
        host_ports,
        container_port: 80,
    }
}

#[test]
fn all_addresses_means_one_port_of_both_families_and_a_listener_for_ipv6() {
    let Some(world) = world() else { return };
    let host = world.host();
    for proto in [Proto::Tcp, Proto::Udp] {
        let reserved = host
            .reserve_ports(&[request(proto, None, None)], TARGET)
            .unwrap()
            .remove(0);
        let port = reserved.host_port;
        assert_ne!(port, 0);
        assert_eq!(
            reserved.bindings,
            [at(&format!("0.0.0.0:{port}")), at(&format!("[::]:{port}"))]
        );
        assert_eq!(
            reserved.publications,
            [publication(
                proto,
                &format!("0.0.0.0:{port}"),
                at("10.77.1.2:80")
            )]
        );
        assert_eq!(reserved.keep.len(), 1);
        assert_eq!(reserved.forwards.len(), 1);
        assert_eq!(reserved.forwards[0].target, at("10.77.1.2:80"));
    }
}

#[test]
fn a_held_port_accepts_nobody_and_a_forward_does() {
    let Some(world) = world() else { return };
    let host = world.host();
    let reserved = host
        .reserve_ports(&[request(Proto::Tcp, None, None)], TARGET)
        .unwrap()
        .remove(0);
    let connect = |to: String| {
        let to: SocketAddr = to.parse().unwrap();
        with_netns(&world.root, || {
            TcpStream::connect_timeout(&to, Duration::from_millis(200)).is_ok()
        })
        .unwrap()
    };
    assert!(!connect(format!("127.0.0.1:{}", reserved.host_port)));
    assert!(connect(format!("[::1]:{}", reserved.host_port)));
}

#[test]
fn a_taken_port_is_refused_with_its_holder_and_nothing_is_held() {
    let Some(world) = world() else { return };
    let host = world.host();
    let (tcp, udp) = with_netns(&world.root, || {
        (
            TcpListener::bind("127.0.0.1:8080").unwrap(),
            UdpSocket::bind("[::]:9090").unwrap(),
        )
    })
    .unwrap();
    let requests = [
        request(Proto::Tcp, None, Some((8000, 8000))),
        request(Proto::Tcp, None, Some((8080, 8080))),
        request(Proto::Udp, Some("127.0.0.1"), Some((9090, 9090))),
        request(Proto::Tcp, Some("198.51.100.7"), Some((80, 80))),
    ];
    let error = host.reserve_ports(&requests, TARGET).unwrap_err();
    let PortError::Conflicts(conflicts) = &error else {
        panic!("{error}")
    };
    let own = std::process::id();
    assert_eq!(
        conflicts
            .iter()
            .map(|c| c.holder.as_ref().map(|h| h.pid))
            .collect::<Vec<_>>(),
        [Some(own), Some(own), None]
    );
    let text = error.to_string();
    assert!(
        text.contains("host port 0.0.0.0:8080/tcp is held by `kernel-"),
        "{text}"
    );
    assert!(
        text.contains(&format!("pid {own}; host port 127.0.0.1:9090/udp")),
        "{text}"
    );
    assert!(
        text.ends_with("198.51.100.7 is not an address of this machine"),
        "{text}"
    );

    drop((tcp, udp));
    // A child that another test has forked and that has not executed its program yet holds copies for a moment.
    let end = Instant::now() + Duration::from_secs(5);
    let reserved = loop {
        match host.reserve_ports(&requests[..3], TARGET) {
            Err(PortError::Conflicts(_)) if Instant::now() < end => std::thread::yield_now(),
            outcome => break outcome.unwrap(),
        }
    };
    assert_eq!(reserved.len(), 3);
}

#[test]
fn a_range_gives_each_container_the_next_free_port() {
    let Some(world) = world() else { return };
    let host = world.host();
    let requests = [request(Proto::Tcp, None, Some((8000, 8002))); 3];
    let reserved = host.reserve_ports(&requests, TARGET).unwrap();
    let ports: BTreeSet<_> = reserved.iter().map(|reserved| reserved.host_port).collect();
    assert_eq!(ports, BTreeSet::from([8000, 8001, 8002]));
    assert!(host.reserve_ports(&requests[..1], TARGET).is_err());
}

#[test]
fn a_container_with_ipv6_gets_it_from_the_kernel_except_on_the_loopback_address() {
    let Some(world) = world() else { return };
    let host = world.host();
    let target = Target {
        v4: TARGET.v4,
        v6: Some("fd77:1::2".parse().unwrap()),
    };
    let requests = [
        request(Proto::Tcp, None, Some((8000, 8000))),
        request(Proto::Tcp, Some("::1"), Some((8001, 8001))),
        request(Proto::Tcp, Some("2001:db8::1"), Some((8002, 8002))),
    ];
    let reserved = host.reserve_ports(&requests, target).unwrap();
    let counts: Vec<_> = reserved
        .iter()
        .map(|r| (r.publications.len(), r.keep.len(), r.forwards.len()))
        .collect();
    assert_eq!(counts, [(2, 1, 1), (0, 0, 1), (1, 1, 0)]);
    assert_eq!(reserved[0].forwards[0].target, at("[fd77:1::2]:80"));
}
