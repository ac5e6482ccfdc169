//! Networks: records, leases, and the bridges behind them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bowline_api::{
    EndpointSettings, Filters, Network, NetworkConnect, NetworkCreate, NetworkCreated,
    NetworkDisconnect, NetworksPruned,
};
use bowline_network::ipam::Space;
use bowline_network::{Bridge, Lan4, Lan6, Mac, NetworkError};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use tokio::task::block_in_place;

use super::Engine;
use crate::container::Message;
use crate::error::{Error, Result};
use crate::record::{ContainerRecord, Endpoint, NetworkRecord};
use crate::store::Kind;
use crate::{clock, ids, view};

/// Networks that exist without being made.
pub(crate) const PREDEFINED: [(&str, &str); 3] =
    [("bridge", "bridge"), ("host", "host"), ("none", "null")];

const ICC: &str = "com.docker.network.bridge.enable_icc";
const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
const BRIDGE_NAME: &str = "com.docker.network.bridge.name";
const MTU: &str = "com.docker.network.driver.mtu";
const HOST_BINDING: &str = "com.docker.network.bridge.host_binding_ipv4";

/// How many subnets are tried before somebody else's hand in the game is taken for a fault.
const ATTEMPTS: u32 = 8;

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
    pub(crate) fn lease(&self, network: &NetworkRecord, endpoint: &mut Endpoint) -> Result<()> {
        let failed = |error: &dyn std::error::Error| Error::forbidden(error.to_string());
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        let leases = leases.entry(network.id.clone()).or_default();
        let asked = endpoint.settings.ipam_config.clone().unwrap_or_default();
        if endpoint.ipv4.is_none()
            && let Some(space) = space(
                &network.subnet,
                &network.ip_range,
                network.gateway.map(IpAddr::V4),
            )?
        {
            let wanted = asked.ipv4_address.parse().ok().map(IpAddr::V4);
            let address = space
                .allocate(&leases.taken, leases.last, wanted)
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
            && let Some(space) = space(&network.subnet6, "", network.gateway6.map(IpAddr::V6))?
        {
            let wanted = asked.ipv6_address.parse().ok().map(IpAddr::V6);
            let address = space
                .allocate(&leases.taken, leases.last6, wanted)
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

fn space(subnet: &str, range: &str, gateway: Option<IpAddr>) -> Result<Option<Space>> {
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
    Space::new(subnet, range, gateway, Vec::new())
        .map(Some)
        .map_err(|error| invalid(&error))
}

/// An endpoint in `network` as asked for, checked.
///
/// # Errors
/// An address or hardware address that cannot be.
pub(crate) fn endpoint(
    network: &NetworkRecord,
    id: String,
    mut settings: EndpointSettings,
) -> Result<Endpoint> {
    let asked = settings.ipam_config.clone().unwrap_or_default();
    let addresses = [
        (&asked.ipv4_address, &network.subnet),
        (&asked.ipv6_address, &network.subnet6),
    ];
    for (address, subnet) in addresses {
        if address.is_empty() {
            continue;
        }
        let parsed = address.parse::<IpAddr>();
        let parsed =
            parsed.map_err(|_| Error::invalid(format!("invalid IP address: {address}")))?;
        let inside = subnet
            .parse::<IpNet>()
            .is_ok_and(|subnet| subnet.contains(&parsed));
        if !inside || !network.ipam_asked {
            return Err(Error::invalid(if network.ipam_asked {
                format!("no configured subnet or ip-range contain the IP address {address}")
            } else {
                "invalid config for network: user specified IP address is supported only when connecting to networks with user configured subnets".into()
            }));
        }
    }
    if !settings.mac_address.is_empty() {
        let parsed = settings.mac_address.parse::<Mac>();
        parsed.map_err(|error| Error::invalid(error.to_string()))?;
    }
    if network.name == "bridge"
        && settings
            .aliases
            .as_ref()
            .is_some_and(|list| !list.is_empty())
    {
        return Err(Error::invalid(
            "invalid config for network bridge: network-scoped aliases are only supported for user-defined networks",
        ));
    }
    // Clients send operational fields back; only wishes are kept.
    settings.ip_address = String::new();
    settings.gateway = String::new();
    settings.global_ipv6_address = String::new();
    settings.endpoint_id = String::new();
    Ok(Endpoint {
        network: network.id.clone(),
        id,
        settings,
        ..Endpoint::default()
    })
}

/// The kernel half of a record; `None` for host and none.
pub(crate) fn bridge(record: &NetworkRecord) -> Option<Bridge> {
    if record.driver != "bridge" {
        return None;
    }
    let on = |key: &str| {
        record
            .options
            .get(key)
            .is_none_or(|value| truth(value) != Some(false))
    };
    let v4 = record.subnet.parse::<Ipv4Net>().ok().zip(record.gateway);
    let v6 = record.subnet6.parse::<Ipv6Net>().ok().zip(record.gateway6);
    Some(Bridge {
        ifname: record.bridge.clone(),
        v4: v4.map(|(subnet, gateway)| Lan4 { subnet, gateway }),
        v6: v6.map(|(subnet, gateway)| Lan6 { subnet, gateway }),
        internal: record.internal,
        icc: on(ICC),
        masquerade: on(MASQUERADE),
        mtu: record.options.get(MTU).and_then(|text| text.parse().ok()),
    })
}

/// The address ports are published at where the request names none.
pub(crate) fn host_binding(record: &NetworkRecord) -> Option<IpAddr> {
    record
        .options
        .get(HOST_BINDING)
        .and_then(|text| text.parse().ok())
}

fn truth(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "1" | "t" | "true" => Some(true),
        "0" | "f" | "false" => Some(false),
        _ => None,
    }
}

fn check(request: &NetworkCreate) -> Result<()> {
    if request.name.trim().is_empty() {
        return Err(Error::invalid("invalid network name: name is empty"));
    }
    if PREDEFINED.iter().any(|(name, _)| *name == request.name) {
        let name = &request.name;
        return Err(Error::forbidden(format!(
            "operation is not permitted on predefined {name} network"
        )));
    }
    if !["", "default", "bridge"].contains(&request.driver.as_str()) {
        return Err(Error::unsupported(format!(
            "network driver `{}` is not supported yet; use bridge",
            request.driver
        )));
    }
    for (key, value) in &request.options {
        let sound = match key.as_str() {
            ICC | MASQUERADE => truth(value).is_some(),
            MTU => value.parse::<u32>().is_ok(),
            HOST_BINDING => value.parse::<IpAddr>().is_ok(),
            BRIDGE_NAME => true,
            _ => {
                return Err(Error::unsupported(format!(
                    "network option `{key}` is not supported yet"
                )));
            }
        };
        if !sound {
            return Err(Error::invalid(format!(
                "invalid value `{value}` of network option `{key}`"
            )));
        }
    }
    let refused = [
        ("ConfigOnly", request.config_only),
        (
            "ConfigFrom",
            request
                .config_from
                .as_ref()
                .is_some_and(|from| !from.network.is_empty()),
        ),
        ("Ingress", request.ingress),
        ("EnableIPv4=false", request.enable_ipv4 == Some(false)),
    ];
    match refused.iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(Error::unsupported(format!("{name} is not supported yet"))),
        None => Ok(()),
    }
}

impl Engine {
    /// `POST /networks/create`.
    ///
    /// # Errors
    /// 409 for a taken name, 403 for an overlapping subnet, 501 for drivers and options that are not there.
    pub async fn network_create(&self, request: NetworkCreate) -> Result<NetworkCreated> {
        check(&request)?;
        let _one = self.networks().creating.lock().await;
        if self.networks().all().contains_key(&request.name) {
            let message = format!("network with name {} already exists", request.name);
            return Err(Error::conflict(message));
        }
        let mut record = NetworkRecord {
            id: ids::fresh().map_err(|error| Error::failed("make an id", &error))?,
            name: request.name,
            created: clock::now(),
            driver: "bridge".into(),
            internal: request.internal,
            attachable: request.attachable,
            labels: request.labels,
            options: request.options,
            ..NetworkRecord::default()
        };
        let ipam = request.ipam.unwrap_or_default();
        if !["", "default"].contains(&ipam.driver.as_str()) {
            return Err(Error::unsupported(format!(
                "IPAM driver `{}` is not supported yet",
                ipam.driver
            )));
        }
        for pool in &ipam.config {
            self.take_pool(&mut record, pool)?;
        }
        self.choose_missing(&mut record, request.enable_ipv6 == Some(true))
            .await?;
        self.make_network(&record).await?;
        self.network_event("create", &record, None);
        Ok(NetworkCreated {
            id: record.id,
            warning: String::new(),
        })
    }

    fn take_pool(&self, record: &mut NetworkRecord, pool: &bowline_api::IpamPool) -> Result<()> {
        let invalid =
            |text: &str| Error::invalid(format!("invalid subnet, gateway or range: {text}"));
        if !pool.auxiliary_addresses.is_empty() {
            return Err(Error::unsupported(
                "auxiliary addresses are not supported yet",
            ));
        }
        if pool.subnet.is_empty() {
            return Err(Error::unsupported(
                "an IPAM configuration without a subnet is not supported yet",
            ));
        }
        let subnet: IpNet = pool.subnet.parse().map_err(|_| invalid(&pool.subnet))?;
        let subnet = subnet.trunc();
        let taken: Vec<IpNet> = self.subnets();
        let checked = bowline_network::ipam::check_subnet(subnet, &taken);
        checked.map_err(|error| Error::forbidden(error.to_string()))?;
        let gateway = (!pool.gateway.is_empty())
            .then(|| pool.gateway.parse::<IpAddr>())
            .transpose();
        let gateway = gateway.map_err(|_| invalid(&pool.gateway))?;
        let range = (!pool.ip_range.is_empty())
            .then(|| pool.ip_range.parse::<IpNet>())
            .transpose();
        let range = range.map_err(|_| invalid(&pool.ip_range))?;
        let space = Space::new(subnet, range, gateway, Vec::new());
        let space = space.map_err(|error| Error::invalid(error.to_string()))?;
        record.ipam_asked = true;
        match (subnet, space.gateway) {
            (IpNet::V4(subnet), Some(IpAddr::V4(gateway))) if record.subnet.is_empty() => {
                record.subnet = subnet.to_string();
                record.gateway = Some(gateway);
                record.ip_range = range.map(|range| range.to_string()).unwrap_or_default();
            }
            (IpNet::V6(subnet), Some(IpAddr::V6(gateway))) if record.subnet6.is_empty() => {
                record.subnet6 = subnet.to_string();
                record.gateway6 = Some(gateway);
            }
            _ => {
                return Err(Error::unsupported(
                    "several subnets of one family are not supported yet",
                ));
            }
        }
        Ok(())
    }

    fn subnets(&self) -> Vec<IpNet> {
        let all = self.networks().all();
        let texts = all
            .values()
            .flat_map(|network| [&network.subnet, &network.subnet6]);
        texts.filter_map(|text| text.parse().ok()).collect()
    }

    /// Chooses the subnets that were not asked for.
    pub(crate) async fn choose_missing(
        &self,
        record: &mut NetworkRecord,
        ipv6: bool,
    ) -> Result<()> {
        let subnets = self.subnets();
        let key = record.name.clone();
        let unfit = |error: &dyn std::error::Error| Error::failed("choose a subnet", error);
        if record.subnet.is_empty() {
            let taken: Vec<Ipv4Net> = subnets
                .iter()
                .filter_map(|net| match net {
                    IpNet::V4(net) => Some(*net),
                    IpNet::V6(_) => None,
                })
                .collect();
            let name = key.clone();
            let chosen = self
                .net()
                .call(move |host| host.choose_subnet(&name, &taken))
                .await;
            let subnet = chosen.map_err(|e| unfit(&e))?.map_err(|e| unfit(&e))?;
            record.subnet = subnet.to_string();
            record.gateway = subnet.hosts().next();
        }
        if ipv6 && record.subnet6.is_empty() {
            let taken: Vec<Ipv6Net> = subnets
                .iter()
                .filter_map(|net| match net {
                    IpNet::V6(net) => Some(*net),
                    IpNet::V4(_) => None,
                })
                .collect();
            let chosen = self
                .net()
                .call(move |host| host.choose_subnet6(&key, &taken))
                .await;
            let subnet = chosen.map_err(|e| unfit(&e))?.map_err(|e| unfit(&e))?;
            record.subnet6 = subnet.to_string();
            record.gateway6 = subnet.hosts().nth(1);
        }
        let id = record.id.clone();
        record.bridge = match record.options.get(BRIDGE_NAME) {
            Some(name) => name.clone(),
            None => self
                .net()
                .call(move |host| host.bridge_name(&id))
                .await
                .map_err(|e| unfit(&e))?,
        };
        Ok(())
    }

    /// The record first: a bridge without one is swept at the next start.
    async fn make_network(&self, record: &NetworkRecord) -> Result<()> {
        let stored = block_in_place(|| self.store().put(Kind::Network, &record.id, record));
        stored.map_err(|error| Error::failed("record the network", &error))?;
        self.networks().insert(record.clone());
        if let Err(error) = self.raise_bridge(record).await {
            self.forget_network(record)?;
            return Err(error);
        }
        Ok(())
    }

    /// Makes the bridge of a network unless it is there. A subnet that was ours to choose, and that somebody took
    /// since, is exchanged for another: nobody is on a network whose bridge is not there.
    pub(crate) async fn raise_bridge(&self, record: &NetworkRecord) -> Result<()> {
        let _one = self.networks().raising.lock().await;
        let mut record = match self.networks().find(&record.id) {
            Ok(current) => current,
            Err(_) => record.clone(),
        };
        let name = record.name.clone();
        let failed = |error: &dyn std::error::Error| {
            Error::failed(&format!("make the bridge of network {name}"), error)
        };
        for attempt in 1.. {
            let Some(wanted) = bridge(&record).filter(|_| !self.networks().is_up(&record.id))
            else {
                return Ok(());
            };
            let made = self
                .net()
                .call(move |host| host.create_bridge(&wanted))
                .await;
            match made.map_err(|error| failed(&error))? {
                Ok(()) => self.networks().set_up(&record.id, true),
                Err(error @ NetworkError::SubnetTaken { .. })
                    if !record.ipam_asked && attempt < ATTEMPTS =>
                {
                    tracing::info!(network = record.name, %error, "choosing another subnet");
                    self.exchange_subnet(&mut record).await?;
                }
                Err(error) => return Err(failed(&error)),
            }
        }
        Ok(())
    }

    async fn exchange_subnet(&self, record: &mut NetworkRecord) -> Result<()> {
        let ipv6 = !record.subnet6.is_empty();
        (record.subnet, record.gateway) = (String::new(), None);
        (record.subnet6, record.gateway6) = (String::new(), None);
        self.choose_missing(record, ipv6).await?;
        let stored = block_in_place(|| self.store().put(Kind::Network, &record.id, record));
        stored.map_err(|error| Error::failed("record the network", &error))?;
        self.networks().forget_leases(&record.id);
        self.networks().insert(record.clone());
        Ok(())
    }

    fn forget_network(&self, record: &NetworkRecord) -> Result<()> {
        let forgotten = block_in_place(|| self.store().remove(Kind::Network, &record.id));
        forgotten.map_err(|error| Error::failed("forget the network", &error))?;
        let networks = self.networks();
        networks
            .map
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&record.name);
        networks
            .leases
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&record.id);
        networks.set_up(&record.id, false);
        Ok(())
    }

    fn network_event(&self, action: &str, record: &NetworkRecord, container: Option<&str>) {
        let mut attributes = BTreeMap::from([
            ("name".to_owned(), record.name.clone()),
            ("type".to_owned(), record.driver.clone()),
        ]);
        attributes.extend(container.map(|id| ("container".to_owned(), id.to_owned())));
        self.events()
            .publish("network", action, &record.id, attributes);
    }

    /// Says that a container joined or left.
    pub(crate) fn network_member_event(&self, action: &str, network: &str, container: &str) {
        if let Ok(record) = self.networks().find(network) {
            self.network_event(action, &record, Some(container));
        }
    }

    fn members(&self, name: &str) -> Vec<Arc<ContainerRecord>> {
        let records = self.records();
        records
            .into_iter()
            .filter(|record| record.endpoints.contains_key(name))
            .collect()
    }

    /// `GET /networks`.
    ///
    /// # Errors
    /// A filter that cannot be right.
    pub async fn networks_list(&self, filters: &Filters) -> Result<Vec<Network>> {
        let known = [
            "dangling", "driver", "id", "label", "label!", "name", "scope", "type",
        ];
        let invalid = |error: bowline_api::filters::FilterError| Error::invalid(error.to_string());
        filters.allow_only(&known).map_err(invalid)?;
        let dangling = filters.truth("dangling").map_err(invalid)?;
        let predefined =
            |record: &NetworkRecord| PREDEFINED.iter().any(|(name, _)| *name == record.name);
        let chosen = self.networks().all().into_values().filter(|record| {
            let kind = if predefined(record) {
                "builtin"
            } else {
                "custom"
            };
            filters.matches("driver", &record.driver)
                && filters.any("id", |value| record.id.starts_with(value))
                && filters.any("name", |value| record.name.contains(value))
                && filters.matches("scope", "local")
                && filters.matches("type", kind)
                && filters.matches_labels(&record.labels)
                && dangling.is_none_or(|wanted| {
                    !predefined(record) && self.members(&record.name).is_empty() == wanted
                })
        });
        Ok(chosen.map(|record| view::network(&record, &[])).collect())
    }

    /// `GET /networks/{id}`.
    ///
    /// # Errors
    /// 404.
    pub async fn network_inspect(&self, reference: &str) -> Result<Network> {
        let record = self.networks().find(reference)?;
        Ok(view::network(&record, &self.members(&record.name)))
    }

    /// `DELETE /networks/{id}`.
    ///
    /// # Errors
    /// 403 for a predefined one or one with running members.
    pub async fn network_remove(&self, reference: &str) -> Result<()> {
        let record = self.networks().find(reference)?;
        if PREDEFINED.iter().any(|(name, _)| *name == record.name) {
            return Err(Error::forbidden(format!(
                "{} is a pre-defined network and cannot be removed",
                record.name
            )));
        }
        let members = self.members(&record.name);
        let active: Vec<String> = members
            .iter()
            .filter(|member| member.phase.is_alive())
            .map(|member| format!("name:\"{}\" id:\"{}\"", member.name, member.short_id()))
            .collect();
        if !active.is_empty() {
            return Err(Error::forbidden(format!(
                "error while removing network: network {} has active endpoints ({})",
                record.name,
                active.join(", ")
            )));
        }
        self.forget_network(&record)?;
        if let Some(bridge) = bridge(&record) {
            let removed = self
                .net()
                .call(move |host| host.remove_bridge(&bridge.ifname))
                .await;
            let failed = |error: &dyn std::error::Error| Error::failed("remove the bridge", error);
            removed.map_err(|e| failed(&e))?.map_err(|e| failed(&e))?;
        }
        self.network_event("destroy", &record, None);
        self.touch();
        Ok(())
    }

    /// `POST /networks/{id}/connect`.
    ///
    /// # Errors
    /// 403 where it is connected already; what the endpoint asks for cannot be.
    pub async fn network_connect(&self, reference: &str, request: NetworkConnect) -> Result<()> {
        let network = self.networks().find(reference)?;
        let handle = self.containers().find(&request.container)?;
        let settings = Box::new(request.endpoint_config.unwrap_or_default());
        handle
            .ask(|reply| Message::Connect {
                network: network.name,
                settings,
                reply,
            })
            .await
    }

    /// `POST /networks/{id}/disconnect`.
    ///
    /// # Errors
    /// 404 or 403 where it is not connected.
    pub async fn network_disconnect(
        &self,
        reference: &str,
        request: NetworkDisconnect,
    ) -> Result<()> {
        let network = self.networks().find(reference)?;
        let handle = self.containers().find(&request.container)?;
        handle
            .ask(|reply| Message::Disconnect {
                network: network.name,
                reply,
            })
            .await
    }

    /// Removes networks without members.
    ///
    /// # Errors
    /// A filter that cannot be right.
    pub async fn networks_prune(&self, filters: &Filters) -> Result<NetworksPruned> {
        let allowed = filters.allow_only(&["label", "label!"]);
        allowed.map_err(|error| Error::invalid(error.to_string()))?;
        let mut pruned = NetworksPruned::default();
        for record in self.networks().all().into_values() {
            let predefined = PREDEFINED.iter().any(|(name, _)| *name == record.name);
            let used = !self.members(&record.name).is_empty();
            if predefined || used || !filters.matches_labels(&record.labels) {
                continue;
            }
            if self.network_remove(&record.id).await.is_ok() {
                pruned.networks_deleted.push(record.name);
            }
        }
        Ok(pruned)
    }
}
