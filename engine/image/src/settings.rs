//! What the store is told from outside: it reads no environment and no configuration file itself.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::Deserialize;

/// How the store works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Layers fetched at the same time.
    pub parallel_layers: usize,
    /// Proxies on the way to registries.
    pub proxies: Proxies,
    /// Registries (`host[:port]`) whose certificate is not checked and that may speak plain HTTP. Loopback addresses
    /// are always among them.
    pub insecure_registries: Vec<String>,
    /// How often a request that failed on the way is sent again.
    pub retries: u32,
    /// Wait before the first repetition; it doubles each time.
    pub retry_wait: Duration,
    /// How long a registry may be silent.
    pub timeout: Duration,
    /// The clock.
    pub now: fn() -> SystemTime,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            parallel_layers: 4,
            proxies: Proxies::default(),
            insecure_registries: Vec::new(),
            retries: 5,
            retry_wait: Duration::from_secs(1),
            timeout: Duration::from_secs(30),
            now: SystemTime::now,
        }
    }
}

/// Proxies, as `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` name them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For plain HTTP.
    pub http: Option<String>,
    /// For HTTPS.
    pub https: Option<String>,
    /// Hosts that need none, comma-separated.
    pub none: String,
}

impl Proxies {
    /// Reads the customary variables through `variable`; the lower-case one counts first.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let either = |name: &str| {
            let lower = variable(&name.to_ascii_lowercase());
            lower
                .or_else(|| variable(name))
                .filter(|value| !value.is_empty())
        };
        Self {
            http: either("HTTP_PROXY"),
            https: either("HTTPS_PROXY"),
            none: either("NO_PROXY").unwrap_or_default(),
        }
    }
}

/// Credentials for one registry, as the `X-Registry-Auth` header and `config.json` carry them.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Auth {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
    /// A refresh token that stands for user and password.
    #[serde(alias = "identityToken", alias = "IdentityToken")]
    pub identitytoken: String,
    /// A bearer token to be used as it is.
    #[serde(alias = "registryToken", alias = "RegistryToken")]
    pub registrytoken: String,
}

impl Auth {
    /// Whether it holds anything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Secrets stay out of logs.
        f.debug_struct("Auth")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}
