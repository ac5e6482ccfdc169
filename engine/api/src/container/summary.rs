//! A container in lists, and the small answers around containers.

use std::collections::BTreeMap;

use super::MountPoint;
use crate::network::EndpointSettings;
use crate::wire::wire;

wire! {
    /// A row of `GET /containers/json`.
    pub struct ContainerSummary {
        pub id: String,
        /// With a slash in front.
        pub names: Vec<String>,
        /// As given at creation.
        pub image: String,
        #[serde(rename = "ImageID")]
        pub image_id: String,
        pub command: String,
        pub created: i64,
        pub ports: Vec<PortSummary>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub size_rw: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub size_root_fs: Option<i64>,
        pub labels: BTreeMap<String, String>,
        /// One word, as [`super::State::status`].
        pub state: String,
        /// For people: `Up 2 minutes (healthy)`.
        pub status: String,
        pub host_config: HostConfigSummary,
        pub network_settings: NetworkSummary,
        pub mounts: Vec<MountPoint>,
    }

    /// One row per binding; without `PublicPort` when only exposed.
    pub struct PortSummary {
        #[serde(rename = "IP", skip_serializing_if = "String::is_empty")]
        pub ip: String,
        pub private_port: u16,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub public_port: Option<u16>,
        #[serde(rename = "Type")]
        pub kind: String,
    }

    /// What lists tell of the host configuration.
    pub struct HostConfigSummary {
        pub network_mode: String,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        pub annotations: BTreeMap<String, String>,
    }

    /// What lists tell of the network.
    pub struct NetworkSummary {
        pub networks: BTreeMap<String, EndpointSettings>,
    }

    /// Answer of `POST /containers/{id}/wait`.
    pub struct WaitResponse {
        pub status_code: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub error: Option<WaitError>,
    }

    /// Why waiting failed.
    pub struct WaitError {
        pub message: String,
    }

    /// Answer of `GET /containers/{id}/top`.
    pub struct Top {
        pub titles: Vec<String>,
        pub processes: Vec<Vec<String>>,
    }

    /// Answer of `POST /containers/prune`.
    pub struct ContainersPruned {
        pub containers_deleted: Vec<String>,
        pub space_reclaimed: u64,
    }

    /// A path of a container, as the header `X-Docker-Container-Path-Stat` carries it.
    pub struct PathStat {
        #[serde(rename = "name")]
        pub name: String,
        #[serde(rename = "size")]
        pub size: i64,
        /// Go's `os.FileMode`: permission bits and its own high bits for the kind of file.
        #[serde(rename = "mode")]
        pub mode: u32,
        #[serde(rename = "mtime")]
        pub mtime: String,
        #[serde(rename = "linkTarget")]
        pub link_target: String,
    }
}

/// What `POST /containers/{id}/wait` waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitCondition {
    /// Not running: at once when it is not.
    #[default]
    NotRunning,
    /// The next exit, even if it is not running yet.
    NextExit,
    /// The container is gone.
    Removed,
}

impl WaitCondition {
    /// The word of the query; empty means the default.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "" | "not-running" => Some(Self::NotRunning),
            "next-exit" => Some(Self::NextExit),
            "removed" => Some(Self::Removed),
            _ => None,
        }
    }

    /// The word of the query.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotRunning => "not-running",
            Self::NextExit => "next-exit",
            Self::Removed => "removed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_lists_where_clients_iterate() {
        let row = ContainerSummary {
            ports: vec![
                PortSummary {
                    private_port: 80,
                    kind: "tcp".into(),
                    ..PortSummary::default()
                },
                PortSummary {
                    ip: "::".into(),
                    private_port: 81,
                    public_port: Some(8081),
                    kind: "udp".into(),
                },
            ],
            ..ContainerSummary::default()
        };
        assert_eq!(
            serde_json::to_string(&row).unwrap(),
            r#"{"Id":"","Names":[],"Image":"","ImageID":"","Command":"","Created":0,"Ports":[{"PrivatePort":80,"Type":"tcp"},{"IP":"::","PrivatePort":81,"PublicPort":8081,"Type":"udp"}],"Labels":{},"State":"","Status":"","HostConfig":{"NetworkMode":""},"NetworkSettings":{"Networks":{}},"Mounts":[]}"#
        );
    }

    #[test]
    fn a_wait_without_failure_has_no_error() {
        let answer = WaitResponse {
            status_code: 137,
            error: None,
        };
        assert_eq!(
            serde_json::to_string(&answer).unwrap(),
            r#"{"StatusCode":137}"#
        );
    }

    #[test]
    fn the_words_of_a_wait_are_read_back() {
        for condition in [
            WaitCondition::NotRunning,
            WaitCondition::NextExit,
            WaitCondition::Removed,
        ] {
            assert_eq!(WaitCondition::parse(condition.as_str()), Some(condition));
        }
        assert_eq!(WaitCondition::parse(""), Some(WaitCondition::NotRunning));
        assert_eq!(WaitCondition::parse("running"), None);
    }
}
