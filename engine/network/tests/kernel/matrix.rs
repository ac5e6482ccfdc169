//! Who reaches whom: five namespaces, one table.

use bowline_network::Proto::{Tcp, Udp};

use crate::world::*;

#[test]
fn published_ports_are_reached_from_everywhere_but_internal_networks() {
    let Some(world) = world() else { return };
    published_ports(&world);
}

#[test]
fn they_are_when_bridged_packets_pass_the_rules_of_the_host() {
    let Some(world) = world() else { return };
    if world.filter_bridged(true) {
        published_ports(&world);
    }
}

#[test]
fn they_are_when_bridged_packets_do_not_pass_the_rules_of_the_host() {
    let Some(world) = world() else { return };
    if world.filter_bridged(false) {
        published_ports(&world);
    }
}

fn published_ports(world: &World) {
    let host = world.host();
    let (one, two) = (bridge(&host, 1), bridge(&host, 2));
    let mut inner = bridge(&host, 3);
    inner.internal = true;
    for bridge in [&one, &two, &inner] {
        host.create_bridge(bridge).unwrap();
    }
    let web = container(&host, &one, 2);
    let client = container(&host, &two, 2);
    let hidden = container(&host, &inner, 2);
    serve(&web, 80);
    host.publish(&[
        publication(Tcp, "0.0.0.0:8080", (web.v4, 80)),
        publication(Tcp, "[::]:8080", (web.v6, 80)),
        publication(Udp, "0.0.0.0:8080", (web.v4, 80)),
        publication(Tcp, "127.0.0.1:9090", (web.v4, 80)),
        publication(Tcp, "192.0.2.1:9191", (web.v4, 80)),
    ])
    .unwrap();

    // The host itself, by each of its addresses; a source of 127.0.0.1 becomes the bridge's.
    let gateway = ip("10.77.1.1");
    assert_eq!(ask_tcp(&world.root, at("127.0.0.1:8080")), Some(gateway));
    assert_eq!(ask_udp(&world.root, at("127.0.0.1:8080")), Some(gateway));
    assert_eq!(ask_tcp(&world.root, at("127.0.0.1:9090")), Some(gateway));
    assert_eq!(ask_tcp(&world.root, at("192.0.2.1:8080")), Some(gateway));
    assert_eq!(
        ask_tcp(&world.root, at("[2001:db8::1]:8080")),
        Some(ip("fd77:1::1"))
    );

    // A neighbour on the LAN, who is seen as who it is.
    assert_eq!(
        ask_tcp(&world.lan, at("192.0.2.1:8080")),
        Some(ip("192.0.2.2"))
    );
    assert_eq!(
        ask_udp(&world.lan, at("192.0.2.1:8080")),
        Some(ip("192.0.2.2"))
    );
    assert_eq!(
        ask_tcp(&world.lan, at("[2001:db8::1]:8080")),
        Some(ip("2001:db8::2"))
    );
    assert_eq!(
        ask_tcp(&world.lan, at("192.0.2.1:9191")),
        Some(ip("192.0.2.2"))
    );
    assert_eq!(ask_tcp(&world.lan, at("192.0.2.1:9090")), None);

    // Its neighbour, for whom the way by the host must not be cut short.
    let mate = container(&host, &one, 3);
    assert_eq!(ask_tcp(&mate.netns, at("192.0.2.1:8080")), Some(gateway));
    assert_eq!(
        ask_tcp(&mate.netns, at("[2001:db8::1]:8080")),
        Some(ip("fd77:1::1"))
    );

    // A container of another network, also seen as who it is; and the container itself.
    assert_eq!(
        ask_tcp(&client.netns, at("192.0.2.1:8080")),
        Some(client.v4.into())
    );
    assert_eq!(ask_tcp(&web.netns, at("192.0.2.1:8080")), Some(gateway));

    assert_eq!(ask_tcp(&hidden.netns, at("10.77.3.1:8080")), None);
}

#[test]
fn networks_do_not_reach_each_other_nor_does_the_lan_reach_in() {
    let Some(world) = world() else { return };
    let host = world.host();
    let (one, two) = (bridge(&host, 1), bridge(&host, 2));
    let mut inner = bridge(&host, 3);
    inner.internal = true;
    for bridge in [&one, &two, &inner] {
        host.create_bridge(bridge).unwrap();
    }
    let web = container(&host, &one, 2);
    let mate = container(&host, &one, 3);
    let stranger = container(&host, &two, 2);
    let hidden = container(&host, &inner, 2);
    let hidden_mate = container(&host, &inner, 3);
    for container in [&web, &hidden] {
        serve(container, 80);
    }
    let direct = "ip route add 10.77.0.0/16 via 192.0.2.1; ip route add fd77::/16 via 2001:db8::1";
    run_in(&world.lan, direct);

    assert_eq!(ask_tcp(&mate.netns, (web.v4, 80)), Some(mate.v4.into()));
    assert_eq!(ask_tcp(&mate.netns, (web.v6, 80)), Some(mate.v6.into()));
    assert_eq!(ask_tcp(&world.root, (web.v4, 80)), Some(ip("10.77.1.1")));
    assert_eq!(
        ask_tcp(&hidden_mate.netns, (hidden.v4, 80)),
        Some(hidden_mate.v4.into())
    );
    assert_eq!(ask_tcp(&world.root, (hidden.v4, 80)), Some(ip("10.77.3.1")));

    assert_eq!(ask_tcp(&stranger.netns, (web.v4, 80)), None);
    assert_eq!(ask_tcp(&stranger.netns, (web.v6, 80)), None);
    assert_eq!(ask_tcp(&stranger.netns, (hidden.v4, 80)), None);
    assert_eq!(ask_tcp(&world.lan, (web.v4, 80)), None);
    assert_eq!(ask_tcp(&world.lan, (web.v6, 80)), None);
    assert_eq!(ask_tcp(&world.lan, (hidden.v4, 80)), None);
}

