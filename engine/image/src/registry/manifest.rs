//! Manifests and indexes, OCI's and Docker's: as far as a reader needs them.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::digest::{Digest, DigestError};
use crate::platform::Platform;

/// What a registry is asked for, best first.
pub(crate) const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, */*;q=0.1";

/// A reference to a blob or manifest.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    digest: String,
    #[serde(default)]
    pub(crate) size: u64,
    #[serde(default)]
    platform: Option<PlatformFields>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Deserialize)]
struct PlatformFields {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: Option<String>,
}

impl Descriptor {
    pub(crate) fn digest(&self) -> Result<Digest, DigestError> {
        self.digest.parse()
    }

    pub(crate) fn platform(&self) -> Option<Platform> {
        let fields = self.platform.as_ref()?;
        Some(Platform::new(
            &fields.os,
            &fields.architecture,
            fields.variant.as_deref(),
        ))
    }

    /// Builders put attestations beside the images, as manifests for a platform called unknown.
    pub(crate) fn is_attestation(&self) -> bool {
        let unknown = self
            .platform
            .as_ref()
            .is_some_and(|fields| fields.os == "unknown" || fields.architecture == "unknown");
        unknown || self.annotation("vnd.docker.reference.type").is_some()
    }

    /// The image's name, where an archive tells it.
    pub(crate) fn name(&self) -> Option<&str> {
        let full = self.annotation("io.containerd.image.name");
        full.or_else(|| self.annotation("org.opencontainers.image.ref.name"))
    }

    fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key).map(String::as_str)
    }
}

/// A list of manifests for several platforms. A manifest reads as one without any.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Index {
    #[serde(default)]
    pub(crate) manifests: Vec<Descriptor>,
}

impl Index {
    /// The manifest that runs best on `wanted`. Those that tell no platform come last.
    pub(crate) fn best(&self, wanted: &Platform) -> Option<&Descriptor> {
        let candidates = self.manifests.iter().filter(|line| !line.is_attestation());
        let ranked = candidates.filter_map(|line| match line.platform() {
            Some(platform) => wanted.rank(&platform).map(|rank| (rank, line)),
            None => Some((u32::MAX, line)),
        });
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, line)| line)
    }

    /// The platforms there are, for messages.
    pub(crate) fn platforms(&self) -> String {
        let lines = self.manifests.iter().filter(|line| !line.is_attestation());
        let names: Vec<_> = lines
            .filter_map(Descriptor::platform)
            .map(|found| found.to_string())
            .collect();
        names.join(", ")
    }
}

/// What one image is made of.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) config: Descriptor,
    #[serde(default)]
    pub(crate) layers: Vec<Descriptor>,
}

/// Enough of any manifest to tell which kind it is.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Outline {
    #[serde(default)]
    schema_version: u32,
    #[serde(default)]
    manifests: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    layers: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    config: Option<serde::de::IgnoredAny>,
}

/// The kinds of manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DocumentKind {
    Index,
    Manifest,
    /// The format of 2014, without a verifiable configuration.
    Schema1,
    /// Neither, or both at once: a document that two readers could take for two things.
    Unclear,
}

impl Outline {
    pub(crate) fn kind(&self) -> DocumentKind {
        match (
            self.manifests.is_some(),
            self.layers.is_some() || self.config.is_some(),
        ) {
            _ if self.schema_version == 1 => DocumentKind::Schema1,
            (true, false) => DocumentKind::Index,
            (false, true) => DocumentKind::Manifest,
            _ => DocumentKind::Unclear,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(platforms: &[(&str, Option<&str>)]) -> Index {
        let lines = platforms
            .iter()
            .enumerate()
            .map(|(i, (architecture, variant))| {
                serde_json::json!({"digest": format!("sha256:{i:064}"), "size": i,
                "platform": {"os": "linux", "architecture": architecture, "variant": variant}})
            });
        let lines: Vec<_> = lines.collect();
        serde_json::from_value(serde_json::json!({"manifests": lines})).unwrap()
    }

    #[test]
    fn the_best_platform_wins() {
        let index = index(&[
            ("386", None),
            ("amd64", None),
            ("arm", Some("v6")),
            ("arm", Some("v7")),
        ]);
        let best = |platform: &str| index.best(&platform.parse().unwrap()).map(|line| line.size);
        assert_eq!(best("linux/amd64"), Some(1));
        assert_eq!(best("linux/arm/v7"), Some(3));
        assert_eq!(best("linux/arm/v6"), Some(2));
        assert_eq!(best("linux/arm64"), None);
        assert_eq!(best("linux/386"), Some(0));
    }

    #[test]
    fn kinds_are_told_by_what_is_in_them() {
        let kind = |text: &str| serde_json::from_str::<Outline>(text).unwrap().kind();
        assert_eq!(
            kind(r#"{"schemaVersion":2,"manifests":[]}"#),
            DocumentKind::Index
        );
        assert_eq!(
            kind(r#"{"schemaVersion":2,"config":{},"layers":[]}"#),
            DocumentKind::Manifest
        );
        assert_eq!(
            kind(r#"{"schemaVersion":1,"fsLayers":[]}"#),
            DocumentKind::Schema1
        );
        assert_eq!(
            kind(r#"{"manifests":[],"layers":[]}"#),
            DocumentKind::Unclear
        );
        assert_eq!(kind("{}"), DocumentKind::Unclear);
    }
}
