//! The engine about itself: version and info.

use std::collections::BTreeMap;

use crate::wire::wire;

wire! {
    /// Answer of `GET /version`. Compose decides what it may send by `ApiVersion`.
    pub struct Version {
        pub platform: PlatformName,
        pub components: Vec<Component>,
        pub version: String,
        pub api_version: String,
        #[serde(rename = "MinAPIVersion")]
        pub min_api_version: String,
        pub git_commit: String,
        pub go_version: String,
        pub os: String,
        pub arch: String,
        pub kernel_version: String,
        pub experimental: bool,
        pub build_time: String,
    }

    /// The product's name.
    pub struct PlatformName {
        pub name: String,
    }

    /// A part of the engine; clients look for `Engine`.
    pub struct Component {
        pub name: String,
        pub version: String,
        pub details: BTreeMap<String, String>,
    }

    /// Answer of `GET /info`.
    pub struct Info {
        #[serde(rename = "ID")]
        pub id: String,
        pub containers: i64,
        pub containers_running: i64,
        pub containers_paused: i64,
        pub containers_stopped: i64,
        pub images: i64,
        pub driver: String,
        pub driver_status: Vec<(String, String)>,
        pub plugins: Plugins,
        pub memory_limit: bool,
        pub swap_limit: bool,
        #[serde(rename = "CpuCfsPeriod")]
        pub cpu_cfs_period: bool,
        #[serde(rename = "CpuCfsQuota")]
        pub cpu_cfs_quota: bool,
        #[serde(rename = "CPUShares")]
        pub cpu_shares: bool,
        #[serde(rename = "CPUSet")]
        pub cpu_set: bool,
        pub pids_limit: bool,
        #[serde(rename = "IPv4Forwarding")]
        pub ipv4_forwarding: bool,
        pub debug: bool,
        pub n_fd: i64,
        pub oom_kill_disable: bool,
        pub n_goroutines: i64,
        pub system_time: String,
        pub logging_driver: String,
        pub cgroup_driver: String,
        pub cgroup_version: String,
        pub n_events_listener: i64,
        pub kernel_version: String,
        pub operating_system: String,
        #[serde(rename = "OSVersion")]
        pub os_version: String,
        #[serde(rename = "OSType")]
        pub os_type: String,
        pub architecture: String,
        pub index_server_address: String,
        pub registry_config: RegistryConfig,
        #[serde(rename = "NCPU")]
        pub ncpu: i64,
        pub mem_total: i64,
        pub generic_resources: Vec<serde_json::Value>,
        pub docker_root_dir: String,
        pub http_proxy: String,
        pub https_proxy: String,
        pub no_proxy: String,
        pub name: String,
        pub labels: Vec<String>,
        pub experimental_build: bool,
        pub server_version: String,
        pub runtimes: BTreeMap<String, Runtime>,
        pub default_runtime: String,
        pub swarm: Swarm,
        pub live_restore_enabled: bool,
        pub isolation: String,
        pub init_binary: String,
        pub containerd_commit: Commit,
        pub runc_commit: Commit,
        pub init_commit: Commit,
        pub security_options: Vec<String>,
        #[serde(rename = "CDISpecDirs")]
        pub cdi_spec_dirs: Vec<String>,
        pub warnings: Vec<String>,
    }

    /// What kinds of driver the engine has.
    pub struct Plugins {
        pub volume: Vec<String>,
        pub network: Vec<String>,
        pub authorization: Vec<String>,
        pub log: Vec<String>,
    }

    /// A low-level runtime.
    pub struct Runtime {
        #[serde(rename = "path")]
        pub path: String,
    }

    /// Swarm: never active here.
    pub struct Swarm {
        #[serde(rename = "NodeID")]
        pub node_id: String,
        pub node_addr: String,
        pub local_node_state: String,
        pub control_available: bool,
        pub error: String,
        pub remote_managers: Vec<serde_json::Value>,
    }

    /// A commit of a part of the engine.
    pub struct Commit {
        #[serde(rename = "ID")]
        pub id: String,
    }

    /// Which registries are spoken to, and how.
    pub struct RegistryConfig {
        #[serde(rename = "InsecureRegistryCIDRs")]
        pub insecure_registry_cidrs: Vec<String>,
        pub index_configs: BTreeMap<String, serde_json::Value>,
        pub mirrors: Vec<String>,
    }

    /// Answer of `GET /system/df`.
    pub struct DiskUsage {
        pub layers_size: i64,
        pub images: Vec<crate::ImageSummary>,
        pub containers: Vec<crate::ContainerSummary>,
        pub volumes: Vec<crate::Volume>,
        /// Ours: what frozen files of volumes take, those of snapshots and those below forks.
        pub snapshots_size: i64,
        pub build_cache: Vec<BuildCacheEntry>,
    }

    /// A remembered step of a build.
    pub struct BuildCacheEntry {
        #[serde(rename = "ID")]
        pub id: String,
        pub parents: Vec<String>,
        #[serde(rename = "Type")]
        pub kind: String,
        pub description: String,
        pub in_use: bool,
        pub shared: bool,
        pub size: i64,
        pub created_at: String,
        pub last_used_at: Option<String>,
        pub usage_count: i64,
    }

    /// Answer of `POST /commit`.
    pub struct CommitCreated {
        pub id: String,
    }

    /// One path that a container changed.
    pub struct ContainerChange {
        pub path: String,
        /// 0 modified, 1 added, 2 deleted.
        pub kind: i64,
    }

    /// Answer of `POST /auth`.
    pub struct AuthResult {
        pub status: String,
        pub identity_token: String,
    }
}
