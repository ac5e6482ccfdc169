//! A container's network, from leases to published ports, and back.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use bowline_api::EndpointSettings;
use bowline_network::{
    DnsSockets, Endpoint as Interface, Host, Netns, PortError, PortRequest, Proto, Publication,
    Reserved, Target,
};
use bowline_runtime::{Forward, ForwardProtocol};

use super::actor::Actor;
use super::conflict::conflict;
use super::interface::{ifname, interfaces};
use crate::engine::networks;
use crate::error::{Error, Result};
use crate::launch::ports;
use crate::record::{BoundPort, ContainerRecord, Endpoint, Phase};

/// What is held while a container runs, or waits for its restart.
#[derive(Debug, Default)]
pub(super) struct Attached {
    /// The namespace is this container's own, not joined.
    own: bool,
    /// What the kernel forwards.
    publications: Vec<Publication>,
    /// Sockets that hold the ports, under the names the shim keeps them by.
    sockets: Vec<(String, OwnedFd)>,
    /// Sockets the shim serves, and where they lead.
    forwards: Vec<(ForwardProtocol, SocketAddr, OwnedFd)>,
}

/// What a launch needs to know of the network.
#[derive(Debug, Default)]
pub(super) struct Ready {
    /// Namespace to join; `None` is the host's.
    pub(super) netns: Option<PathBuf>,
    /// Copies of sockets for the shim to keep.
    pub(super) keep: Vec<(String, OwnedFd)>,
    /// Copies of sockets for the shim to serve.
    pub(super) listeners: Vec<OwnedFd>,
    /// Where those lead.
    pub(super) forwards: Vec<Forward>,
}

const DNS_UDP: &str = "dns-udp";
const DNS_TCP: &str = "dns-tcp";

impl Actor {
    /// Brings the network up, or finds it up where the container restarts by policy.
    pub(super) async fn bring_up(&mut self) -> Result<Ready> {
        let mode = self.record.host.network_mode.clone();
        if mode == "host" {
            return Ok(Ready::default());
        }
        if let Some(other) = mode.strip_prefix("container:") {
            return self.joined(other);
        }
        if self.attached.is_none() {
            self.raise_bridges().await?;
            self.lease_all()?;
            let attached = self.attach_network().await;
            if attached.is_err() {
                self.release_network().await;
            }
            attached?;
        }
        self.ready()
    }

    /// The namespace of another container, which has to run.
    fn joined(&self, other: &str) -> Result<Ready> {
        let record = self.engine.containers().find(other)?.record();
        if !record.phase.is_alive() {
            return Err(Error::conflict(format!(
                "cannot join network of a non running container: {}",
                record.id
            )));
        }
        let owner = match record.host.network_mode.as_str() {
            "host" => return Ok(Ready::default()),
            mode => mode.strip_prefix("container:").unwrap_or(&record.id),
        };
        let netns = Some(self.engine.settings().roots.netns().join(owner));
        Ok(Ready {
            netns,
            ..Ready::default()
        })
    }

    fn lease_all(&mut self) -> Result<()> {
        let records = self.engine.records();
        let endpoints = &mut self.record.endpoints;
        let mut used: BTreeSet<String> = endpoints.values().map(|e| e.ifname.clone()).collect();
        for (name, endpoint) in endpoints {
            let network = self.engine.networks().find(name)?;
            networks::forget_foreign_address(&network, endpoint);
            // A network that was removed and made again has another id; the wish is for the name.
            if network.id != endpoint.network {
                *endpoint =
                    networks::endpoint(&network, endpoint.id.clone(), endpoint.settings.clone())?;
            }
            let wished = networks::wished(name, records.iter().map(AsRef::as_ref));
            let leased = self.engine.networks();
            leased.lease(&network, endpoint, &wished)?;
            if endpoint.ifname.is_empty() {
                endpoint.ifname = networks::interface_name(&network, &endpoint.settings, &used)?;
                used.insert(endpoint.ifname.clone());
            }
        }
        // Recorded before the kernel hears of it, so that no other engine start can give the address away.
        self.save()
    }

