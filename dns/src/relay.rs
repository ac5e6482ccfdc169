//! Relays one query: which servers are asked, in what order, and which answer counts.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hickory_proto::op::ResponseCode;
use tokio::time::{Instant, sleep_until, timeout};

use crate::answer::{Request, Transport};
use crate::upstream::{Answer, Datagram, Upstream, ask_over_tcp};

/// How long a query may take when no server has been heard of lately. Silence would cost the client
/// five seconds.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// The same when one was: it is slow rather than dead. Still below the C library's own five
/// seconds.
const PATIENCE_WITH_LIVING: Duration = PATIENCE.saturating_mul(2);
/// How long what we know of a server counts.
const MEMORY: Duration = Duration::from_secs(30);
/// When the next server is asked too. The order of servers is a preference (a VPN's before the
/// provider's), so a server that is known to live is given more time before another may answer in
/// its place.
const HEDGE: Duration = Duration::from_millis(300);
const HEDGE_BEHIND_LIVING: Duration = Duration::from_secs(1);
/// How long "does not exist" from a later server waits for an earlier one, which may know better.
const SETTLE: Duration = Duration::from_millis(500);
/// When an unanswered datagram is sent once more.
const RESEND: Duration = Duration::from_millis(700);
/// How long a TCP client waits for a server's TCP before its UDP is tried: some home routers have
/// none.
const TCP_TRIAL: Duration = Duration::from_secs(1);

/// The way out for one container, with what it has learnt about each server.
#[derive(Debug)]
pub(crate) struct Relay {
    upstream: Arc<dyn Upstream>,
    seen: Mutex<HashMap<SocketAddr, Seen>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Living,
    Unknown,
    Dead,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    health: Health,
    at: Instant,
}

/// What has come in for one query so far.
#[derive(Default)]
struct Verdict {
    /// "Does not exist", with the rank of the server that said so and the time until which it may
    /// be contradicted.
    negative: Option<(usize, Answer, Instant)>,
    /// A server's complaint, for want of anything better.
    complaint: Option<Answer>,
}

impl Relay {
    pub(crate) fn new(upstream: Arc<dyn Upstream>) -> Self {
        Self {
            upstream,
            seen: Mutex::default(),
        }
    }

    /// The message for the client: an upstream's own bytes, or SERVFAIL when none has answered in
    /// time.
    pub(crate) async fn relay(&self, request: &Request, servers: Vec<SocketAddr>) -> Vec<u8> {
        match self.race(request, &self.ranked(servers)).await {
            Some(answer) => fit(answer, request.limit()),
            None => request.fail(ResponseCode::ServFail),
        }
    }

    async fn race(&self, request: &Request, servers: &[SocketAddr]) -> Option<Answer> {
        let start = Instant::now();
        let living = servers
            .iter()
            .any(|server| self.health(*server) == Health::Living);
        let deadline = start
            + if living {
                PATIENCE_WITH_LIVING
            } else {
                PATIENCE
            };
        let mut verdict = Verdict::default();
        let mut running = FuturesUnordered::new();
        let mut pending = BTreeSet::new();
        let mut waiting = servers.iter().copied().enumerate();
        let mut hedge = start;
        loop {
            if Instant::now() >= hedge || running.is_empty() {
                if let Some((rank, server)) = waiting.next() {
                    hedge = Instant::now() + self.head_start(server);
                    pending.insert(rank);
                    running.push(async move { (rank, server, self.ask(server, request).await) });
                } else if running.is_empty() {
                    return verdict.last_resort();
                }
            }
            let more = waiting.len() > 0;
            let wake = verdict
                .settles_at()
                .into_iter()
                .chain(more.then_some(hedge));
            let wake = wake.fold(deadline, Instant::min);
            tokio::select! {
                Some((rank, server, outcome)) = running.next() => {
                    pending.remove(&rank);
                    self.note(server, &outcome);
                    if let Some(answer) = verdict.weigh(rank, outcome, &pending) {
                        pending.range(..rank).for_each(|late| self.demote(servers[*late]));
                        return Some(answer);
                    }
                    hedge = Instant::now();
                }
                () = sleep_until(wake) => {}
            }
            let now = Instant::now();
            if now >= deadline || verdict.settles_at().is_some_and(|settled| now >= settled) {
                pending.iter().for_each(|late| self.demote(servers[*late]));
                return verdict.last_resort();
            }
        }
    }

