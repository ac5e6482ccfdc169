//! What happens when files change, and commands around a container's life.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::{Service, is_false};

/// A service's `develop` section.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Develop {
    /// The rules, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub watch: Vec<Trigger>,
    /// `x-*` keys; printed in YAML only.
    #[serde(skip)]
    pub extensions: BTreeMap<String, serde_json::Value>,
}

/// One rule of `develop.watch`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trigger {
    /// The absolute path that is watched.
    pub path: String,
    /// What is done.
    pub action: WatchAction,
    /// Where files go in the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// What is run after a `sync+exec`.
    pub exec: Hook,
    /// Patterns of the files that count; none means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Patterns of files that do not count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
    /// Everything is copied at the start, too.
    #[serde(skip_serializing_if = "is_false")]
    pub initial_sync: bool,
    /// `x-*` keys; printed in YAML only.
    #[serde(skip)]
    pub extensions: BTreeMap<String, serde_json::Value>,
}

/// What is done when a watched file changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchAction {
    /// The file is copied into the containers.
    Sync,
    /// The image is built, the containers are replaced.
    Rebuild,
    /// The containers are restarted.
    Restart,
    /// Copied, then restarted.
    SyncRestart,
    /// Copied, then a command is run.
    SyncExec,
}

impl WatchAction {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Sync,
        Self::Rebuild,
        Self::Restart,
        Self::SyncRestart,
        Self::SyncExec,
    ];

    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Rebuild => "rebuild",
            Self::Restart => "restart",
            Self::SyncRestart => "sync+restart",
            Self::SyncExec => "sync+exec",
        }
    }
}

impl Serialize for WatchAction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A command run inside a container.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Hook {
    /// What is run.
    pub command: Option<Vec<String>>,
    /// As whom, the container's user when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// With all rights.
    #[serde(skip_serializing_if = "is_false")]
    pub privileged: bool,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Variables over the container's own; `None` is set nowhere.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, Option<String>>,
    /// `x-*` keys; printed in YAML only.
    #[serde(skip)]
    pub extensions: BTreeMap<String, serde_json::Value>,
}

/// A container that runs to its end before the service starts.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PreStart {
    /// What the container is made from: the service's own attributes, under those of the hook.
    #[serde(flatten)]
    pub container: Box<Service>,
    /// Run for each container of the service, not once for all of them.
    #[serde(skip_serializing_if = "is_false")]
    pub per_replica: bool,
}
