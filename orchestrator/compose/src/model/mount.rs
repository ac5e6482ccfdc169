//! What is mounted into a container.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Bytes, is_false};

/// The kind of a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MountKind {
    /// A path of the host.
    Bind,
    /// A volume: named if it has a source, anonymous otherwise.
    Volume,
    /// Memory.
    Tmpfs,
    /// The files of an image, or of a service's image.
    Image,
    /// A named pipe, on Windows only.
    Npipe,
    /// A volume of a cluster, in a Swarm only.
    Cluster,
}

impl MountKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Bind,
        Self::Volume,
        Self::Tmpfs,
        Self::Image,
        Self::Npipe,
        Self::Cluster,
    ];

    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Volume => "volume",
            Self::Tmpfs => "tmpfs",
            Self::Image => "image",
            Self::Npipe => "npipe",
            Self::Cluster => "cluster",
        }
    }
}

/// One entry of a service's `volumes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// The kind.
    #[serde(rename = "type")]
    pub kind: MountKind,
    /// An absolute host path (bind) or a key of [`Project::volumes`](super::Project::volumes).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The path inside the container.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// Mounted read-only.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only: bool,
    /// Accepted and printed; no engine on Linux uses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consistency: Option<String>,
    /// Options of a bind mount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind: Option<BindOptions>,
    /// Options of a volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeOptions>,
    /// Options of a tmpfs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmpfs: Option<TmpfsOptions>,
    /// Options of an image mount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageOptions>,
}

impl Mount {
    /// Whether a missing host path is created as a directory; only a bind mount ever is.
    #[must_use]
    pub fn creates_host_path(&self) -> bool {
        self.kind == MountKind::Bind && self.bind.as_ref().is_none_or(|b| b.create_host_path)
    }
}

/// Options of a bind mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BindOptions {
    /// `z` (shared) or `Z` (private) relabelling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selinux: Option<String>,
    /// `rprivate`, `rslave`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub propagation: Option<String>,
    /// Create the host path as a directory when it is missing. Only `false` is worth printing.
    #[serde(skip_serializing_if = "Clone::clone")]
    pub create_host_path: bool,
    /// `enabled`, `disabled`, `writable`, `readonly`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recursive: Option<String>,
}

impl Default for BindOptions {
    fn default() -> Self {
        Self {
            selinux: None,
            propagation: None,
            create_host_path: true,
            recursive: None,
        }
    }
}

/// Options of a volume mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VolumeOptions {
    /// Labels for an anonymous volume.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Do not fill a fresh volume from the image.
    #[serde(skip_serializing_if = "is_false")]
    pub nocopy: bool,
    /// Mount only this path of the volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subpath: Option<String>,
}

/// Options of a tmpfs mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TmpfsOptions {
    /// The size limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Bytes>,
    /// The mode of the root directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
}

/// Options of an image mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImageOptions {
    /// Mount only this path of the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subpath: Option<String>,
}
