//! What a container uses right now, in the API's terms.

use std::collections::BTreeMap;
use std::fs::read_to_string;

use bowline_api::{
    BlkioEntry, BlkioStats, CpuStats, CpuUsage, MemoryStats, NetworkStats, PidsStats, Stats,
    Throttling,
};
use bowline_runtime::cgroup::{self, Cgroup};
use tokio::task::block_in_place;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::record::ContainerRecord;

/// One sample; only id and name for a container that does not run.
pub(super) async fn sample(engine: &Engine, id: &str) -> Result<Stats> {
    let record = engine.containers().find(id)?.record();
    if !record.phase.is_alive() {
        return Ok(named(&record));
    }
    let used = block_in_place(|| {
        let parent = engine.cgroup_parent(&record);
        Cgroup::open(engine.hierarchies(), &parent, &record.id)?.stats()
    });
    let used = used.map_err(|error| Error::failed("read the container's cgroup", &error))?;
    let stat = read_to_string("/proc/stat").unwrap_or_default();
    let memory = read_to_string("/proc/meminfo").unwrap_or_default();
    let network = read_to_string(format!("/proc/{}/net/dev", record.run.pid)).unwrap_or_default();
    Ok(Stats {
        read: crate::clock::now(),
        preread: bowline_api::ZERO_TIME.into(),
        pids_stats: PidsStats {
            current: Some(used.pids.current),
            limit: used.pids.limit,
        },
        blkio_stats: block_devices(&used.io),
        cpu_stats: processor(used.cpu, &stat),
        memory_stats: memory_stats(used.memory, &memory),
        networks: interfaces(&network),
        ..named(&record)
    })
}

fn named(record: &ContainerRecord) -> Stats {
    Stats {
        id: record.id.clone(),
        name: format!("/{}", record.name),
        ..Stats::default()
    }
}

fn processor(used: cgroup::CpuStats, stat: &str) -> CpuStats {
    let system_cpu_usage = system_time(stat);
    let online = stat.lines().filter(|line| is_one_processor(line)).count();
    CpuStats {
        cpu_usage: CpuUsage {
            total_usage: used.usage_ns,
            usage_in_kernelmode: used.system_ns,
            usage_in_usermode: used.user_ns,
        },
        system_cpu_usage,
        online_cpus: u32::try_from(online).unwrap_or(u32::MAX),
        throttling_data: Throttling {
            periods: used.periods,
            throttled_periods: used.throttled_periods,
            throttled_time: used.throttled_ns,
        },
    }
}

fn is_one_processor(line: &str) -> bool {
    line.strip_prefix("cpu")
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

/// The first seven columns of `cpu` in ticks of 10 ms: guests are counted among the users already.
fn system_time(stat: &str) -> u64 {
    let line = stat
        .lines()
        .find_map(|line| line.strip_prefix("cpu "))
        .unwrap_or_default();
    let ticks = line
        .split_whitespace()
        .take(7)
        .filter_map(|column| column.parse::<u64>().ok());
    ticks.sum::<u64>() * 10_000_000
}

fn memory_stats(used: cgroup::MemoryStats, meminfo: &str) -> MemoryStats {
    MemoryStats {
        usage: used.usage,
        max_usage: used.max_usage,
        stats: used.details.into_iter().collect(),
        failcnt: used.failures,
        // Without a limit of its own the machine is the limit.
        limit: used.limit.unwrap_or_else(|| total_memory(meminfo)),
    }
}

fn total_memory(meminfo: &str) -> u64 {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .unwrap_or_default();
    let kilobytes = line
        .split_whitespace()
        .next()
        .and_then(|number| number.parse::<u64>().ok());
    kilobytes.unwrap_or_default() * 1024
}

fn block_devices(devices: &[cgroup::IoStats]) -> BlkioStats {
    let entries = |pick: fn(&cgroup::IoStats) -> [u64; 2]| {
        let both = devices.iter().flat_map(move |device| {
            ["read", "write"]
                .into_iter()
                .zip(pick(device))
                .map(|(op, value)| BlkioEntry {
                    major: device.major,
                    minor: device.minor,
                    op: op.into(),
                    value,
                })
        });
        both.collect()
    };
    BlkioStats {
        io_service_bytes_recursive: entries(|device| [device.read_bytes, device.write_bytes]),
        io_serviced_recursive: entries(|device| [device.reads, device.writes]),
    }
}

/// Reads /proc/<pid>/net/dev: two lines of headings, then `name: 8 numbers received 8 numbers sent`.
fn interfaces(text: &str) -> BTreeMap<String, NetworkStats> {
    let counters = |line: &str| {
        let (name, numbers) = line.split_once(':')?;
        let numbers: Option<Vec<u64>> = numbers
            .split_whitespace()
            .map(|number| number.parse().ok())
            .collect();
        let numbers = numbers?;
        let at = |index: usize| numbers.get(index).copied().unwrap_or_default();
        let stats = NetworkStats {
            rx_bytes: at(0),
            rx_packets: at(1),
            rx_errors: at(2),
            rx_dropped: at(3),
            tx_bytes: at(8),
            tx_packets: at(9),
            tx_errors: at(10),
            tx_dropped: at(11),
        };
        Some((name.trim().to_owned(), stats)).filter(|(name, _)| name != "lo")
    };
    text.lines().skip(2).filter_map(counters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_time_leaves_guests_out() {
        let stat = "cpu  1 2 3 4 5 6 7 100 200 300\ncpu0 1 0\ncpu1 1 0\nintr 5\n";
        let stats = processor(
            cgroup::CpuStats {
                usage_ns: 9,
                ..Default::default()
            },
            stat,
        );
        assert_eq!(
            (stats.system_cpu_usage, stats.online_cpus),
            (280_000_000, 2)
        );
        assert_eq!(stats.cpu_usage.total_usage, 9);
    }

    #[test]
    fn interfaces_are_read_without_the_loopback() {
        let text = "Inter-|   Receive\n face |bytes\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  eth0: 10 2 3 4 0 0 0 0 20 5 6 7 0 0 0 0\n";
        let found = interfaces(text);
        assert_eq!(found.len(), 1);
        let eth0 = &found["eth0"];
        assert_eq!(
            (
                eth0.rx_bytes,
                eth0.rx_dropped,
                eth0.tx_bytes,
                eth0.tx_dropped
            ),
            (10, 4, 20, 7)
        );
    }

    #[test]
    fn no_limit_is_the_machines_memory() {
        let stats = memory_stats(
            cgroup::MemoryStats::default(),
            "MemFree: 1 kB\nMemTotal:    2 kB\n",
        );
        assert_eq!(stats.limit, 2048);
    }
}
