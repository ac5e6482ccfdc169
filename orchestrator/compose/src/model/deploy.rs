//! The parts of `deploy` that mean something on one machine.

use serde::Serialize;

use super::Bytes;

/// A service's `deploy` section.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Deploy {
    /// How many containers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// Limits and reservations.
    pub resources: Resources,
    /// Always empty here; the canonical form prints it.
    pub placement: Empty,
}

/// An empty mapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Empty {}

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
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
}
