//! Who finds whom, by which name, over which network.

use bowline_tests::World;

const TWO_NETWORKS: &str = "
services:
  web: {image: bowline/demo, command: tcp-echo 7000, networks: {front: {aliases: [www]}}, container_name: the-web}
  near: {image: bowline/demo, command: sleep forever, networks: [front]}
  far: {image: bowline/demo, command: sleep forever, networks: [back]}
networks: {front: , back: }
";

/// A service must be found on a shared network by service name, container name and alias.
#[test]
fn a_service_has_three_names() {
    let world = World::new();
    let project = world.project("names", TWO_NETWORKS);
    project.up();
    let address =
        project.inspect("web")["NetworkSettings"]["Networks"]["names_front"]["IPAddress"].clone();
    let address = address.as_str().expect("an address");
    for name in ["web", "the-web", "www"] {
        project.exec("near", &["query", name]).ok().says(address);
    }
    project
        .exec("near", &["connect", "www", "7000", "--send", "hello"])
        .ok()
        .says("hello");
    project.down();
    world.ends_clean();
}

/// An address must be found back as a name.
#[test]
fn an_address_has_a_name() {
    let world = World::new();
    let project = world.project("reverse", TWO_NETWORKS);
    project.up();
    let address =
        project.inspect("web")["NetworkSettings"]["Networks"]["reverse_front"]["IPAddress"].clone();
    project
        .exec(
            "near",
            &["query", address.as_str().expect("an address"), "PTR"],
        )
        .ok()
        .says("the-web");
    project.down();
    world.ends_clean();
}

/// A container of another network must neither resolve a name nor reach the address behind it.
#[test]
fn networks_are_apart() {
    let world = World::new();
    let project = world.project("apart", TWO_NETWORKS);
    project.up();
    project
        .exec("far", &["query", "web"])
        .fails_with(1)
        .says("NXDOMAIN");
    let address =
        project.inspect("web")["NetworkSettings"]["Networks"]["apart_front"]["IPAddress"].clone();
    let address = address.as_str().expect("an address");
    project.exec("near", &["connect", address, "7000"]).ok();
    project
        .exec("far", &["connect", address, "7000", "--timeout", "1"])
        .fails_with(1);
    project.down();
    world.ends_clean();
}

/// All containers of a service must answer to its name.
#[test]
fn a_scaled_service_has_all_addresses() {
    let world = World::new();
    let project = world.project(
        "scaled",
        "
services:
  many: {image: bowline/demo, command: sleep forever, scale: 3}
  one: {image: bowline/demo, command: sleep forever}
",
    );
    project.up();
    let answer = project.exec("one", &["query", "many"]).ok();
    assert_eq!(
        answer
            .out
            .lines()
            .filter(|line| line.contains(" A "))
            .count(),
        3,
        "{answer}"
    );
    project.down();
    world.ends_clean();
}

/// `network_mode: none` must give a loopback interface and nothing else.
#[test]
fn none_is_alone() {
    let world = World::new();
    let project = world.project(
        "none",
        "services: {it: {image: bowline/demo, command: sleep forever, network_mode: none}}",
    );
    project.up();
    let seen = project.exec("it", &["ls", "/sys/class/net"]).ok();
    assert_eq!(seen.text(), "lo");
    project.down();
    world.ends_clean();
}

/// `network_mode: host` must share the host's interfaces.
#[test]
fn host_shares_the_hosts_network() {
    let world = World::new();
    let project = world.project(
        "host",
        "services: {it: {image: bowline/demo, command: sleep forever, network_mode: host}}",
    );
    project.up();
    let pid = project.inspect("it")["State"]["Pid"]
        .as_u64()
        .expect("a pid");
    let namespace =
        |who: &str| std::fs::read_link(format!("/proc/{who}/ns/net")).expect("a namespace");
    assert_eq!(namespace(&pid.to_string()), namespace("self"));
    project.down();
    world.ends_clean();
}

/// `network_mode: service:` and `container:` must share that container's network, ports and all.
#[test]
fn another_services_network_can_be_shared() {
    let world = World::new();
    let project = world.project(
        "shared",
        "
services:
  owner: {image: bowline/demo, command: tcp-echo 7000, container_name: the-owner}
  guest: {image: bowline/demo, command: sleep forever, network_mode: 'service:owner'}
",
    );
    let other = world.project(
        "other",
        "services: {visitor: {image: bowline/demo, command: sleep forever, network_mode: 'container:the-owner'}}",
    );
    project.up();
    other.up();
    project
        .exec(
            "guest",
            &["connect", "127.0.0.1", "7000", "--send", "by loopback"],
        )
        .ok()
        .says("by loopback");
    other
        .exec(
            "visitor",
            &["connect", "127.0.0.1", "7000", "--send", "by loopback"],
        )
        .ok()
        .says("by loopback");
    other.down();
    project.down();
    world.ends_clean();
}

/// The default bridge must connect containers by address and know no names.
#[test]
fn the_default_bridge_has_no_names() {
    let world = World::new();
    let project = world.project(
        "bridge",
        "
services:
  web: {image: bowline/demo, command: tcp-echo 7000, network_mode: bridge}
  near: {image: bowline/demo, command: sleep forever, network_mode: bridge}
",
    );
    project.up();
    let address =
        project.inspect("web")["NetworkSettings"]["Networks"]["bridge"]["IPAddress"].clone();
    let address = address.as_str().expect("an address");
    project.exec("near", &["connect", address, "7000"]).ok();
    let named = project.exec(
        "near",
        &["connect", "bridge-web-1", "7000", "--timeout", "1"],
    );
    assert_ne!(named.code, 0, "{named}");
    project.down();
    world.ends_clean();
}

/// `extra_hosts` with `host-gateway` must name an address at which the host answers.
#[test]
fn the_host_can_be_reached_by_name() {
    let world = World::new();
    let project = world.project(
        "gateway",
        "
services:
  it: {image: bowline/demo, command: sleep forever, extra_hosts: ['host.docker.internal:host-gateway', 'fixed:192.0.2.7']}
",
    );
    project.up();
    let listener = std::net::TcpListener::bind("0.0.0.0:0").expect("listen");
    let port = listener
        .local_addr()
        .expect("an address")
        .port()
        .to_string();
    project
        .exec("it", &["connect", "host.docker.internal", &port])
        .ok();
    project
        .exec("it", &["cat", "/etc/hosts"])
        .ok()
        .says("192.0.2.7\tfixed");
    project.down();
    world.ends_clean();
}

/// `dns` and `dns_search` must reach the container's resolver configuration.
#[test]
fn resolver_settings_reach_the_container() {
    let world = World::new();
    let project = world.project(
        "resolver",
        "
services:
  it: {image: bowline/demo, command: sleep forever, dns: [192.0.2.53], dns_search: [example.test], network_mode: bridge}
",
    );
    project.up();
    project
        .exec("it", &["cat", "/etc/resolv.conf"])
        .ok()
        .says("nameserver 192.0.2.53")
        .says("search example.test");
    project.down();
    world.ends_clean();
}
