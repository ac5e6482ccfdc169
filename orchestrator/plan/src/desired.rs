//! What is wished for, reduced to what planning needs.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde_json::Value;

use crate::observed::Hashes;
use crate::op::Condition;

/// A project as planning sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// Name of the project.
    pub project: String,
    /// Active services by name.
    pub services: IndexMap<String, Service>,
    /// Services that exist but are off (profiles): their containers are no orphans.
    pub disabled: BTreeSet<String>,
    /// Networks by key.
    pub networks: IndexMap<String, Network>,
    /// Volumes by key.
    pub volumes: IndexMap<String, Volume>,
}

/// A service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Of its resolved configuration.
    pub hashes: Hashes,
    /// How many containers.
    pub scale: u32,
    /// A fixed name instead of the derived one.
    pub container_name: Option<String>,
    /// Its image.
    pub image: Image,
    /// Keys of its networks.
    pub networks: Vec<String>,
    /// Keys of the named volumes it mounts.
    pub volumes: Vec<String>,
    /// Paths where it mounts something of its own choice: nothing anonymous is inherited there.
    pub targets: Vec<String>,
    /// What must have happened before it starts, implied dependencies included.
    pub depends_on: Vec<Dependency>,
    /// Services whose namespaces or volumes it shares.
    pub joins: Vec<String>,
    /// `Some(false)` when the file switches health off, `Some(true)` when it declares a check, `None` when
    /// only the image knows.
    pub healthcheck: Option<bool>,
    /// What its hash is taken of, so that a change can be told.
    pub model: Value,
    /// Ports of the host that it must have, as `8080/tcp`.
    pub ports: Vec<String>,
    /// How replicas are exchanged, where the file says so.
    pub update: Option<Update>,
    /// Why two containers of one replica cannot live side by side, if they cannot.
    pub exclusive: Option<String>,
    /// Commands around the life of its containers.
    pub hooks: Hooks,
}

/// `deploy.update_config`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// The new container is ready before the old one stops.
    pub start_first: bool,
    /// So many replicas at a time; 0 is all.
    pub parallelism: u32,
}

/// Commands around the life of a service's containers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// For each step before the start, whether it runs for each replica instead of once.
    pub pre_start: Vec<bool>,
    /// There are commands to run in a container that has been started.
    pub post_start: bool,
    /// There are commands to run in a container before it is stopped.
    pub pre_stop: bool,
}

/// An image as a service wants it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// As written in the file.
    pub reference: String,
    /// Id of the local image, if it is there.
    pub local: Option<String>,
    /// Whether it may be pulled.
    pub pull: bool,
    /// Whether it is built here.
    pub build: bool,
    /// Whether the file gives it a name of its own.
    pub named: bool,
}

/// One entry of `depends_on`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The other service.
    pub service: String,
    /// What it must reach.
    pub condition: Condition,
    /// Restart the dependent when the dependency is recreated or restarted.
    pub restart: bool,
    /// Whether it is an error when the service is not there or fails.
    pub required: bool,
}

/// A network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Name in the engine.
    pub name: String,
    /// Somebody else makes and removes it.
    pub external: bool,
    /// Of its configuration.
    pub hashes: Hashes,
    /// What the hash is taken of.
    pub model: Value,
}

/// A volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Name in the engine.
    pub name: String,
    /// Somebody else makes and removes it.
    pub external: bool,
    /// Of its configuration.
    pub hashes: Hashes,
    /// What the hash is taken of.
    pub model: Value,
}

impl Desired {
    /// The name of a replica.
    pub fn container_name(&self, service: &str, number: u32) -> String {
        self.services
            .get(service)
            .and_then(|known| known.container_name.clone())
            .unwrap_or_else(|| format!("{}-{service}-{number}", self.project))
    }

    /// Whether somebody only waits for this service to end well, so that having ended well is its goal.
    pub fn is_one_shot(&self, service: &str) -> bool {
        self.services
            .values()
            .flat_map(|other| &other.depends_on)
            .any(|dependency| {
                dependency.service == service && dependency.condition == Condition::Completed
            })
    }
}
