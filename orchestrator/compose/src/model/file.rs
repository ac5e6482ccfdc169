//! Configs and secrets.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::is_false;

/// A config or a secret of the project; exactly one of file, content, environment is set, unless
/// it is external.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FileObject {
    /// The name in the engine: `<project>_<key>` unless `name:` says otherwise.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// An absolute host path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The variable that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The text itself (configs only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// It must exist already.
    #[serde(skip_serializing_if = "is_false")]
    pub external: bool,
    /// Labels the person wrote.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// A driver that keeps it (secrets only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Options for the driver.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_opts: BTreeMap<String, String>,
    /// What fills in its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_driver: Option<String>,
    /// `x-*` keys; printed in YAML only.
    #[serde(skip)]
    pub extensions: BTreeMap<String, serde_json::Value>,
}

/// A config or secret as a service sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FileReference {
    /// The key of the config or secret.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Where it appears. A config without one is `/<source>`; a secret always has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<String>,
    /// The mode, `0444` when absent.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "octal")]
    pub mode: Option<u32>,
}

impl FileReference {
    /// The absolute path of a config: its target, from the root if relative, else `/<source>`.
    #[must_use]
    pub fn config_path(&self) -> String {
        self.path("/")
    }

    /// The absolute path of a secret: its target, from `/run/secrets` if relative.
    #[must_use]
    pub fn secret_path(&self) -> String {
        self.path("/run/secrets/")
    }

    fn path(&self, folder: &str) -> String {
        let target = self.target.as_deref().unwrap_or(&self.source);
        if target.starts_with('/') {
            target.to_owned()
        } else {
            format!("{folder}{target}")
        }
    }
}

#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn octal<S: Serializer>(mode: &Option<u32>, serializer: S) -> Result<S::Ok, S::Error> {
    match mode {
        Some(mode) => serializer.collect_str(&format_args!("0{mode:o}")),
        None => serializer.serialize_none(),
    }
}
