//! Addresses of registries: scheme, host, port, path. Nothing else is needed.

use std::fmt;
use std::net::IpAddr;

use http::Uri;

use super::RegistryError;

/// The place a connection goes to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
}

impl Place {
    /// The host as an address, if it is one.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.host.trim_matches(['[', ']']).parse().ok()
    }

    /// Whether it is this machine itself, as Docker tells it: `localhost`, 127.0.0.0/8, ::1.
    pub(super) fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.address().is_some_and(|address| address.is_loopback())
    }

    /// Host and port.
    pub(super) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// As it goes into the `Host` header: the port only if it is not the scheme's own.
    pub(super) fn host_header(&self) -> String {
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual {
            self.host.clone()
        } else {
            self.authority()
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) place: Place,
    /// Path and query, from the slash on.
    pub(super) path: String,
}

impl Url {
    /// The top of the registry at `host[:port]`. Port 80 is plain HTTP.
    pub(super) fn registry(host: &str) -> Result<Self, RegistryError> {
        let scheme = if host.ends_with(":80") {
            "http"
        } else {
            "https"
        };
        Self::parse(&format!("{scheme}://{host}/"))
    }

    pub(super) fn parse(text: &str) -> Result<Self, RegistryError> {
        let wrong = || RegistryError::Url(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        let host = uri.host().ok_or_else(wrong)?.to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let path = uri
            .path_and_query()
            .map_or("/", |path| path.as_str())
            .to_owned();
        Ok(Self {
            place: Place { tls, host, port },
            path,
        })
    }

    /// Where `location` leads from here: another address, or a path at this one.
    pub(super) fn join(&self, location: &str) -> Result<Self, RegistryError> {
        if location.starts_with("//") {
            let scheme = if self.place.tls { "https:" } else { "http:" };
            return Self::parse(&format!("{scheme}{location}"));
        }
        if location.starts_with('/') {
            return Ok(Self {
                place: self.place.clone(),
                path: location.to_owned(),
            });
        }
        Self::parse(location)
    }

    /// Whether credentials for one are meant for the other too. The scheme of a loopback registry is only found out
    /// later, so it does not count.
    pub(super) fn same_place(&self, other: &Self) -> bool {
        (&self.place.host, self.place.port) == (&other.place.host, other.place.port)
    }

    pub(super) fn is_manifest(&self) -> bool {
        self.path.contains("/manifests/")
    }
}

impl fmt::Display for Url {
    /// Without the query: signed addresses carry secrets there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.place.tls { "https" } else { "http" };
        let path = self.path.split('?').next().unwrap_or_default();
        write!(f, "{scheme}://{}{path}", self.place.host_header())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let url = Url::registry("localhost:5000").unwrap();
        assert!(url.place.is_loopback() && url.place.tls);
        assert_eq!(
            url.join("/v2/").unwrap().to_string(),
            "https://localhost:5000/v2/"
        );
        let other = url.join("http://CDN.example/x?secret=1").unwrap();
        assert_eq!(other.to_string(), "http://cdn.example/x");
        assert_eq!(other.path, "/x?secret=1");
        assert!(!other.same_place(&url));
        assert!(Url::registry("[::1]:5000").unwrap().place.is_loopback());
        assert!(Url::registry("127.1.2.3").unwrap().place.is_loopback());
        assert!(!Url::registry("registry.example:80").unwrap().place.tls);
        assert!(url.join("ftp://x/").is_err());
        assert!(url.join("not a url").is_err());
    }
}
