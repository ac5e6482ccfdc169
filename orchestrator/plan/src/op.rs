//! The atomic operations a plan is made of; each is one engine call or one wait.

use std::collections::BTreeMap;
use std::fmt;

/// A condition of `depends_on`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Condition {
    /// `service_started`.
    Started,
    /// `service_healthy`.
    Healthy,
    /// `service_completed_successfully`.
    Completed,
}

impl Condition {
    /// As Compose writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "service_started",
            Self::Healthy => "service_healthy",
            Self::Completed => "service_completed_successfully",
        }
    }

    /// From Compose's word.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "service_started" => Some(Self::Started),
            "service_healthy" => Some(Self::Healthy),
            "service_completed_successfully" => Some(Self::Completed),
            _ => None,
        }
    }
}

/// What a wait waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Await {
    /// The healthcheck succeeds.
    Healthy,
    /// The container ends with code 0.
    Completed,
    /// Running, and healthy where there is a healthcheck.
    Ready,
}

impl fmt::Display for Await {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Healthy => "healthy",
            Self::Completed => "completed",
            Self::Ready => "ready",
        })
    }
}

/// A container that an operation acts on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its service.
    pub service: String,
    /// Replica number; 0 for one-off containers.
    pub number: u32,
    /// Its name when the plan is done, for people.
    pub name: String,
    /// What the engine is asked for: an id where there is one already, else the name it will have.
    pub reference: String,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            0 => write!(f, "one-off:{}", self.name),
            number => write!(f, "service:{}:{number}", self.service),
        }
    }
}

/// An anonymous volume that goes from the old container to its successor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inherited {
    /// Name of the volume.
    pub volume: String,
    /// Path in the container.
    pub target: String,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Fetch an image.
    PullImage {
        /// As written in the file.
        reference: String,
    },
    /// Build an image.
    BuildImage {
        /// The service whose `build:` says how.
        service: String,
        /// The name it gets.
        reference: String,
    },
    /// Remove an image.
    RemoveImage {
        /// Its name.
        reference: String,
    },
    /// Make a network of the project.
    CreateNetwork {
        /// Key in the file.
        key: String,
    },
    /// Remove a network.
    RemoveNetwork {
        /// Key in the file, as far as known, else the name.
        key: String,
        /// Name in the engine.
        name: String,
        /// Id in the engine.
        id: String,
        /// Being still in use is worth a warning, not an error.
        best_effort: bool,
    },
    /// Take a container off a network.
    Disconnect {
        /// Who.
        target: Target,
        /// Name of the network.
        network: String,
    },
    /// Attach a container to a network of the project.
    Connect {
        /// Who.
        target: Target,
        /// Key in the file.
        key: String,
    },
    /// Make a volume of the project.
    CreateVolume {
        /// Key in the file.
        key: String,
    },
    /// Remove a volume.
    RemoveVolume {
        /// Key in the file, as far as known, else the name.
        key: String,
        /// Name in the engine.
        name: String,
    },
    /// Make a container.
    Create {
        /// Its reference is the name it is made with, which differs from its name while it replaces another.
        target: Target,
        /// Name of the container it replaces.
        replaces: Option<String>,
        /// Volumes it takes over.
        inherit: Vec<Inherited>,
        /// Names of the containers whose namespaces it shares, by service.
        joins: BTreeMap<String, String>,
    },
    /// Give a container its final name.
    Rename {
        /// Who.
        target: Target,
    },
    /// Start a container.
    Start {
        /// Who.
        target: Target,
    },
    /// Stop a container.
    Stop {
        /// Who.
        target: Target,
    },
    /// Stop and start a container.
    Restart {
        /// Who.
        target: Target,
    },
    /// Send a signal.
    Kill {
        /// Who.
        target: Target,
        /// Name or number.
        signal: String,
    },
    /// Run one of the commands that come before the start, in a container of its own.
    PreStart {
        /// The container whose volumes and networks it shares.
        target: Target,
        /// Which one, from 0.
        hook: usize,
    },
    /// Run the commands that come after the start, inside.
    PostStart {
        /// Who.
        target: Target,
    },
    /// Run the commands that come before a stop, inside.
    PreStop {
        /// Who.
        target: Target,
    },
    /// Freeze a container.
    Pause {
        /// Who.
        target: Target,
    },
    /// Unfreeze a container.
    Unpause {
        /// Who.
        target: Target,
    },
    /// Remove a stopped container.
    Remove {
        /// Who.
        target: Target,
        /// Its anonymous volumes, too.
        volumes: bool,
    },
    /// Wait until all containers of a service reach a state.
    Wait {
        /// The service.
        service: String,
        /// The state.
        until: Await,
        /// Its containers.
        targets: Vec<Target>,
        /// When the dependency fails, go on all the same.
        optional: bool,
    },
}

