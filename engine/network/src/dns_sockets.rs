//! The sockets of a container's resolver, and the rewrite that makes them answer at port 53.
//!
//! Not bound to port 53 themselves: a program in the container that serves DNS on 0.0.0.0:53 would then find the port
//! taken. A stateless rewrite in the container's own namespace leads there instead; without connection tracking there
//! is no race between the A and the AAAA query of one socket.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use crate::nft::{Batch, Expr, Family, Hook, Key, Nft};
use crate::{NetworkError, Result};

/// Where containers find their resolver.
pub const RESOLVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
const TABLE: &str = "bowline-dns";
const CHAIN: &str = "rewrite";
const PORT: u16 = 53;

/// Sockets that live in a container's namespace.
#[derive(Debug)]
pub struct DnsSockets {
    /// Queries by UDP.
    pub udp: UdpSocket,
    /// Queries by TCP.
    pub tcp: TcpListener,
}

/// Opens them in the calling thread's namespace and (re)writes the table that leads to them.
pub(crate) fn open() -> Result<DnsSockets> {
    let any = SocketAddr::from((RESOLVER, 0));
    let udp = UdpSocket::bind(any).map_err(|e| NetworkError::DnsSocket("UDP", e))?;
    let tcp = TcpListener::bind(any).map_err(|e| NetworkError::DnsSocket("TCP", e))?;
    let udp_port = udp
        .local_addr()
        .map_err(|e| NetworkError::DnsSocket("UDP", e))?
        .port();
    let tcp_port = tcp
        .local_addr()
        .map_err(|e| NetworkError::DnsSocket("TCP", e))?
        .port();
    Nft::open()?.commit(&rewrite(udp_port, tcp_port))?;
    Ok(DnsSockets { udp, tcp })
}

/// The whole table anew: a container that starts again keeps its namespace, but not the ports.
fn rewrite(udp: u16, tcp: u16) -> Batch {
    let mut batch = Batch::new(Family::Ip, TABLE);
    batch.add_table();
    batch.delete_table();
    batch.add_table();
    batch.add_base_chain(CHAIN, Hook::new("filter", Hook::OUTPUT, Hook::RAW));
    for (is_udp, port) in [(true, udp), (false, tcp)] {
        batch.add_rule(CHAIN, &one_way(true, is_udp, PORT, port));
        batch.add_rule(CHAIN, &one_way(false, is_udp, port, PORT));
    }
    batch
}

/// Both ways pass the output hook, since both ends are in this namespace.
fn one_way(query: bool, udp: bool, from: u16, to: u16) -> Vec<Expr> {
    let (address, port) = if query {
        (Key::Ip4Dest, Key::DestPort)
    } else {
        (Key::Ip4Source, Key::SourcePort)
    };
    vec![
        Expr::Load {
            key: address,
            at: 0,
        },
        Expr::Equal {
            at: 0,
            value: RESOLVER.octets().to_vec(),
        },
        Expr::Load {
            key: Key::L4Proto,
            at: 0,
        },
        Expr::Equal {
            at: 0,
            value: vec![if udp { 17 } else { 6 }],
        },
        Expr::Load { key: port, at: 0 },
        Expr::Equal {
            at: 0,
            value: from.to_be_bytes().to_vec(),
        },
        Expr::NoTrack,
        Expr::Immediate {
            value: to.to_be_bytes().to_vec(),
        },
        Expr::SetPort { dest: query, udp },
    ]
}
