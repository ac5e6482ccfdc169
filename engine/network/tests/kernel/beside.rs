//! A firewall of others that drops what it does not know.

use bowline_network::Proto::Tcp;
use bowline_network::survey;

use crate::world::*;

const DOCKERS: &str = "'add table ip filter; \
    add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }; \
    add chain ip filter DOCKER-USER; add rule ip filter FORWARD counter jump DOCKER-USER'";

#[test]
fn a_forward_policy_of_drop_does_not_stop_us_and_is_left_as_it_was() {
    let Some(world) = world() else { return };
    world.nft(DOCKERS);
    let before = world.nft("list table ip filter");
    let host = world.host();
    assert_eq!(
        world.nft("list table ip filter"),
        before,
        "nothing is needed without networks"
    );
    assert!(survey(&world.root).unwrap().forward_policy_drop);

    let one = bridge(&host, 1);
    host.create_bridge(&one).unwrap();
    let web = container(&host, &one, 2);
    serve(&web, 80);
    host.publish(&[publication(Tcp, "0.0.0.0:8080", (web.v4, 80))])
        .unwrap();
    assert_eq!(
        ask_tcp(&world.lan, at("192.0.2.1:8080")),
        Some(ip("192.0.2.2"))
    );
    assert_eq!(ask_tcp(&world.lan, (web.v4, 80)), None);
    assert_eq!(host.ledger().unwrap().accepts, 2);

    // Docker's restart empties the chain.
    let watch = host.watch().unwrap();
    world.nft("flush chain ip filter DOCKER-USER");
    assert_eq!(ask_tcp(&world.lan, at("192.0.2.1:8080")), None);
    watch.wait().unwrap();
    host.mend().unwrap();
    host.mend().unwrap();
    assert_eq!(host.ledger().unwrap().accepts, 2);
    assert_eq!(
        ask_tcp(&world.lan, at("192.0.2.1:8080")),
        Some(ip("192.0.2.2"))
    );

    host.disconnect(&web.netns, "eth0").unwrap();
    host.remove_netns(web.netns.id()).unwrap();
    host.drain().unwrap();
    assert!(host.ledger().unwrap().is_empty());
    let counters = |text: &str| text.replace(char::is_numeric, "");
    assert_eq!(
        counters(&world.nft("list table ip filter")),
        counters(&before)
    );
}

#[test]
fn without_dockers_chain_the_accept_goes_first_into_forward() {
    let Some(world) = world() else { return };
    world.nft("'add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }'");
    let host = world.host();
    let mut one = bridge(&host, 1);
    one.ifname = "custom0".to_owned();
    host.create_bridge(&one).unwrap();
    assert_eq!(
        host.ledger().unwrap().accepts,
        4,
        "a name of the user's own needs rules of its own"
    );
    let rules = world.nft("list chain ip filter FORWARD");
    assert!(
        rules.contains("iifname \"custom0\" counter packets 0 bytes 0 accept comment"),
        "{rules}"
    );
    assert!(
        rules.contains(&format!("oifname \"{}*\" counter", world.prefix)),
        "{rules}"
    );
}

#[test]
fn iptables_still_lists_the_chain_that_holds_our_rules() {
    let Some(world) = world() else { return };
    if std::process::Command::new("iptables-nft")
        .arg("-V")
        .output()
        .is_err()
    {
        println!("skipped: iptables-nft is not installed");
        return;
    }
    let iptables = |arguments: &str| run_in(&world.root, &format!("iptables-nft {arguments}"));
    iptables("-P FORWARD DROP");
    iptables("-N DOCKER-USER");
    iptables("-A FORWARD -j DOCKER-USER");
    let host = world.host();
    host.create_bridge(&bridge(&host, 1)).unwrap();
    let rules = iptables("-S DOCKER-USER");
    for way in ["-i", "-o"] {
        let prefix = &world.prefix;
        let comment = format!("-m comment --comment bowline-{prefix}");
        let rule = format!("-A DOCKER-USER {way} {prefix}+ {comment} -j ACCEPT");
        assert!(rules.contains(&rule), "{rule} is missing in {rules}");
    }
    iptables("-A DOCKER-USER -j RETURN");
    host.drain().unwrap();
    assert_eq!(
        iptables("-S DOCKER-USER"),
        "-N DOCKER-USER\n-A DOCKER-USER -j RETURN\n"
    );
}
