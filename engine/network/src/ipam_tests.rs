use proptest::prelude::*;

use super::*;

fn net4(text: &str) -> Ipv4Net {
    text.parse().unwrap()
}

fn space(subnet: &str) -> Space {
    Space::new(subnet.parse().unwrap(), None, None, Vec::new()).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_name_points_at_the_same_subnet_each_time() {
    let pools = default_pools();
    let first = choose_subnet(&pools, "shop_default", &[]).unwrap();
    assert_eq!(choose_subnet(&pools, "shop_default", &[]), Some(first));
    assert_ne!(choose_subnet(&pools, "blog_default", &[]), Some(first));
    assert!(net4("10.200.0.0/13").contains(&first));
}

#[test]
fn a_subnet_in_the_way_moves_the_network_to_the_next_one() {
    let pools = [Pool {
        base: net4("10.9.0.0/22"),
        size: 24,
    }];
    let mut taken = vec![net4("10.9.1.128/25")];
    let mut seen = BTreeSet::new();
    while let Some(subnet) = choose_subnet(&pools, "x", &taken) {
        assert!(seen.insert(subnet));
        taken.push(subnet);
    }
    assert_eq!(
        seen,
        [0, 2, 3].map(|i| net4(&format!("10.9.{i}.0/24"))).into()
    );
}

#[test]
fn a_full_pool_leads_to_the_next_one() {
    let pools = default_pools();
    let subnet = choose_subnet(&pools, "x", &[net4("10.0.0.0/8")]).unwrap();
    assert!(net4("172.16.0.0/12").contains(&subnet));
}

#[test]
fn half_a_default_route_speaks_for_nothing() {
    assert!(!speaks_for(&"128.0.0.0/1".parse().unwrap()));
    assert!(!speaks_for(&"0.0.0.0/0".parse().unwrap()));
    assert!(speaks_for(&"10.0.0.0/8".parse().unwrap()));
}

#[test]
fn an_overlap_names_both_sides_in_the_words_that_tools_look_for() {
    let wanted = "10.1.0.0/16".parse().unwrap();
    let error = check_subnet(wanted, &["10.1.3.0/24".parse().unwrap()]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Pool overlaps with other one on this address space: 10.1.0.0/16 and 10.1.3.0/24"
    );
    assert_eq!(
        check_subnet(wanted, &["10.2.0.0/16".parse().unwrap()]),
        Ok(())
    );
}

#[test]
fn addresses_go_round_before_one_is_reused() {
    let space = space("10.9.0.0/29");
    let mut taken = BTreeSet::new();
    let first = space.allocate(&taken, None, None).unwrap();
    assert_eq!(first, ip("10.9.0.2"));
    taken.insert(first);
    let second = space.allocate(&taken, Some(first), None).unwrap();
    assert_eq!(second, ip("10.9.0.3"));
    // The first one is free again, and still the fourth is given.
    taken.clear();
    taken.insert(second);
    assert_eq!(
        space.allocate(&taken, Some(second), None),
        Ok(ip("10.9.0.4"))
    );
    assert_eq!(
        space.allocate(&taken, Some(ip("10.9.0.6")), None),
        Ok(ip("10.9.0.2"))
    );
}

#[test]
fn a_wanted_address_must_be_inside_and_free() {
    let space = space("10.9.0.0/24");
    let none = BTreeSet::new();
    assert_eq!(
        space.allocate(&none, None, Some(ip("10.9.0.77"))),
        Ok(ip("10.9.0.77"))
    );
    let gateway = ip("10.9.0.1");
    assert_eq!(
        space.allocate(&none, None, Some(gateway)),
        Err(AllocateError::InUse(gateway))
    );
    let edge = ip("10.9.0.255");
    assert_eq!(
        space.allocate(&none, None, Some(edge)),
        Err(AllocateError::InUse(edge))
    );
    assert!(matches!(
        space.allocate(&none, None, Some(ip("10.9.1.1"))),
        Err(AllocateError::Outside { .. })
    ));
}

#[test]
fn a_range_limits_what_is_handed_out_but_not_what_may_be_asked_for() {
    let space = Space::new(
        "10.9.0.0/24".parse().unwrap(),
        Some("10.9.0.128/30".parse().unwrap()),
        Some(ip("10.9.0.1")),
        vec![ip("10.9.0.129")],
    )
    .unwrap();
    let mut taken = BTreeSet::new();
    for expected in ["10.9.0.128", "10.9.0.130", "10.9.0.131"] {
        let got = space.allocate(&taken, None, None).unwrap();
        assert_eq!(got, ip(expected));
        taken.insert(got);
    }
    assert!(matches!(
        space.allocate(&taken, None, None),
        Err(AllocateError::Exhausted(_))
    ));
    assert_eq!(
        space.allocate(&taken, None, Some(ip("10.9.0.5"))),
        Ok(ip("10.9.0.5"))
    );
}

#[test]
fn what_lies_outside_the_subnet_is_refused_by_name() {
    let subnet = "10.9.0.0/24".parse().unwrap();
    let error = Space::new(subnet, None, Some(ip("10.8.0.1")), Vec::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "gateway 10.8.0.1 is not in subnet 10.9.0.0/24"
    );
}

#[test]
fn a_point_to_point_subnet_has_two_usable_addresses() {
    let space = space("10.9.0.0/31");
    assert_eq!(space.gateway, Some(ip("10.9.0.0")));
    assert_eq!(
        space.allocate(&BTreeSet::new(), None, None),
        Ok(ip("10.9.0.1"))
    );
}

#[test]
fn ipv6_has_no_broadcast_address_and_no_long_search() {
    let space = space("fd00:1::/64");
    assert_eq!(space.gateway, Some(ip("fd00:1::1")));
    assert_eq!(
        space.allocate(&BTreeSet::new(), None, None),
        Ok(ip("fd00:1::2"))
    );
    let ula = "fdaa:bbbb:cccc::/48".parse().unwrap();
    let subnet = choose_subnet6(ula, "shop", &[]).unwrap();
    assert!(ula.contains(&subnet));
    assert_ne!(choose_subnet6(ula, "shop", &[subnet]), Some(subnet));
}

proptest! {
    #[test]
    fn a_chosen_subnet_never_overlaps(key in ".{0,20}", taken in proptest::collection::vec((any::<u32>(), 4u8..=32), 0..40)) {
        let taken: Vec<_> = taken.into_iter().map(|(a, l)| Ipv4Net::new(Ipv4Addr::from(a), l).unwrap().trunc()).collect();
        if let Some(subnet) = choose_subnet(&default_pools(), &key, &taken) {
            prop_assert_eq!(subnet.trunc(), subnet);
            prop_assert!(taken.iter().all(|other| !overlaps4(&subnet, other)));
            prop_assert!(default_pools().iter().any(|pool| pool.base.contains(&subnet)));
        }
    }

    #[test]
    fn every_address_of_a_subnet_is_given_exactly_once(length in 24u8..=31, start in any::<u32>(), hold in any::<u8>()) {
        let subnet = Ipv4Net::new(Ipv4Addr::from(start), length).unwrap().trunc();
        let space = Space::new(subnet.into(), None, None, Vec::new()).unwrap();
        let mut taken = BTreeSet::new();
        let mut last = Some(address_of(subnet.into(), number_of(subnet.network().into()) + u128::from(hold)));
        while let Ok(address) = space.allocate(&taken, last, None) {
            prop_assert!(IpNet::V4(subnet).contains(&address));
            prop_assert!(Some(address) != space.gateway);
            prop_assert!(taken.insert(address));
            last = Some(address);
        }
        let usable = if length == 31 { 1 } else { (1usize << (32 - length)) - 3 };
        prop_assert_eq!(taken.len(), usable);
    }
}
