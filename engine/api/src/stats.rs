//! What a container uses, as `GET /containers/{id}/stats` streams it.

use std::collections::BTreeMap;

use crate::wire::wire;

wire! {
    case "snake_case";

    /// One sample. The names are Docker's, in snake case.
    pub struct Stats {
        pub name: String,
        pub id: String,
        pub read: String,
        pub preread: String,
        pub num_procs: u32,
        pub pids_stats: PidsStats,
        pub blkio_stats: BlkioStats,
        pub cpu_stats: CpuStats,
        pub precpu_stats: CpuStats,
        pub memory_stats: MemoryStats,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        pub networks: BTreeMap<String, NetworkStats>,
    }

    /// Processes and threads.
    pub struct PidsStats {
        #[serde(skip_serializing_if = "Option::is_none")]
        pub current: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub limit: Option<u64>,
    }

    /// Block devices.
    pub struct BlkioStats {
        pub io_service_bytes_recursive: Vec<BlkioEntry>,
        pub io_serviced_recursive: Vec<BlkioEntry>,
    }

    /// One counter of one device.
    pub struct BlkioEntry {
        pub major: u64,
        pub minor: u64,
        pub op: String,
        pub value: u64,
    }

    /// Processor time.
    pub struct CpuStats {
        pub cpu_usage: CpuUsage,
        /// Nanoseconds of all processors since boot, the container's or not.
        pub system_cpu_usage: u64,
        pub online_cpus: u32,
        pub throttling_data: Throttling,
    }

    /// Nanoseconds.
    pub struct CpuUsage {
        pub total_usage: u64,
        pub usage_in_kernelmode: u64,
        pub usage_in_usermode: u64,
    }

    /// How often the quota held the container back.
    pub struct Throttling {
        pub periods: u64,
        pub throttled_periods: u64,
        pub throttled_time: u64,
    }

    /// Memory in bytes. Clients subtract `inactive_file` (v2) or `total_inactive_file` (v1) from `usage`.
    pub struct MemoryStats {
        pub usage: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub max_usage: Option<u64>,
        pub stats: BTreeMap<String, u64>,
        pub failcnt: u64,
        pub limit: u64,
    }

    /// One interface.
    pub struct NetworkStats {
        pub rx_bytes: u64,
        pub rx_packets: u64,
        pub rx_errors: u64,
        pub rx_dropped: u64,
        pub tx_bytes: u64,
        pub tx_packets: u64,
        pub tx_errors: u64,
        pub tx_dropped: u64,
    }
}
