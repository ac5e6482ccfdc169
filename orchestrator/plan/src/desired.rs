//! What is wished for, reduced to what planning needs.

use std::collections::BTreeSet;

use indexmap::IndexMap;

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
