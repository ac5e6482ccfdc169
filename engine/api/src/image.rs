//! Images.

use std::collections::BTreeMap;

use crate::container::Config;
use crate::wire::wire;

wire! {
    /// An image as inspect shows it.
    pub struct ImageInspect {
        pub id: String,
        pub repo_tags: Vec<String>,
        pub repo_digests: Vec<String>,
        pub parent: String,
        pub comment: String,
        pub created: String,
        pub docker_version: String,
        pub author: String,
        pub config: Config,
        pub architecture: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub variant: String,
        pub os: String,
        pub size: i64,
        pub graph_driver: GraphDriver,
        #[serde(rename = "RootFS")]
        pub root_fs: RootFs,
        pub metadata: ImageMetadata,
    }

    /// Which storage holds an image or a container.
    pub struct GraphDriver {
        pub data: BTreeMap<String, String>,
        pub name: String,
    }

    /// The uncompressed layers, bottom first.
    pub struct RootFs {
        #[serde(rename = "Type")]
        pub kind: String,
        pub layers: Vec<String>,
    }

    /// What is known about an image on this host only.
    pub struct ImageMetadata {
        pub last_tag_time: String,
    }

    /// A row of `GET /images/json`.
    pub struct ImageSummary {
        pub containers: i64,
        pub created: i64,
        pub id: String,
        pub labels: BTreeMap<String, String>,
        pub parent_id: String,
        pub repo_digests: Vec<String>,
        pub repo_tags: Vec<String>,
        pub shared_size: i64,
        pub size: i64,
    }

    /// A row of `GET /images/{name}/history`, newest first.
    pub struct ImageHistory {
        pub id: String,
        pub created: i64,
        pub created_by: String,
        pub tags: Vec<String>,
        pub size: i64,
        pub comment: String,
    }

    /// One thing `DELETE /images/{name}` did: exactly one of the two is set.
    pub struct ImageDeleted {
        #[serde(skip_serializing_if = "Option::is_none")]
        pub untagged: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub deleted: Option<String>,
    }

    /// Answer of `POST /images/prune`.
    pub struct ImagesPruned {
        pub images_deleted: Vec<ImageDeleted>,
        pub space_reclaimed: u64,
    }

    /// Registry credentials, as `X-Registry-Auth` (base64url JSON) and `POST /auth` carry them.
    pub struct RegistryAuth {
        #[serde(rename = "username", skip_serializing_if = "String::is_empty")]
        pub username: String,
        #[serde(rename = "password", skip_serializing_if = "String::is_empty")]
        pub password: String,
        #[serde(rename = "auth", skip_serializing_if = "String::is_empty")]
        pub auth: String,
        #[serde(rename = "serveraddress", skip_serializing_if = "String::is_empty")]
        pub server_address: String,
        #[serde(rename = "identitytoken", skip_serializing_if = "String::is_empty")]
        pub identity_token: String,
        #[serde(rename = "registrytoken", skip_serializing_if = "String::is_empty")]
        pub registry_token: String,
    }
}
