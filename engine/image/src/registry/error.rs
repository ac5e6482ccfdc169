//! What can go wrong between here and a registry.

use std::io;
use std::time::Duration;

use http::StatusCode;

use crate::digest::{Digest, DigestError};
use crate::error::ErrorKind;

/// A registry could not be asked, or answered oddly.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No such tag or digest. The wording follows Docker's.
    #[error("manifest for {name} not found{}", after(message))]
    Unknown {
        /// The name.
        name: String,
        /// The registry's words.
        message: String,
    },
    /// No such repository, or not for us: registries do not tell which. The wording is Docker's.
    #[error(
        "pull access denied for {repository}, repository does not exist or may require 'docker login'{}",
        after(message)
    )]
    Denied {
        /// The repository.
        repository: String,
        /// The registry's words.
        message: String,
    },
    /// Not for us to write to. The wording is Docker's.
    #[error(
        "denied: requested access to the resource is denied: {repository}{}",
        after(message)
    )]
    PushDenied {
        /// The repository.
        repository: String,
        /// The registry's words.
        message: String,
    },
    /// What is to be sent cannot be read.
    #[error("read what is to be sent")]
    Read(#[source] io::Error),
    /// Name and password are wrong.
    #[error(
        "unauthorized: the registry refuses these credentials{}",
        after(message)
    )]
    Credentials {
        /// The registry's words.
        message: String,
    },
    /// A password would travel in the clear.
    #[error(
        "{host} asks for a password over plain HTTP; add it to the insecure registries to allow that"
    )]
    Plaintext {
        /// The registry.
        host: String,
    },
    /// Asked too often.
    #[error("toomanyrequests: the registry wants fewer requests{}{}", after(message), limit_text(limit.as_deref()))]
    TooManyRequests {
        /// The registry's words.
        message: String,
        /// Its limit, where it tells.
        limit: Option<String>,
        /// How long to wait.
        retry_after: Option<Duration>,
    },
    /// Another refusal.
    #[error("{url} answered {status}{}", after(message))]
    Status {
        /// What was asked for.
        url: String,
        /// The answer.
        status: StatusCode,
        /// The registry's words.
        message: String,
        /// How long to wait.
        retry_after: Option<Duration>,
    },
    /// No address for a name.
    #[error("look up the address of `{host}`")]
    Resolve {
        /// The name.
        host: String,
        /// Why.
        source: hickory_resolver::net::NetError,
    },
    /// A name without any address.
    #[error("`{host}` has no address")]
    NoAddress {
        /// The name.
        host: String,
    },
    /// No connection.
    #[error("connect to {host}")]
    Connect {
        /// Where to.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// No encryption.
    #[error("establish TLS with {host}")]
    Tls {
        /// With whom.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// A name that no certificate can carry.
    #[error("`{host}` is not a name TLS can check")]
    TlsName {
        /// The name.
        host: String,
    },
    /// The proxy does not let us through.
    #[error("the proxy {proxy} refuses to connect to {host}: {answer}")]
    Proxy {
        /// The proxy.
        proxy: String,
        /// Where to.
        host: String,
        /// Its answer.
        answer: String,
    },
    /// The proxy's address.
    #[error("`{0}` is not the address of an HTTP proxy")]
    ProxyAddress(String),
    /// The connection broke or the answer is no HTTP.
    #[error("talk to {url}")]
    Http {
        /// What was asked for.
        url: String,
        /// Why.
        source: hyper::Error,
    },
    /// Nothing came.
    #[error("{url} has been silent for too long")]
    Silent {
        /// What was asked for.
        url: String,
    },
    /// The download ended early.
    #[error("the download of {digest} broke off at {received} of {size} bytes")]
    Truncated {
        /// Which blob.
        digest: Digest,
        /// How far it got.
        received: u64,
        /// How long it is.
        size: u64,
    },
    /// More came than was announced.
    #[error("the registry sends more than the {size} bytes of {digest}")]
    TooLong {
        /// Which blob.
        digest: Digest,
        /// How long it should be.
        size: u64,
    },
    /// Contents that are not what was asked for.
    #[error("the {what} from the registry has the digest {found}, but {expected} was asked for")]
    Digest {
        /// What.
        what: &'static str,
        /// Asked for.
        expected: Digest,
        /// Found.
        found: Digest,
    },
    /// A digest that cannot be checked.
    #[error("a digest in the manifest")]
    BadDigest(#[from] DigestError),
    /// A document far beyond any sense.
    #[error("{url} is larger than any manifest or configuration may be")]
    TooLarge {
        /// Which.
        url: String,
    },
    /// A manifest that cannot be read.
    #[error("the manifest of {name} is not valid")]
    Manifest {
        /// Whose.
        name: String,
        /// Why.
        source: serde_json::Error,
    },
    /// Neither an image nor an index of images.
    #[error("{name} is not an image that can be pulled: {reason}")]
    NoImage {
        /// The name.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// No image for the machine. The wording follows Docker's.
    #[error(
        "no matching manifest for {wanted} in the manifest list entries of {name} (there are: {available})"
    )]
    NoPlatform {
        /// The name.
        name: String,
        /// The machine.
        wanted: String,
        /// What there is.
        available: String,
    },
    /// Layers and configuration disagree.
    #[error("the manifest of {name} lists {layers} layers, but its configuration {diff_ids}")]
    Layers {
        /// The name.
        name: String,
        /// In the manifest.
        layers: usize,
        /// In the configuration.
        diff_ids: usize,
    },
    /// A redirect to nowhere.
    #[error("the registry redirects to nowhere")]
    Redirect,
    /// A range nobody asked for.
    #[error("the registry cannot go on where the download broke off")]
    Range,
    /// Something that is no address.
    #[error("`{0}` is not an address of a registry")]
    Url(String),
    /// The token server's answer.
    #[error("the token server {realm} gave no token")]
    NoToken {
        /// Which server.
        realm: String,
    },
}

fn after(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(": {message}")
    }
}

fn limit_text(limit: Option<&str>) -> String {
    limit
        .map(|limit| format!(" (its limit: {limit})"))
        .unwrap_or_default()
}

impl RegistryError {
    /// The kind of answer it deserves.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Unknown { .. } | Self::Denied { .. } | Self::NoPlatform { .. } => {
                ErrorKind::NotFound
            }
            Self::Credentials { .. } | Self::Plaintext { .. } | Self::PushDenied { .. } => {
                ErrorKind::Forbidden
            }
            Self::Read(_) => ErrorKind::Internal,
            Self::Url(_) | Self::NoImage { .. } | Self::ProxyAddress(_) => ErrorKind::Invalid,
            _ => ErrorKind::Unavailable,
        }
    }

    /// Whether the same request may well succeed a little later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::TooManyRequests { .. }
            | Self::Connect { .. }
            | Self::Http { .. }
            | Self::Silent { .. }
            | Self::Truncated { .. } => true,
            Self::Status { status, .. } => {
                status.is_server_error() || *status == StatusCode::REQUEST_TIMEOUT
            }
            _ => false,
        }
    }

    /// How long the registry asked to wait.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooManyRequests { retry_after, .. } | Self::Status { retry_after, .. } => {
                *retry_after
            }
            _ => None,
        }
    }
}
