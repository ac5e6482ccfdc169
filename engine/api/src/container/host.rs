//! The part of a container's configuration that belongs to this host: resources, mounts, ports, rights.

use std::collections::BTreeMap;

use super::Mount;
use crate::port::PortMap;
use crate::wire::wire;

wire! {
    /// `HostConfig`. The resource fields (from `CpuShares` on) are also the body of an update.
    pub struct HostConfig {
        /// `source:target[:options]`, source a path or a volume's name.
        pub binds: Vec<String>,
        #[serde(rename = "ContainerIDFile")]
        pub container_id_file: String,
        pub log_config: LogConfig,
        /// `bridge`, `host`, `none`, `container:<id>`, a network's name; empty and `default` mean `bridge`.
        pub network_mode: String,
        pub port_bindings: PortMap,
        pub restart_policy: RestartPolicy,
        pub auto_remove: bool,
        pub volume_driver: String,
        pub volumes_from: Vec<String>,
        /// Height and width, rows first.
        pub console_size: Option<[u32; 2]>,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        pub annotations: BTreeMap<String, String>,
        pub cap_add: Vec<String>,
        pub cap_drop: Vec<String>,
        /// `host`, `private` or empty.
        pub cgroupns_mode: String,
        pub dns: Vec<String>,
        pub dns_options: Vec<String>,
        pub dns_search: Vec<String>,
        pub extra_hosts: Vec<String>,
        pub group_add: Vec<String>,
        pub ipc_mode: String,
        pub cgroup: String,
        pub links: Vec<String>,
        pub oom_score_adj: i64,
        pub pid_mode: String,
        pub privileged: bool,
        pub publish_all_ports: bool,
        pub readonly_rootfs: bool,
        pub security_opt: Vec<String>,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        pub storage_opt: BTreeMap<String, String>,
        /// Target to mount options.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        pub tmpfs: BTreeMap<String, String>,
        #[serde(rename = "UTSMode")]
        pub uts_mode: String,
        pub userns_mode: String,
        /// Bytes; 0 is 64 MiB.
        pub shm_size: i64,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        pub sysctls: BTreeMap<String, String>,
        pub runtime: String,
        pub isolation: String,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub mounts: Vec<Mount>,
        /// `None` takes Docker's list; an empty list masks nothing.
        pub masked_paths: Option<Vec<String>>,
        /// `None` takes Docker's list; an empty list protects nothing.
        pub readonly_paths: Option<Vec<String>>,
        /// `None` takes the engine's default.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub init: Option<bool>,

        pub cpu_shares: i64,
        /// Bytes.
        pub memory: i64,
        /// Billionths of a processor.
        pub nano_cpus: i64,
        pub cgroup_parent: String,
        pub blkio_weight: u16,
        pub blkio_weight_device: Vec<WeightDevice>,
        pub blkio_device_read_bps: Vec<ThrottleDevice>,
        pub blkio_device_write_bps: Vec<ThrottleDevice>,
        #[serde(rename = "BlkioDeviceReadIOps")]
        pub blkio_device_read_iops: Vec<ThrottleDevice>,
        #[serde(rename = "BlkioDeviceWriteIOps")]
        pub blkio_device_write_iops: Vec<ThrottleDevice>,
        pub cpu_period: i64,
        pub cpu_quota: i64,
        pub cpu_realtime_period: i64,
        pub cpu_realtime_runtime: i64,
        pub cpuset_cpus: String,
        pub cpuset_mems: String,
        pub devices: Vec<DeviceMapping>,
        pub device_cgroup_rules: Vec<String>,
        pub device_requests: Vec<DeviceRequest>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub kernel_memory: Option<i64>,
        #[serde(rename = "KernelMemoryTCP", skip_serializing_if = "Option::is_none")]
        pub kernel_memory_tcp: Option<i64>,
        pub memory_reservation: i64,
        /// Memory and swap together; -1 is unlimited swap.
        pub memory_swap: i64,
        pub memory_swappiness: Option<i64>,
        pub oom_kill_disable: Option<bool>,
        /// 0, -1 and `None` are unlimited.
        pub pids_limit: Option<i64>,
        pub ulimits: Vec<Ulimit>,
        pub cpu_count: i64,
        pub cpu_percent: i64,
        #[serde(rename = "IOMaximumIOps")]
        pub io_maximum_iops: u64,
        #[serde(rename = "IOMaximumBandwidth")]
        pub io_maximum_bandwidth: u64,
    }

    /// A log driver and its options.
    pub struct LogConfig {
        #[serde(rename = "Type")]
        pub kind: String,
        pub config: BTreeMap<String, String>,
    }

    /// When a container is started again.
    pub struct RestartPolicy {
        /// `no` (or empty), `always`, `unless-stopped`, `on-failure`.
        pub name: String,
        pub maximum_retry_count: i64,
        /// Nanoseconds between an end and the next start; 0 is the usual back-off. Docker has no such field.
        #[serde(skip_serializing_if = "is_zero")]
        pub delay: i64,
        /// Nanoseconds after which a run counts as a success, and retries are counted anew; 0 is never. Nor this.
        #[serde(skip_serializing_if = "is_zero")]
        pub window: i64,
    }

    /// A resource limit of a process.
    pub struct Ulimit {
        pub name: String,
        pub hard: i64,
        pub soft: i64,
    }

    /// A device of the host inside the container.
    pub struct DeviceMapping {
        pub path_on_host: String,
        pub path_in_container: String,
        /// Any of `rwm`.
        pub cgroup_permissions: String,
    }

    /// A wish for devices by capability, as `gpus` makes it.
    pub struct DeviceRequest {
        pub driver: String,
        pub count: i64,
        #[serde(rename = "DeviceIDs")]
        pub device_ids: Vec<String>,
        pub capabilities: Vec<Vec<String>>,
        pub options: BTreeMap<String, String>,
    }

    /// A share of a block device.
    pub struct WeightDevice {
        pub path: String,
        pub weight: u16,
    }

    /// A ceiling for a block device.
    pub struct ThrottleDevice {
        pub path: String,
        pub rate: u64,
    }

    /// Answer of `POST /containers/{id}/update`.
    pub struct ContainerUpdated {
        pub warnings: Vec<String>,
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &i64) -> bool {
    *number == 0
}
