//! Limits on cgroup v2: which file gets what. Pure.

use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxHugepageLimit, LinuxMemory, LinuxThrottleDevice,
};

use super::setting::Setting;
use super::wish::{self, MemorySwap};
use super::{CgroupError, Warning};

/// Settings, and the wishes v2 has no word for.
pub(super) type Table = (Vec<Setting>, Vec<Warning>);

fn none(wish: &'static str) -> Warning {
    Warning {
        wish,
        reason: "cgroup v2 has no such setting".to_owned(),
    }
}

/// Memory. v2 counts swap by itself, the API counts memory and swap together.
pub(super) fn memory(memory: &LinuxMemory) -> Result<Table, CgroupError> {
    let (mut settings, mut warnings) = (Vec::new(), Vec::new());
    let limit = wish::memory_limit(memory);
    if let Some(limit) = limit {
        settings.push(Setting::new(
            "the memory limit",
            "memory.max",
            max_or(limit),
        ));
    }
    if let Some(swap) = wish::memory_swap(memory)? {
        let value = match swap {
            MemorySwap::Unlimited => "max".to_owned(),
            MemorySwap::Total(total) => (total - limit.unwrap_or(0).max(0)).to_string(),
        };
        settings.push(Setting::new("the swap limit", "memory.swap.max", value));
    }
    if let Some(bytes) = memory.reservation().filter(|bytes| *bytes != 0) {
        settings.push(Setting::new(
            "the memory reservation",
            "memory.low",
            max_or(bytes),
        ));
    }
    if memory.swappiness().is_some() {
        warnings.push(none("memory swappiness"));
    }
    if memory.disable_oom_killer() == Some(true) {
        warnings.push(none("disabling the OOM killer"));
    }
    Ok((settings, warnings))
}

fn max_or(bytes: i64) -> String {
    if bytes < 0 {
        "max".to_owned()
    } else {
        bytes.to_string()
    }
}

/// CPU time and priority.
pub(super) fn cpu(cpu: &LinuxCpu) -> Table {
    let (mut settings, mut warnings) = (Vec::new(), Vec::new());
    if let Some(shares) = cpu.shares().filter(|shares| *shares > 0) {
        settings.push(Setting::new("CPU shares", "cpu.weight", weight(shares)));
    }
    let (quota, period) = (
        cpu.quota().filter(|us| *us != 0),
        cpu.period().filter(|us| *us != 0),
    );
    if let Some(max) = bandwidth(quota, period) {
        settings.push(Setting::new("the CPU quota", "cpu.max", max));
    }
    if let Some(burst) = cpu.burst() {
        settings.push(Setting::new("CPU burst", "cpu.max.burst", burst));
    }
    if let Some(idle) = cpu.idle() {
        settings.push(Setting::new("CPU idle", "cpu.idle", idle));
    }
    let real_time = cpu.realtime_runtime().is_some_and(|us| us != 0)
        || cpu.realtime_period().is_some_and(|us| us != 0);
    if real_time {
        warnings.push(none("a real-time CPU limit"));
    }
    (settings, warnings)
}

fn bandwidth(quota: Option<i64>, period: Option<u64>) -> Option<String> {
    match (quota, period) {
        (None, None) => None,
        (Some(quota), None) if quota < 0 => Some("max".to_owned()),
        (Some(quota), period) if quota > 0 => {
            Some(format!("{quota} {}", period.unwrap_or(100_000)))
        }
        (_, Some(period)) => Some(format!("max {period}")),
        (_, None) => None,
    }
}

/// From v1's shares (2 to 262144, 1024 usual) to v2's weight (1 to 10000, 100 usual).
///
/// A quadratic in log2 through the three points that have to agree: 2 ↦ 1, 1024 ↦ 100, 262144 ↦ 10000. The straight
/// line used before it gave the usual container 39, less than half of what a process outside any container has.
fn weight(shares: u64) -> u64 {
    match shares {
        ..=2 => 1,
        262_144.. => 10_000,
        _ => {
            #[expect(clippy::cast_precision_loss, reason = "below 2^18")]
            let log = (shares as f64).log2();
            let weight = 10f64
                .powf((log * log + 125.0 * log) / 612.0 - 7.0 / 34.0)
                .ceil();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 1 and 10000, and whole"
            )]
            let weight = weight as u64;
            weight
        }
    }
}

/// Weights and rates of block devices.
pub(super) fn block_io(io: &LinuxBlockIo) -> Vec<Setting> {
    let mut settings = Vec::new();
    let wish = "the block I/O weight";
    if let Some(weight) = io.weight().filter(|weight| *weight > 0) {
        settings
            .push(Setting::new(wish, "io.bfq.weight", weight).or("io.weight", io_weight(weight)));
    }
    for device in io.weight_device().iter().flatten() {
        if let Some(weight) = device.weight() {
            let number = format!("{}:{}", device.major(), device.minor());
            let setting = Setting::new(wish, "io.bfq.weight", format!("{number} {weight}"));
            settings.push(setting.or("io.weight", format!("{number} {}", io_weight(weight))));
        }
    }
    for (list, key) in [
        (io.throttle_read_bps_device(), "rbps"),
        (io.throttle_write_bps_device(), "wbps"),
        (io.throttle_read_iops_device(), "riops"),
        (io.throttle_write_iops_device(), "wiops"),
    ] {
        let setting = |device: &LinuxThrottleDevice| {
            let value = format!(
                "{}:{} {key}={}",
                device.major(),
                device.minor(),
                device.rate()
            );
            Setting::new("the block I/O rate", "io.max", value)
        };
        settings.extend(list.iter().flatten().map(setting));
    }
    settings
}

/// From 10…1000 to 1…10000.
fn io_weight(weight: u16) -> u64 {
    1 + (u64::from(weight).clamp(10, 1000) - 10) * 9999 / 990
}

/// Huge pages.
pub(super) fn huge_pages(limits: &[LinuxHugepageLimit]) -> Result<Vec<Setting>, CgroupError> {
    let setting = |limit: &LinuxHugepageLimit| {
        let size = wish::page_size(limit.page_size())?;
        Ok(Setting::new(
            "the huge page limit",
            format!("hugetlb.{size}.max"),
            max_or(limit.limit()),
        ))
    };
    limits.iter().map(setting).collect()
}

/// Settings given in v2's own words.
pub(super) fn raw<'a>(
    files: impl Iterator<Item = (&'a String, &'a String)>,
) -> Result<Vec<Setting>, CgroupError> {
    let setting = |(file, value): (&String, &String)| {
        // `cgroup.procs` and its like are commands, not limits, and a slash would lead out of the directory.
        if file.contains('/') || file.starts_with("cgroup.") || !file.contains('.') {
            return Err(CgroupError::Invalid(format!(
                "`{file}` is no cgroup v2 limit"
            )));
        }
        Ok(Setting::new("a raw cgroup v2 setting", file, value))
    };
    files.map(setting).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_weights() {
        let pairs = [
            (0, 1),
            (2, 1),
            (3, 2),
            (512, 59),
            (1024, 100),
            (2048, 174),
            (262_144, 10_000),
            (1 << 40, 10_000),
        ];
        for (shares, expected) in pairs {
            assert_eq!(weight(shares), expected, "{shares}");
        }
    }

    #[test]
    fn weights_of_block_devices_stretch() {
        assert_eq!(
            [5, 10, 500, 1000, 2000].map(io_weight),
            [1, 1, 4950, 10_000, 10_000]
        );
    }
}
