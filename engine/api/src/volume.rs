//! Volumes.

use std::collections::BTreeMap;

use crate::wire::wire;

wire! {
    /// A volume as inspect and list show it.
    pub struct Volume {
        pub created_at: String,
        pub driver: String,
        pub labels: BTreeMap<String, String>,
        pub mountpoint: String,
        pub name: String,
        pub options: BTreeMap<String, String>,
        /// Always `local`.
        pub scope: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub usage_data: Option<VolumeUsage>,
    }

    /// What a volume takes; only `/system/df` fills it.
    pub struct VolumeUsage {
        pub ref_count: i64,
        pub size: i64,
    }

    /// Body of `POST /volumes/create`.
    pub struct VolumeCreate {
        /// Empty for an anonymous volume.
        pub name: String,
        pub driver: String,
        pub driver_opts: BTreeMap<String, String>,
        pub labels: BTreeMap<String, String>,
    }

    /// Answer of `GET /volumes`.
    pub struct VolumeList {
        pub volumes: Vec<Volume>,
        pub warnings: Vec<String>,
    }

    /// Answer of `POST /volumes/prune`.
    pub struct VolumesPruned {
        pub volumes_deleted: Vec<String>,
        pub space_reclaimed: u64,
    }
}