    /// Before addresses are leased: a subnet that somebody else took meanwhile is exchanged.
    async fn raise_bridges(&self) -> Result<()> {
        let networks = self.engine.networks().all();
        for name in self.record.endpoints.keys() {
            if let Some(network) = networks.get(name) {
                self.engine.raise_bridge(network).await?;
            }
        }
        Ok(())
    }

    async fn attach_network(&mut self) -> Result<()> {
        let networks = self.engine.networks().all();
        let id = self.record.id.clone();
        let interfaces = interfaces(&self.record, &networks)?;
        let named = is_named(&self.record);
        let requests = ports::requests(&self.record, &networks)?;
        let target = target(&self.record);
        let name = self.record.name.clone();
        let built = self
            .engine
            .net()
            .call(move |host| build(host, &id, &interfaces, named, &requests, target));
        let failed = |error: &dyn std::error::Error| {
            Error::failed(&format!("set up the network of {name}"), error)
        };
        let built = built.await.map_err(|e| failed(&e))?;
        let (dns, reserved) = built.map_err(|error| match error {
            Unbuilt::Ports(error) => conflict(&error, &self.engine.records()),
            Unbuilt::Other(error) => error,
        })?;
        let mut attached = Attached {
            own: true,
            ..Attached::default()
        };
        if let Some(dns) = dns {
            self.serve_names(&mut attached, dns)?;
        }
        self.record.ports = bound(&reserved);
        hold(&mut attached, reserved);
        self.attached = Some(attached);
        self.engine.names().announce(self.record.clone(), &networks);
        for network in self.record.endpoints.keys() {
            self.engine
                .network_member_event("connect", network, &self.record.id);
        }
        Ok(())
    }

    fn serve_names(&self, attached: &mut Attached, dns: DnsSockets) -> Result<()> {
        let failed = |error: std::io::Error| Error::failed("serve names", &error);
        let keep = |fd: std::os::fd::BorrowedFd<'_>| fd.try_clone_to_owned().map_err(failed);
        attached
            .sockets
            .push((DNS_UDP.into(), keep(dns.udp.as_fd())?));
        attached
            .sockets
            .push((DNS_TCP.into(), keep(dns.tcp.as_fd())?));
        self.serve_on(dns.udp, dns.tcp).map_err(failed)
    }

    fn serve_on(&self, udp: UdpSocket, tcp: TcpListener) -> std::io::Result<()> {
        udp.set_nonblocking(true)?;
        tcp.set_nonblocking(true)?;
        let udp = tokio::net::UdpSocket::from_std(udp)?;
        let tcp = tokio::net::TcpListener::from_std(tcp)?;
        self.engine
            .names()
            .serve(&self.record.id, udp, tcp, &self.engine.networks().all());
        Ok(())
    }

    /// Copies of what is held, for the shim of this launch.
    fn ready(&self) -> Result<Ready> {
        let mut ready = Ready {
            netns: Some(self.engine.settings().roots.netns().join(&self.record.id)),
            ..Ready::default()
        };
        let Some(attached) = &self.attached else {
            return Ok(ready);
        };
        let copy = |fd: &OwnedFd| {
            fd.try_clone()
                .map_err(|error| Error::failed("copy a descriptor", &error))
        };
        for (name, fd) in &attached.sockets {
            ready.keep.push((name.clone(), copy(fd)?));
        }
        for (protocol, target, fd) in &attached.forwards {
            let listener = ready.listeners.len();
            ready.listeners.push(copy(fd)?);
            ready.forwards.push(Forward {
                listener,
                protocol: *protocol,
                target: *target,
            });
            // Kept once more under a name, so that the next engine gets it back for the next launch.
            let kind = if *protocol == ForwardProtocol::Tcp {
                "tcp"
            } else {
                "udp"
            };
            ready
                .keep
                .push((format!("forward-{kind}-{target}-{listener}"), copy(fd)?));
        }
        Ok(ready)
    }

