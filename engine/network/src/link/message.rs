//! The requests we make, each with the words for its error.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use ipnet::IpNet;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoBridgePort, InfoData, InfoPortData,
    InfoPortKind, InfoVeth, LinkAttribute, LinkMessage,
};
use rtnetlink::{AddressMessageBuilder, LinkBridge, LinkUnspec, LinkVeth, RouteMessageBuilder};

use crate::model::Mac;

/// One request.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) what: String,
    pub(super) message: RouteNetlinkMessage,
    /// Whether it makes something that must not be there yet.
    pub(super) create: bool,
}

/// The end of a veth pair that lives in the container.
#[derive(Debug)]
pub(crate) struct Peer<'a> {
    pub(crate) ifname: &'a str,
    pub(crate) mac: Mac,
    pub(crate) netns: BorrowedFd<'a>,
}

impl Step {
    fn new(what: String, message: RouteNetlinkMessage, create: bool) -> Self {
        Self {
            what,
            message,
            create,
        }
    }

    /// A bridge, still down so that its settings come before its first packet.
    ///
    /// Its hardware address is given: one chosen by the kernel follows the lowest port and changes under the
    /// containers, who then send to nobody until their neighbour tables expire.
    pub(crate) fn bridge(ifname: &str, mac: Mac, mtu: u32) -> Self {
        let message = LinkBridge::new(ifname)
            .down()
            .address(mac.0.to_vec())
            .mtu(mtu)
            .build();
        Self::new(
            format!("create bridge `{ifname}`"),
            RouteNetlinkMessage::NewLink(message),
            true,
        )
    }

    /// A pair whose far end is born inside the container's namespace.
    ///
    /// Making it here and moving it there costs 20 ms of waiting for RCU; this costs a quarter of one.
    pub(crate) fn veth(ifname: &str, mtu: u32, bridge: u32, peer: &Peer<'_>) -> Self {
        let far = LinkUnspec::new_with_name(peer.ifname)
            .address(peer.mac.0.to_vec())
            .mtu(mtu)
            .setns_by_fd(peer.netns.as_raw_fd())
            .build();
        let message = LinkVeth::new(ifname, peer.ifname)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(far)))
            .mtu(mtu)
            .controller(bridge)
            .build();
        let what = format!("connect `{}` to a bridge as `{ifname}`", peer.ifname);
        Self::new(what, RouteNetlinkMessage::NewLink(message), true)
    }

    /// Brings a bridge port up, without an IPv6 address of its own, and isolated from other isolated ports or not.
    pub(crate) fn port_up(ifname: &str, isolated: bool, hairpin: bool) -> Self {
        let no_address = vec![AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(
            In6AddrGenMode::None,
        )])];
        let port = vec![
            InfoBridgePort::Isolated(isolated),
            InfoBridgePort::HairpinMode(hairpin),
        ];
        let message = LinkUnspec::new_with_name(ifname)
            .up()
            .append_extra_attribute(LinkAttribute::AfSpecUnspec(no_address))
            .set_port_kind(InfoPortKind::Bridge)
            .set_port_data(InfoPortData::BridgePort(port))
            .build();
        Self::new(
            format!("bring bridge port `{ifname}` up"),
            RouteNetlinkMessage::NewLink(message),
            false,
        )
    }

    pub(crate) fn up(ifname: &str) -> Self {
        let message = LinkUnspec::new_with_name(ifname).up().build();
        Self::new(
            format!("bring `{ifname}` up"),
            RouteNetlinkMessage::SetLink(message),
            false,
        )
    }

    /// Gives a link the hardware address it has, which makes the kernel tell the neighbours.
    pub(crate) fn readdress(ifname: &str, mac: Mac) -> Self {
        let message = LinkUnspec::new_with_name(ifname)
            .address(mac.0.to_vec())
            .build();
        Self::new(
            format!("announce the address of `{ifname}`"),
            RouteNetlinkMessage::SetLink(message),
            false,
        )
    }

    pub(crate) fn delete(ifname: &str) -> Self {
        let message = LinkUnspec::new_with_name(ifname).build();
        Self::new(
            format!("delete `{ifname}`"),
            RouteNetlinkMessage::DelLink(message),
            false,
        )
    }

    /// An address that is used at once: nobody else can hold it, since we gave out the whole subnet.
    pub(crate) fn address(ifname: &str, index: u32, net: IpNet, link_local: bool) -> Self {
        let mut message = match net {
            IpNet::V4(v4) => AddressMessageBuilder::<Ipv4Addr>::new()
                .address(v4.addr(), v4.prefix_len())
                .index(index)
                .build(),
            IpNet::V6(v6) => without_dad(
                AddressMessageBuilder::<Ipv6Addr>::new()
                    .address(v6.addr(), v6.prefix_len())
                    .index(index)
                    .build(),
            ),
        };
        if link_local {
            message.header.scope = AddressScope::Link;
        }
        Self::new(
            format!("give {net} to `{ifname}`"),
            RouteNetlinkMessage::NewAddress(message),
            true,
        )
    }

    /// The default route of `gateway`'s family. `onlink` where the gateway lies outside the interface's subnet.
    pub(crate) fn default_route(index: u32, gateway: IpAddr, metric: u32, onlink: bool) -> Self {
        let message = match gateway {
            IpAddr::V4(v4) => {
                let route = RouteMessageBuilder::<Ipv4Addr>::new()
                    .gateway(v4)
                    .output_interface(index)
                    .priority(metric);
                if onlink { route.onlink() } else { route }.build()
            }
            IpAddr::V6(v6) => {
                // A metric of zero means 1024 in IPv6, so that zero would lose against one.
                let route = RouteMessageBuilder::<Ipv6Addr>::new()
                    .gateway(v6)
                    .output_interface(index)
                    .priority(metric.saturating_add(1024));
                if onlink { route.onlink() } else { route }.build()
            }
        };
        Self::new(
            format!("route everything through {gateway}"),
            RouteNetlinkMessage::NewRoute(message),
            true,
        )
    }
}

fn without_dad(mut message: AddressMessage) -> AddressMessage {
    message
        .attributes
        .push(AddressAttribute::Flags(AddressFlags::Nodad));
    message
}

/// A request for one link by name.
pub(super) fn by_name(ifname: &str) -> LinkMessage {
    LinkUnspec::new_with_name(ifname).build()
}
