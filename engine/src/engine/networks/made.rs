//! Making networks: subnets, records, bridges.

use std::net::IpAddr;
use std::sync::PoisonError;

use bowline_api::{NetworkCreate, NetworkCreated};
use bowline_network::NetworkError;
use bowline_network::ipam::Space;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use tokio::task::block_in_place;

use super::wishes::{BRIDGE_NAME, check};
use super::{Engine, bridge};
use crate::error::{Error, Result};
use crate::record::NetworkRecord;
use crate::store::Kind;
use crate::{clock, ids};

/// How many subnets are tried before somebody else's hand in the game is taken for a fault.
const ATTEMPTS: u32 = 8;

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
        record.without_ipv4 = request.enable_ipv4 == Some(false);
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
        if pool.subnet.is_empty() {
            let bare = pool.gateway.is_empty()
                && pool.ip_range.is_empty()
                && pool.auxiliary_addresses.is_empty();
            // Addresses in a subnet that nobody knows yet cannot be right.
            return bare.then_some(()).ok_or_else(|| {
                Error::invalid("a gateway, IP range or auxiliary address needs a subnet")
            });
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
        for (name, text) in &pool.auxiliary_addresses {
            let address = text.parse().map_err(|_| invalid(text))?;
            record.auxiliary.insert(name.clone(), address);
        }
        let reserved = pool.auxiliary_addresses.keys();
        let reserved = reserved.filter_map(|name| record.auxiliary.get(name).copied());
        let space = Space::new(subnet, range, gateway, reserved.collect());
        let space = space.map_err(|error| Error::invalid(error.to_string()))?;
        if subnet.addr().is_ipv4() && record.without_ipv4 {
            return Err(Error::invalid(format!(
                "IPv4 is disabled for this network, which {subnet} contradicts"
            )));
        }
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
                record.ip_range6 = range.map(|range| range.to_string()).unwrap_or_default();
            }
            _ => {
                return Err(Error::invalid(format!(
                    "a bridge network has one subnet of each family; {subnet} is one too many"
                )));
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
        if record.subnet.is_empty() && !record.without_ipv4 {
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
        let stored = block_in_place(|| self.store().add(Kind::Network, &record.id, record));
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

    pub(super) fn forget_network(&self, record: &NetworkRecord) -> Result<()> {
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
}