    /// Everything but the leases goes: names first, so that nobody is sent to a dead address.
    pub(super) async fn release_network(&mut self) {
        let networks = self.engine.networks().all();
        self.engine.names().withdraw(&self.record.id, &networks);
        let attached = self.attached.take();
        let own = attached.as_ref().is_some_and(|attached| attached.own);
        let publications = match &attached {
            Some(attached) => attached.publications.clone(),
            // An engine that starts publishes what the records say, before it knows who ended meanwhile.
            None => ports::publications(&self.record),
        };
        self.record.ports.clear();
        // The kernel forwards nothing more before the ports are given up, or a successor's traffic would come here.
        let id = self.record.id.clone();
        let released = self.engine.net().call(move |host| {
            let unpublished = host.unpublish(&publications);
            let removed = host.remove_netns(&id);
            unpublished.and(removed)
        });
        match released.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(container = self.record.name, %error, "network left behind");
            }
            Err(error) => {
                tracing::warn!(container = self.record.name, %error, "network left behind");
            }
        }
        drop(attached);
        if own {
            for network in self.record.endpoints.keys() {
                self.engine
                    .network_member_event("disconnect", network, &self.record.id);
            }
        }
    }

    /// Takes over the sockets an earlier engine left with the shim.
    pub(super) async fn resume_network(&mut self, kept: Vec<(String, OwnedFd)>) {
        let mode = self.record.host.network_mode.as_str();
        if mode == "host" || mode.starts_with("container:") {
            return;
        }
        let mut attached = Attached {
            own: true,
            ..Attached::default()
        };
        let (mut udp, mut tcp) = (None, None);
        for (name, fd) in kept {
            match name.as_str() {
                DNS_UDP => udp = fd.try_clone().ok(),
                DNS_TCP => tcp = fd.try_clone().ok(),
                _ => {}
            }
            match ports::parse_forward(&name) {
                Some((protocol, target)) => attached.forwards.push((protocol, target, fd)),
                None => attached.sockets.push((name, fd)),
            }
        }
        attached.publications = ports::publications(&self.record);
        self.attached = Some(attached);
        let networks = self.engine.networks().all();
        self.engine.names().announce(self.record.clone(), &networks);
        if let Some((udp, tcp)) = udp.zip(tcp)
            && let Err(error) = self.serve_on(UdpSocket::from(udp), TcpListener::from(tcp))
        {
            tracing::error!(container = self.record.name, %error, "names are not served");
        }
    }

    /// Opens anew what was lost with engine and shim together: the resolver's sockets and the published ports'.
    pub(super) async fn rebuild_network(&mut self) {
        self.resume_network(Vec::new()).await;
        if self.attached.is_none() {
            return;
        }
        let id = self.record.id.clone();
        let named = is_named(&self.record);
        let requests = ports::bound_requests(&self.record);
        let target = target(&self.record);
        let built = self.engine.net().call(move |host| {
            let reserved = host.reserve_ports(&requests, target);
            let netns = host.open_netns(&id)?;
            let dns = named.then(|| host.dns_sockets(&netns)).transpose()?;
            Ok::<_, bowline_network::NetworkError>((dns, reserved))
        });
        let (dns, reserved) = match built.await {
            Ok(Ok(built)) => built,
            Ok(Err(error)) => {
                return tracing::error!(container = self.record.name, %error, "names are not served");
            }
            Err(error) => {
                return tracing::error!(container = self.record.name, %error, "names are not served");
            }
        };
        let Some(mut attached) = self.attached.take() else {
            return;
        };
        match reserved {
            Ok(reserved) => {
                attached.publications.clear();
                hold(&mut attached, reserved);
            }
            Err(error) => {
                tracing::error!(container = self.record.name, %error, "ports are not held");
            }
        }
        if let Some(dns) = dns
            && let Err(error) = self.serve_names(&mut attached, dns)
        {
            tracing::error!(container = self.record.name, %error, "names are not served");
        }
        self.attached = Some(attached);
    }

    /// Joins one more network, at once where the container runs.
    pub(super) async fn connect(
        &mut self,
        network: &str,
        settings: EndpointSettings,
    ) -> Result<()> {
        let network = self.engine.networks().find(network)?;
        if self.record.endpoints.contains_key(&network.name) {
            return Err(Error::forbidden(format!(
                "endpoint with name {} already exists in network {}",
                self.record.name, network.name
            )));
        }
        let mode = self.record.host.network_mode.as_str();
        if mode == "host" || mode == "none" || mode.starts_with("container:") {
            return Err(Error::forbidden(format!(
                "container sharing network namespace with another container or host cannot be connected to any other network: {mode}"
            )));
        }
        let id = crate::ids::fresh().map_err(|error| Error::failed("make an id", &error))?;
        let mut endpoint = networks::endpoint(&network, id, settings)?;
        if self.attached.is_some() {
            self.engine.raise_bridge(&network).await?;
            let network = self.engine.networks().find(&network.id)?;
            let records = self.engine.records();
            let wished = networks::wished(&network.name, records.iter().map(AsRef::as_ref));
            let leased = self.engine.networks();
            leased.lease(&network, &mut endpoint, &wished)?;
            let others = self.record.endpoints.values();
            let used = others.map(|other| other.ifname.clone()).collect();
            endpoint.ifname = networks::interface_name(&network, &endpoint.settings, &used)?;
        }
        let ifname = endpoint.ifname.clone();
        self.record.endpoints.insert(network.name.clone(), endpoint);
        self.save()?;
        if self.attached.is_some() {
            let networks = self.engine.networks().all();
            let all = interfaces(&self.record, &networks)?;
            let mut all = all.into_iter();
            let Some(interface) = all.find(|one| one.ifname == ifname) else {
                return Ok(());
            };
            let id = self.record.id.clone();
            let joined = self.engine.net().call(move |host| {
                host.open_netns(&id)
                    .and_then(|netns| host.connect(&netns, &interface))
            });
            let failed = |error: &dyn std::error::Error| Error::failed("join the network", error);
            joined
                .await
                .map_err(|e| failed(&e))?
                .map_err(|e| failed(&e))?;
            self.engine.names().announce(self.record.clone(), &networks);
        }
        self.engine
            .network_member_event("connect", &network.name, &self.record.id);
        Ok(())
    }

    /// Leaves a network, at once where the container runs.
    pub(super) async fn disconnect(&mut self, network: &str) -> Result<()> {
        let Some((at, _, endpoint)) = self.record.endpoints.get_full(network) else {
            return Err(Error::forbidden(format!(
                "container {} is not connected to the network {network}",
                self.record.id
            )));
        };
        if self.attached.is_some() {
            let (id, ifname) = (self.record.id.clone(), ifname(at, endpoint));
            let left = self.engine.net().call(move |host| {
                host.open_netns(&id)
                    .and_then(|netns| host.disconnect(&netns, &ifname))
            });
            let failed = |error: &dyn std::error::Error| Error::failed("leave the network", error);
            left.await
                .map_err(|e| failed(&e))?
                .map_err(|e| failed(&e))?;
        }
        if let Some(endpoint) = self.record.endpoints.shift_remove(network) {
            self.engine.networks().release(&endpoint);
        }
        self.save()?;
        if self.record.phase == Phase::Running {
            self.engine
                .names()
                .announce(self.record.clone(), &self.engine.networks().all());
        }
        self.engine
            .network_member_event("disconnect", network, &self.record.id);
        Ok(())
    }
}

