//! The words of a service that stand for a decision: what it waits for, when it is started again,
//! which network it lives in, when its image is pulled.

use std::fmt;

use serde::{Serialize, Serializer};

use super::{Duration, is_false};

/// What a dependant waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Its containers were started.
    #[default]
    ServiceStarted,
    /// Its containers are healthy.
    ServiceHealthy,
    /// Its container ended with code 0.
    ServiceCompletedSuccessfully,
}

impl Condition {
    /// The word in the file, and in the `depends_on` label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServiceStarted => "service_started",
            Self::ServiceHealthy => "service_healthy",
            Self::ServiceCompletedSuccessfully => "service_completed_successfully",
        }
    }
}

/// One edge of the service graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Dependency {
    /// What is waited for.
    pub condition: Condition,
    /// Restart the dependant when the dependency is updated or restarted by command.
    #[serde(skip_serializing_if = "is_false")]
    pub restart: bool,
    /// A failure of the dependency is a failure of the dependant.
    pub required: bool,
}

impl Default for Dependency {
    fn default() -> Self {
        Self {
            condition: Condition::ServiceStarted,
            restart: false,
            required: true,
        }
    }
}

/// When the engine starts a container again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// Whenever it ends.
    Always,
    /// Whenever it ends, unless it was stopped by hand.
    UnlessStopped,
    /// When it fails; at most so many times in a row, zero meaning without bound.
    OnFailure(u32),
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => f.write_str("no"),
            Self::Always => f.write_str("always"),
            Self::UnlessStopped => f.write_str("unless-stopped"),
            Self::OnFailure(0) => f.write_str("on-failure"),
            Self::OnFailure(times) => write!(f, "on-failure:{times}"),
        }
    }
}

impl Serialize for RestartPolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Which network namespace a container lives in, when not the project's networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkMode {
    /// Loopback only.
    None,
    /// The host's.
    Host,
    /// The engine's default bridge.
    Bridge,
    /// The same by another name.
    Default,
    /// Another service's container of this project.
    Service(String),
    /// Some container, by name or id.
    Container(String),
    /// A network of the engine, by name.
    Named(String),
}

impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Host => f.write_str("host"),
            Self::Bridge => f.write_str("bridge"),
            Self::Default => f.write_str("default"),
            Self::Service(name) => write!(f, "service:{name}"),
            Self::Container(name) => write!(f, "container:{name}"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

impl Serialize for NetworkMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// When an image is pulled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PullPolicy {
    /// Each time.
    Always,
    /// Not at all.
    Never,
    /// Only when it is absent, the default.
    #[default]
    Missing,
    /// Not at all: it is built each time.
    Build,
    /// A word that the specification has and nobody has given a meaning.
    Refresh,
    /// When the local one is older than this; the word is how it was written.
    Every {
        /// `daily`, `weekly`, `every_12h`.
        word: String,
        /// The age.
        age: Duration,
    },
}

impl fmt::Display for PullPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Always => "always",
            Self::Never => "never",
            Self::Missing => "missing",
            Self::Build => "build",
            Self::Refresh => "refresh",
            Self::Every { word, .. } => word,
        })
    }
}

impl Serialize for PullPolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
