//! The engine: containers, images, networks and volumes of one pair of roots, behind the Docker API on a socket.
//!
//! [`run`] is `bowline engine`. Requests come in through [`http`], reach the [`Engine`], and from there the actor of
//! the container they are about, which alone changes that container's record. Whatever chooses (policies, health,
//! documents for the runtime) is pure and lies in a module of its own; whatever acts asks the kernel through the
//! runtime, image and network crates.
//!
//! *Invariant:* the engine never hears the word compose; projects and services are labels to it.
//! *Invariant:* a record is written before the effect that it announces.

mod activation;
mod build;
mod clock;
pub mod config;
mod container;
mod create;
mod daemon;
mod engine;
pub mod error;
mod events;
mod health;
pub mod http;
mod ids;
mod launch;
mod lock;
pub mod logs;
mod netthread;
mod passwd;
mod record;
mod restart;
mod roots;
mod store;
mod view;

pub use bowline_runtime::{init_main, shim_main};
pub use container::{Stream, WaitHandle};
pub use daemon::{Options, StartError, run};
pub use engine::Engine;
pub use engine::containers::{AttachOptions, AttachTicket, ExecStartTicket, LogSource};
pub use error::{Error, ErrorKind, Result};

/// The commit this binary was built from; `unknown` outside a repository.
pub fn commit() -> &'static str {
    option_env!("BOWLINE_COMMIT").unwrap_or("unknown")
}
