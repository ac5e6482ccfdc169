//! What the engine holds of a project, as one snapshot.

use crate::desired::Dependency;

/// Everything of one project that planning looks at. No call is made after it was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// All containers with the project's label, stopped and one-off ones included.
    pub containers: Vec<Container>,
    /// Networks with the project's label, and those that the project names.
    pub networks: Vec<ObservedNetwork>,
    /// Volumes with the project's label, and those that the project names.
    pub volumes: Vec<ObservedVolume>,
}

impl Observed {
    /// The network of that name.
    pub fn network(&self, name: &str) -> Option<&ObservedNetwork> {
        self.networks.iter().find(|network| network.name == name)
    }

    /// The volume of that name.
    pub fn volume(&self, name: &str) -> Option<&ObservedVolume> {
        self.volumes.iter().find(|volume| volume.name == name)
    }

    /// The replicas of a service, one-off containers left out, lowest number first.
    pub fn replicas(&self, service: &str) -> Vec<&Container> {
        let mut replicas: Vec<_> = self
            .containers
            .iter()
            .filter(|container| container.is_replica() && container.service == service)
            .collect();
        replicas.sort_by(|a, b| (a.number, &a.name).cmp(&(b.number, &b.name)));
        replicas
    }
}

/// What the recorded hashes of an object are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hashes {
    /// Under our label.
    pub own: Option<String>,
    /// Under Compose's label.
    pub compose: Option<String>,
}

impl Hashes {
    /// Whether the object was made from `desired`: our hash decides, where it is absent Compose's.
    pub fn matches(&self, desired: &Self) -> bool {
        match (&self.own, &desired.own) {
            (Some(recorded), Some(wished)) => recorded == wished,
            _ => self.compose == desired.compose,
        }
    }

    /// Whether neither is recorded.
    pub fn is_empty(&self) -> bool {
        self.own.is_none() && self.compose.is_none()
    }
}

/// A container's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Never started.
    Created,
    /// Its process lives.
    Running,
    /// Frozen.
    Paused,
    /// Waits for its next restart.
    Restarting,
    /// Being removed.
    Removing,
    /// Ended with this code.
    Exited(i64),
    /// Its removal failed.
    Dead,
}

impl State {
    /// Whether stopping it has an effect.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Restarting)
    }
}

/// What the healthcheck says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// There is no healthcheck.
    #[default]
    None,
    /// Not known yet.
    Starting,
    /// Good.
    Healthy,
    /// Bad.
    Unhealthy,
}

/// A container of the project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Engine id.
    pub id: String,
    /// Name without the slash.
    pub name: String,
    /// The service it belongs to.
    pub service: String,
    /// Replica number; 0 for one-off containers.
    pub number: u32,
    /// Made by `run`.
    pub one_off: bool,
    /// Made to run a command before the start of a service.
    pub hook: bool,
    /// Its state.
    pub state: State,
    /// Its health.
    pub health: Health,
    /// What it was made from.
    pub hashes: Hashes,
    /// The label that records the model it was made from.
    pub model: Option<String>,
    /// Id of its image.
    pub image: String,
    /// Ports of the host that it holds, as `8080/tcp`.
    pub ports: Vec<String>,
    /// Names of the networks it is attached to.
    pub networks: Vec<String>,
    /// Volumes it mounts.
    pub mounts: Vec<Mount>,
    /// Ids of containers whose namespaces it joins.
    pub joins: Vec<String>,
    /// As its label has it.
    pub depends_on: Vec<Dependency>,
    /// Name of the container it was made to replace, where a recreation is not finished.
    pub replaces: Option<String>,
}

impl Container {
    /// Whether it is one of its service's own containers, not made by `run` or for a hook.
    pub fn is_replica(&self) -> bool {
        !self.one_off && !self.hook
    }
}

/// A volume mounted into a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Name of the volume.
    pub volume: String,
    /// Path in the container.
    pub target: String,
    /// Nobody named it.
    pub anonymous: bool,
}

/// A network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedNetwork {
    /// Engine id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Key in the file, if it bears this project's label.
    pub key: Option<String>,
    /// What it was made from.
    pub hashes: Hashes,
    /// The label that records the model it was made from.
    pub model: Option<String>,
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedVolume {
    /// Name, which is its identity.
    pub name: String,
    /// Key in the file, if it bears this project's label.
    pub key: Option<String>,
    /// What it was made from.
    pub hashes: Hashes,
    /// The label that records the model it was made from.
    pub model: Option<String>,
}
