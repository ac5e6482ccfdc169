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
        /// What the driver has to say about it: where its files came from.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        pub status: BTreeMap<String, String>,
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

    /// Body of `POST /bowline/volumes/{name}/snapshots`, which is ours.
    pub struct SnapshotCreate {
        pub tag: String,
    }

    /// Body of `POST /bowline/volumes/{name}/restore`, which is ours.
    pub struct VolumeRestore {
        pub tag: String,
    }

    /// Body of `POST /bowline/volumes/{name}/fork`, which is ours.
    pub struct VolumeFork {
        /// The new volume.
        pub name: String,
        /// The snapshot it is made of; empty for the volume as it is.
        pub tag: String,
        pub labels: BTreeMap<String, String>,
    }

    /// A snapshot of a volume.
    pub struct VolumeSnapshot {
        pub volume: String,
        pub tag: String,
        /// When the files were as they are there.
        pub created_at: String,
        /// Bytes on the disk that are its own.
        pub size: u64,
        /// Images of the containers that used the volume.
        pub images: Vec<String>,
        /// Containers were running with the volume.
        pub running: bool,
        /// Volumes made of it.
        pub volumes: Vec<String>,
    }

    /// Answer of `GET /bowline/volumes/snapshots`.
    pub struct SnapshotList {
        pub snapshots: Vec<VolumeSnapshot>,
    }

    /// Answer of `POST /volumes/prune`.
    pub struct VolumesPruned {
        pub volumes_deleted: Vec<String>,
        pub space_reclaimed: u64,
    }
}
