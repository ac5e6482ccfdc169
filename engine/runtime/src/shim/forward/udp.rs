//! Relayed datagrams: a socket towards the container for each peer, so that answers find back.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use super::Side;
use crate::shim::poll::{Interests, Token};

/// How long a silent peer is remembered; a name server's answer or a game's pause fits in.
const IDLE: Duration = Duration::from_secs(90);
/// The most peers at once; a new one beyond it replaces the one that was silent longest.
const MOST: usize = 256;
/// The longest datagram.
const LONGEST: usize = 65_536;
/// Datagrams taken at once, so that one busy port does not starve the rest.
const BATCH: usize = 64;

/// A listening socket and its peers.
#[derive(Debug)]
pub(super) struct Datagrams {
    listener: UdpSocket,
    target: SocketAddr,
    peers: Vec<Peer>,
    next: u64,
}

#[derive(Debug)]
struct Peer {
    number: u64,
    address: SocketAddr,
    socket: UdpSocket,
    used: Instant,
}

impl Datagrams {
    pub(super) fn new(listener: OwnedFd, target: SocketAddr) -> Self {
        Self {
            listener: UdpSocket::from(listener),
            target,
            peers: Vec::new(),
            next: 0,
        }
    }

    pub(super) fn interests<'a>(&'a self, number: u64, into: &mut Interests<'a>) {
        into.add(
            Token::Forward(Side::Listener(number)),
            self.listener.as_fd(),
            true,
            false,
        );
        for peer in &self.peers {
            into.add(
                Token::Forward(Side::Peer(number, peer.number)),
                peer.socket.as_fd(),
                true,
                false,
            );
            into.wake_at(peer.used + IDLE);
        }
    }

    /// From the peers to the container. What cannot be sent is lost, as datagrams may be.
    pub(super) fn forth(&mut self) {
        let mut buffer = vec![0; LONGEST];
        for _ in 0..BATCH {
            let Ok((length, from)) = self.listener.recv_from(&mut buffer) else {
                return;
            };
            if let Some(peer) = self.peer(from) {
                let _lost = peer.socket.send(&buffer[..length]);
            }
        }
    }

    /// From the container to one peer.
    pub(super) fn back(&mut self, number: u64) {
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.number == number) else {
            return;
        };
        let mut buffer = vec![0; LONGEST];
        for _ in 0..BATCH {
            // Refused by the container is an error once, and read away by this.
            let Ok(length) = peer.socket.recv(&mut buffer) else {
                return;
            };
            peer.used = Instant::now();
            let _lost = self.listener.send_to(&buffer[..length], peer.address);
        }
    }

    fn peer(&mut self, address: SocketAddr) -> Option<&Peer> {
        let index = match self.peers.iter().position(|peer| peer.address == address) {
            Some(index) => index,
            None => self.admit(address)?,
        };
        let peer = self.peers.get_mut(index)?;
        peer.used = Instant::now();
        Some(peer)
    }

    fn admit(&mut self, address: SocketAddr) -> Option<usize> {
        if self.peers.len() >= MOST {
            let (oldest, _) = self
                .peers
                .iter()
                .enumerate()
                .min_by_key(|(_, peer)| peer.used)?;
            drop(self.peers.swap_remove(oldest));
        }
        let any: SocketAddr = if self.target.is_ipv4() {
            ([0, 0, 0, 0], 0).into()
        } else {
            ([0_u16; 8], 0).into()
        };
        let socket = UdpSocket::bind(any).ok()?;
        socket.connect(self.target).ok()?;
        socket.set_nonblocking(true).ok()?;
        self.next += 1;
        self.peers.push(Peer {
            number: self.next,
            address,
            socket,
            used: Instant::now(),
        });
        Some(self.peers.len() - 1)
    }

    pub(super) fn sweep(&mut self, now: Instant) {
        self.peers
            .retain(|peer| now.saturating_duration_since(peer.used) < IDLE);
    }
}
