//! The host's side of all networks of one engine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bowline_sys::netns::{self, with_netns};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use sha2::{Digest, Sha256};

use crate::ledger::{self, Ledger};
use crate::link::{Rtnl, Step};
use crate::model::{Bridge, Endpoint, Publication};
use crate::nft::{Batch, Family, Nft};
use crate::ports::{self, PortError, PortRequest, Reserved, Target};
use crate::reaper::Reaper;
use crate::{Config, DnsSockets, NetworkError, Result, Watch};
use crate::{beside, bridge, conntrack, dns_sockets, endpoint, ipam, rules, sysctl};

/// Networks of one engine: what it knows, and its ways to the kernel.
#[derive(Debug)]
pub struct Host {
    config: Config,
    state: Mutex<State>,
    reaper: Reaper,
}

#[derive(Debug)]
struct State {
    rtnl: Rtnl,
    nft: Nft,
    /// What the table holds, so that it can be written anew at any time.
    bridges: BTreeMap<String, Bridge>,
    publications: BTreeSet<Publication>,
}

/// A network namespace of a container, pinned by a mount.
#[derive(Debug)]
pub struct Netns {
    id: String,
    path: PathBuf,
    fd: OwnedFd,
}

impl Netns {
    /// The id it was created with.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The file it is pinned at.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Host {
    /// Takes charge: makes bridges that are missing, and replaces the whole table in one transaction by what these
    /// networks and publications need. Traffic that is allowed before and after is never interrupted.
    pub fn open(config: Config, bridges: &[Bridge], publications: &[Publication]) -> Result<Self> {
        fs::create_dir_all(&config.netns_dir).map_err(|source| NetworkError::NetnsDir {
            path: config.netns_dir.clone(),
            source,
        })?;
        let (rtnl, nft, reaper) = with_netns(&config.root_netns, || {
            Ok::<_, NetworkError>((Rtnl::open()?, Nft::open()?, Reaper::start(Rtnl::open()?)?))
        })??;
        let state = State {
            rtnl,
            nft,
            bridges: bridges
                .iter()
                .map(|bridge| (bridge.ifname.clone(), bridge.clone()))
                .collect(),
            publications: publications.iter().copied().collect(),
        };
        let host = Self {
            config,
            state: Mutex::new(state),
            reaper,
        };
        let mut state = host.state();
        for bridge in bridges {
            host.ensure_link(&mut state, bridge)?;
        }
        host.rebuild(&mut state)?;
        host.accept_forwarding(&mut state)?;
        drop(state);
        Ok(host)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The interface name of the bridge of a network with this id. Its letter after the prefix tells it from the host's
    /// end of a container's interface.
    pub fn bridge_name(&self, id: &str) -> String {
        format!("{}b{}", self.config.prefix, short_hash(&[id], 7))
    }

    /// A free subnet for a network; the same one for the same `key` as long as nothing is in the way.
    ///
    /// In the way are `taken`, and every route and address of the host, and its name servers.
    pub fn choose_subnet(&self, key: &str, taken: &[Ipv4Net]) -> Result<Ipv4Net> {
        let mut taken = taken.to_vec();
        taken.extend(self.in_use()?.into_iter().filter_map(|net| match net {
            IpNet::V4(v4) => Some(v4),
            IpNet::V6(_) => None,
        }));
        ipam::choose_subnet(&self.config.pools, key, &taken).ok_or(NetworkError::PoolsExhausted)
    }

    /// The same for IPv6: a /64 of the instance's unique local prefix.
    pub fn choose_subnet6(&self, key: &str, taken: &[Ipv6Net]) -> Result<Ipv6Net> {
        let mut taken = taken.to_vec();
        taken.extend(self.in_use()?.into_iter().filter_map(|net| match net {
            IpNet::V6(v6) => Some(v6),
            IpNet::V4(_) => None,
        }));
        ipam::choose_subnet6(self.config.ula, key, &taken).ok_or(NetworkError::PoolsExhausted)
    }

    fn in_use(&self) -> Result<Vec<IpNet>> {
        // A network that comes back at once should find its old subnet free.
        self.reaper.finish();
        let mut state = self.state();
        let mut all: Vec<_> = state
            .rtnl
            .routes()?
            .into_iter()
            .map(|route| route.net)
            .collect();
        all.extend(
            state
                .rtnl
                .addresses()?
                .into_iter()
                .map(|address| address.net),
        );
        all.retain(ipam::speaks_for);
        all.extend(bridge::name_servers(&self.config.resolv_conf));
        Ok(all)
    }

    /// Makes a bridge network. Calling it again for the same one mends what is missing.
    pub fn create_bridge(&self, bridge: &Bridge) -> Result<()> {
        self.reaper.wait_for(&bridge.ifname);
        let mut state = self.state();
        let made = self.ensure_link(&mut state, bridge)?;
        let added = match bridge::rival(&mut state.rtnl, bridge)? {
            Some((subnet, by)) if made => Err(NetworkError::SubnetTaken { subnet, by }),
            _ => self.add_rules(&mut state, bridge),
        };
        if added.is_err() && made {
            self.reaper.delete(&bridge.ifname);
            return added;
        }
        added?;
        self.accept_forwarding(&mut state)
    }

    fn add_rules(&self, state: &mut State, bridge: &Bridge) -> Result<()> {
        let known = state.bridges.insert(bridge.ifname.clone(), bridge.clone());
        let mut batch = Batch::new(Family::Inet, &self.config.table);
        if let Some(known) = &known {
            rules::remove_bridge(&mut batch, known);
        }
        rules::add_bridge(&mut batch, bridge);
        let outcome = self.commit(state, &batch);
        if outcome.is_err() {
            state.bridges.remove(&bridge.ifname);
        }
        outcome
    }

    /// Withdraws a network's rules at once and lets its link go in the background: deleting one takes 20 ms.
    pub fn remove_bridge(&self, ifname: &str) -> Result<()> {
        let mut state = self.state();
        let outcome = match state.bridges.remove(ifname) {
            Some(bridge) => {
                let mut batch = Batch::new(Family::Inet, &self.config.table);
                rules::remove_bridge(&mut batch, &bridge);
                self.commit(&mut state, &batch)
            }
            None => Ok(()),
        };
        self.reaper.delete(ifname);
        outcome
    }

    fn ensure_link(&self, state: &mut State, bridge: &Bridge) -> Result<bool> {
        bridge::check_name(&bridge.ifname)?;
        let made = bridge::ensure(&mut state.rtnl, bridge, || {
            with_netns(&self.config.root_netns, || bridge::settings(bridge))?
        })?;
        if !bridge.internal {
            with_netns(&self.config.root_netns, || {
                bridge::enable_forwarding(bridge)
            })??;
        }
        Ok(made)
    }

    /// Runs a batch; if others have changed our table meanwhile, writes it anew instead.
    fn commit(&self, state: &mut State, batch: &Batch) -> Result<()> {
        match state.nft.commit(batch) {
            Err(error) if error.is_out_of_step() => {
                tracing::warn!(%error, "the nf_tables table was changed by others, writing it anew");
                self.rebuild(state)
            }
            outcome => Ok(outcome?),
        }
    }

    fn rebuild(&self, state: &mut State) -> Result<()> {
        let bridges: Vec<_> = state.bridges.values().cloned().collect();
        let publications: Vec<_> = state.publications.iter().copied().collect();
        Ok(state.nft.commit(&rules::whole_table(
            &self.config.table,
            &bridges,
            &publications,
        ))?)
    }

    /// Writes the table and the accepts beside others anew if they are not as they should be.
    pub fn mend(&self) -> Result<()> {
        let mut state = self.state();
        if !state.nft.has_table(Family::Inet, &self.config.table)? {
            tracing::warn!(
                table = self.config.table,
                "the nf_tables table is gone, writing it anew"
            );
            self.rebuild(&mut state)?;
        }
        self.accept_forwarding(&mut state)
    }

    /// Tells when to call [`Host::mend`].
    pub fn watch(&self) -> Result<Watch> {
        with_netns(&self.config.root_netns, Watch::open)?
    }

    fn accept_forwarding(&self, state: &mut State) -> Result<()> {
        let own = format!("{}+", self.config.prefix);
        let foreign = state
            .bridges
            .keys()
            .filter(|name| !name.starts_with(&self.config.prefix));
        let patterns: Vec<_> = std::iter::once(own).chain(foreign.cloned()).collect();
        if state.bridges.is_empty() {
            return Ok(());
        }
        Ok(beside::accept(
            &mut state.nft,
            &patterns,
            &self.config.table,
        )?)
    }

    /// Makes and pins an empty namespace, its loopback up, with Docker's defaults for namespaces of containers.
    pub fn create_netns(&self, id: &str) -> Result<Netns> {
        let path = self.config.netns_dir.join(id);
        let (fd, prepared) = netns::create_with(|| {
            Rtnl::open()?.run(vec![Step::up("lo")])?;
            // Unprivileged programs may serve low ports and ping: nothing outside the container is at stake.
            sysctl::set_if_known("net/ipv4/ip_unprivileged_port_start", "0")?;
            sysctl::set_if_known("net/ipv4/ping_group_range", "0\t2147483647")
        })?;
        prepared?;
        // One that an engine left behind, between making it and writing it down.
        netns::unpin(&path)?;
        netns::pin(&fd, &path)?;
        Ok(Netns {
            id: id.to_owned(),
            path,
            fd,
        })
    }

    /// A namespace that was pinned before.
    pub fn open_netns(&self, id: &str) -> Result<Netns> {
        let path = self.config.netns_dir.join(id);
        let fd = netns::open(&path)?;
        Ok(Netns {
            id: id.to_owned(),
            path,
            fd,
        })
    }

    /// Lets go of a namespace. The kernel removes what is in it, both ends of its links, when the last process is gone.
    pub fn remove_netns(&self, id: &str) -> Result<()> {
        Ok(netns::unpin(&self.config.netns_dir.join(id))?)
    }

    /// Gives a container an interface on a bridge; packets pass when this returns.
    pub fn connect(&self, netns: &Netns, endpoint: &Endpoint) -> Result<()> {
        let name = self.port_name(netns, &endpoint.ifname);
        let mut state = self.state();
        let icc = state
            .bridges
            .get(&endpoint.bridge)
            .is_none_or(|bridge| bridge.icc);
        let port = with_netns(&self.config.root_netns, || endpoint::port(icc))?;
        endpoint::connect(&mut state.rtnl, netns.as_fd(), endpoint, &name, port)
    }

    /// Takes an interface away from a running container.
    pub fn disconnect(&self, netns: &Netns, ifname: &str) -> Result<()> {
        let port = self.port_name(netns, ifname);
        endpoint::disconnect(&mut self.state().rtnl, &port)
    }

    /// The host's end of a container's interface.
    fn port_name(&self, netns: &Netns, ifname: &str) -> String {
        format!(
            "{}v{}",
            self.config.prefix,
            short_hash(&[netns.id(), ifname], 7)
        )
    }

    /// Opens the sockets of a container's resolver in its namespace, and leads port 53 of 127.0.0.11 to them.
    pub fn dns_sockets(&self, netns: &Netns) -> Result<DnsSockets> {
        with_netns(netns, dns_sockets::open)?
    }

    /// Reserves host ports for one container: all of them, or none and everything that is in the way.
    pub fn reserve_ports(
        &self,
        requests: &[PortRequest],
        target: Target,
    ) -> Result<Vec<Reserved>, PortError> {
        with_netns(&self.config.root_netns, || ports::reserve(requests, target))?
    }

    /// Makes the kernel forward. Publishing what is published already changes nothing.
    pub fn publish(&self, publications: &[Publication]) -> Result<()> {
        let mut state = self.state();
        let new: Vec<_> = publications
            .iter()
            .copied()
            .filter(|p| state.publications.insert(*p))
            .collect();
        let mut batch = Batch::new(Family::Inet, &self.config.table);
        for (set, elements) in rules::by_map(&new) {
            batch.add_elements(set, &elements);
        }
        let outcome = self.commit(&mut state, &batch);
        if outcome.is_err() {
            for publication in &new {
                state.publications.remove(publication);
            }
        }
        drop(state);
        self.forget_flows(&new);
        outcome
    }

    /// Stops forwarding. What is not published is no error.
    pub fn unpublish(&self, publications: &[Publication]) -> Result<()> {
        let mut state = self.state();
        let old: Vec<_> = publications
            .iter()
            .copied()
            .filter(|p| state.publications.remove(p))
            .collect();
        let mut batch = Batch::new(Family::Inet, &self.config.table);
        for (set, elements) in rules::by_map(&old) {
            batch.delete_elements(set, &elements);
        }
        let outcome = self.commit(&mut state, &batch);
        drop(state);
        self.forget_flows(&old);
        outcome
    }

    /// Without the right to forget, old UDP flows keep their way until they have been silent for some time.
    fn forget_flows(&self, publications: &[Publication]) {
        let outcome = with_netns(&self.config.root_netns, || conntrack::forget(publications));
        if let Ok(Err(error)) = outcome {
            tracing::warn!(%error, "old UDP flows towards published ports could not be forgotten");
        }
    }

    /// What of this instance is in the kernel.
    pub fn ledger(&self) -> Result<Ledger> {
        ledger::ledger(&self.config)
    }

    /// Leaves the kernel as it was found, for when nothing runs any more: rules, accepts, and links that are on their
    /// way out. Networks stay known; [`Host::open`] makes their bridges again.
    pub fn drain(&self) -> Result<()> {
        let mut state = self.state();
        for name in std::mem::take(&mut state.bridges).into_keys() {
            self.reaper.delete(&name);
        }
        state.publications.clear();
        beside::withdraw(&mut state.nft, &self.config.table)?;
        let mut batch = Batch::new(Family::Inet, &self.config.table);
        batch.add_table();
        batch.delete_table();
        state.nft.commit(&batch)?;
        drop(state);
        self.reaper.finish();
        with_netns(&self.config.root_netns, || {
            ledger::wait_for_links(&self.config.prefix)
        })?
    }
}

/// Some characters that stand for these words: letters and digits that an interface name may hold.
fn short_hash(words: &[&str], len: usize) -> String {
    const ALPHABET: [char; 32] = [
        'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r',
        's', 't', 'u', 'v', 'w', 'x', 'y', 'z', '2', '3', '4', '5', '6', '7',
    ];
    let mut hash = Sha256::new();
    for word in words {
        hash.update(word);
        hash.update([0]);
    }
    hash.finalize()
        .iter()
        .take(len)
        .map(|byte| ALPHABET[usize::from(byte % 32)])
        .collect()
}
