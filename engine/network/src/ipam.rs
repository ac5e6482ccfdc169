//! Which subnet a network gets and which address a container gets. Pure: everything known comes in as an argument.
//!
//! Subnets are small (/24) and cut from wide pools, so that thousands of networks fit where Docker has room for 31.
//! The search starts at a point given by the network's name: the same project gets the same subnet on each machine
//! and each time, unless something is in the way. Addresses are handed out round-robin, because an address that is
//! reused at once reaches those who still remember its last owner.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Address space and the prefix length of the subnets cut from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// The whole space.
    pub base: Ipv4Net,
    /// Prefix length of each subnet.
    pub size: u8,
}

impl Pool {
    /// How many subnets it holds.
    fn len(self) -> u64 {
        1 << self.size.saturating_sub(self.base.prefix_len()).min(32)
    }

    fn subnet(self, index: u64) -> Option<Ipv4Net> {
        let step = 32u32.checked_sub(u32::from(self.size))?;
        let offset = u32::try_from(index.checked_shl(step)?).ok()?;
        let first = u32::from(self.base.network()).checked_add(offset)?;
        Ipv4Net::new(Ipv4Addr::from(first), self.size).ok()
    }
}

/// The pools that are searched unless the configuration names others, the least used private space first.
pub fn default_pools() -> Vec<Pool> {
    [(10, 200, 13), (172, 16, 12), (192, 168, 16)]
        .into_iter()
        .filter_map(|(a, b, length)| {
            let base = Ipv4Net::new(Ipv4Addr::new(a, b, 0, 0), length).ok()?;
            Some(Pool { base, size: 24 })
        })
        .collect()
}

/// The first free subnet at or after the place that `key` points at; `None` when all of them overlap with `taken`.
pub fn choose_subnet(pools: &[Pool], key: &str, taken: &[Ipv4Net]) -> Option<Ipv4Net> {
    let start = hash(key);
    pools.iter().find_map(|pool| {
        let len = pool.len();
        (0..len)
            .filter_map(|step| pool.subnet((start % len + step) % len))
            .find(|subnet| !taken.iter().any(|other| overlaps4(subnet, other)))
    })
}

/// The same for IPv6: a /64 of the unique local prefix.
pub fn choose_subnet6(ula: Ipv6Net, key: &str, taken: &[Ipv6Net]) -> Option<Ipv6Net> {
    const TRIES: u64 = 1 << 16;
    let slots = 1u128 << 64u8.checked_sub(ula.prefix_len())?.min(32);
    let base = u128::from(ula.network());
    (0..TRIES)
        .map(|step| u128::from(hash(key)).wrapping_add(u128::from(step)) % slots)
        .filter_map(|slot| Ipv6Net::new(Ipv6Addr::from(base + (slot << 64)), 64).ok())
        .find(|subnet| !taken.iter().any(|other| overlaps6(subnet, other)))
}

/// Prefixes this short split the default route in two (a VPN's 0/1 and 128/1); they say nothing about who owns what.
const ROUTE_TO_EVERYWHERE: u8 = 4;

/// Whether a route or an address makes `net` unusable for us.
pub fn speaks_for(net: &IpNet) -> bool {
    net.prefix_len() >= ROUTE_TO_EVERYWHERE
}

/// The subnet that the user wants is in use by another network.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("Pool overlaps with other one on this address space: {wanted} and {other}")]
pub struct Overlap {
    /// The subnet asked for.
    pub wanted: IpNet,
    /// The one that is there.
    pub other: IpNet,
}

/// Checks a subnet that the user chose against those of other networks.
pub fn check_subnet(wanted: IpNet, taken: &[IpNet]) -> Result<(), Overlap> {
    match taken.iter().find(|other| overlaps(&wanted, other)) {
        Some(&other) => Err(Overlap { wanted, other }),
        None => Ok(()),
    }
}

/// Whether two networks share an address.
pub fn overlaps(a: &IpNet, b: &IpNet) -> bool {
    match (a, b) {
        (IpNet::V4(a), IpNet::V4(b)) => overlaps4(a, b),
        (IpNet::V6(a), IpNet::V6(b)) => overlaps6(a, b),
        _ => false,
    }
}

fn overlaps4(a: &Ipv4Net, b: &Ipv4Net) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

fn overlaps6(a: &Ipv6Net, b: &Ipv6Net) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

/// The addresses of one network that may be given to its members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// The whole subnet.
    pub subnet: IpNet,
    /// The part that is handed out without being asked for by number (`ip_range`).
    pub range: Option<IpNet>,
    /// The bridge's own address.
    pub gateway: Option<IpAddr>,
    /// Addresses that belong to other machines (`aux_addresses`).
    pub reserved: Vec<IpAddr>,
}

