//! Jobs: containers that run to their end when something triggers them.

use serde::Serialize;

use super::Service;

/// A job of the project.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Job {
    /// What starts it.
    pub triggers: Triggers,
    /// What its container is made from.
    #[serde(flatten)]
    pub container: Box<Service>,
}

/// What starts a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Triggers {
    /// A person may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manual: Option<bool>,
    /// The clock does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub schedule: Vec<Schedule>,
}

/// When a job is started by the clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Schedule {
    /// The five fields of cron.
    pub cron: String,
    /// The zone they are meant in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// `forbid` or `queue`: what happens while it still runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<String>,
    /// `one` or `skip`: what happens to starts that were missed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missed_fires: Option<String>,
}
