//! What our encoder wrote, read back by `nft`.

use bowline_network::Proto::{Tcp, Udp};

use crate::world::*;

#[test]
fn nft_reads_the_table_as_it_is_documented() {
    let Some(world) = world() else { return };
    let host = world.host();
    let mut one = bridge(&host, 1);
    one.ifname = "bl0".to_owned();
    let mut inner = bridge(&host, 3);
    inner.ifname = "blint".to_owned();
    inner.internal = true;
    host.create_bridge(&one).unwrap();
    host.create_bridge(&inner).unwrap();
    host.publish(&[
        publication(Tcp, "0.0.0.0:8080", at("10.77.1.2:80")),
        publication(Udp, "0.0.0.0:5353", at("10.77.1.2:53")),
        publication(Tcp, "127.0.0.1:9090", at("10.77.1.2:80")),
        publication(Tcp, "[::]:8080", at("[fd77:1::2]:80")),
        publication(Tcp, "[2001:db8::1]:9090", at("[fd77:1::2]:80")),
    ])
    .unwrap();
    let text = world.nft(&format!("list table inet bowline-{}", world.prefix));
    let text = text.replace(&format!("bowline-{}", world.prefix), "bowline-TAG");
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kernel/table.nft");
    if std::env::var_os("BOWLINE_UPDATE").is_some() {
        std::fs::write(golden, &text).unwrap();
    }
    assert_eq!(sorted(&text), sorted(include_str!("table.nft")));
}

/// Elements of a set come in the order of their hashes, which differs from boot to boot.
fn sorted(text: &str) -> Vec<String> {
    let mut blocks: Vec<String> = text
        .split("\n\n")
        .map(|block| {
            let mut words: Vec<_> = block
                .lines()
                .map(|line| line.trim().trim_end_matches(','))
                .collect();
            if block.contains("elements") {
                let all = words.join(" ");
                let mut items: Vec<_> = all.split(['{', '}', ',']).map(str::trim).collect();
                items.sort_unstable();
                return items.join("|");
            }
            words.retain(|line| !line.is_empty());
            words.join("\n")
        })
        .collect();
    blocks.sort();
    blocks
}

#[test]
fn a_flushed_ruleset_is_written_anew_with_all_that_was_in_it() {
    let Some(world) = world() else { return };
    let host = world.host();
    let one = bridge(&host, 1);
    host.create_bridge(&one).unwrap();
    let web = container(&host, &one, 2);
    serve(&web, 80);
    host.publish(&[publication(Tcp, "0.0.0.0:8080", (web.v4, 80))])
        .unwrap();
    world.nft("flush ruleset");
    host.publish(&[publication(Tcp, "0.0.0.0:8081", (web.v4, 80))])
        .unwrap();
    for port in [8080, 8081] {
        assert!(
            ask_tcp(&world.lan, at(&format!("192.0.2.1:{port}"))).is_some(),
            "{port}"
        );
    }
    world.nft("flush ruleset");
    host.mend().unwrap();
    assert!(ask_tcp(&world.lan, at("192.0.2.1:8080")).is_some());
    assert_eq!(host.ledger().unwrap().publications, 2);
}

#[test]
fn a_thousand_ports_are_published_and_withdrawn_in_one_go() {
    let Some(world) = world() else { return };
    let host = world.host();
    let all: Vec<_> = (20000..21000u16)
        .map(|port| {
            publication(
                Tcp,
                &format!("0.0.0.0:{port}"),
                (std::net::Ipv4Addr::new(10, 77, 1, 2), port),
            )
        })
        .collect();
    host.publish(&all).unwrap();
    assert_eq!(host.ledger().unwrap().publications, 1000);
    host.publish(&all).unwrap();
    host.unpublish(&all[1..]).unwrap();
    host.unpublish(&all[1..]).unwrap();
    assert_eq!(host.ledger().unwrap().publications, 1);
}

#[test]
fn two_instances_live_side_by_side_and_reach_each_other_only_by_published_ports() {
    let Some(world) = world() else { return };
    let host = world.host();
    let other = bowline_network::Host::open(world.config_named("zz"), &[], &[]).unwrap();
    let (one, two) = (bridge(&host, 1), bridge(&other, 2));
    host.create_bridge(&one).unwrap();
    other.create_bridge(&two).unwrap();
    let web = container(&host, &one, 2);
    let client = container(&other, &two, 2);
    serve(&web, 80);
    host.publish(&[publication(Tcp, "0.0.0.0:8080", (web.v4, 80))])
        .unwrap();
    assert_eq!(ask_tcp(&client.netns, (web.v4, 80)), None);
    assert!(ask_tcp(&client.netns, at("192.0.2.1:8080")).is_some());
    other.remove_netns(client.netns.id()).unwrap();
    drop(client);
    other.drain().unwrap();
    assert!(other.ledger().unwrap().is_empty());
    assert!(ask_tcp(&world.lan, at("192.0.2.1:8080")).is_some());
}
