//! The network of a step: a namespace of its own, on the default bridge or on the network that was named.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bowline_build::graph::Network;
use bowline_dns::resolv::ResolvConf;
use bowline_network::{DnsSockets, Endpoint as Interface, Host};

use crate::container::network_interface;
use crate::engine::{Engine, networks};
use crate::error::{Error, Result};
use crate::ids;
use crate::record::{ContainerRecord, NetworkRecord};

/// Where a step without a word about it is.
const DEFAULT: &str = "bridge";

/// What a step is connected to, to be left again.
#[derive(Debug, Default)]
pub(super) struct Joined {
    /// Namespace to join; `None` is the host's.
    pub(super) netns: Option<PathBuf>,
    /// Its `resolv.conf`.
    pub(super) resolv_conf: String,
    /// What `host-gateway` stands for.
    pub(super) gateway: Option<IpAddr>,
    /// The step as names and leases know it.
    member: Option<ContainerRecord>,
    /// Whether a namespace was made.
    own: bool,
}

/// Connects the step `id`.
pub(super) async fn join(engine: &Arc<Engine>, id: &str, network: &Network) -> Result<Joined> {
    let name = match network {
        Network::Host => return Ok(host(engine)),
        Network::None => return isolated(engine, id).await,
        Network::Default => DEFAULT,
        Network::Named(name) => name,
    };
    let record = engine.networks().find(name)?;
    match record.driver.as_str() {
        "host" => return Ok(host(engine)),
        "null" => return isolated(engine, id).await,
        _ => {}
    }
    engine.raise_bridge(&record).await?;
    // Its subnet may just have been exchanged.
    let record = engine.networks().find(&record.id)?;
    let joined = member(engine, id, &record)?;
    let outcome = connect(engine, id, &record, joined).await;
    if outcome.is_err() {
        remove_netns(engine, id).await;
    }
    outcome
}

/// Gives back what [`join`] took.
pub(super) async fn leave(engine: &Arc<Engine>, id: &str, joined: Joined) {
    if let Some(member) = &joined.member {
        engine.names().withdraw(id, &engine.networks().all());
        release(engine, member);
    }
    if joined.own {
        remove_netns(engine, id).await;
    }
}

fn release(engine: &Engine, member: &ContainerRecord) {
    for endpoint in member.endpoints.values() {
        engine.networks().release(endpoint);
    }
}

fn host(engine: &Engine) -> Joined {
    Joined {
        resolv_conf: machine(&engine.names().host().conf()),
        gateway: Some(IpAddr::from([127, 0, 0, 1])),
        ..Joined::default()
    }
}

async fn isolated(engine: &Arc<Engine>, id: &str) -> Result<Joined> {
    make_netns(engine, id, None, false).await?;
    Ok(Joined {
        netns: Some(engine.settings().roots.netns().join(id)),
        resolv_conf: machine(&engine.names().host().conf()),
        own: true,
        ..Joined::default()
    })
}

/// An address for the step, under which nobody can find it: it has no name.
fn member(engine: &Engine, id: &str, network: &NetworkRecord) -> Result<ContainerRecord> {
    let endpoint_id = ids::fresh().map_err(|error| Error::failed("make an id", &error))?;
    let mut endpoint = networks::endpoint(
        network,
        endpoint_id,
        bowline_api::EndpointSettings::default(),
    )?;
    engine.networks().lease(
        network,
        &mut endpoint,
        &networks::wished(&network.name, engine.records().iter().map(AsRef::as_ref)),
    )?;
    let mut member = ContainerRecord {
        id: id.to_owned(),
        ..ContainerRecord::default()
    };
    member.endpoints.insert(network.name.clone(), endpoint);
    Ok(member)
}

async fn connect(
    engine: &Arc<Engine>,
    id: &str,
    network: &NetworkRecord,
    member: ContainerRecord,
) -> Result<Joined> {
    let machine_conf = engine.names().host().conf();
    // A server on the machine's own loopback cannot be reached from another namespace: then the step asks us.
    let served = network.name != DEFAULT || asks_itself(&machine_conf);
    let interface = match member.endpoints.values().next() {
        Some(endpoint) => Some(network_interface(0, endpoint, network)?),
        None => None,
    };
    let dns = match make_netns(engine, id, interface, served).await {
        Ok(dns) => dns,
        Err(error) => {
            release(engine, &member);
            return Err(error);
        }
    };
    let all = engine.networks().all();
    if let Some(dns) = dns {
        engine.names().announce(member.clone(), &all);
        serve(engine, id, dns).map_err(|error| Error::failed("serve names", &error))?;
    }
    Ok(Joined {
        netns: Some(engine.settings().roots.netns().join(id)),
        resolv_conf: match served {
            true => ResolvConf::for_container(&machine_conf.search, &[]),
            false => machine(&machine_conf),
        },
        gateway: network
            .gateway
            .filter(|_| !network.internal)
            .map(IpAddr::V4),
        member: Some(member),
        own: true,
    })
}

fn serve(engine: &Engine, id: &str, dns: DnsSockets) -> std::io::Result<()> {
    dns.udp.set_nonblocking(true)?;
    dns.tcp.set_nonblocking(true)?;
    let udp = tokio::net::UdpSocket::from_std(dns.udp)?;
    let tcp = tokio::net::TcpListener::from_std(dns.tcp)?;
    engine.names().serve(id, udp, tcp, &engine.networks().all());
    Ok(())
}

async fn make_netns(
    engine: &Engine,
    id: &str,
    interface: Option<Interface>,
    served: bool,
) -> Result<Option<DnsSockets>> {
    let id = id.to_owned();
    let made = engine.net().call(move |host: &Host| {
        let netns = host.create_netns(&id)?;
        if let Some(interface) = &interface {
            host.connect(&netns, interface)?;
        }
        served.then(|| host.dns_sockets(&netns)).transpose()
    });
    let failed =
        |error: &dyn std::error::Error| Error::failed("set up the network of a build step", error);
    made.await
        .map_err(|error| failed(&error))?
        .map_err(|error| failed(&error))
}

async fn remove_netns(engine: &Engine, id: &str) {
    let id = id.to_owned();
    let removed = engine.net().call(move |host| host.remove_netns(&id)).await;
    let error = match removed {
        Ok(Ok(())) => return,
        Ok(Err(error)) => crate::error::chain(&error),
        Err(error) => error.to_string(),
    };
    tracing::warn!(error, "the network of a build step is left behind");
}

fn asks_itself(conf: &ResolvConf) -> bool {
    conf.nameservers
        .iter()
        .all(|server| server.ip().is_loopback())
}

/// What the machine itself asks.
fn machine(conf: &ResolvConf) -> String {
    let servers = conf
        .nameservers
        .iter()
        .map(|server| format!("nameserver {}\n", server.ip()));
    let mut text: String = servers.collect();
    for (word, values) in [("search", &conf.search), ("options", &conf.options)] {
        if !values.is_empty() {
            text.push_str(&format!("{word} {}\n", values.join(" ")));
        }
    }
    text
}
