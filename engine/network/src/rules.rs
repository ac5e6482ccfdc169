//! The one table: a fixed frame of chains, and maps that hold everything that comes and goes.
//!
//! A published port is one element of one map, an endpoint is nothing at all, a network is two chains and a few
//! elements. A new connection costs the same with one published port as with thousands.
//!
//! In `nft`'s words, for a network `bl0` with 10.200.7.0/24:
//!
//! ```text
//! chain spoof       { type filter hook prerouting priority raw
//!                     iifname @bridges ip daddr 127.0.0.0/8 drop
//!                     iifname @bridges ip saddr 127.0.0.0/8 drop }
//! chain prerouting  { type nat hook prerouting priority dstnat
//!                     ip daddr 127.0.0.0/8 return
//!                     fib daddr type local jump publish }
//! chain output      { type nat hook output priority dstnat
//!                     fib daddr type local jump publish }
//! chain publish     { dnat ip to ip daddr . meta l4proto . th dport map @at4
//!                     dnat ip to meta l4proto . th dport map @any4
//!                     ip6 daddr != ::1 dnat ip6 to ip6 daddr . meta l4proto . th dport map @at6
//!                     ip6 daddr != ::1 dnat ip6 to meta l4proto . th dport map @any6 }
//! chain postrouting { type nat hook postrouting priority srcnat
//!                     oifname @bridges ct status dnat fib saddr type local masquerade
//!                     ip saddr . oifname @own4 ct status dnat masquerade
//!                     ip6 saddr . oifname @own6 ct status dnat masquerade
//!                     iifname @natted oifname != @bridges masquerade }
//! chain forward     { type filter hook forward priority filter
//!                     iifname vmap @leaving
//!                     oifname vmap @entering }
//! chain published   { ct state established,related accept
//!                     ct status dnat accept
//!                     drop }
//! chain in-bl0      { iifname "bl0" accept            (without it when icc is off)
//!                     goto published }
//! chain in-INTERNAL { iifname "INTERNAL" accept; drop }
//! chain out-INTERNAL { oifname "INTERNAL" accept; drop }
//! ```
//!
//! `spoof`: published ports on 127.0.0.1 need `route_localnet` on the bridges, which would also let a container talk to
//! what the host serves on its loopback only, or in its name. `prerouting`'s first rule: without it, a neighbour on the
//! LAN could reach a port published on 127.0.0.1 by a crafted packet, because the rewrite comes before the kernel's own
//! check. `leaving` comes before `entering`, so that an internal network reaches no published port either.