    /// Asks one server, by the client's transport first, and never gives up by itself on UDP.
    async fn ask(&self, server: SocketAddr, request: &Request) -> io::Result<Answer> {
        let upstream = &*self.upstream;
        if request.transport() == Transport::Tcp {
            let tried = timeout(TCP_TRIAL, ask_over_tcp(upstream, server, request)).await;
            if let Ok(Ok(answer)) = tried {
                return Ok(answer);
            }
        }
        let answer = self.ask_over_udp(server, request).await?;
        // The client has room for more than this server sends by UDP: fetch it, and spare the
        // client the way.
        if answer.is_truncated() && answer.len() < request.limit() {
            let whole = timeout(TCP_TRIAL, ask_over_tcp(upstream, server, request)).await;
            if let Ok(Ok(whole)) = whole
                && whole.len() <= request.limit()
            {
                return Ok(whole);
            }
        }
        Ok(answer)
    }

    async fn ask_over_udp(&self, server: SocketAddr, request: &Request) -> io::Result<Answer> {
        let datagram = Datagram::open(&*self.upstream, server, request).await?;
        loop {
            datagram.send().await?;
            if let Ok(answer) = timeout(RESEND, datagram.receive()).await {
                return answer;
            }
        }
    }

    /// Servers in their order, but those that were dead a moment ago last.
    fn ranked(&self, mut servers: Vec<SocketAddr>) -> Vec<SocketAddr> {
        servers.sort_by_key(|server| self.health(*server) == Health::Dead);
        servers
    }

    fn head_start(&self, server: SocketAddr) -> Duration {
        match self.health(server) {
            Health::Living => HEDGE_BEHIND_LIVING,
            Health::Unknown | Health::Dead => HEDGE,
        }
    }

    fn health(&self, server: SocketAddr) -> Health {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = seen.get(&server).filter(|seen| seen.at.elapsed() < MEMORY);
        fresh.map_or(Health::Unknown, |seen| seen.health)
    }

    fn note(&self, server: SocketAddr, outcome: &io::Result<Answer>) {
        match outcome {
            Ok(_) => self.mark(server, Health::Living),
            Err(error) => {
                tracing::debug!(%server, %error, "upstream failed");
                self.mark(server, Health::Dead);
            }
        }
    }

    /// A server was outrun in spite of its head start. One that lived may have met a hard question:
    /// it loses its credit, and only the next time its place.
    fn demote(&self, server: SocketAddr) {
        match self.health(server) {
            Health::Living => self.mark(server, Health::Unknown),
            Health::Unknown | Health::Dead => self.mark(server, Health::Dead),
        }
    }

    fn mark(&self, server: SocketAddr, health: Health) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let at = Instant::now();
        seen.retain(|_, seen| seen.at.elapsed() < MEMORY);
        seen.insert(server, Seen { health, at });
    }
}

impl Verdict {
    /// Takes in what the server of `rank` said; returns the answer once it is certain.
    fn weigh(
        &mut self,
        rank: usize,
        outcome: io::Result<Answer>,
        pending: &BTreeSet<usize>,
    ) -> Option<Answer> {
        match outcome {
            Ok(answer) if answer.is_positive() => return Some(answer),
            Ok(answer) if !answer.is_about_the_name() => {
                self.complaint.get_or_insert(answer);
            }
            Ok(answer) if self.negative.as_ref().is_none_or(|(held, ..)| rank < *held) => {
                self.negative = Some((rank, answer, Instant::now() + SETTLE));
            }
            Ok(_) | Err(_) => {}
        }
        let (held, ..) = self.negative.as_ref()?;
        match pending.first().is_none_or(|earliest| earliest > held) {
            true => self.negative.take().map(|(_, answer, _)| answer),
            false => None,
        }
    }

    fn settles_at(&self) -> Option<Instant> {
        self.negative.as_ref().map(|(.., settled)| *settled)
    }

    fn last_resort(self) -> Option<Answer> {
        self.negative
            .map(|(_, answer, _)| answer)
            .or(self.complaint)
    }
}

/// Cuts an answer that is longer than the client takes down to its question, with the flag that
/// says so.
fn fit(answer: Answer, limit: usize) -> Vec<u8> {
    match answer.len() <= limit {
        true => answer.into_wire(),
        false => answer.into_truncated(),
    }
}
