//! What the kernel has: links, the addresses on them, and where routes lead.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_core::NetlinkDeserializable;
use netlink_packet_core::NetlinkHeader;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkMessage, State};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{LinkError, Rtnl, encode, message};
use crate::netlink::Frame;

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) mtu: u32,
    /// Whether packets can pass: up, and the other end too.
    pub(crate) running: bool,
    /// The bridge it is a port of.
    pub(crate) master: Option<u32>,
}

/// A prefix that the host can reach, and the link it is reached through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) net: IpNet,
    pub(crate) link: Option<u32>,
}

impl Rtnl {
    /// The link of that name. Asking for one link also makes the kernel finish what it had put off about its carrier.
    pub(crate) fn link(&mut self, name: &str) -> Result<Option<Link>, LinkError> {
        let sequence = self.socket.next_sequence();
        let request = encode(
            &RouteNetlinkMessage::GetLink(message::by_name(name)),
            0,
            sequence,
        );
        self.socket.send(&request).map_err(LinkError::Socket)?;
        loop {
            for answer in self.socket.receive().map_err(LinkError::Socket)? {
                if answer.sequence != sequence {
                    continue;
                }
                match answer.outcome() {
                    Some(Err(source)) if source.raw_os_error() == Some(libc::ENODEV) => {
                        return Ok(None);
                    }
                    Some(Err(source)) => {
                        return Err(LinkError::List {
                            what: "one link",
                            source,
                        });
                    }
                    Some(Ok(())) => return Ok(None),
                    None => return Ok(decode(&answer).and_then(link)),
                }
            }
        }
    }

    pub(crate) fn links(&mut self) -> Result<Vec<Link>, LinkError> {
        let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
        Ok(self
            .dump("links", &request)?
            .iter()
            .filter_map(|f| link(decode(f)?))
            .collect())
    }

    /// The prefixes of all addresses of all links.
    pub(crate) fn addresses(&mut self) -> Result<Vec<Route>, LinkError> {
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        Ok(self
            .dump("addresses", &request)?
            .iter()
            .filter_map(|f| address(decode(f)?))
            .collect())
    }

    /// The routes of all tables, and of both families.
    pub(crate) fn routes(&mut self) -> Result<Vec<Route>, LinkError> {
        let request = RouteNetlinkMessage::GetRoute(RouteMessage::default());
        Ok(self
            .dump("routes", &request)?
            .iter()
            .filter_map(|f| route(decode(f)?))
            .collect())
    }
}

/// A message that this version of the parser cannot read says nothing about what we look for.
fn decode(frame: &Frame) -> Option<RouteNetlinkMessage> {
    let mut header = NetlinkHeader::default();
    header.message_type = frame.kind;
    RouteNetlinkMessage::deserialize(&header, &frame.payload)
        .map_err(|error| tracing::debug!(kind = frame.kind, %error, "unreadable rtnetlink message"))
        .ok()
}

fn link(message: RouteNetlinkMessage) -> Option<Link> {
    let RouteNetlinkMessage::NewLink(message) = message else {
        return None;
    };
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        mtu: 0,
        running: false,
        master: None,
    };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::Mtu(mtu) => link.mtu = mtu,
            LinkAttribute::OperState(state) => link.running = state == State::Up,
            LinkAttribute::Controller(index) => link.master = Some(index),
            _ => {}
        }
    }
    Some(link)
}

fn address(message: RouteNetlinkMessage) -> Option<Route> {
    let RouteNetlinkMessage::NewAddress(message) = message else {
        return None;
    };
    let ip = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            AddressAttribute::Address(ip) => Some(*ip),
            _ => None,
        })?;
    let net = IpNet::new(ip, message.header.prefix_len).ok()?;
    Some(Route {
        net: net.trunc(),
        link: Some(message.header.index),
    })
}

fn route(message: RouteNetlinkMessage) -> Option<Route> {
    let RouteNetlinkMessage::NewRoute(message) = message else {
        return None;
    };
    // A route without a destination leads everywhere.
    let mut destination = match message.header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let mut link = None;
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(v4)) => destination = IpAddr::V4(*v4),
            RouteAttribute::Destination(RouteAddress::Inet6(v6)) => destination = IpAddr::V6(*v6),
            RouteAttribute::Oif(index) => link = Some(*index),
            _ => {}
        }
    }
    let net = IpNet::new(destination, message.header.destination_prefix_length).ok()?;
    Some(Route {
        net: net.trunc(),
        link,
    })
}
