//! One service: a template for its containers.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

use super::{
    Attachment, Bytes, Deploy, Duration, FileReference, Healthcheck, Mount, Port, is_false,
};

/// One service. The fields stand in the order Compose prints them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Service {
    /// The key under `services`; not printed.
    #[serde(skip)]
    pub name: String,
    /// The profiles that switch it on; empty means always on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
    /// Replicas and resources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deploy: Option<Deploy>,
    /// When the engine starts it again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<RestartPolicy>,
    /// How many containers; see [`Service::replicas`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<u32>,
    /// A fixed container name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_name: Option<String>,
    /// `service[:alias]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
    /// Capabilities added, without a rule about the `CAP_` prefix.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_add: Vec<String>,
    /// Capabilities taken away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_drop: Vec<String>,
    /// Processors it may use.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "super::units::processors"
    )]
    pub cpus: Option<f32>,
    /// `None` is the image's own; an empty list is no command.
    pub command: Option<Vec<String>>,
    /// Configs it sees.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub configs: Vec<FileReference>,
    /// Host devices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
    /// DNS servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<String>,
    /// Resolver options.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_opt: Vec<String>,
    /// Search domains.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_search: Vec<String>,
    /// The container's domain name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domainname: Option<String>,
    /// `None` is the image's own; an empty list is no entrypoint.
    pub entrypoint: Option<Vec<String>>,
    /// Variables, those of `env_file` under them. `None` is listed but set nowhere: it is not
    /// passed on, and it hides an `env_file`'s value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, Option<String>>,
    /// The files `environment` was completed from; not printed, as their values already are.
    #[serde(skip)]
    pub env_file: Vec<EnvFile>,
    /// Extra lines of `/etc/hosts`, as `name=address`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_hosts: Vec<String>,
    /// More groups, names or numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub group_add: Vec<String>,
    /// The container's host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The image's reference, as written.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// A reaper as pid 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
    /// Labels the person wrote.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Where its output goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
    /// Memory it may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_limit: Option<Bytes>,
    /// Something else than the project's networks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_mode: Option<NetworkMode>,
    /// The networks it sits on; `None` is no special wish.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<String, Option<Attachment>>,
    /// Processes it may have; -1 is unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids_limit: Option<i64>,
    /// `os/arch[/variant]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// All rights.
    #[serde(skip_serializing_if = "is_false")]
    pub privileged: bool,
    /// When to pull.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<PullPolicy>,
    /// A read-only root.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only: bool,
    /// Secrets it sees.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<FileReference>,
    /// Security options as written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub security_opt: Vec<String>,
    /// The text of the seccomp profile that `security_opt` names, if it names a file.
    #[serde(skip)]
    pub seccomp_profile: Option<String>,
    /// The size of /dev/shm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<Bytes>,
    /// How long a stop may take; the default is ten seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_grace_period: Option<Duration>,
    /// What asks it to stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Kernel settings of its namespaces.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, String>,
    /// `path[:options]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tmpfs: Vec<String>,
    /// Resource limits of its processes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// `user[:group]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What is mounted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Mount>,
    /// Where its process starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// What it waits for; implied dependencies (links, namespaces) are in it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub depends_on: BTreeMap<String, Dependency>,
    /// Ports other containers may use; nothing is opened by it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expose: Vec<String>,
    /// How its health is found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Ports opened on the host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// Keeps standard input open.
    #[serde(skip_serializing_if = "is_false")]
    pub stdin_open: bool,
    /// A terminal.
    #[serde(skip_serializing_if = "is_false")]
    pub tty: bool,
    /// `x-*` keys; printed in YAML only.
    #[serde(skip)]
    pub extensions: BTreeMap<String, serde_json::Value>,
}

impl Service {
    /// How many containers it wants: `scale`, else `deploy.replicas`, else one.
    #[must_use]
    pub fn replicas(&self) -> u32 {
        self.scale
            .or_else(|| self.deploy.as_ref().and_then(|d| d.replicas))
            .unwrap_or(1)
    }

    /// The memory limit, whichever of the two ways it was written.
    #[must_use]
    pub fn memory_limit(&self) -> Option<Bytes> {
        self.mem_limit
            .or_else(|| self.limits().and_then(|limits| limits.memory))
    }

    /// The processor limit, whichever of the two ways it was written.
    #[must_use]
    pub fn cpu_limit(&self) -> Option<f32> {
        self.cpus
            .or_else(|| self.limits().and_then(|limits| limits.cpus))
    }

    /// The process limit, whichever of the two ways it was written.
    #[must_use]
    pub fn process_limit(&self) -> Option<i64> {
        self.pids_limit
            .or_else(|| self.limits().and_then(|limits| limits.pids))
    }

    /// The memory reservation.
    #[must_use]
    pub fn memory_reservation(&self) -> Option<Bytes> {
        self.deploy.as_ref()?.resources.reservations?.memory
    }

    fn limits(&self) -> Option<super::ResourceLimits> {
        self.deploy.as_ref()?.resources.limits
    }
}

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

/// A host device given to a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Device {
    /// The host's path, or a CDI name.
    pub source: String,
    /// The path inside; equal to the source for a CDI name.
    pub target: String,
    /// Some of `rwm`.
    pub permissions: String,
}

/// A file of variables for the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EnvFile {
    /// The absolute path.
    pub path: String,
    /// Its absence is an error.
    pub required: bool,
    /// `raw` reads it without quotes and interpolation.
    pub format: Option<String>,
}

/// Where output goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Logging {
    /// `json-file` or `none`; absent is the engine's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Options of the driver.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// A resource limit of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Ulimit {
    /// Soft and hard are the same.
    Single(i64),
    /// Both written out.
    Pair {
        /// The limit that counts now.
        soft: i64,
        /// How far a process may raise it.
        hard: i64,
    },
}

impl Ulimit {
    /// Soft and hard limit.
    #[must_use]
    pub fn pair(self) -> (i64, i64) {
        match self {
            Self::Single(value) => (value, value),
            Self::Pair { soft, hard } => (soft, hard),
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
            Self::Every { word, .. } => word,
        })
    }
}

impl Serialize for PullPolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
