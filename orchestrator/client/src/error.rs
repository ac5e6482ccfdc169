//! What can go wrong between us and an engine.

use std::io;

use bowline_api::stdcopy::BadHeader;

use crate::Endpoint;

/// Result of every request.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed request.
#[expect(
    clippy::error_impl_error,
    reason = "the crate's only error, written bowline_client::Error"
)]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens there, or we may not speak to them.
    #[error("connect to the engine at {endpoint}")]
    Connect {
        /// Where.
        endpoint: Endpoint,
        /// The kernel's word.
        source: io::Error,
    },
    /// The connection broke before the answer came.
    #[error("send {method} {path} to the engine")]
    Send {
        /// GET, POST …
        method: String,
        /// With its query.
        path: String,
        /// hyper's word.
        source: hyper::Error,
    },
    /// The connection broke in the middle of the answer.
    #[error("read the engine's answer")]
    Receive {
        /// hyper's word.
        source: hyper::Error,
    },
    /// The engine refused or failed; the message is its own.
    #[error("{message}")]
    Api {
        /// HTTP status.
        status: u16,
        /// The engine's words.
        message: String,
    },
    /// The answer is not what the API says.
    #[error("understand the engine's answer to {path}")]
    Decode {
        /// Of the request.
        path: String,
        /// Where it stopped making sense.
        source: serde_json::Error,
    },
    /// The path cannot be asked for.
    #[error("ask for {path:?}")]
    Request {
        /// Of the request.
        path: String,
        /// Why.
        source: http::Error,
    },
    /// The engine answered a hijack without giving the connection away.
    #[error("take over the connection: the engine answered {status} instead of 101")]
    NotUpgraded {
        /// HTTP status.
        status: u16,
    },
    /// The connection after a hijack is not the one we opened.
    #[error("take over the connection")]
    Upgrade {
        /// hyper's word.
        source: hyper::Error,
    },
    /// A multiplexed stream lost its step.
    #[error("separate stdout from stderr: {0}")]
    Frame(BadHeader),
    /// A hijacked stream broke.
    #[error("read the stream")]
    Stream {
        /// The kernel's word.
        source: io::Error,
    },
}

impl Error {
    /// The HTTP status, if the engine answered.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Api { status, .. } | Self::NotUpgraded { status } => Some(*status),
            _ => None,
        }
    }

    /// The named object does not exist.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// The object is in a state, or has a name, that forbids it.
    pub fn is_conflict(&self) -> bool {
        self.status() == Some(409)
    }

    /// The engine knows the request and does not support it.
    pub fn is_not_implemented(&self) -> bool {
        self.status() == Some(501)
    }

    /// No engine is there, or it went away before it answered.
    pub fn is_gone(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. } | Self::Send { .. } | Self::Receive { .. } | Self::Stream { .. }
        )
    }
}
