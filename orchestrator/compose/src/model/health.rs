//! Healthchecks.

use serde::{Serialize, Serializer, ser::SerializeSeq};

use super::{Duration, is_false};

/// A service's healthcheck; what is absent comes from the image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Healthcheck {
    /// What is run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<Probe>,
    /// How long one probe may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// From one probe's end to the next one's start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
    /// How many failures in a row make it unhealthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u64>,
    /// Failures in this time do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_period: Option<Duration>,
    /// The interval during the start period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_interval: Option<Duration>,
    /// No healthcheck at all, not even the image's.
    #[serde(skip_serializing_if = "is_false")]
    pub disable: bool,
}

/// The `test` of a healthcheck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// `NONE`: no healthcheck.
    None,
    /// `CMD`: run as is.
    Command(Vec<String>),
    /// `CMD-SHELL`: run by the container's shell.
    Shell(Vec<String>),
}

impl Probe {
    /// The list the Engine API wants: the kind first.
    #[must_use]
    pub fn to_list(&self) -> Vec<String> {
        let (head, rest): (&str, &[String]) = match self {
            Self::None => ("NONE", &[]),
            Self::Command(words) => ("CMD", words),
            Self::Shell(words) => ("CMD-SHELL", words),
        };
        std::iter::once(head.to_owned())
            .chain(rest.iter().cloned())
            .collect()
    }
}

impl Serialize for Probe {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let words = self.to_list();
        let mut seq = serializer.serialize_seq(Some(words.len()))?;
        for word in &words {
            seq.serialize_element(word)?;
        }
        seq.end()
    }
}
