//! Our own client of the Docker Engine API, over a Unix socket or plain TCP.
//!
//! Every request has a connection of its own: a stream that goes on for hours then blocks nobody, dropping an answer
//! ends its request, and an engine that was replaced is met afresh. Paths carry no version, so an engine answers in its
//! own newest one. Nothing here retries: whoever follows a stream decides where to take it up again.

mod archive;
mod body;
mod build;
mod containers;
mod endpoint;
mod error;
mod exec;
mod hijack;
mod images;
mod lease;
mod lines;
mod logs;
mod networks;
mod query;
mod raw;
mod stats;
mod system;
mod transport;
mod unpack;
mod volumes;

#[cfg(test)]
mod tests;

pub use archive::{ContainerCommit, PathStat};
pub use body::ByteStream;
pub use containers::{AttachOptions, LogsOptions, RemoveOptions, Waiting};
pub use endpoint::{Endpoint, EndpointError};
pub use error::{Error, Result};
pub use hijack::Hijacked;
pub use images::ImageImport;
pub use lease::{Lease, LeaseRequest};
pub use lines::JsonLines;
pub use logs::{LogChunk, LogStream};
pub use raw::Kind;
pub use system::{EventsOptions, Ping};

/// Speaks to one engine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    endpoint: Endpoint,
}

impl Client {
    /// A client of the engine at `endpoint`; nothing is opened yet.
    pub fn new(endpoint: Endpoint) -> Self {
        Self { endpoint }
    }

    /// Where the engine is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}
