//! The one error that leaves the engine: what kind it is decides the HTTP status, the message is for people.

use std::error::Error as StdError;
use std::fmt::Write as _;

/// What a request ran into, in the terms of the Docker API's status codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// 404: the named object does not exist.
    NotFound,
    /// 400: the request cannot be right.
    Invalid,
    /// 409: the object is in a state, or bears a name, that forbids it.
    Conflict,
    /// 304: nothing to do.
    NotModified,
    /// 403: the object may not be changed like that.
    Forbidden,
    /// 503: not now.
    Unavailable,
    /// 501: recognised, not supported.
    NotImplemented,
    /// 500: the engine or the kernel failed.
    Internal,
}

/// A failed request: its kind and the words the client prints.
#[derive(Clone, Debug, thiserror::Error)]
#[expect(
    clippy::error_impl_error,
    reason = "the one error of the engine; it is named `engine::Error` outside"
)]
#[error("{message}")]
pub struct Error {
    /// Decides the HTTP status.
    pub kind: ErrorKind,
    /// One sentence without a full stop, causes after colons.
    pub message: String,
}

/// Result of engine operations.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// 404.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// 400.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// 409.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    /// 403.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Forbidden, message)
    }

    /// 501.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotImplemented, message)
    }

    /// 500 with a plain message.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// 500: `what` failed because of `source`, whose causes follow after colons.
    pub fn failed(what: &str, source: &dyn StdError) -> Self {
        Self::internal(format!("failed to {what}: {}", chain(source)))
    }
}

/// An error and its causes in one line, outermost first.
pub fn chain(error: &dyn StdError) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        // Writing into a String cannot fail.
        let _ = write!(line, ": {next}");
        cause = next.source();
    }
    line
}
