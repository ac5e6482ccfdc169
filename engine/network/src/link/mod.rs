//! Links, addresses and routes: messages from rtnetlink's builders, sent over our own blocking socket.

mod message;
mod read;

use std::io;

use netlink_packet_core::NetlinkSerializable;
use netlink_packet_route::RouteNetlinkMessage;
use nix::sys::socket::SockProtocol;

pub(crate) use message::{Peer, Step};

use crate::netlink::{ACK, CREATE, EXCL, Frame, Socket, frame};

/// Which request rtnetlink refused.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No netlink socket, or none that answers.
    #[error("talk to rtnetlink")]
    Socket(#[source] io::Error),
    /// A change.
    #[error("{step}")]
    Refused {
        /// What was to be done.
        step: String,
        /// The kernel's word.
        source: io::Error,
    },
    /// A list request.
    #[error("list {what}")]
    List {
        /// Links, addresses or routes.
        what: &'static str,
        /// The kernel's word.
        source: io::Error,
    },
}

impl LinkError {
    fn code(&self) -> Option<i32> {
        match self {
            Self::Refused { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    /// For a link that is not where it should be.
    pub(crate) fn missing(step: String) -> Self {
        Self::Refused {
            step,
            source: io::Error::from_raw_os_error(libc::ENODEV),
        }
    }

    pub(crate) fn is_existing(&self) -> bool {
        self.code() == Some(libc::EEXIST)
    }

    pub(crate) fn is_missing(&self) -> bool {
        matches!(self.code(), Some(libc::ENODEV | libc::ENOENT))
    }
}

/// The way to the kernel's links, in the namespace where it was opened.
#[derive(Debug)]
pub(crate) struct Rtnl {
    socket: Socket,
}

/// `RTNLGRP_LINK`.
pub(crate) const LINK_CHANGES: u32 = 1;

impl Rtnl {
    pub(crate) fn open() -> Result<Self, LinkError> {
        Self::subscribed(0)
    }

    /// A socket that also hears of changes.
    pub(crate) fn subscribed(groups: u32) -> Result<Self, LinkError> {
        let socket = Socket::open(SockProtocol::NetlinkRoute, groups).map_err(LinkError::Socket)?;
        Ok(Self { socket })
    }

    /// Sends all steps in one datagram. The kernel goes on after a refusal; the first one is the error.
    pub(crate) fn run(&mut self, steps: Vec<Step>) -> Result<(), LinkError> {
        let mut pending = Vec::with_capacity(steps.len());
        let mut bytes = Vec::new();
        for step in steps {
            let sequence = self.socket.next_sequence();
            bytes.extend(encode(&step.message, step.flags() | ACK, sequence));
            pending.push((sequence, step.what));
        }
        self.socket.send(&bytes).map_err(LinkError::Socket)?;
        let mut outcome = Ok(());
        while !pending.is_empty() {
            for answer in self.socket.receive().map_err(LinkError::Socket)? {
                let Some(result) = answer.outcome() else {
                    continue;
                };
                let Some(at) = pending.iter().position(|(s, _)| *s == answer.sequence) else {
                    continue;
                };
                let (_, step) = pending.swap_remove(at);
                if let (Err(source), Ok(())) = (result, &outcome) {
                    outcome = Err(LinkError::Refused { step, source });
                }
            }
        }
        outcome
    }

    /// Waits for any change that this socket is subscribed to.
    pub(crate) fn wait_for_change(&self) -> Result<(), LinkError> {
        self.socket.receive().map(drop).map_err(LinkError::Socket)
    }

    fn dump(
        &mut self,
        what: &'static str,
        message: &RouteNetlinkMessage,
    ) -> Result<Vec<Frame>, LinkError> {
        self.socket
            .dump(|sequence| encode(message, crate::netlink::DUMP, sequence))
            .map_err(|source| LinkError::List { what, source })
    }
}

impl Step {
    fn flags(&self) -> u16 {
        if self.create { CREATE | EXCL } else { 0 }
    }
}

fn encode(message: &RouteNetlinkMessage, flags: u16, sequence: u32) -> Vec<u8> {
    let mut payload = vec![0; message.buffer_len()];
    message.serialize(&mut payload);
    frame(message.message_type(), flags, sequence, &payload)
}
