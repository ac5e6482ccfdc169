//! Forgetting UDP flows that were tracked before a port was published or withdrawn.
//!
//! A flow keeps the way it took with its first packet as long as packets keep coming: a client that retries against a
//! port published a moment too late would never reach the container, and after a restart would reach the old one.

use std::collections::BTreeSet;
use std::io;

use nix::sys::socket::SockProtocol;

use crate::model::{Proto, Publication};
use crate::netlink::{ACK, Attrs, DUMP, Socket, attribute, frame};

const SUBSYSTEM: u16 = 1 << 8;
const GET: u16 = SUBSYSTEM | 1;
const DELETE: u16 = SUBSYSTEM | 2;
const TUPLE_ORIG: u16 = 1;
const TUPLE_PROTO: u16 = 2;
const PROTO_NUM: u16 = 1;
const PROTO_DST_PORT: u16 = 3;
const FILTER: u16 = 25;
const FILTER_ORIG_FLAGS: u16 = 1;
/// Compare the protocol number and the destination port of the original direction.
const BY_PROTO_AND_PORT: u32 = (1 << 3) | (1 << 5);

/// Deletes the flows towards the host ports of these publications. TCP needs none of it: a new connection is a new flow.
pub(crate) fn forget(publications: &[Publication]) -> io::Result<()> {
    let ports: BTreeSet<(bool, u16)> = publications
        .iter()
        .filter(|publication| publication.proto == Proto::Udp)
        .map(|publication| (publication.target.is_ipv6(), publication.host_port))
        .collect();
    if ports.is_empty() {
        return Ok(());
    }
    let mut socket = Socket::open(SockProtocol::NetlinkNetFilter, 0)?;
    ports
        .into_iter()
        .try_for_each(|(v6, port)| forget_port(&mut socket, v6, port))
}

fn forget_port(socket: &mut Socket, v6: bool, port: u16) -> io::Result<()> {
    let header = [if v6 { 10 } else { 2 }, 0, 0, 0];
    // Two steps, because kernels before 6.8 filter only what they list, not what they delete.
    let flows = socket.dump(|sequence| {
        frame(
            GET,
            DUMP,
            sequence,
            &[&header, filter(port).as_slice()].concat(),
        )
    })?;
    for flow in &flows {
        // The kernel is asked again: one that cannot filter lists everything.
        let Some(tuple) = flow
            .payload
            .get(4..)
            .and_then(|attrs| attribute(attrs, TUPLE_ORIG))
        else {
            continue;
        };
        if !leads_to(tuple, port) {
            continue;
        }
        let sequence = socket.next_sequence();
        let attrs = Attrs::new().bytes(TUPLE_ORIG | 0x8000, tuple);
        socket.send(&frame(
            DELETE,
            ACK,
            sequence,
            &[&header, attrs.as_slice()].concat(),
        ))?;
        // It may have ended by itself meanwhile, so the answer does not matter.
        drop(socket.receive()?);
    }
    Ok(())
}

fn filter(port: u16) -> Attrs {
    let proto = Attrs::new()
        .bytes(PROTO_NUM, &[Proto::Udp.number()])
        .bytes(PROTO_DST_PORT, &port.to_be_bytes());
    // The filter's flags are the one number of this protocol in host byte order.
    let flags = Attrs::new().bytes(FILTER_ORIG_FLAGS, &BY_PROTO_AND_PORT.to_ne_bytes());
    Attrs::new()
        .nested(TUPLE_ORIG, &Attrs::new().nested(TUPLE_PROTO, &proto))
        .nested(FILTER, &flags)
}

fn leads_to(tuple: &[u8], port: u16) -> bool {
    attribute(tuple, TUPLE_PROTO).is_some_and(|proto| {
        attribute(proto, PROTO_NUM) == Some(&[Proto::Udp.number()])
            && attribute(proto, PROTO_DST_PORT) == Some(&port.to_be_bytes())
    })
}
