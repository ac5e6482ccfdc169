//! Small structures of a service: env files, logging, ulimits, providers, models.

use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// A file of variables for the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EnvFile {
    /// The absolute path.
    pub path: String,
    /// Its absence is an error. Only `false` is worth printing.
    #[serde(skip_serializing_if = "Clone::clone")]
    pub required: bool,
    /// `raw` reads it without quotes and interpolation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
}

/// Where output goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Logging {
    /// `json-file` or `none`; absent is the engine's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Options of the driver.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// A resource limit of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ulimit {
    /// Soft and hard are the same.
    Single(i64),
    /// Both written out.
    Pair {
        /// The limit that counts now.
        soft: i64,
        /// How far a process may raise it.
        hard: i64,
    },
}

impl Ulimit {
    /// Soft and hard limit.
    #[must_use]
    pub fn pair(self) -> (i64, i64) {
        match self {
            Self::Single(value) => (value, value),
            Self::Pair { soft, hard } => (soft, hard),
        }
    }
}

impl Serialize for Ulimit {
    /// As Compose prints it: zeros are left out, even where they were meant.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (soft, hard) = match *self {
            Self::Single(0) => (0, 0),
            Self::Single(value) => return serializer.serialize_i64(value),
            Self::Pair { soft, hard } => (soft, hard),
        };
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in [("soft", soft), ("hard", hard)] {
            if value != 0 {
                map.serialize_entry(key, &value)?;
            }
        }
        map.end()
    }
}

/// Something outside that runs a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Provider {
    /// The program that does it.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Its options, each with its values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, Vec<String>>,
}

/// A language model of the project.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Model {
    /// A name of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The reference of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How much it keeps in mind, in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_size: Option<i64>,
    /// Flags of the program that runs it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runtime_flags: Vec<String>,
    /// `x-*` keys; printed in YAML only.
    #[serde(skip)]
    pub extensions: BTreeMap<String, serde_json::Value>,
}

/// How a service is told of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ServiceModel {
    /// The variable with its address; absent means `<KEY>_URL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_var: Option<String>,
    /// The variable with its name; absent means `<KEY>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_var: Option<String>,
}