use std::net::{Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use crate::model::{Bridge, Publication};
use crate::nft::{
    Batch, Data, Element, Expr, Family, Field, Hook, Key, SetSpec, Verdict, concat, ifname,
};

const BRIDGES: SetSpec = SetSpec::set("bridges", &[Field::IfName]);
const NATTED: SetSpec = SetSpec::set("natted", &[Field::IfName]);
const OWN4: SetSpec = SetSpec::intervals("own4", &[Field::Ip4, Field::IfName]);
const OWN6: SetSpec = SetSpec::intervals("own6", &[Field::Ip6, Field::IfName]);
const ENTERING: SetSpec = SetSpec::verdict_map("entering", &[Field::IfName]);
const LEAVING: SetSpec = SetSpec::verdict_map("leaving", &[Field::IfName]);
const ANY4: SetSpec = SetSpec::map(
    "any4",
    &[Field::Proto, Field::Port],
    &[Field::Ip4, Field::Port],
);
const ANY6: SetSpec = SetSpec::map(
    "any6",
    &[Field::Proto, Field::Port],
    &[Field::Ip6, Field::Port],
);
const AT4: SetSpec = SetSpec::map(
    "at4",
    &[Field::Ip4, Field::Proto, Field::Port],
    &[Field::Ip4, Field::Port],
);
const AT6: SetSpec = SetSpec::map(
    "at6",
    &[Field::Ip6, Field::Proto, Field::Port],
    &[Field::Ip6, Field::Port],
);

/// The maps whose elements are published ports.
pub(crate) const PUBLISHED: [&str; 4] = [ANY4.name, ANY6.name, AT4.name, AT6.name];

const IPV4: u8 = 2;
const IPV6: u8 = 10;
/// `IPS_DST_NAT`.
const STATUS_DNAT: u32 = 1 << 5;
/// Established and related.
const STATE_KNOWN: u32 = (1 << 1) | (1 << 2);
/// `RTN_LOCAL`: an address of the host.
const LOCAL: u32 = 2;

/// The table as it should be, replacing what is there in the same transaction: no packet sees anything between.
pub(crate) fn whole_table(table: &str, bridges: &[Bridge], publications: &[Publication]) -> Batch {
    let mut batch = Batch::new(Family::Inet, table);
    batch.add_table();
    batch.delete_table();
    batch.add_table();
    for set in [
        BRIDGES, NATTED, OWN4, OWN6, ENTERING, LEAVING, ANY4, ANY6, AT4, AT6,
    ] {
        batch.add_set(&set);
    }
    frame(&mut batch);
    for bridge in bridges {
        add_bridge(&mut batch, bridge);
    }
    for (set, elements) in by_map(publications) {
        batch.add_elements(set, &elements);
    }
    batch
}

fn frame(batch: &mut Batch) {
    batch.add_chain("publish");
    batch.add_chain("published");
    batch.add_base_chain("spoof", Hook::new("filter", Hook::PREROUTING, Hook::RAW));
    batch.add_base_chain(
        "prerouting",
        Hook::new("nat", Hook::PREROUTING, Hook::DSTNAT),
    );
    batch.add_base_chain("output", Hook::new("nat", Hook::OUTPUT, Hook::DSTNAT));
    batch.add_base_chain(
        "postrouting",
        Hook::new("nat", Hook::POSTROUTING, Hook::SRCNAT),
    );
    batch.add_base_chain("forward", Hook::new("filter", Hook::FORWARD, Hook::FILTER));

    let drop = || vec![Expr::Verdict(Verdict::Drop)];
    batch.add_rule(
        "spoof",
        &join([
            in_set(Key::IifName, BRIDGES),
            loopback(Key::Ip4DestNet),
            drop(),
        ]),
    );
    batch.add_rule(
        "spoof",
        &join([
            in_set(Key::IifName, BRIDGES),
            loopback(Key::Ip4SourceNet),
            drop(),
        ]),
    );

    let publish = || {
        join([
            local(Key::DestType),
            vec![Expr::Verdict(Verdict::Jump("publish".to_owned()))],
        ])
    };
    let back = vec![Expr::Verdict(Verdict::Return)];
    batch.add_rule("prerouting", &join([loopback(Key::Ip4DestNet), back]));
    batch.add_rule("prerouting", &publish());
    batch.add_rule("output", &publish());

    let port = [Key::L4Proto, Key::DestPort];
    batch.add_rule(
        "publish",
        &dnat(false, &[Key::Ip4Dest, Key::L4Proto, Key::DestPort], AT4),
    );
    batch.add_rule("publish", &dnat(false, &port, ANY4));
    batch.add_rule(
        "publish",
        &dnat(true, &[Key::Ip6Dest, Key::L4Proto, Key::DestPort], AT6),
    );
    batch.add_rule("publish", &dnat(true, &port, ANY6));

    postrouting(batch);

    batch.add_rule(
        "forward",
        &[
            load(Key::IifName),
            Expr::VerdictMap(LEAVING.name.to_owned()),
        ],
    );
    batch.add_rule(
        "forward",
        &[
            load(Key::OifName),
            Expr::VerdictMap(ENTERING.name.to_owned()),
        ],
    );

    let accept = || vec![Expr::Verdict(Verdict::Accept)];
    batch.add_rule(
        "published",
        &join([any_bit(Key::CtState, STATE_KNOWN), accept()]),
    );
    batch.add_rule(
        "published",
        &join([any_bit(Key::CtStatus, STATUS_DNAT), accept()]),
    );
    batch.add_rule("published", &drop());
}

fn postrouting(batch: &mut Batch) {
    let rewritten = || any_bit(Key::CtStatus, STATUS_DNAT);
    let masquerade = || vec![Expr::Masquerade];
    // From the host itself: 127.0.0.1 must not be seen on a bridge, and the answer has to come back here.
    batch.add_rule(
        "postrouting",
        &join([
            in_set(Key::OifName, BRIDGES),
            rewritten(),
            local(Key::SourceType),
            masquerade(),
        ]),
    );
    // A container that reaches itself, or its neighbour on the same bridge, by a published port: the answer would take
    // the short way and be refused. By subnet and not by iifname, which is unset when the bridge itself filters.
    for (family, source, set) in [(IPV4, Key::Ip4Source, OWN4), (IPV6, Key::Ip6Source, OWN6)] {
        let own = join([
            protocol(family),
            concat(&[source, Key::OifName]),
            vec![Expr::InSet(set.name.to_owned())],
        ]);
        batch.add_rule("postrouting", &join([own, rewritten(), masquerade()]));
    }
    let elsewhere = vec![load(Key::OifName), Expr::NotInSet(BRIDGES.name.to_owned())];
    batch.add_rule(
        "postrouting",
        &join([in_set(Key::IifName, NATTED), elsewhere, masquerade()]),
    );
}

/// What one network adds.
pub(crate) fn add_bridge(batch: &mut Batch, bridge: &Bridge) {
    for (chain, rules) in chains(bridge) {
        batch.add_chain(&chain);
        for rule in rules {
            batch.add_rule(&chain, &rule);
        }
    }
    for (set, elements) in elements(bridge) {
        batch.add_elements(set, &elements);
    }
}

/// Takes away what [`add_bridge`] added.
pub(crate) fn remove_bridge(batch: &mut Batch, bridge: &Bridge) {
    for (set, elements) in elements(bridge) {
        batch.delete_elements(set, &elements);
    }
    for (chain, _) in chains(bridge) {
        batch.delete_chain(&chain);
    }
}

fn chains(bridge: &Bridge) -> Vec<(String, Vec<Vec<Expr>>)> {
    let name = &bridge.ifname;
    let from = |key| join([is_link(key, name), vec![Expr::Verdict(Verdict::Accept)]]);
    let mut entering = Vec::new();
    if bridge.icc {
        entering.push(from(Key::IifName));
    }
    if bridge.internal {
        entering.push(vec![Expr::Verdict(Verdict::Drop)]);
        let leaving = vec![from(Key::OifName), vec![Expr::Verdict(Verdict::Drop)]];
        // Without icc, what returns to the same bridge is not let through either.
        let leaving = if bridge.icc {
            leaving
        } else {
            leaving[1..].to_vec()
        };
        return vec![(chain_in(name), entering), (chain_out(name), leaving)];
    }
    entering.push(vec![Expr::Verdict(Verdict::Goto("published".to_owned()))]);
    vec![(chain_in(name), entering)]
}

fn elements(bridge: &Bridge) -> Vec<(&'static str, Vec<Element>)> {
    let name = || Data::IfName(bridge.ifname.clone());
    let one = || vec![Element::key(vec![name()])];
    let goto = |chain| vec![Element::key(vec![name()]).verdict(Verdict::Goto(chain))];
    let mut all = vec![
        (BRIDGES.name, one()),
        (ENTERING.name, goto(chain_in(&bridge.ifname))),
    ];
    if bridge.internal {
        all.push((LEAVING.name, goto(chain_out(&bridge.ifname))));
    } else if bridge.masquerade {
        all.push((NATTED.name, one()));
    }
    let own = |net: IpNet| {
        let end = vec![Data::Ip(net.broadcast()), name()];
        vec![Element::key(vec![Data::Ip(net.network()), name()]).until(end)]
    };
    if let Some(lan) = bridge.v4 {
        all.push((OWN4.name, own(lan.subnet.into())));
    }
    if let Some(lan) = bridge.v6 {
        all.push((OWN6.name, own(lan.subnet.into())));
    }
    all
}

fn chain_in(ifname: &str) -> String {
    format!("in-{ifname}")
}

fn chain_out(ifname: &str) -> String {
    format!("out-{ifname}")
}

/// The elements of published ports, grouped by the map they belong into.
pub(crate) fn by_map(publications: &[Publication]) -> Vec<(&'static str, Vec<Element>)> {
    let mut groups: Vec<(&'static str, Vec<Element>)> = Vec::new();
    for publication in publications {
        let (set, element) = element(publication);
        match groups.iter_mut().find(|(name, _)| *name == set) {
            Some((_, elements)) => elements.push(element),
            None => groups.push((set, vec![element])),
        }
    }
    groups
}

fn element(publication: &Publication) -> (&'static str, Element) {
    let port = [
        Data::Proto(publication.proto.number()),
        Data::Port(publication.host_port),
    ];
    let (any, at) = match publication.target {
        SocketAddr::V4(_) => (ANY4, AT4),
        SocketAddr::V6(_) => (ANY6, AT6),
    };
    let (set, key) = match publication.host_ip.filter(|ip| !ip.is_unspecified()) {
        Some(ip) => (at, std::iter::once(Data::Ip(ip)).chain(port).collect()),
        None => (any, port.to_vec()),
    };
    let target = vec![
        Data::Ip(publication.target.ip()),
        Data::Port(publication.target.port()),
    ];
    (set.name, Element::key(key).to(target))
}

fn join<const N: usize>(parts: [Vec<Expr>; N]) -> Vec<Expr> {
    parts.concat()
}

fn load(key: Key) -> Expr {
    Expr::Load { key, at: 0 }
}

fn in_set(key: Key, set: SetSpec) -> Vec<Expr> {
    vec![load(key), Expr::InSet(set.name.to_owned())]
}

fn is_link(key: Key, name: &str) -> Vec<Expr> {
    vec![
        load(key),
        Expr::Equal {
            at: 0,
            value: ifname(name).to_vec(),
        },
    ]
}

fn protocol(family: u8) -> Vec<Expr> {
    vec![
        load(Key::NfProto),
        Expr::Equal {
            at: 0,
            value: vec![family],
        },
    ]
}

/// An IPv4 packet from or to 127.0.0.0/8.
fn loopback(key: Key) -> Vec<Expr> {
    join([
        protocol(IPV4),
        vec![
            load(key),
            Expr::Equal {
                at: 0,
                value: vec![127],
            },
        ],
    ])
}

fn local(key: Key) -> Vec<Expr> {
    vec![
        load(key),
        Expr::Equal {
            at: 0,
            value: LOCAL.to_ne_bytes().to_vec(),
        },
    ]
}

fn any_bit(key: Key, bits: u32) -> Vec<Expr> {
    vec![
        load(key),
        Expr::Mask { at: 0, bits },
        Expr::NotEqual {
            at: 0,
            value: vec![0; 4],
        },
    ]
}

fn dnat(v6: bool, key: &[Key], map: SetSpec) -> Vec<Expr> {
    // ::1 is served in user space: the kernel does not route it off the loopback link.
    let not_loopback = vec![
        load(Key::Ip6Dest),
        Expr::NotEqual {
            at: 0,
            value: Ipv6Addr::LOCALHOST.octets().to_vec(),
        },
    ];
    let guard = if v6 {
        join([protocol(IPV6), not_loopback])
    } else {
        protocol(IPV4)
    };
    join([
        guard,
        concat(key),
        vec![Expr::Map(map.name.to_owned()), Expr::Dnat { v6 }],
    ])
}
