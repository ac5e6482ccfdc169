//! Which step failed.

use std::io;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::link;
use crate::nft;

/// Result with this crate's error.
pub type Result<T, E = NetworkError> = std::result::Result<T, E>;

/// A step towards a network that the kernel refused.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// Entering, making or pinning a namespace.
    #[error("use a network namespace")]
    Netns(#[from] bowline_sys::netns::NetnsError),
    /// The folder for pinned namespaces.
    #[error("create {path}")]
    NetnsDir {
        /// The folder.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// A link, an address or a route.
    #[error(transparent)]
    Link(#[from] link::LinkError),
    /// A table, a chain, a rule or an element.
    #[error(transparent)]
    Nft(#[from] nft::NftError),
    /// A setting below /proc/sys.
    #[error("set {key} to {value}")]
    Sysctl {
        /// Its path below /proc/sys.
        key: String,
        /// What it should have become.
        value: String,
        /// The kernel's word.
        source: io::Error,
    },
    /// All pools overlap with routes or other networks.
    #[error("no subnet is free in the address pools; name others under `pools` in config.toml")]
    PoolsExhausted,
    /// Somebody took the same subnet in the same moment.
    #[error("subnet {subnet} is also used by interface `{by}`")]
    SubnetTaken {
        /// The subnet.
        subnet: IpNet,
        /// The other interface.
        by: String,
    },
    /// The interface to connect to is not there.
    #[error("bridge `{0}` does not exist")]
    NoBridge(String),
    /// A name that no interface can have.
    #[error("`{0}` is not an interface name: 1 to 15 characters, no slash, no space")]
    InterfaceName(String),
    /// A setting that would reach beyond the container's own interface.
    #[error("sysctl `{0}` is not one of an interface: it must start with net. and contain IFNAME")]
    EndpointSysctl(String),
    /// The resolver's sockets inside a container.
    #[error("open the resolver's {0} socket")]
    DnsSocket(&'static str, #[source] io::Error),
    /// Links that were told to go and have not.
    #[error("interfaces are still there: {}", .0.join(", "))]
    StillThere(Vec<String>),
}
