//! The image configuration document, in the dialect Docker writes: OCI's fields and Docker's own (`Healthcheck`,
//! `OnBuild`, `Shell`). Go writes `null` where it means "none", so `null` and "missing" are the same here.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::digest::Digest;
use crate::platform::Platform;

/// A set as Go's JSON spells it: `{"80/tcp": {}}`.
pub type Set = BTreeMap<String, Empty>;

/// The `{}` in a [`Set`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// The whole document. Its digest is the image's id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageFile {
    /// Architecture in Go's words.
    #[serde(deserialize_with = "null")]
    pub architecture: String,
    /// Operating system in Go's words.
    #[serde(deserialize_with = "null")]
    pub os: String,
    /// Variant of the architecture.
    #[serde(deserialize_with = "null", skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// When it was made, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(deserialize_with = "null", skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// A remark; `import` fills it.
    #[serde(deserialize_with = "null", skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// What a container of it starts with.
    #[serde(deserialize_with = "null")]
    pub config: ImageConfig,
    /// Its layers.
    pub rootfs: RootFs,
    /// How each layer came about, bottom first.
    #[serde(deserialize_with = "null", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryRecord>,
}

impl ImageFile {
    /// The machine it is for.
    pub fn platform(&self) -> Platform {
        Platform::new(&self.os, &self.architecture, Some(&self.variant))
    }
}

/// The layers, bottom first, by the digest of their uncompressed tar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type", default = "layers")]
    pub kind: String,
    /// The digests.
    #[serde(default, deserialize_with = "null")]
    pub diff_ids: Vec<Digest>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self {
            kind: layers(),
            diff_ids: Vec::new(),
        }
    }
}

fn layers() -> String {
    "layers".to_owned()
}

/// One step of the build.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HistoryRecord {
    /// When, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// By which instruction.
    #[serde(deserialize_with = "null", skip_serializing_if = "String::is_empty")]
    pub created_by: String,
    /// By whom.
    #[serde(deserialize_with = "null", skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// A remark.
    #[serde(deserialize_with = "null", skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// Whether it made no layer.
    #[serde(deserialize_with = "null", skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

/// What a container of the image starts with, unless told otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ImageConfig {
    /// `user[:group]`
    #[serde(deserialize_with = "null", skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `80/tcp`
    #[serde(deserialize_with = "null", skip_serializing_if = "Set::is_empty")]
    pub exposed_ports: Set,
    /// `KEY=value`
    #[serde(deserialize_with = "null")]
    pub env: Vec<String>,
    /// First words of the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Default rest of the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Paths that are volumes.
    #[serde(deserialize_with = "null", skip_serializing_if = "Set::is_empty")]
    pub volumes: Set,
    /// Working directory.
    #[serde(deserialize_with = "null", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Labels.
    #[serde(deserialize_with = "null", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Signal that asks it to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Seconds to wait after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    /// Shell of the `CMD command` form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
    /// Health probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Instructions for images built on it.
    #[serde(deserialize_with = "null", skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
    /// Windows only; kept so that the document survives.
    #[serde(deserialize_with = "null", skip_serializing_if = "std::ops::Not::not")]
    pub args_escaped: bool,
}

/// A health probe; times in nanoseconds, 0 = default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", line]`
    #[serde(deserialize_with = "null", skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Time between probes.
    #[serde(deserialize_with = "null", skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// Time a probe may take.
    #[serde(deserialize_with = "null", skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// Time in which failures do not count.
    #[serde(deserialize_with = "null", skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// Time between probes within it.
    #[serde(deserialize_with = "null", skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// Failures in a row that make it unhealthy.
    #[serde(deserialize_with = "null", skip_serializing_if = "is_zero")]
    pub retries: i64,
}

fn is_zero(value: &i64) -> bool {
    *value == 0
}

fn null<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_as_good_as_missing() {
        let text = r#"{"architecture":"amd64","os":"linux","config":{"Env":null,"Cmd":null,
            "Labels":null,"ExposedPorts":{"80/tcp":{}},"OnBuild":null,"User":null},
            "rootfs":{"type":"layers","diff_ids":null},"history":null}"#;
        let file: ImageFile = serde_json::from_str(text).unwrap();
        assert!(file.config.exposed_ports.contains_key("80/tcp"));
        assert_eq!(file.platform().to_string(), "linux/amd64");
        let without: ImageFile = serde_json::from_str(r#"{"config":null,"rootfs":{}}"#).unwrap();
        assert_eq!(without.config, ImageConfig::default());
    }
}
