//! Coming, staying and going: nothing is lost on the way, and nothing stays behind.

use std::time::Instant;

use bowline_network::{Host, NetworkError, Proto::Tcp, Proto::Udp};
use bowline_sys::netns::with_netns;

use crate::world::*;

#[test]
fn after_drain_the_kernel_holds_nothing_of_ours() {
    let Some(world) = world() else { return };
    let host = world.host();
    let bridges: Vec<_> = (1..=3).map(|n| bridge(&host, n)).collect();
    let mut containers = Vec::new();
    for bridge in &bridges {
        host.create_bridge(bridge).unwrap();
        containers.push(container(&host, bridge, 2));
    }
    let ledger = host.ledger().unwrap();
    assert_eq!(ledger.links.len(), 6);
    assert_eq!(ledger.netns, ["c1-2", "c2-2", "c3-2"]);
    assert!(ledger.table);
    for container in containers {
        host.remove_netns(container.netns.id()).unwrap();
    }
    host.remove_bridge(&bridges[0].ifname).unwrap();
    host.drain().unwrap();
    let ledger = host.ledger().unwrap();
    assert!(ledger.is_empty(), "{ledger:?}");
    assert!(names(&world.config().netns_dir).is_empty());
    assert_eq!(world.nft("list ruleset"), "");
}

#[test]
fn a_link_that_stays_behind_is_named_by_drain_and_by_the_ledger() {
    let Some(world) = world() else { return };
    let host = world.host();
    run_in(
        &world.root,
        &format!("ip link add {}leak type bridge", world.prefix),
    );
    assert_eq!(
        host.ledger().unwrap().links,
        [format!("{}leak", world.prefix)]
    );
}

#[test]
fn a_new_engine_takes_over_and_open_connections_go_on() {
    let Some(world) = world() else { return };
    let host = world.host();
    let one = bridge(&host, 1);
    host.create_bridge(&one).unwrap();
    let web = container(&host, &one, 2);
    let listener = with_netns(&web.netns, || {
        std::net::TcpListener::bind("0.0.0.0:80").unwrap()
    })
    .unwrap();
    let published = publication(Tcp, "0.0.0.0:8080", (web.v4, 80));
    host.publish(&[published]).unwrap();
    let mut client = with_netns(&world.lan, || {
        std::net::TcpStream::connect("192.0.2.1:8080").unwrap()
    })
    .unwrap();
    let (mut server, _) = listener.accept().unwrap();
    drop(host);

    let host = Host::open(world.config(), &[one], &[published]).unwrap();
    use std::io::{Read, Write};
    client.write_all(b"still").unwrap();
    let mut got = [0; 5];
    server.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"still");
    assert_eq!(
        host.open_netns(web.netns.id()).unwrap().path(),
        web.netns.path()
    );
    serve(&web, 81);
    host.publish(&[publication(Tcp, "0.0.0.0:8081", (web.v4, 81))])
        .unwrap();
    assert!(ask_tcp(&world.lan, at("192.0.2.1:8081")).is_some());
}

#[test]
fn a_namespace_that_was_left_behind_is_replaced() {
    let Some(world) = world() else { return };
    let host = world.host();
    let pins = world.config().netns_dir;
    std::fs::write(pins.join("c"), "").unwrap();
    assert!(
        host.open_netns("c").is_err(),
        "a plain file is no namespace"
    );
    for _ in 0..2 {
        drop(host.create_netns("c").unwrap());
        host.open_netns("c").unwrap();
    }
    host.remove_netns("c").unwrap();
    assert!(names(&pins).is_empty());
}

#[test]
fn a_bridge_that_is_missing_is_made_again() {
    let Some(world) = world() else { return };
    let host = world.host();
    let one = bridge(&host, 1);
    host.create_bridge(&one).unwrap();
    host.remove_bridge(&one.ifname).unwrap();
    // At once again under the same name, while the old one is on its way out.
    host.create_bridge(&one).unwrap();
    host.create_bridge(&one).unwrap();
    drop(host);
    run_in(&world.root, &format!("ip link del {}", one.ifname));
    let host = Host::open(world.config(), std::slice::from_ref(&one), &[]).unwrap();
    let web = container(&host, &one, 2);
    serve(&web, 80);
    assert!(ask_tcp(&world.root, (web.v4, 80)).is_some());
}

#[test]
fn a_subnet_that_another_interface_has_is_not_taken() {
    let Some(world) = world() else { return };
    let host = world.host();
    let free = host.choose_subnet("shop", &[]).unwrap();
    let mut one = bridge(&host, 1);
    one.v4 = Some(bowline_network::Lan4 {
        subnet: free,
        gateway: free.hosts().next().unwrap(),
    });
    let other = Host::open(world.config_named("zz"), &[], &[]).unwrap();
    let mut same = bridge(&other, 2);
    same.v4 = one.v4;
    host.create_bridge(&one).unwrap();
    host.remove_bridge(&one.ifname).unwrap();
    assert_eq!(
        host.choose_subnet("shop", &[]).unwrap(),
        free,
        "it comes back to where it was"
    );
    host.create_bridge(&one).unwrap();
    let error = other.create_bridge(&same).unwrap_err();
    assert!(matches!(error, NetworkError::SubnetTaken { .. }), "{error}");
    assert_ne!(other.choose_subnet("shop", &[]).unwrap(), free);
    other.drain().unwrap();
    assert!(other.ledger().unwrap().is_empty());
}

