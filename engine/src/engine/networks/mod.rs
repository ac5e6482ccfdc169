//! Networks: records, leases, and the bridges behind them.

mod made;
mod shown;
mod wishes;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError, RwLock};

use bowline_network::Mac;
use bowline_network::ipam::Space;
use ipnet::IpNet;

use super::Engine;
use crate::error::{Error, Result};
use crate::record::{ContainerRecord, Endpoint, NetworkRecord};
use crate::view;

pub(crate) use wishes::{
    bridge, endpoint, endpoint_sysctls, host_binding, interface_name, link_local,
};

/// Networks that exist without being made.
pub(crate) const PREDEFINED: [(&str, &str); 3] =
    [("bridge", "bridge"), ("host", "host"), ("none", "null")];

/// All networks, and who leases what in them.
#[derive(Debug, Default)]
pub(crate) struct Networks {
    map: RwLock<BTreeMap<String, NetworkRecord>>,
    leases: Mutex<BTreeMap<String, Leases>>,
    /// Ids of networks whose bridge is known to be there.
    up: Mutex<BTreeSet<String>>,
    /// One creation at a time: a chosen subnet is taken once its record is here.
    creating: tokio::sync::Mutex<()>,
    /// One bridge at a time.
    raising: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Leases {
    taken: BTreeSet<IpAddr>,
    last: Option<IpAddr>,
    last6: Option<IpAddr>,
}

impl Leases {
    /// What is not to be had by somebody who wants `wanted`, or any.
    fn but(&self, wanted: Option<IpAddr>, wished: &BTreeSet<IpAddr>) -> Cow<'_, BTreeSet<IpAddr>> {
        match wanted {
            None if !wished.is_empty() => Cow::Owned(&self.taken | wished),
            _ => Cow::Borrowed(&self.taken),
        }
    }
}

/// The addresses that `containers` asked for by number in a network.
pub(crate) fn wished<'r>(
    network: &str,
    containers: impl IntoIterator<Item = &'r ContainerRecord>,
) -> BTreeSet<IpAddr> {
    let endpoints = containers
        .into_iter()
        .filter_map(|container| container.endpoints.get(network));
    let asked = endpoints.filter_map(|endpoint| endpoint.settings.ipam_config.as_ref());
    let texts = asked.flat_map(|asked| [&asked.ipv4_address, &asked.ipv6_address]);
    texts.filter_map(|text| text.parse().ok()).collect()
}

impl Networks {
    /// Those the store knows, with the leases of `containers`.
    pub(crate) fn new(records: Vec<NetworkRecord>, containers: &[ContainerRecord]) -> Self {
        let networks = Self::default();
        {
            let mut map = networks.map.write().unwrap_or_else(PoisonError::into_inner);
            map.extend(
                records
                    .into_iter()
                    .map(|record| (record.name.clone(), record)),
            );
            let mut leases = networks
                .leases
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            for endpoint in containers
                .iter()
                .flat_map(|container| container.endpoints.values())
            {
                let taken = &mut leases.entry(endpoint.network.clone()).or_default().taken;
                taken.extend(endpoint.ipv4.map(IpAddr::V4));
                taken.extend(endpoint.ipv6.map(IpAddr::V6));
            }
        }
        networks
    }

