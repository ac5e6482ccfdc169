//! What a group used.

use std::path::Path;

use super::apply::{Home, Homes};
use super::{Cgroup, CgroupError, CpuStats, IoStats, MemoryStats, PidsStats, Stats, files};

/// `cpuacct.stat` counts in hundredths of a second, whatever the kernel's own tick.
const NS_PER_TICK: u64 = 10_000_000;
/// v1 writes "no limit" as the largest number of whole pages.
const V1_NO_LIMIT: u64 = 1 << 62;

impl Cgroup {
    /// How many processes the OOM killer took.
    pub fn oom_kills(&self) -> Result<u64, CgroupError> {
        let file = match Homes::of(self, &[])?.find("memory", "memory") {
            Home::V1(dir) => dir.join("memory.oom_control"),
            Home::V2(dir) => dir.join("memory.events"),
            Home::Nowhere => return Ok(0),
        };
        let text = files::read_if_there(&file)?.unwrap_or_default();
        Ok(files::value(&text, "oom_kill").unwrap_or(0))
    }

    /// Usage. Of a group that is gone, zeros.
    pub fn stats(&self) -> Result<Stats, CgroupError> {
        let homes = Homes::of(self, &[])?;
        Ok(Stats {
            cpu: self.cpu()?,
            memory: match homes.find("memory", "memory") {
                Home::V1(dir) => memory_v1(dir)?,
                Home::V2(dir) => memory_v2(dir)?,
                Home::Nowhere => MemoryStats::default(),
            },
            pids: match homes.find("pids", "pids") {
                Home::V1(dir) | Home::V2(dir) => pids(dir)?,
                Home::Nowhere => PidsStats::default(),
            },
            io: match homes.find("blkio", "io") {
                Home::V1(dir) => io_v1(dir)?,
                Home::V2(dir) => io_v2(&text(dir, "io.stat")?),
                Home::Nowhere => Vec::new(),
            },
        })
    }

    /// v2 counts CPU time in every group, with or without its controller.
    fn cpu(&self) -> Result<CpuStats, CgroupError> {
        let mut cpu = CpuStats::default();
        if let Some(dir) = self.v1_dir("cpuacct") {
            cpu = cpu_time_v1(dir)?;
        } else if let Some(dir) = &self.v2 {
            cpu = cpu_v2(&text(dir, "cpu.stat")?);
        }
        if let Some(dir) = self.v1_dir("cpu") {
            let stat = text(dir, "cpu.stat")?;
            let get = |key| files::value(&stat, key).unwrap_or(0);
            cpu.periods = get("nr_periods");
            cpu.throttled_periods = get("nr_throttled");
            cpu.throttled_ns = get("throttled_time");
        }
        Ok(cpu)
    }
}

fn text(dir: &Path, file: &str) -> Result<String, CgroupError> {
    Ok(files::read_if_there(&dir.join(file))?.unwrap_or_default())
}

fn number(dir: &Path, file: &str) -> Result<u64, CgroupError> {
    Ok(files::number(&dir.join(file))?.unwrap_or(0))
}

fn cpu_time_v1(dir: &Path) -> Result<CpuStats, CgroupError> {
    let stat = text(dir, "cpuacct.stat")?;
    let ticks = |key| {
        files::value(&stat, key)
            .unwrap_or(0)
            .saturating_mul(NS_PER_TICK)
    };
    Ok(CpuStats {
        usage_ns: number(dir, "cpuacct.usage")?,
        user_ns: ticks("user"),
        system_ns: ticks("system"),
        per_cpu_ns: text(dir, "cpuacct.usage_percpu")?
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect(),
        ..CpuStats::default()
    })
}

fn cpu_v2(stat: &str) -> CpuStats {
    let get = |key| files::value(stat, key).unwrap_or(0);
    let ns = |key| get(key).saturating_mul(1000);
    CpuStats {
        usage_ns: ns("usage_usec"),
        user_ns: ns("user_usec"),
        system_ns: ns("system_usec"),
        per_cpu_ns: Vec::new(),
        periods: get("nr_periods"),
        throttled_periods: get("nr_throttled"),
        throttled_ns: ns("throttled_usec"),
    }
}

fn memory_v1(dir: &Path) -> Result<MemoryStats, CgroupError> {
    let usage = number(dir, "memory.usage_in_bytes")?;
    let details = details(&text(dir, "memory.stat")?);
    let limit = files::number(&dir.join("memory.limit_in_bytes"))?;
    Ok(MemoryStats {
        usage,
        inactive_file: of(&details, "total_inactive_file"),
        max_usage: files::number(&dir.join("memory.max_usage_in_bytes"))?,
        limit: limit.filter(|limit| *limit < V1_NO_LIMIT),
        swap: number(dir, "memory.memsw.usage_in_bytes")?.saturating_sub(usage),
        failures: number(dir, "memory.failcnt")?,
        details,
    })
}