/// Why there is no address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllocateError {
    /// All of them are given away.
    #[error("no available addresses in {0}")]
    Exhausted(IpNet),
    /// It is not in the network at all.
    #[error("address {address} is not in subnet {subnet}")]
    Outside {
        /// The one asked for.
        address: IpAddr,
        /// The network.
        subnet: IpNet,
    },
    /// It is a container's, the gateway's, or the network's own.
    #[error("address {0} is already in use")]
    InUse(IpAddr),
    /// The range or the gateway that the user configured lies elsewhere.
    #[error("{what} {value} is not in subnet {subnet}")]
    Misplaced {
        /// `ip_range`, `gateway` or `aux address`.
        what: &'static str,
        /// As configured.
        value: String,
        /// The network.
        subnet: IpNet,
    },
}

impl Space {
    /// A space with the default gateway, the first address, unless the user configured another.
    pub fn new(
        subnet: IpNet,
        range: Option<IpNet>,
        gateway: Option<IpAddr>,
        reserved: Vec<IpAddr>,
    ) -> Result<Self, AllocateError> {
        let subnet = subnet.trunc();
        let misplaced = |what, value: String| AllocateError::Misplaced {
            what,
            value,
            subnet,
        };
        if let Some(range) = range.filter(|range| !subnet.contains(range)) {
            return Err(misplaced("ip_range", range.to_string()));
        }
        if let Some(gateway) = gateway.filter(|gateway| !subnet.contains(gateway)) {
            return Err(misplaced("gateway", gateway.to_string()));
        }
        if let Some(other) = reserved.iter().find(|address| !subnet.contains(*address)) {
            return Err(misplaced("aux address", other.to_string()));
        }
        let mut space = Self {
            subnet,
            range: range.map(|range| range.trunc()),
            gateway: None,
            reserved,
        };
        space.gateway = match gateway {
            Some(gateway) => Some(gateway),
            None => Some(space.default_gateway()?),
        };
        Ok(space)
    }

    /// Docker's rule: the first address of `ip_range` where there is one, else of the subnet.
    fn default_gateway(&self) -> Result<IpAddr, AllocateError> {
        let (first, last) = self.bounds(self.range.unwrap_or(self.subnet));
        (first..=last)
            .map(|number| address_of(self.subnet, number))
            .find(|address| !self.reserved.contains(address) && !self.is_edge(address))
            .ok_or(AllocateError::Exhausted(self.subnet))
    }

    /// An address for one member: `wanted` if it is free, else the next free one after `last`, wrapping around.
    ///
    /// `taken` holds the leases of all members, of stopped ones too: they keep theirs.
    pub fn allocate(
        &self,
        taken: &BTreeSet<IpAddr>,
        last: Option<IpAddr>,
        wanted: Option<IpAddr>,
    ) -> Result<IpAddr, AllocateError> {
        if let Some(address) = wanted {
            return self.claim(taken, address);
        }
        let (low, high) = self.bounds(self.range.unwrap_or(self.subnet));
        let start = last
            .map(number_of)
            .filter(|n| (low..high).contains(n))
            .map_or(low, |n| n + 1);
        // One address more than there are obstacles is enough, however wide an IPv6 subnet is.
        let obstacles = u128::try_from(taken.len() + self.reserved.len()).unwrap_or(u128::MAX);
        let tries = (high - low).min(obstacles.saturating_add(4));
        (0..=tries)
            .map(|step| {
                if step <= high - start {
                    start + step
                } else {
                    low + (step - (high - start) - 1)
                }
            })
            .map(|number| address_of(self.subnet, number))
            .find(|address| self.is_free(taken, address))
            .ok_or(AllocateError::Exhausted(self.range.unwrap_or(self.subnet)))
    }

    fn claim(&self, taken: &BTreeSet<IpAddr>, address: IpAddr) -> Result<IpAddr, AllocateError> {
        if !self.subnet.contains(&address) {
            return Err(AllocateError::Outside {
                address,
                subnet: self.subnet,
            });
        }
        if self.is_free(taken, &address) {
            Ok(address)
        } else {
            Err(AllocateError::InUse(address))
        }
    }

    fn is_free(&self, taken: &BTreeSet<IpAddr>, address: &IpAddr) -> bool {
        !(taken.contains(address)
            || self.gateway.as_ref() == Some(address)
            || self.reserved.contains(address)
            || self.is_edge(address))
    }

    /// The network's own address and, in IPv4, the broadcast address. A /31 or /32 has neither.
    fn is_edge(&self, address: &IpAddr) -> bool {
        if self.subnet.max_prefix_len() - self.subnet.prefix_len() <= 1 {
            return false;
        }
        *address == self.subnet.network()
            || (self.subnet.addr().is_ipv4() && *address == self.subnet.broadcast())
    }

    fn bounds(&self, net: IpNet) -> (u128, u128) {
        (number_of(net.network()), number_of(net.broadcast()))
    }
}

fn number_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

fn address_of(family: IpNet, number: u128) -> IpAddr {
    match family {
        IpNet::V6(_) => IpAddr::V6(Ipv6Addr::from(number)),
        // Numbers of an IPv4 space lie between its own bounds, which are 32 bits wide.
        IpNet::V4(_) => IpAddr::V4(Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX))),
    }
}

fn hash(key: &str) -> u64 {
    let digest = Sha256::digest(key.as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
#[path = "ipam_tests.rs"]
mod tests;