    /// A snapshot by name.
    pub(crate) fn all(&self) -> view::Networks {
        self.map
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Finds by full id, name, or unique prefix of an id.
    ///
    /// # Errors
    /// 404; 400 where a prefix fits several.
    pub(crate) fn find(&self, reference: &str) -> Result<NetworkRecord> {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        let by_id = map.values().find(|network| network.id == reference);
        if let Some(found) = by_id.or_else(|| map.get(reference)) {
            return Ok(found.clone());
        }
        let not_found = || Error::not_found(format!("network {reference} not found"));
        if !bowline_api::ids::is_id_prefix(reference) {
            return Err(not_found());
        }
        let mut fits = map
            .values()
            .filter(|network| network.id.starts_with(reference));
        let first = fits.next().ok_or_else(not_found)?;
        match fits.next() {
            Some(_) => Err(Error::invalid(format!("network {reference} is ambiguous"))),
            None => Ok(first.clone()),
        }
    }

    pub(super) fn insert(&self, record: NetworkRecord) {
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        map.insert(record.name.clone(), record);
    }

    /// Gives `endpoint` its addresses where it has none yet.
    ///
    /// # Errors
    /// The subnet is used up, or the address asked for is taken.
    ///
    /// `wished` are the addresses that other containers asked for by number: they are not handed out to one that asked
    /// for none, whoever starts first.
    pub(crate) fn lease(
        &self,
        network: &NetworkRecord,
        endpoint: &mut Endpoint,
        wished: &BTreeSet<IpAddr>,
    ) -> Result<()> {
        let failed = |error: &dyn std::error::Error| Error::forbidden(error.to_string());
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        let leases = leases.entry(network.id.clone()).or_default();
        let asked = endpoint.settings.ipam_config.clone().unwrap_or_default();
        if endpoint.ipv4.is_none()
            && let Some(space) = space(
                &network.subnet,
                &network.ip_range,
                network.gateway.map(IpAddr::V4),
                &network.auxiliary,
            )?
        {
            let wanted = asked.ipv4_address.parse().ok().map(IpAddr::V4);
            let address = space
                .allocate(&leases.but(wanted, wished), leases.last, wanted)
                .map_err(|e| failed(&e))?;
            if wanted.is_none() {
                leases.last = Some(address);
            }
            leases.taken.insert(address);
            if let IpAddr::V4(address) = address {
                endpoint.ipv4 = Some(address);
            }
        }
        if endpoint.ipv6.is_none()
            && let Some(space) = space(
                &network.subnet6,
                &network.ip_range6,
                network.gateway6.map(IpAddr::V6),
                &network.auxiliary,
            )?
        {
            let wanted = asked.ipv6_address.parse().ok().map(IpAddr::V6);
            let address = space
                .allocate(&leases.but(wanted, wished), leases.last6, wanted)
                .map_err(|e| failed(&e))?;
            if wanted.is_none() {
                leases.last6 = Some(address);
            }
            leases.taken.insert(address);
            if let IpAddr::V6(address) = address {
                endpoint.ipv6 = Some(address);
            }
        }
        if endpoint.mac.is_none() {
            let asked = endpoint.settings.mac_address.parse::<Mac>().ok();
            let host = endpoint
                .ipv4
                .map(|address| address.to_string())
                .unwrap_or_else(|| endpoint.id.clone());
            endpoint.mac = Some(asked.unwrap_or_else(|| Mac::stable(&network.id, &host)).0);
        }
        Ok(())
    }

    /// Gives an endpoint's addresses back.
    pub(crate) fn release(&self, endpoint: &Endpoint) {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leases) = leases.get_mut(&endpoint.network) {
            for address in endpoint
                .ipv4
                .map(IpAddr::V4)
                .into_iter()
                .chain(endpoint.ipv6.map(IpAddr::V6))
            {
                leases.taken.remove(&address);
            }
        }
    }

    fn forget_leases(&self, network: &str) {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.remove(network);
    }

    pub(crate) fn set_up(&self, id: &str, up: bool) {
        let mut set = self.up.lock().unwrap_or_else(PoisonError::into_inner);
        if up {
            set.insert(id.into());
        } else {
            set.remove(id);
        }
    }

    pub(crate) fn is_up(&self, id: &str) -> bool {
        self.up
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(id)
    }
}

/// Drops what an endpoint had in a subnet that its network has no longer.
pub(crate) fn forget_foreign_address(network: &NetworkRecord, endpoint: &mut Endpoint) {
    let outside = |subnet: &str, address: IpAddr| {
        subnet
            .parse::<IpNet>()
            .is_ok_and(|subnet| !subnet.contains(&address))
    };
    if endpoint
        .ipv4
        .is_some_and(|address| outside(&network.subnet, address.into()))
    {
        // The hardware address followed from it.
        (endpoint.ipv4, endpoint.mac) = (None, None);
    }
    if endpoint
        .ipv6
        .is_some_and(|address| outside(&network.subnet6, address.into()))
    {
        endpoint.ipv6 = None;
    }
}

fn space(
    subnet: &str,
    range: &str,
    gateway: Option<IpAddr>,
    auxiliary: &BTreeMap<String, IpAddr>,
) -> Result<Option<Space>> {
    if subnet.is_empty() {
        return Ok(None);
    }
    let invalid = |error: &dyn std::error::Error| Error::invalid(error.to_string());
    let subnet: IpNet = subnet
        .parse()
        .map_err(|error: ipnet::AddrParseError| invalid(&error))?;
    let range = (!range.is_empty())
        .then(|| range.parse::<IpNet>())
        .transpose();
    let range = range.map_err(|error| invalid(&error))?;
    let reserved = auxiliary.values().filter(|one| subnet.contains(*one));
    Space::new(subnet, range, gateway, reserved.copied().collect())
        .map(Some)
        .map_err(|error| invalid(&error))
}
