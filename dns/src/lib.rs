//! The name server each container sees at 127.0.0.11.
//!
//! The engine tells it names; it knows nothing of containers, networks or projects. One [`serve`]
//! call answers for one container: every query inside a container comes from 127.0.0.1, so the
//! socket it arrived on is the only thing that says who asks.
//!
//! - [`View`] is what one container may see. It is replaced whole, never edited.
//! - [`serve`] answers own names from the view at once and relays the rest.
//! - [`Upstream`] makes the sockets that relayed queries leave by; [`resolv`] reads and writes
//!   `resolv.conf`.
//!
//! hickory-proto reads and writes our own messages, but its server half is not used. A relayed
//! answer has to reach the client as the very bytes that the upstream sent, whatever record types
//! and flags are in it, while hickory-server's response handle takes only records that it has
//! parsed; and it starts a task for every datagram without a bound, where one container must not be
//! able to exhaust the engine.
//!
//! *Invariant:* a name the view knows never leaves this process, whatever type is asked for.
//! *Invariant:* every well-formed query gets an answer, if only SERVFAIL: within [`PATIENCE`], or
//! twice that when an upstream was alive a moment ago and may just be slow.

mod answer;
mod relay;
pub mod resolv;
mod server;
mod tcp;
mod upstream;
mod view;

pub use answer::TTL;
pub use relay::PATIENCE;
pub use server::{Server, serve};
pub use upstream::{OwnNamespace, Upstream};
pub use view::{Forward, Records, View};
