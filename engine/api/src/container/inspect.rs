//! A container as `GET /containers/{id}/json` shows it.

use std::collections::BTreeMap;

use super::{Config, HostConfig, MountPoint};
use crate::image::GraphDriver;
use crate::network::EndpointSettings;
use crate::port::PortMap;
use crate::wire::wire;

wire! {
    /// Everything about a container.
    pub struct ContainerInspect {
        pub id: String,
        pub created: String,
        pub path: String,
        pub args: Vec<String>,
        pub state: State,
        pub image: String,
        pub resolv_conf_path: String,
        pub hostname_path: String,
        pub hosts_path: String,
        pub log_path: String,
        /// With a slash in front: Compose cuts the first byte off without looking.
        pub name: String,
        pub restart_count: i64,
        pub driver: String,
        pub platform: String,
        pub mount_label: String,
        pub process_label: String,
        pub app_armor_profile: String,
        #[serde(rename = "ExecIDs")]
        pub exec_ids: Option<Vec<String>>,
        pub host_config: HostConfig,
        pub graph_driver: GraphDriver,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub size_rw: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub size_root_fs: Option<i64>,
        pub mounts: Vec<MountPoint>,
        pub config: Config,
        pub network_settings: NetworkSettings,
    }

    /// What a container is doing. `Running` stays true while paused and while waiting for a restart.
    pub struct State {
        /// `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`.
        pub status: String,
        pub running: bool,
        pub paused: bool,
        pub restarting: bool,
        #[serde(rename = "OOMKilled")]
        pub oom_killed: bool,
        pub dead: bool,
        pub pid: i64,
        pub exit_code: i64,
        pub error: String,
        pub started_at: String,
        pub finished_at: String,
        /// Absent without a healthcheck.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub health: Option<Health>,
    }

    /// What the healthcheck found.
    pub struct Health {
        /// `starting`, `healthy`, `unhealthy` or `none`.
        pub status: String,
        pub failing_streak: i64,
        /// The last five probes, oldest first.
        pub log: Vec<HealthProbe>,
    }

    /// One run of a healthcheck.
    pub struct HealthProbe {
        pub start: String,
        pub end: String,
        pub exit_code: i64,
        pub output: String,
    }

    /// Where a container is on the network.
    pub struct NetworkSettings {
        pub bridge: String,
        #[serde(rename = "SandboxID")]
        pub sandbox_id: String,
        pub sandbox_key: String,
        pub ports: PortMap,
        #[serde(rename = "HairpinMode")]
        pub hairpin_mode: bool,
        #[serde(rename = "LinkLocalIPv6Address")]
        pub link_local_ipv6_address: String,
        #[serde(rename = "LinkLocalIPv6PrefixLen")]
        pub link_local_ipv6_prefix_len: i64,
        /// The fields from here to `MacAddress` repeat the default bridge's endpoint.
        #[serde(rename = "EndpointID")]
        pub endpoint_id: String,
        pub gateway: String,
        #[serde(rename = "GlobalIPv6Address")]
        pub global_ipv6_address: String,
        #[serde(rename = "GlobalIPv6PrefixLen")]
        pub global_ipv6_prefix_len: i64,
        #[serde(rename = "IPAddress")]
        pub ip_address: String,
        #[serde(rename = "IPPrefixLen")]
        pub ip_prefix_len: i64,
        #[serde(rename = "IPv6Gateway")]
        pub ipv6_gateway: String,
        pub mac_address: String,
        pub networks: BTreeMap<String, EndpointSettings>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dockerd_answer_with_its_nulls_is_read() {
        let text = r#"{"Id":"0123","Created":"2026-01-01T00:00:00Z","Path":"sh","Args":[],
            "State":{"Status":"running","Running":true,"OOMKilled":false,"Pid":7,"ExitCode":0,
                "Health":{"Status":"healthy","FailingStreak":0,"Log":null}},
            "Name":"/web","ExecIDs":null,
            "HostConfig":{"Binds":null,"ConsoleSize":[0,0],"PidsLimit":null,"Ulimits":null,"Init":null,
                "PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"}]}},
            "GraphDriver":{"Data":null,"Name":"overlay2"},"Mounts":[],
            "Config":{"ExposedPorts":{"80/tcp":{}},"Volumes":null,"Cmd":["sh"],"Entrypoint":null,"OnBuild":null},
            "NetworkSettings":{"Ports":{"80/tcp":null,"81/tcp":[{"HostIp":"::","HostPort":"81"}]},
                "Networks":{"bridge":{"IPAMConfig":null,"Links":null,"Aliases":null,"DriverOpts":null}}}}"#;
        let inspect: ContainerInspect = serde_json::from_str(text).unwrap();
        assert_eq!(inspect.state.health.unwrap().status, "healthy");
        assert_eq!(inspect.network_settings.ports["80/tcp"], None);
        assert_eq!(inspect.config.cmd.unwrap().0, ["sh"]);
        assert!(
            inspect.network_settings.networks["bridge"]
                .aliases
                .is_none()
        );
    }
}