#[test]
fn routes_and_name_servers_keep_their_subnets() {
    let Some(world) = world() else { return };
    let host = world.host();
    let first = host.choose_subnet("shop", &[]).unwrap();
    // As a VPN does it: halves of everything, and a table of its own for what it wants.
    run_in(
        &world.root,
        "ip route add 0.0.0.0/1 via 192.0.2.2; ip route add 128.0.0.0/1 via 192.0.2.2",
    );
    assert_eq!(host.choose_subnet("shop", &[]).unwrap(), first);
    run_in(
        &world.root,
        &format!("ip route add {first} via 192.0.2.2 table 77"),
    );
    let second = host.choose_subnet("shop", &[]).unwrap();
    assert_ne!(second, first);
    let server = second.hosts().nth(52).unwrap();
    std::fs::write(
        world.dir.path().join("resolv.conf"),
        format!("nameserver {server}\n"),
    )
    .unwrap();
    assert_ne!(host.choose_subnet("shop", &[]).unwrap(), second);
}

#[test]
fn udp_clients_find_a_port_that_was_published_after_their_first_packet() {
    let Some(world) = world() else { return };
    let host = world.host();
    let one = bridge(&host, 1);
    host.create_bridge(&one).unwrap();
    let web = container(&host, &one, 2);
    serve(&web, 53);
    let client = with_netns(&world.lan, || {
        std::net::UdpSocket::bind("0.0.0.0:4000").unwrap()
    })
    .unwrap();
    client
        .set_read_timeout(Some(std::time::Duration::from_millis(300)))
        .unwrap();
    let ask = || {
        let mut answer = [0; 64];
        drop(client.send_to(b"x", "192.0.2.1:5300"));
        client.recv(&mut answer).is_ok()
    };
    // A listener that never answers, so that the flow is tracked and nothing refuses it.
    let silent = with_netns(&world.root, || {
        std::net::UdpSocket::bind("0.0.0.0:5300").unwrap()
    })
    .unwrap();
    assert!(!ask());
    host.publish(&[publication(Udp, "0.0.0.0:5300", (web.v4, 53))])
        .unwrap();
    assert!(ask(), "the flow kept its old way");
    host.unpublish(&[publication(Udp, "0.0.0.0:5300", (web.v4, 53))])
        .unwrap();
    assert!(!ask(), "the flow kept its way into the container");
    drop(silent);
}

#[test]
fn an_interface_leaves_and_comes_back_while_the_container_runs() {
    let Some(world) = world() else { return };
    let host = world.host();
    let (one, two) = (bridge(&host, 1), bridge(&host, 2));
    host.create_bridge(&one).unwrap();
    host.create_bridge(&two).unwrap();
    let web = container(&host, &one, 2);
    serve(&web, 80);
    host.disconnect(&web.netns, "eth0").unwrap();
    host.disconnect(&web.netns, "eth0").unwrap();
    assert_eq!(ask_tcp(&world.root, (web.v4, 80)), None);
    let lan = two.v4.unwrap();
    let v4 = ipnet::Ipv4Net::new(std::net::Ipv4Addr::new(10, 77, 2, 9), 24).unwrap();
    let endpoint = bowline_network::Endpoint {
        ifname: "eth1".to_owned(),
        bridge: two.ifname.clone(),
        mac: bowline_network::Mac([2, 0, 0, 0, 0, 9]),
        v4: Some(v4),
        v6: None,
        gateway4: Some(lan.gateway),
        gateway6: None,
        metric: 1,
        mtu: Some(1400),
        link_local: vec![ip("169.254.7.7")],
        sysctls: [(
            "net.ipv4.conf.IFNAME.log_martians".to_owned(),
            "1".to_owned(),
        )]
        .into(),
        announce: true,
    };
    host.connect(&web.netns, &endpoint).unwrap();
    // Twice, as after an engine that died between doing and writing it down.
    host.connect(&web.netns, &endpoint).unwrap();
    assert_eq!(ask_tcp(&world.root, (v4.addr(), 80)), Some(ip("10.77.2.1")));
    let fd = std::os::fd::AsFd::as_fd(&web.netns)
        .try_clone_to_owned()
        .unwrap();
    let shown = run_in(
        &fd,
        "ip -o addr show eth1; ip link show eth1; ip route; sysctl net.ipv4.conf.eth1.log_martians",
    );
    for part in [
        "10.77.2.9/24",
        "169.254.7.7/32",
        "scope link",
        "mtu 1400",
        "02:00:00:00:00:09",
        "default via 10.77.2.1 dev eth1 proto static metric 1",
        "log_martians = 1",
    ] {
        assert!(shown.contains(part), "{part} is missing in {shown}");
    }
    assert!(!shown.contains("inet6"), "{shown}");
}

#[test]
fn connecting_is_fast_and_the_first_packet_passes() {
    let Some(world) = world() else { return };
    let host = world.host();
    let one = bridge(&host, 1);
    host.create_bridge(&one).unwrap();
    let web = container(&host, &one, 2);
    serve(&web, 80);
    let mut slowest = std::time::Duration::ZERO;
    for last in 3..23 {
        let start = Instant::now();
        let client = container(&host, &one, last);
        let connected = start.elapsed();
        assert_eq!(ask_tcp(&client.netns, (web.v4, 80)), Some(client.v4.into()));
        println!("connected {connected:?}, answered {:?}", start.elapsed());
        slowest = slowest.max(start.elapsed());
    }
    // A lost first packet costs its sender a second.
    assert!(slowest.as_millis() < 900, "{slowest:?}");
}
