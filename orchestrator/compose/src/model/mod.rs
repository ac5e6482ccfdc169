//! The project as Compose means it, after every file is merged, interpolated and normalised.
//!
//! The types serialise to the same JSON that `docker compose config --format json` prints, so the
//! serialised form is what a config hash may be taken of. Where each value was written is kept
//! beside the model in [`Spans`], so that the values themselves stay plain.

mod build;
mod deploy;
mod develop;
mod device;
mod file;
mod health;
mod job;
mod mount;
mod network;
mod policy;
mod port;
mod service;
mod settings;
mod spans;
mod units;

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde::Serialize;

use crate::source::{Location, Sources, Span};

pub use build::Build;
pub use deploy::{
    Deploy, DeployRestart, DiscreteResource, GenericResource, Placement, Preference,
    ResourceLimits, Resources, UpdateConfig,
};
pub use develop::{Develop, Hook, PreStart, Trigger, WatchAction};
pub use device::{Blkio, CredentialSpec, Device, DeviceRequest, ThrottleDevice, WeightDevice};
pub use file::{FileObject, FileReference};
pub use health::{Healthcheck, Probe};
pub use job::{Job, Schedule, Triggers};
pub use mount::{BindOptions, ImageOptions, Mount, MountKind, TmpfsOptions, VolumeOptions};
pub use network::{Attachment, Ipam, IpamPool, Network};
pub use policy::{Condition, Dependency, NetworkMode, PullPolicy, RestartPolicy};
pub use port::{Port, Protocol};
pub use service::Service;
pub use settings::{EnvFile, Logging, Model, Provider, ServiceModel, Ulimit};
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
    /// Models in use by an active service. Compose prints them in YAML only.
    pub models: BTreeMap<String, Model>,
    /// Jobs. Compose reads them and prints none.
    pub jobs: BTreeMap<String, Job>,
    /// The active profiles, in the order they were asked for.
    pub profiles: Vec<String>,
    /// The environment that interpolation used: the caller's over the env files'.
    pub environment: BTreeMap<String, String>,
    /// Top-level `x-*` keys.
    pub extensions: BTreeMap<String, serde_json::Value>,
    /// `x-*` keys below the top level, wherever they are. Compose prints them in YAML only.
    pub nested_extensions: Vec<Extension>,
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

    /// Keeps only some services with what they depend on, and what those use. What is dropped counts
    /// as switched off.
    pub fn select(&mut self, names: &[String]) {
        let mut wanted: BTreeSet<String> = BTreeSet::new();
        let mut pending = names.to_vec();
        while let Some(name) = pending.pop() {
            if let Some(service) = self.services.get(&name)
                && wanted.insert(name)
            {
                pending.extend(service.depends_on.keys().cloned());
            }
        }
        let all = std::mem::take(&mut self.services);
        let (services, dropped): (IndexMap<_, _>, IndexMap<_, _>) =
            all.into_iter().partition(|(name, _)| wanted.contains(name));
        self.services = services;
        self.disabled.extend(dropped);
        for service in self.services.values_mut() {
            service.depends_on.retain(|name, _| wanted.contains(name));
        }
        crate::load::drop_unused(self);
    }

    /// A service by name, whether or not its profiles are on.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.get(name).or_else(|| self.disabled.get(name))
    }
}

/// An `x-*` key.
#[derive(Clone, Debug, PartialEq)]
pub struct Extension {
    /// The keys and numbers that lead to the mapping it is in.
    pub path: Vec<String>,
    /// The key.
    pub key: String,
    /// What it maps to.
    pub value: serde_json::Value,
}

/// A volume of the project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// The name in the engine: `<project>_<key>` unless `name:` says otherwise.
    #[serde(skip_serializing_if = "String::is_empty")]
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
