//! Mounts: as asked for in `HostConfig.Mounts`, and as they came out.

use std::collections::BTreeMap;

use crate::wire::wire;

wire! {
    /// A mount that is asked for.
    pub struct Mount {
        /// `bind`, `volume`, `tmpfs`, `image`, `npipe` or `cluster`.
        #[serde(rename = "Type")]
        pub kind: String,
        /// A path of the host, a volume's name, or empty.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub source: String,
        pub target: String,
        pub read_only: bool,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub consistency: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub bind_options: Option<BindOptions>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub volume_options: Option<VolumeOptions>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub image_options: Option<ImageOptions>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub tmpfs_options: Option<TmpfsOptions>,
    }

    /// What only a bind mount has.
    pub struct BindOptions {
        #[serde(skip_serializing_if = "String::is_empty")]
        pub propagation: String,
        pub non_recursive: bool,
        /// Make the source as a directory when it is missing.
        pub create_mountpoint: bool,
        pub read_only_non_recursive: bool,
        pub read_only_force_recursive: bool,
    }

    /// What only a volume has.
    pub struct VolumeOptions {
        /// Do not copy what the image has at the target into an empty volume.
        pub no_copy: bool,
        pub labels: BTreeMap<String, String>,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub subpath: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub driver_config: Option<VolumeDriver>,
    }

    /// The driver of a volume that the mount creates.
    pub struct VolumeDriver {
        pub name: String,
        pub options: BTreeMap<String, String>,
    }

    /// What only an image mount has.
    pub struct ImageOptions {
        #[serde(skip_serializing_if = "String::is_empty")]
        pub subpath: String,
    }

    /// What only a tmpfs has.
    pub struct TmpfsOptions {
        /// 0 is unlimited.
        pub size_bytes: i64,
        /// Permission bits; 0 is 1777.
        pub mode: u32,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub options: Vec<Vec<String>>,
    }

    /// A mount that a container has, in inspect and in lists.
    pub struct MountPoint {
        #[serde(rename = "Type")]
        pub kind: String,
        /// The volume's name; Compose compares it.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub name: String,
        pub source: String,
        pub destination: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub driver: String,
        pub mode: String,
        #[serde(rename = "RW")]
        pub rw: bool,
        pub propagation: String,
    }
}
