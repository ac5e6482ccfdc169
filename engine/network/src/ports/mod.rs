//! Host ports: all that a container publishes are held before it starts, or none.
//!
//! The kernel forwards most of the traffic, so nobody ever reads from these sockets. They exist because only a bound
//! socket keeps others away and finds out who is there already. Whoever holds their descriptors holds the ports: they
//! go to the container's shim and stay taken while the engine is away.

mod holder;
mod reserve;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

pub use holder::Holder;
pub(crate) use reserve::reserve;

use crate::model::{Proto, Publication};

/// One port of a container that the host should offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRequest {
    /// Protocol.
    pub proto: Proto,
    /// Address of the host; `None` for all of both families.
    pub host_ip: Option<IpAddr>,
    /// First and last port on the host that will do; `None` lets the kernel choose.
    pub host_ports: Option<(u16, u16)>,
    /// Port in the container.
    pub container_port: u16,
}

/// The addresses of the container that ports lead to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// IPv4, if it has one.
    pub v4: Option<Ipv4Addr>,
    /// IPv6, if it has one.
    pub v6: Option<Ipv6Addr>,
}

/// A listening socket that must be served in user space, because the kernel cannot forward from it.
#[derive(Debug)]
pub struct Forward {
    /// Protocol.
    pub proto: Proto,
    /// Where it listens, which may be a wildcard.
    pub listen: SocketAddr,
    /// Where its traffic goes.
    pub target: SocketAddr,
    /// The socket, not blocking: a listener for TCP, a bound one for UDP.
    pub socket: OwnedFd,
}

/// A port that is ours.
#[derive(Debug)]
pub struct Reserved {
    /// Protocol.
    pub proto: Proto,
    /// As asked for.
    pub host_ip: Option<IpAddr>,
    /// The port that it became.
    pub host_port: u16,
    /// Port in the container.
    pub container_port: u16,
    /// The addresses it is bound to, as Docker lists them: 0.0.0.0 and [::] for "all".
    pub bindings: Vec<SocketAddr>,
    /// Sockets that only hold the port.
    pub keep: Vec<OwnedFd>,
    /// Sockets that must be served.
    pub forwards: Vec<Forward>,
    /// What the kernel forwards.
    pub publications: Vec<Publication>,
}

/// One port that could not be had.
#[derive(Debug)]
pub struct Conflict {
    /// Protocol.
    pub proto: Proto,
    /// Address and port; the last of the range where one was asked for.
    pub address: SocketAddr,
    /// Who has it, if that can be seen.
    pub holder: Option<Holder>,
    /// The kernel's word.
    pub source: io::Error,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            proto,
            address,
            holder,
            source,
        } = self;
        match (holder, source.raw_os_error()) {
            (Some(holder), _) => write!(f, "host port {address}/{proto} is held by {holder}"),
            (None, Some(libc::EADDRINUSE)) => {
                write!(f, "host port {address}/{proto} is already in use")
            }
            (None, Some(libc::EADDRNOTAVAIL)) => {
                write!(
                    f,
                    "host port {address}/{proto} cannot be bound: {} is not an address of this machine",
                    address.ip()
                )
            }
            _ => write!(f, "host port {address}/{proto} cannot be bound: {source}"),
        }
    }
}

/// Why ports were not reserved; nothing is held then.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// All that is in the way, not only the first.
    #[error("{}", list(.0))]
    Conflicts(Vec<Conflict>),
    /// The host's namespace cannot be entered.
    #[error("enter the host's network namespace")]
    Netns(#[from] bowline_sys::netns::NetnsError),
}

fn list(conflicts: &[Conflict]) -> String {
    conflicts
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}
