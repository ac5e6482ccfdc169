//! What each container's name server knows. Views are built whole from who is present, and swapped.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use bowline_dns::resolv::{HostServers, container_upstreams};
use bowline_dns::{Forward, OwnNamespace, Records, Server, View, serve};
use tokio::net::{TcpListener, UdpSocket};

use crate::record::{ContainerRecord, NetworkRecord};
use crate::view::Networks;

/// Everybody who can be found, and the servers that tell.
#[derive(Debug)]
pub(crate) struct Names {
    host: Arc<HostServers>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    present: BTreeMap<String, Arc<ContainerRecord>>,
    servers: HashMap<String, Served>,
}

#[derive(Debug)]
struct Served {
    view: Arc<ArcSwap<View>>,
    _server: Server,
}

/// Names and reverse names of one network.
#[derive(Debug, Default)]
struct Table {
    names: HashMap<String, Records>,
    ptr: HashMap<IpAddr, String>,
}

impl Default for Names {
    fn default() -> Self {
        let host = Arc::new(HostServers::new("/etc/resolv.conf"));
        Self {
            host,
            inner: Mutex::default(),
        }
    }
}

impl Names {
    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The machine's own resolver configuration.
    pub(crate) fn host(&self) -> &HostServers {
        &self.host
    }

    /// Lets those be found who ran under an earlier engine, before the first question that waits is answered: an
    /// answer that somebody does not exist would be wrong, and remembered.
    pub(super) fn expect<'r>(&self, records: impl Iterator<Item = &'r ContainerRecord>) {
        self.with(|inner| {
            for record in records {
                let known = Arc::new(record.clone());
                inner.present.insert(record.id.clone(), known);
            }
        });
    }

    /// Lets everybody find `record`'s container. Done before its process runs.
    pub(crate) fn announce(&self, record: ContainerRecord, networks: &Networks) {
        self.with(|inner| inner.present.insert(record.id.clone(), Arc::new(record)));
        self.refresh(networks);
    }

    /// Nobody finds the container any more, and its own server ends.
    pub(crate) fn withdraw(&self, id: &str, networks: &Networks) {
        let was = self.with(|inner| {
            inner.servers.remove(id);
            inner.present.remove(id)
        });
        if was.is_some() {
            self.refresh(networks);
        }
    }

    /// Takes over newer records of those who are present.
    pub(crate) fn update(&self, records: Vec<Arc<ContainerRecord>>, networks: &Networks) {
        self.with(|inner| {
            for record in records {
                if let Some(present) = inner.present.get_mut(&record.id) {
                    *present = record;
                }
            }
        });
        self.refresh(networks);
    }

    /// Serves the container `id` on sockets of its own namespace. Needs the asynchronous runtime.
    pub(crate) fn serve(&self, id: &str, udp: UdpSocket, tcp: TcpListener, networks: &Networks) {
        self.with(|inner| {
            // Whole from the first answer on: questions may have been waiting in the socket.
            let tables = tables(inner.present.values());
            let record = inner.present.get(id);
            let view = record.map(|record| self.view(record, &tables, networks));
            let view = Arc::new(ArcSwap::from_pointee(view.unwrap_or_default()));
            let server = serve(udp, tcp, Arc::clone(&view), Arc::new(OwnNamespace));
            let served = Served {
                view,
                _server: server,
            };
            inner.servers.insert(id.into(), served);
        });
    }

    /// Builds every view anew.
    pub(crate) fn refresh(&self, networks: &Networks) {
        self.with(|inner| {
            let tables = tables(inner.present.values());
            for (id, served) in &inner.servers {
                if let Some(record) = inner.present.get(id) {
                    served
                        .view
                        .store(Arc::new(self.view(record, &tables, networks)));
                }
            }
        });
    }

    fn view(
        &self,
        record: &ContainerRecord,
        tables: &HashMap<&str, Table>,
        networks: &Networks,
    ) -> View {
        let mut view = View::default();
        for (network, endpoint) in &record.endpoints {
            let Some(table) = tables.get(network.as_str()) else {
                continue;
            };
            for link in endpoint.settings.links.iter().flatten() {
                let (container, alias) = link.split_once(':').unwrap_or((link, link));
                if let Some(records) = table.names.get(&container.to_lowercase()) {
                    view.names
                        .entry(alias.to_lowercase())
                        .or_insert_with(|| records.clone());
                }
            }
            // The first network that knows a name wins, as the order of gateways has it.
            for (name, records) in &table.names {
                view.names
                    .entry(name.clone())
                    .or_insert_with(|| records.clone());
            }
            view.ptr.extend(
                table
                    .ptr
                    .iter()
                    .map(|(address, name)| (*address, name.clone())),
            );
            view.network_names.push(network.to_lowercase());
        }
        let open: Vec<&NetworkRecord> = record
            .endpoints
            .keys()
            .filter_map(|name| networks.get(name))
            .filter(|network| !network.internal)
            .collect();
        if let Some(network) = open.first() {
            let gateways = network.gateway.map(IpAddr::V4).into_iter();
            view.host_gateway = gateways.chain(network.gateway6.map(IpAddr::V6)).collect();
        }
        let own: Vec<IpAddr> = record
            .host
            .dns
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect();
        view.forward = match (own.is_empty(), open.is_empty()) {
            (_, true) => Forward::None,
            (false, false) => Forward::Upstreams(container_upstreams(&own)),
            (true, false) => Forward::Host(Arc::clone(&self.host)),
        };
        let asks_ndots = record
            .host
            .dns_options
            .iter()
            .any(|option| option.starts_with("ndots:"));
        view.forward_single_labels = asks_ndots || self.host.conf().expects_single_labels();
        view
    }
}

