//! The `deploy` section. On one machine only replicas, resources and the restart policy mean
//! something; the rest is carried along.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Bytes, DeviceRequest, Duration};

/// A service's `deploy` section.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Deploy {
    /// `replicated` or `global`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// How many containers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// Labels of a Swarm service; containers do not get them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// How an update goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_config: Option<UpdateConfig>,
    /// How a failed update is taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback_config: Option<UpdateConfig>,
    /// Limits and reservations.
    pub resources: Resources,
    /// When the engine starts it again; it wins over `restart`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_policy: Option<DeployRestart>,
    /// On which machines it may run.
    pub placement: Placement,
    /// How a Swarm finds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_mode: Option<String>,
    /// `x-*` keys; printed in YAML only.
    #[serde(skip)]
    pub extensions: BTreeMap<String, serde_json::Value>,
}

/// How an update goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct UpdateConfig {
    /// How many at once; 0 is all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<u64>,
    /// The time between them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<Duration>,
    /// `continue`, `pause` or `rollback`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_action: Option<String>,
    /// How long each is watched for a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitor: Option<Duration>,
    /// The share of failures that is borne.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "super::units::processors"
    )]
    pub max_failure_ratio: Option<f32>,
    /// `stop-first` or `start-first`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
}

/// When a container is started again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeployRestart {
    /// `none`, `on-failure` or `any`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// The time before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<Duration>,
    /// How often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u64>,
    /// How long it has to run to count as started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Duration>,
}

/// On which machines a service may run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Placement {
    /// What a machine has to be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<String>,
    /// How containers are spread.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub preferences: Vec<Preference>,
    /// How many of them one machine may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_replicas_per_node: Option<u64>,
}

/// How containers are spread.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Preference {
    /// Over the values of this label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spread: Option<String>,
}

/// Limits and reservations.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Resources {
    /// What a container may not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceLimits>,
    /// What it is meant to have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reservations: Option<ResourceLimits>,
}

/// One set of resources.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ResourceLimits {
    /// Processors.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "super::units::processors"
    )]
    pub cpus: Option<f32>,
    /// Memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
    /// Processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<i64>,
    /// Devices, in reservations only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceRequest>,
    /// Things a person counts, in reservations only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub generic_resources: Vec<GenericResource>,
}

/// Something a person counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GenericResource {
    /// What, and how many of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discrete_resource_spec: Option<DiscreteResource>,
}

/// A kind of thing and a number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DiscreteResource {
    /// The kind.
    pub kind: String,
    /// How many.
    pub value: i64,
}