fn memory_v2(dir: &Path) -> Result<MemoryStats, CgroupError> {
    let details = details(&text(dir, "memory.stat")?);
    Ok(MemoryStats {
        usage: number(dir, "memory.current")?,
        inactive_file: of(&details, "inactive_file"),
        max_usage: files::number(&dir.join("memory.peak"))?,
        limit: files::number(&dir.join("memory.max"))?,
        swap: number(dir, "memory.swap.current")?,
        failures: files::value(&text(dir, "memory.events")?, "max").unwrap_or(0),
        details,
    })
}

fn details(stat: &str) -> Vec<(String, u64)> {
    files::pairs(stat)
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

fn of(details: &[(String, u64)], key: &str) -> u64 {
    details
        .iter()
        .find(|(name, _)| name == key)
        .map_or(0, |(_, value)| *value)
}

fn pids(dir: &Path) -> Result<PidsStats, CgroupError> {
    Ok(PidsStats {
        current: number(dir, "pids.current")?,
        limit: files::number(&dir.join("pids.max"))?,
    })
}

/// Lines such as `8:0 Read 4096`; `_recursive` counts groups below as well.
fn io_v1(dir: &Path) -> Result<Vec<IoStats>, CgroupError> {
    let bytes = text(dir, "blkio.throttle.io_service_bytes_recursive")?;
    let counts = text(dir, "blkio.throttle.io_serviced_recursive")?;
    let mut devices = Vec::new();
    for (device, what, value) in bytes.lines().filter_map(io_v1_line) {
        match what {
            "Read" => entry(&mut devices, device).read_bytes = value,
            "Write" => entry(&mut devices, device).write_bytes = value,
            _ => {}
        }
    }
    for (device, what, value) in counts.lines().filter_map(io_v1_line) {
        match what {
            "Read" => entry(&mut devices, device).reads = value,
            "Write" => entry(&mut devices, device).writes = value,
            _ => {}
        }
    }
    Ok(devices)
}

fn io_v1_line(line: &str) -> Option<((u64, u64), &str, u64)> {
    let mut words = line.split(' ');
    let device = device(words.next()?)?;
    Some((device, words.next()?, words.next()?.parse().ok()?))
}

fn device(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn entry(devices: &mut Vec<IoStats>, (major, minor): (u64, u64)) -> &mut IoStats {
    let found = devices
        .iter()
        .position(|io| (io.major, io.minor) == (major, minor));
    let at = found.unwrap_or_else(|| {
        devices.push(IoStats {
            major,
            minor,
            ..IoStats::default()
        });
        devices.len() - 1
    });
    &mut devices[at]
}

/// Lines such as `8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0`.
fn io_v2(stat: &str) -> Vec<IoStats> {
    let line = |line: &str| {
        let mut words = line.split(' ');
        let (major, minor) = device(words.next()?)?;
        let mut io = IoStats {
            major,
            minor,
            ..IoStats::default()
        };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let value = value.parse().unwrap_or(0);
            match key {
                "rbytes" => io.read_bytes = value,
                "wbytes" => io.write_bytes = value,
                "rios" => io.reads = value,
                "wios" => io.writes = value,
                _ => {}
            }
        }
        Some(io)
    };
    stat.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn io_is_read_from_both_formats() {
        let expected = [IoStats {
            major: 8,
            minor: 16,
            read_bytes: 4096,
            write_bytes: 7,
            reads: 1,
            writes: 2,
        }];
        assert_eq!(
            io_v2("8:16 rbytes=4096 wbytes=7 rios=1 wios=2 dbytes=0 dios=0\n"),
            expected
        );
        assert_eq!(io_v1_line("8:16 Read 4096"), Some(((8, 16), "Read", 4096)));
        assert_eq!(io_v1_line("Total 4096"), None);
    }

    #[test]
    fn cpu_time_of_v2_is_in_nanoseconds() {
        let cpu = cpu_v2(
            "usage_usec 3\nuser_usec 1\nsystem_usec 2\nnr_periods 5\nnr_throttled 4\nthrottled_usec 6\n",
        );
        assert_eq!(
            (cpu.usage_ns, cpu.user_ns, cpu.system_ns),
            (3000, 1000, 2000)
        );
        assert_eq!(
            (cpu.periods, cpu.throttled_periods, cpu.throttled_ns),
            (5, 4, 6000)
        );
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "([0-9]{1,21}[: =]|[a-z_]+[ =]|\\n| ){0,40}") {
            drop(io_v2(&text));
            drop(cpu_v2(&text));
            drop(details(&text));
            text.lines().for_each(|line| drop(io_v1_line(line).map(|(_, what, _)| what.to_owned())));
        }
    }
}
