//! Where an engine listens.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// An address of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `unix:///run/bowline/bowline.sock`
    Unix(PathBuf),
    /// `tcp://127.0.0.1:2375`. Numbers only: a static binary resolves no names.
    Tcp(SocketAddr),
}

/// Why a text is no endpoint.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Neither `unix://` nor `tcp://`.
    #[error("host {0:?} must begin with unix:// or tcp://")]
    Scheme(String),
    /// A Unix socket without an absolute path.
    #[error("host {0:?} needs an absolute path, as in unix:///run/bowline/bowline.sock")]
    Path(String),
    /// A TCP address that is not numbers.
    #[error("host {0:?} needs an address and a port in numbers, as in tcp://127.0.0.1:2375")]
    Address(String),
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if let Some(path) = text.strip_prefix("unix://") {
            return match path.starts_with('/') {
                true => Ok(Self::Unix(PathBuf::from(path))),
                false => Err(EndpointError::Path(text.to_owned())),
            };
        }
        let Some(address) = text.strip_prefix("tcp://") else {
            return Err(EndpointError::Scheme(text.to_owned()));
        };
        let address = address
            .trim_end_matches('/')
            .replace("localhost", "127.0.0.1");
        address
            .parse()
            .map(Self::Tcp)
            .map_err(|_| EndpointError::Address(text.to_owned()))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(out, "unix://{}", path.display()),
            Self::Tcp(address) => write!(out, "tcp://{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_and_written() {
        for text in [
            "unix:///run/bowline.sock",
            "tcp://127.0.0.1:2375",
            "tcp://[::1]:2375",
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "/run/x",
            "unix://run/x",
            "tcp://example.org:1",
            "tcp://1.2.3.4",
            "npipe:////./pipe",
        ] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
    }
}