impl Op {
    /// What is acted on, as the printed plan names it.
    pub fn subject(&self) -> String {
        match self {
            Self::PullImage { reference }
            | Self::BuildImage { reference, .. }
            | Self::RemoveImage { reference } => format!("image:{reference}"),
            Self::CreateNetwork { key } | Self::RemoveNetwork { key, .. } => {
                format!("network:{key}")
            }
            Self::CreateVolume { key } | Self::RemoveVolume { key, .. } => format!("volume:{key}"),
            Self::Wait { service, .. } => format!("service:{service}"),
            Self::Disconnect { target, .. }
            | Self::Connect { target, .. }
            | Self::Create { target, .. }
            | Self::Rename { target }
            | Self::Start { target }
            | Self::Stop { target }
            | Self::Restart { target }
            | Self::Kill { target, .. }
            | Self::PreStart { target, .. }
            | Self::PostStart { target }
            | Self::PreStop { target }
            | Self::Pause { target }
            | Self::Unpause { target }
            | Self::Remove { target, .. } => target.to_string(),
        }
    }

    /// What is done, as the printed plan words it.
    pub fn verb(&self) -> String {
        match self {
            Self::PullImage { .. } => "pull".into(),
            Self::BuildImage { .. } => "build".into(),
            Self::RemoveImage { .. } => "remove".into(),
            Self::CreateNetwork { .. } | Self::CreateVolume { .. } => "create".into(),
            Self::RemoveNetwork { .. } | Self::RemoveVolume { .. } => "remove".into(),
            Self::Disconnect { network, .. } => format!("disconnect from {network}"),
            Self::Connect { key, .. } => format!("connect to {key}"),
            Self::Create { target, .. } if target.reference != target.name => {
                format!("create as {}", target.reference)
            }
            Self::Create { .. } => "create".into(),
            Self::Rename { target } => format!("rename to {}", target.name),
            Self::Start { .. } => "start".into(),
            Self::Stop { .. } => "stop".into(),
            Self::Restart { .. } => "restart".into(),
            Self::Kill { signal, .. } => format!("kill {signal}"),
            Self::PreStart { hook, .. } => format!("run pre_start {}", hook + 1),
            Self::PostStart { .. } => "run post_start".into(),
            Self::PreStop { .. } => "run pre_stop".into(),
            Self::Pause { .. } => "pause".into(),
            Self::Unpause { .. } => "unpause".into(),
            Self::Remove { volumes: true, .. } => "remove with anonymous volumes".into(),
            Self::Remove { .. } => "remove".into(),
            Self::Wait { until, .. } => format!("wait {until}"),
        }
    }

    /// The container acted on, if it is one.
    pub fn target(&self) -> Option<&Target> {
        match self {
            Self::Disconnect { target, .. }
            | Self::Connect { target, .. }
            | Self::Create { target, .. }
            | Self::Rename { target }
            | Self::Start { target }
            | Self::Stop { target }
            | Self::Restart { target }
            | Self::Kill { target, .. }
            | Self::PreStart { target, .. }
            | Self::PostStart { target }
            | Self::PreStop { target }
            | Self::Pause { target }
            | Self::Unpause { target }
            | Self::Remove { target, .. } => Some(target),
            _ => None,
        }
    }
}

/// A node of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What is done.
    pub op: Op,
    /// Why.
    pub cause: String,
    /// Nodes that together are one step to a person, such as `recreate:web:1`.
    pub group: Option<String>,
}