#[test]
fn outbound_traffic_takes_the_address_of_the_host_and_internal_networks_have_none() {
    let Some(world) = world() else { return };
    let host = world.host();
    let one = bridge(&host, 1);
    let mut inner = bridge(&host, 3);
    inner.internal = true;
    host.create_bridge(&one).unwrap();
    host.create_bridge(&inner).unwrap();
    let out = container(&host, &one, 2);
    let hidden = container(&host, &inner, 2);
    let listener = bowline_sys::netns::with_netns(&world.lan, || {
        std::net::TcpListener::bind("[::]:7000").unwrap()
    })
    .unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            use std::io::Write;
            let peer = stream.peer_addr().unwrap().ip().to_canonical();
            drop(write!(&stream, "{peer}"));
        }
    });
    assert_eq!(
        ask_tcp(&out.netns, at("192.0.2.2:7000")),
        Some(ip("192.0.2.1"))
    );
    assert_eq!(
        ask_tcp(&out.netns, at("[2001:db8::2]:7000")),
        Some(ip("2001:db8::1"))
    );
    assert_eq!(ask_tcp(&hidden.netns, at("192.0.2.2:7000")), None);
    // Not for want of a route only.
    run_in_netns(&hidden, "ip route add default via 10.77.3.1");
    assert_eq!(ask_tcp(&hidden.netns, at("192.0.2.2:7000")), None);
}

#[test]
fn crafted_packets_reach_neither_loopback_ports_nor_the_hosts_own() {
    let Some(world) = world() else { return };
    let host = world.host();
    let one = bridge(&host, 1);
    host.create_bridge(&one).unwrap();
    let web = container(&host, &one, 2);
    serve(&web, 80);
    host.publish(&[publication(Tcp, "127.0.0.1:9090", (web.v4, 80))])
        .unwrap();
    let secret = bowline_sys::netns::with_netns(&world.root, || {
        std::net::UdpSocket::bind("127.0.0.1:5353").unwrap()
    })
    .unwrap();
    secret
        .set_read_timeout(Some(std::time::Duration::from_millis(300)))
        .unwrap();

    // The neighbour pretends that 127.0.0.1 lies behind our host.
    let pretend = |device: &str, via: &str| {
        format!(
            "sysctl -qw net.ipv4.conf.all.route_localnet=1; ip addr del 127.0.0.1/8 dev lo; \
             ip rule add pref 1 to 127.0.0.1 lookup 100; ip rule del pref 0; ip rule add pref 2 lookup local; \
             ip route add 127.0.0.1 via {via} dev {device} table 100"
        )
    };
    run_in(&world.lan, &pretend("eth0", "192.0.2.1"));
    assert_eq!(ask_tcp(&world.lan, at("127.0.0.1:9090")), None);

    // A container does the same with its bridge, which does take 127.0.0.1 for an address.
    run_in_netns(&web, &pretend("eth0", "10.77.1.1"));
    assert_eq!(ask_udp(&web.netns, at("127.0.0.1:5353")), None);
    assert!(
        secret.recv(&mut [0; 16]).is_err(),
        "the host's loopback was reached from a container"
    );

    // The same packets pass without the rules, so it is the rules that hold them.
    let table = format!("inet bowline-{}", world.prefix);
    world.nft(&format!("flush chain {table} spoof"));
    ask_udp(&web.netns, at("127.0.0.1:5353"));
    assert!(secret.recv(&mut [0; 16]).is_ok());
    world.nft(&format!("flush chain {table} prerouting"));
    world.nft(&format!(
        "add rule {table} prerouting fib daddr type local jump publish"
    ));
    assert!(ask_tcp(&world.lan, at("127.0.0.1:9090")).is_some());
}

#[test]
fn without_icc_members_only_meet_at_published_ports() {
    for bridged in [true, false] {
        let Some(world) = world() else { return };
        if world.filter_bridged(bridged) || !bridged {
            without_icc(&world);
        }
    }
}

fn without_icc(world: &World) {
    let host = world.host();
    let mut one = bridge(&host, 1);
    one.icc = false;
    host.create_bridge(&one).unwrap();
    let web = container(&host, &one, 2);
    let mate = container(&host, &one, 3);
    serve(&web, 80);
    host.publish(&[publication(Tcp, "0.0.0.0:8080", (web.v4, 80))])
        .unwrap();
    assert_eq!(ask_tcp(&mate.netns, (web.v4, 80)), None);
    assert_eq!(ask_tcp(&world.root, (web.v4, 80)), Some(ip("10.77.1.1")));
    assert_eq!(
        ask_tcp(&mate.netns, at("192.0.2.1:8080")),
        Some(ip("10.77.1.1"))
    );
}

fn run_in_netns(container: &Container, script: &str) {
    use std::os::fd::AsFd;
    let fd = container.netns.as_fd().try_clone_to_owned().unwrap();
    run_in(&fd, script);
}
