//! The Docker Engine API on a socket: what is asked, in which version, and how answers look on the wire.
//!
//! Requests become calls of [`Engine`]; nothing is decided here. Three things are particular to this API:
//!
//! - one fallback route splits version prefix and path itself, for image names hold slashes;
//! - attach and exec take the connection over after a `101 UPGRADED`: the client's own descriptor, with the bytes that
//!   came too early, goes to the engine. A client that does not send `Upgrade` is refused;
//! - a request runs in a task of its own, so that a client that leaves does not stop half-way what it asked for. Streams
//!   (events, logs, progress, waits) do end with their client.

mod archive;
mod body;
mod build;
mod build_lines;
mod build_query;
mod call;
mod compat;
mod containers;
mod dispatch;
mod events;
mod exec;
mod filters;
mod hijack;
mod images;
mod lease;
mod logs;
mod networks;
mod path;
mod progress;
mod query;
mod reply;
mod route;
mod sample;
mod server;
mod stats;
mod system;
mod time;
mod volumes;

use std::sync::Arc;

use tokio::net::UnixListener;

use crate::engine::Engine;
use crate::logs::Watcher;

/// Serves the API on `listener` until the future is dropped. Connections that are open then go on by themselves.
pub async fn serve(listener: Arc<UnixListener>, engine: Arc<Engine>) {
    let watcher = Watcher::new();
    let present = Arc::clone(&engine);
    let respond = move |request| dispatch::respond(Arc::clone(&engine), watcher.clone(), request);
    server::accept(&listener, move || present.busy(), respond).await;
}