/// One visit to the network thread: namespace, interfaces, resolver sockets, ports, rules. What it made before it
/// failed is taken back by whoever called.
fn build(
    host: &Host,
    id: &str,
    interfaces: &[Interface],
    named: bool,
    requests: &[PortRequest],
    target: Target,
) -> std::result::Result<(Option<DnsSockets>, Vec<Reserved>), Unbuilt> {
    let failed = |what: &'static str| {
        move |error: bowline_network::NetworkError| Unbuilt::Other(Error::failed(what, &error))
    };
    // Ports first: they are the likeliest to be refused, and cost nothing to give back.
    let reserved = host.reserve_ports(requests, target);
    let reserved = reserved.map_err(Unbuilt::Ports)?;
    let netns: Netns = host
        .create_netns(id)
        .map_err(failed("make a network namespace"))?;
    for interface in interfaces {
        host.connect(&netns, interface)
            .map_err(failed("connect to a network"))?;
    }
    let dns = named.then(|| host.dns_sockets(&netns)).transpose();
    let dns = dns.map_err(failed("open the resolver's sockets"))?;
    let publications: Vec<Publication> = reserved
        .iter()
        .flat_map(|port| port.publications.iter().copied())
        .collect();
    host.publish(&publications)
        .map_err(failed("publish ports"))?;
    Ok((dns, reserved))
}

