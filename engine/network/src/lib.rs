//! Networks as the kernel sees them: bridges, veth pairs, addresses, routes, one nf_tables table, published ports and
//! the sockets of each container's resolver.
//!
//! Everything goes through netlink and procfs; no program is run. Calls block, but never for long: the engine makes them
//! from one thread, which is no loss because the kernel serialises link work by a single lock anyway. This crate decides
//! nothing about names, leases or life cycles, and stores nothing: [`Host::open`] is told what should be there.
//!
//! *Invariant:* whatever happens "on the host" happens in [`Config::root_netns`], never in the caller's own namespace.
//! *Invariant:* tables and policies of others are never touched, except for one documented accept (see `beside.rs`).

mod beside;
mod bridge;
mod config;
mod conntrack;
mod dns_sockets;
mod endpoint;
mod error;
mod host;
pub mod ipam;
mod ledger;
mod link;
mod model;
mod netlink;
mod nft;
mod ports;
mod reaper;
mod rules;
mod survey;
mod sysctl;
mod watch;

pub use config::Config;
pub use dns_sockets::{DnsSockets, RESOLVER};
pub use error::{NetworkError, Result};
pub use host::{Host, Netns};
pub use ledger::{Ledger, ledger};
pub use model::{Bridge, Endpoint, Lan4, Lan6, Mac, Proto, Publication};
pub use ports::{Conflict, Forward, Holder, PortError, PortRequest, Reserved, Target};
pub use survey::{Survey, survey};
pub use watch::Watch;
