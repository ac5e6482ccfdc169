//! Limits on cgroup v1: which file gets what. Pure.

use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxHugepageLimit, LinuxMemory, LinuxPids, LinuxThrottleDevice,
};

use super::setting::Setting;
use super::wish::{self, MemorySwap};
use super::{CgroupError, Warning};

/// Memory. `now` is the present limit of memory and swap together: the kernel wants it never below that of memory
/// alone, which decides the order in which the two are written.
pub(super) fn memory(memory: &LinuxMemory, now: Option<u64>) -> Result<Vec<Setting>, CgroupError> {
    let mut settings = Vec::new();
    let limit = wish::memory_limit(memory);
    if let Some(limit) = limit {
        settings.push(Setting::new(
            "the memory limit",
            "memory.limit_in_bytes",
            limit,
        ));
    }
    if let Some(swap) = wish::memory_swap(memory)? {
        let file = "memory.memsw.limit_in_bytes";
        let value = match swap {
            MemorySwap::Total(total) => total.to_string(),
            MemorySwap::Unlimited => "-1".to_owned(),
        };
        let rises = limit.is_some_and(|limit| {
            let now = now.unwrap_or(u64::MAX);
            u64::try_from(limit).map_or(now != u64::MAX, |limit| limit > now)
        });
        settings.insert(
            if rises { 0 } else { settings.len() },
            Setting::new("the swap limit", file, value),
        );
    }
    if let Some(bytes) = memory.reservation().filter(|bytes| *bytes != 0) {
        settings.push(Setting::new(
            "the memory reservation",
            "memory.soft_limit_in_bytes",
            bytes,
        ));
    }
    if let Some(share) = memory.swappiness() {
        settings.push(Setting::new(
            "memory swappiness",
            "memory.swappiness",
            share,
        ));
    }
    if let Some(disable) = memory.disable_oom_killer() {
        let setting = Setting::new(
            "disabling the OOM killer",
            "memory.oom_control",
            u8::from(disable),
        );
        settings.push(if disable {
            setting
        } else {
            setting.ignored_if_missing()
        });
    }
    Ok(settings)
}

/// CPU time and priority. Real-time shares come first: they must stand before a real-time task joins.
pub(super) fn cpu(cpu: &LinuxCpu) -> Vec<Setting> {
    let set = |wish, file: &str, value: Option<String>| {
        value.map(|value| Setting::new(wish, file, value))
    };
    [
        set(
            "the real-time period",
            "cpu.rt_period_us",
            positive(cpu.realtime_period()),
        ),
        set(
            "the real-time runtime",
            "cpu.rt_runtime_us",
            cpu.realtime_runtime().map(|us| us.to_string()),
        ),
        set("CPU shares", "cpu.shares", positive(cpu.shares())),
        set(
            "the CPU period",
            "cpu.cfs_period_us",
            positive(cpu.period()),
        ),
        set(
            "the CPU quota",
            "cpu.cfs_quota_us",
            cpu.quota().filter(|us| *us != 0).map(|us| us.to_string()),
        ),
        set(
            "CPU burst",
            "cpu.cfs_burst_us",
            cpu.burst().map(|us| us.to_string()),
        ),
        set(
            "CPU idle",
            "cpu.idle",
            cpu.idle().map(|idle| idle.to_string()),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Zero means "as it is" wherever the API has it.
fn positive(number: Option<u64>) -> Option<String> {
    number
        .filter(|number| *number > 0)
        .map(|number| number.to_string())
}

/// Which CPUs and memory nodes. The same files on v2.
pub(super) fn cpuset(cpu: &LinuxCpu) -> Vec<Setting> {
    let set = |wish, file: &str, list: &Option<String>| {
        list.as_deref()
            .filter(|list| !list.is_empty())
            .map(|list| Setting::new(wish, file, list))
    };
    [
        set("the CPU set", "cpuset.cpus", cpu.cpus()),
        set("the memory nodes", "cpuset.mems", cpu.mems()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Number of tasks. The same file on v2.
pub(super) fn pids(pids: &LinuxPids) -> Vec<Setting> {
    // Compose and Docker write "no limit" as 0 or -1; runtimes take OCI's 0 for a real limit.
    let limit = if pids.limit() <= 0 {
        "max".to_owned()
    } else {
        pids.limit().to_string()
    };
    let setting = Setting::new("the pids limit", "pids.max", limit);
    vec![if pids.limit() <= 0 {
        setting.ignored_if_missing()
    } else {
        setting
    }]
}

/// Weights and rates of block devices.
pub(super) fn block_io(io: &LinuxBlockIo) -> Vec<Setting> {
    let mut settings = Vec::new();
    let weighted = |file: &str, value: &String| {
        Setting::new("the block I/O weight", format!("blkio.bfq.{file}"), value)
            .or(&format!("blkio.{file}"), value)
    };
    if let Some(weight) = io.weight().filter(|weight| *weight > 0) {
        settings.push(weighted("weight", &weight.to_string()));
    }
    for device in io.weight_device().iter().flatten() {
        if let Some(weight) = device.weight() {
            let value = format!("{}:{} {weight}", device.major(), device.minor());
            settings.push(weighted("weight_device", &value));
        }
    }
    for (list, what) in [
        (io.throttle_read_bps_device(), "read_bps"),
        (io.throttle_write_bps_device(), "write_bps"),
        (io.throttle_read_iops_device(), "read_iops"),
        (io.throttle_write_iops_device(), "write_iops"),
    ] {
        let setting = |device: &LinuxThrottleDevice| {
            let value = format!("{}:{} {}", device.major(), device.minor(), device.rate());
            Setting::new(
                "the block I/O rate",
                format!("blkio.throttle.{what}_device"),
                value,
            )
        };
        settings.extend(list.iter().flatten().map(setting));
    }
    settings
}

/// Huge pages.
pub(super) fn huge_pages(limits: &[LinuxHugepageLimit]) -> Result<Vec<Setting>, CgroupError> {
    let setting = |limit: &LinuxHugepageLimit| {
        let size = wish::page_size(limit.page_size())?;
        Ok(Setting::new(
            "the huge page limit",
            format!("hugetlb.{size}.limit_in_bytes"),
            limit.limit(),
        ))
    };
    limits.iter().map(setting).collect()
}

/// What v1 has no file for.
pub(super) fn unified_warning() -> Warning {
    Warning {
        wish: "a raw cgroup v2 setting",
        reason: "this machine has no usable cgroup v2".to_owned(),
    }
}
