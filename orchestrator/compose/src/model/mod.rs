//! The project as Compose means it, after every file is merged, interpolated and normalised.
//!
//! The types serialise to the same JSON that `docker compose config --format json` prints, so the
//! serialised form is what a config hash may be taken of. Where each value was written is kept
//! beside the model in [`Spans`], so that the values themselves stay plain.

mod deploy;
mod file;
mod health;
mod mount;
mod network;
mod port;
mod service;
mod spans;
mod units;

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::Serialize;

use crate::source::{Location, Sources, Span};

pub use deploy::{Deploy, ResourceLimits, Resources};
pub use file::{FileObject, FileReference};
pub use health::{Healthcheck, Probe};
pub use mount::{BindOptions, Mount, MountKind, TmpfsOptions, VolumeOptions};
pub use network::{Attachment, Ipam, IpamPool, Network};
pub use port::{Port, Protocol};
pub use service::{
    Condition, Dependency, Device, EnvFile, Logging, NetworkMode, PullPolicy, RestartPolicy,
    Service, Ulimit,
};
pub use spans::{Place, Spans};
pub use units::{Bytes, Duration};

/// A whole project: what `up` has to make true.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Project {
    /// The project's name, already valid as a prefix of container names.
    pub name: String,
    /// The absolute directory that relative paths were resolved against.
    pub working_dir: String,
    /// The absolute paths of the compose files in the order they were merged; `-` for standard
    /// input.
    pub files: Vec<String>,
    /// The absolute paths of the env files that were read for interpolation.
    pub env_files: Vec<String>,
    /// The services that are switched on by the active profiles, in the files' order.
    pub services: IndexMap<String, Service>,
    /// Services that exist but whose profiles are off. `ps`, `logs` and `down` know them, so
    /// their containers are no orphans.
    pub disabled: IndexMap<String, Service>,
    /// Networks in use by an active service.
    pub networks: BTreeMap<String, Network>,
    /// Volumes in use by an active service.
    pub volumes: BTreeMap<String, Volume>,
    /// Configs in use by an active service.
    pub configs: BTreeMap<String, FileObject>,
    /// Secrets in use by an active service.
    pub secrets: BTreeMap<String, FileObject>,
    /// The active profiles, in the order they were asked for.
    pub profiles: Vec<String>,
    /// The environment that interpolation used: the caller's over the env files'.
    pub environment: BTreeMap<String, String>,
    /// Top-level `x-*` keys.
    pub extensions: BTreeMap<String, serde_json::Value>,
    /// Where each value was written.
    pub spans: Spans,
    /// The texts that spans point into.
    pub sources: Sources,
}

impl Project {
    /// The span of the value at a path such as `services/web/ports/0`.
    ///
    /// Falls back to the nearest enclosing value that was written, because a default (a network
    /// nobody mentioned, say) has no place of its own.
    #[must_use]
    pub fn span(&self, path: &str) -> Option<Span> {
        self.spans.nearest(path).map(|place| place.value)
    }

    /// The span of the key at a path: the name in `services/web`, not what follows it.
    #[must_use]
    pub fn key_span(&self, path: &str) -> Option<Span> {
        self.spans
            .nearest(path)
            .map(|place| place.key.unwrap_or(place.value))
    }

    /// `compose.yaml:4:18` for the value at a path.
    #[must_use]
    pub fn location(&self, path: &str) -> Option<Location> {
        self.sources.location(self.span(path)?)
    }

    /// A service by name, whether or not its profiles are on.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.get(name).or_else(|| self.disabled.get(name))
    }
}

/// A volume of the project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// The name in the engine: `<project>_<key>` unless `name:` says otherwise.
    pub name: String,
    /// The driver; absent means `local`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Options for the driver.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_opts: BTreeMap<String, String>,
    /// It must exist already and is neither created nor removed by us.
    #[serde(skip_serializing_if = "is_false")]
    pub external: bool,
    /// Labels the person wrote.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// `x-*` keys; printed in YAML only.
    #[serde(skip)]
    pub extensions: BTreeMap<String, serde_json::Value>,
}

impl Serialize for Project {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        crate::print::canonical(self).serialize(serializer)
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
pub(crate) fn is_false(value: &bool) -> bool {
    !*value
}
