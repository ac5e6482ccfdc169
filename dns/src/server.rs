//! One container's name server: the loop over its UDP socket, and what it shares with the TCP side.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use hickory_proto::op::ResponseCode;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::answer::{Decision, Request, Transport, decide};
use crate::relay::Relay;
use crate::resolv::HostServers;
use crate::tcp;
use crate::upstream::Upstream;
use crate::view::{Forward, View};

/// Relayed queries under way for one container. Each may hold a few sockets of the engine's, so a
/// container that floods has to fail before the engine does.
const RELAYED_AT_ONCE: usize = 128;
/// The longest query we read; what is longer is cut by the kernel and fails as malformed.
const LONGEST_QUERY: usize = 4096;
/// How long the loop rests when its socket fails, so that a lasting failure does not burn a
/// processor.
const REST: Duration = Duration::from_millis(100);

/// A running name server; dropping it stops it, relayed queries included. The sockets outlive it
/// where somebody else holds duplicates, and queries then wait in them for the next server.
#[derive(Debug)]
pub struct Server {
    _tasks: JoinSet<()>,
}

/// Answers queries on both sockets with what `view` holds at that moment, and relays the others
/// through sockets made by `upstream`. Has to be called inside a tokio runtime.
pub fn serve(
    udp: UdpSocket,
    tcp: TcpListener,
    view: Arc<ArcSwap<View>>,
    upstream: Arc<dyn Upstream>,
) -> Server {
    let own = [udp.local_addr(), tcp.local_addr()];
    let resolver = Arc::new(Resolver {
        view,
        relay: Relay::new(upstream),
        slots: Semaphore::new(RELAYED_AT_ONCE),
        turn: AtomicUsize::new(0),
        own: own.into_iter().filter_map(io::Result::ok).collect(),
    });
    let mut tasks = JoinSet::new();
    tasks.spawn(serve_udp(Arc::new(udp), Arc::clone(&resolver)));
    tasks.spawn(tcp::serve(tcp, resolver));
    Server { _tasks: tasks }
}

/// What both transports share.
#[derive(Debug)]
pub(crate) struct Resolver {
    view: Arc<ArcSwap<View>>,
    relay: Relay,
    slots: Semaphore,
    turn: AtomicUsize,
    own: Vec<SocketAddr>,
}

impl Resolver {
    pub(crate) fn decide(&self, wire: &[u8], transport: Transport) -> Decision {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        decide(wire, transport, &self.view.load(), turn)
    }

    pub(crate) async fn relay(&self, request: &Request) -> Vec<u8> {
        // Refusing at once is better than queueing: what waits behind a flood is answered too late
        // for its client.
        let Ok(_slot) = self.slots.try_acquire() else {
            return request.fail(ResponseCode::ServFail);
        };
        self.relay.relay(request, self.servers()).await
    }

    /// The upstreams of this moment, without ourselves.
    fn servers(&self) -> Vec<SocketAddr> {
        let mut servers = match &self.view.load().forward {
            Forward::Upstreams(servers) => servers.clone(),
            Forward::Host(host) => HostServers::conf(host).upstreams(),
            Forward::None => Vec::new(),
        };
        servers.retain(|server| !self.own.contains(server));
        servers
    }
}

async fn serve_udp(socket: Arc<UdpSocket>, resolver: Arc<Resolver>) {
    let mut relayed = JoinSet::new();
    let mut buffer = vec![0; LONGEST_QUERY];
    loop {
        while relayed.try_join_next().is_some() {}
        let (length, client) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            // The kernel reports here that an earlier client has closed its socket; that concerns
            // nobody else.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(error) => {
                tracing::warn!(%error, "cannot receive queries");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        match resolver.decide(&buffer[..length], Transport::Udp) {
            Decision::Reply(reply) => send(&socket, &reply, client).await,
            Decision::Relay(request) => {
                let (socket, resolver) = (Arc::clone(&socket), Arc::clone(&resolver));
                relayed.spawn(async move {
                    let reply = resolver.relay(&request).await;
                    send(&socket, &reply, client).await;
                });
            }
            Decision::Ignore => {}
        }
    }
}

async fn send(socket: &UdpSocket, reply: &[u8], client: SocketAddr) {
    if let Err(error) = socket.send_to(reply, client).await {
        tracing::debug!(%error, %client, "cannot send an answer");
    }
}
