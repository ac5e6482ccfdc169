//! How an image is built.

use std::collections::BTreeMap;

use serde::ser::SerializeSeq as _;
use serde::{Serialize, Serializer};

use super::{Bytes, FileReference, Ulimit, is_false};

/// A service's `build` section.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Build {
    /// An absolute folder, or a reference that a builder understands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The Dockerfile, seen from the context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<String>,
    /// The Dockerfile's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerfile_inline: Option<String>,
    /// Rights the build asks for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entitlements: Vec<String>,
    /// Build arguments. One without a value here or at the caller is not in it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, Option<String>>,
    /// `true`, `false`, or what the attestation shall hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provenance: Option<String>,
    /// `true`, `false`, or which generator makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sbom: Option<String>,
    /// Agents and keys; `None` is the caller's agent.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", serialize_with = "ssh")]
    pub ssh: BTreeMap<String, Option<String>>,
    /// Labels of the image.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Where layers may come from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cache_from: Vec<String>,
    /// Where layers are put.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cache_to: Vec<String>,
    /// Nothing comes from a cache.
    #[serde(skip_serializing_if = "is_false")]
    pub no_cache: bool,
    /// Stages for which nothing comes from a cache.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub no_cache_filter: Vec<String>,
    /// More contexts by name: folders (absolute), references, `service:x`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub additional_contexts: BTreeMap<String, String>,
    /// Base images are asked for anew.
    #[serde(skip_serializing_if = "is_false")]
    pub pull: bool,
    /// Extra lines of `/etc/hosts`, as `name=address`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_hosts: Vec<String>,
    /// The isolation technology, on Windows only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<String>,
    /// The network of `RUN`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The stage that is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Secrets of the build; without a target the source is the id.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<FileReference>,
    /// The size of /dev/shm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<Bytes>,
    /// More names of the image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Resource limits of its processes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// The platforms it is built for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<String>,
    /// All rights.
    #[serde(skip_serializing_if = "is_false")]
    pub privileged: bool,
    /// `x-*` keys; printed in YAML only.
    #[serde(skip)]
    pub extensions: BTreeMap<String, serde_json::Value>,
}

/// `default`, or `id: path`.
fn ssh<S: Serializer>(
    keys: &BTreeMap<String, Option<String>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut seq = serializer.serialize_seq(Some(keys.len()))?;
    for (id, path) in keys {
        match path {
            Some(path) => seq.serialize_element(&format!("{id}: {path}"))?,
            None => seq.serialize_element(id)?,
        }
    }
    seq.end()
}