fn tables<'a>(present: impl Iterator<Item = &'a Arc<ContainerRecord>>) -> HashMap<&'a str, Table> {
    let mut tables: HashMap<&str, Table> = HashMap::new();
    for record in present {
        for (network, endpoint) in &record.endpoints {
            // The default bridge has no names: that is what sets it apart.
            if network == "bridge" {
                continue;
            }
            let table = tables.entry(network).or_default();
            let addresses: Vec<IpAddr> = endpoint
                .ipv4
                .map(IpAddr::V4)
                .into_iter()
                .chain(endpoint.ipv6.map(IpAddr::V6))
                .collect();
            for (at, name) in crate::view::dns_names(record, endpoint).iter().enumerate() {
                let name = name.to_lowercase();
                let qualified = format!("{name}.{}", network.to_lowercase());
                for address in &addresses {
                    if at == 0 {
                        table.ptr.insert(*address, qualified.clone());
                    }
                    table.names.entry(name.clone()).or_default().push(*address);
                    table
                        .names
                        .entry(qualified.clone())
                        .or_default()
                        .push(*address);
                }
            }
        }
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Endpoint;

    fn member(name: &str, alias: &str, last: u8) -> Arc<ContainerRecord> {
        let mut record = ContainerRecord {
            name: name.into(),
            ..ContainerRecord::default()
        };
        let mut endpoint = Endpoint {
            ipv4: Some([10, 0, 0, last].into()),
            ..Endpoint::default()
        };
        endpoint.settings.aliases = Some(vec![alias.into()]);
        record.endpoints.insert("front".into(), endpoint);
        Arc::new(record)
    }

    #[test]
    fn replicas_share_their_alias_and_names_are_lower_case() {
        let present = [
            member("Shop-web-1", "web", 2),
            member("shop-web-2", "web", 3),
        ];
        let tables = tables(present.iter());
        let table = &tables["front"];
        assert_eq!(table.names["web"].v4.len(), 2);
        assert_eq!(table.names["web.front"].v4.len(), 2);
        assert_eq!(
            table.names["shop-web-1"].v4,
            ["10.0.0.2".parse::<std::net::Ipv4Addr>().unwrap()]
        );
        assert_eq!(
            table.ptr[&"10.0.0.3".parse::<IpAddr>().unwrap()],
            "shop-web-2.front"
        );
    }
}
