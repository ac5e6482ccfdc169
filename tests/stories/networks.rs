//! What a project may ask of its networks.

use bowline_tests::{Folder, World};

/// A file of the kernel's as the container sees it.
#[track_caller]
fn read(project: &Folder<'_>, service: &str, file: &str) -> String {
    project.exec(service, &["/demo", "read", file]).ok().out
}

#[track_caller]
fn interfaces(project: &Folder<'_>, service: &str) -> Vec<String> {
    let table = read(project, service, "/proc/net/dev");
    let rows = table.lines().filter_map(|line| line.split_once(':'));
    let mut names: Vec<_> = rows.map(|(name, _)| name.trim().to_owned()).collect();
    names.sort();
    names
}

/// Interfaces must have the names that were asked for, and the others the lowest free number.
#[test]
fn an_interface_has_the_name_that_was_asked_for() {
    let world = World::new();
    let project = world.project(
        "named",
        "
services:
  it:
    image: bowline/demo
    command: sleep forever
    networks:
      lan: {interface_name: lan0}
      wan: {}
networks: {lan: {}, wan: {}}
",
    );
    project.up();
    assert_eq!(interfaces(&project, "it"), ["eth0", "lan0", "lo"]);
    project.down();
    world.ends_clean();
}

/// Addresses of other machines on the network must not be given to a container, nor the one that is asked for to another.
#[test]
fn addresses_that_are_spoken_for_are_not_given_away() {
    let world = World::new();
    let project = world.project(
        "spoken",
        "
services:
  fixed:
    image: bowline/demo
    command: sleep forever
    networks: {lan: {ipv4_address: 10.211.7.5}}
  free:
    image: bowline/demo
    command: sleep forever
    scale: 3
    networks: [lan]
networks:
  lan:
    ipam:
      config:
        - subnet: 10.211.7.0/28
          gateway: 10.211.7.1
          aux_addresses: {printer: 10.211.7.2, camera: 10.211.7.3}
",
    );
    project.up();
    let shown = world.api("/networks/spoken_lan");
    let members = shown["Containers"].as_object().expect("members");
    let mut given: Vec<_> = members
        .values()
        .map(|member| {
            member["IPv4Address"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .collect();
    given.sort();
    assert_eq!(given.len(), 4, "{given:?}");
    assert!(given.contains(&"10.211.7.5/28".to_owned()), "{given:?}");
    for spoken in ["10.211.7.1/28", "10.211.7.2/28", "10.211.7.3/28"] {
        assert!(!given.contains(&spoken.to_owned()), "{given:?}");
    }
    given.dedup();
    assert_eq!(given.len(), 4, "{given:?}");
    assert_eq!(
        shown["IPAM"]["Config"][0]["AuxiliaryAddresses"]["printer"],
        "10.211.7.2"
    );
    project.down();
    world.ends_clean();
}

/// Without IPv4 there must be IPv6 alone, and names lead there.
#[test]
fn a_network_may_be_without_ipv4() {
    let world = World::new();
    let project = world.project(
        "six",
        "
services:
  a: {image: bowline/demo, command: serve --port 80}
  b: {image: bowline/demo, command: sleep forever}
networks:
  default: {enable_ipv4: false, enable_ipv6: true}
",
    );
    project.up();
    let six = read(&project, "b", "/proc/net/if_inet6");
    assert!(
        six.lines()
            .any(|line| line.starts_with("fd") && line.ends_with("eth0")),
        "{six}"
    );
    let four = read(&project, "b", "/proc/net/fib_trie");
    let local = four.lines().zip(four.lines().skip(1));
    let local = local.filter(|(_, next)| next.contains("/32 host LOCAL"));
    let own: Vec<_> = local
        .filter(|(address, _)| !address.contains("127."))
        .collect();
    assert!(own.is_empty(), "{own:?}");
    project
        .exec("b", &["/demo", "wget", "http://a/"])
        .ok()
        .says("Hello");
    project.down();
    world.ends_clean();
}
