//! Ports relayed in user space, where the kernel cannot do it (`[::1]` to a container without IPv6, a host without
//! nf_tables). They live here and not in the engine so that connections outlive it.

mod stream;
mod udp;

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Instant;

use stream::Relay;
use udp::Datagrams;

use super::hub::never_wait;
use super::poll::{Interests, Token};
use crate::{Forward, ForwardProtocol};

/// Which descriptor of which forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The listener of this forward.
    Listener(u64),
    /// The client's side of this connection.
    Client(u64),
    /// The container's side of this connection.
    Target(u64),
    /// The socket of this forward for this peer.
    Peer(u64, u64),
}

/// The most connections at once. Beyond it clients wait in the listener's queue.
const MOST: usize = 4096;

/// All forwards of a container.
#[derive(Debug, Default)]
pub(super) struct Forwards {
    streams: Vec<(u64, Forward, OwnedFd)>,
    datagrams: Vec<(u64, Forward, Datagrams)>,
    relays: Vec<(u64, Relay)>,
    next: u64,
}

impl Forwards {
    pub(super) fn add(&mut self, forward: Forward, listener: OwnedFd) -> std::io::Result<()> {
        never_wait(listener.as_fd())?;
        let number = self.number();
        match forward.protocol {
            ForwardProtocol::Tcp => self.streams.push((number, forward, listener)),
            ForwardProtocol::Udp => {
                let datagrams = Datagrams::new(listener, forward.target);
                self.datagrams.push((number, forward, datagrams));
            }
        }
        Ok(())
    }

    /// New connections are no longer taken; those that exist go on.
    pub(super) fn remove(&mut self, forward: Forward) {
        let other =
            |known: &Forward| known.protocol != forward.protocol || known.target != forward.target;
        self.streams.retain(|(_, known, _)| other(known));
        self.datagrams.retain(|(_, known, _)| other(known));
    }

    /// The container has ended: so have its connections.
    pub(super) fn clear(&mut self) {
        *self = Self {
            next: self.next,
            ..Self::default()
        };
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        if self.relays.len() < MOST {
            for (number, _, listener) in &self.streams {
                into.add(
                    Token::Forward(Side::Listener(*number)),
                    listener.as_fd(),
                    true,
                    false,
                );
            }
        }
        for (number, relay) in &self.relays {
            relay.interests(*number, into);
        }
        for (number, _, datagrams) in &self.datagrams {
            datagrams.interests(*number, into);
        }
    }

    pub(super) fn handle(&mut self, side: Side) {
        match side {
            Side::Listener(number) => self.arrive(number),
            Side::Client(number) | Side::Target(number) => {
                if let Some((_, relay)) = self.relays.iter_mut().find(|(known, _)| *known == number)
                {
                    relay.handle();
                }
                self.relays.retain(|(_, relay)| !relay.is_over());
            }
            Side::Peer(number, peer) => {
                if let Some((_, _, datagrams)) = self
                    .datagrams
                    .iter_mut()
                    .find(|(known, ..)| *known == number)
                {
                    datagrams.back(peer);
                }
            }
        }
    }

    fn arrive(&mut self, number: u64) {
        if let Some((_, _, datagrams)) = self
            .datagrams
            .iter_mut()
            .find(|(known, ..)| *known == number)
        {
            return datagrams.forth();
        }
        let Some((_, forward, listener)) = self.streams.iter().find(|(known, ..)| *known == number)
        else {
            return;
        };
        let mut arrived = Vec::new();
        while let Some(relay) = Relay::accept(listener, forward.target) {
            arrived.push(relay);
        }
        for relay in arrived {
            let number = self.number();
            self.relays.push((number, relay));
        }
    }

    pub(super) fn sweep(&mut self) {
        let now = Instant::now();
        self.datagrams
            .iter_mut()
            .for_each(|(_, _, datagrams)| datagrams.sweep(now));
    }
}