/// Why [`build`] did not.
enum Unbuilt {
    Ports(PortError),
    Other(Error),
}

/// Whether we resolve names for it: not on the default bridge, as Docker has it.
fn is_named(record: &ContainerRecord) -> bool {
    record
        .endpoints
        .keys()
        .any(|name| !["bridge", "none"].contains(&name.as_str()))
}

fn target(record: &ContainerRecord) -> Target {
    let mut endpoints = record.endpoints.values();
    Target {
        v4: endpoints.clone().find_map(|endpoint| endpoint.ipv4),
        v6: endpoints.find_map(|endpoint| endpoint.ipv6),
    }
}

fn bound(reserved: &[Reserved]) -> Vec<BoundPort> {
    let one = |port: &Reserved| {
        let (container_port, protocol) = (port.container_port, port.proto.to_string());
        let rows = port.bindings.iter().map(move |address| BoundPort {
            container_port,
            protocol: protocol.clone(),
            host_ip: address.ip(),
            host_port: address.port(),
        });
        rows.collect::<Vec<_>>()
    };
    let mut rows: Vec<BoundPort> = reserved.iter().flat_map(one).collect();
    // A port the kernel chose is bound with port 0 in the request's words.
    for (row, port) in rows.iter_mut().zip(
        reserved
            .iter()
            .flat_map(|p| p.bindings.iter().map(move |_| p)),
    ) {
        row.host_port = port.host_port;
    }
    rows
}

fn hold(attached: &mut Attached, reserved: Vec<Reserved>) {
    for port in reserved {
        attached.publications.extend(port.publications);
        let name = |at: usize| format!("port-{}-{}-{at}", port.proto, port.host_port);
        let kept = port
            .keep
            .into_iter()
            .enumerate()
            .map(|(at, fd)| (name(at), fd));
        attached.sockets.extend(kept);
        attached
            .forwards
            .extend(port.forwards.into_iter().map(|forward| {
                let protocol = match forward.proto {
                    Proto::Tcp => ForwardProtocol::Tcp,
                    Proto::Udp => ForwardProtocol::Udp,
                };
                (protocol, forward.target, forward.socket)
            }));
    }
}

/// Own addresses in the order of the interfaces.
pub(super) fn addresses(record: &ContainerRecord) -> Vec<IpAddr> {
    let both = |endpoint: &Endpoint| {
        [endpoint.ipv4.map(IpAddr::V4), endpoint.ipv6.map(IpAddr::V6)]
            .into_iter()
            .flatten()
    };
    record.endpoints.values().flat_map(both).collect()
}
