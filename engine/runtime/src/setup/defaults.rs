//! What every Linux container has, as Docker makes it: `/proc`, `/sys`, `/dev`, the devices in it, and what is hidden.

use std::ffi::{CStr, CString};
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use bowline_sys::mount::Attributes;

use super::order::{Device, FsOptions, Order, Spot, inside};

const NO_SUID_EXEC_DEV: u64 = Attributes::NO_SUID | Attributes::NO_EXEC | Attributes::NO_DEV;
/// Docker's 64 MiB.
const SHM_SIZE: u64 = 64 << 20;

const MASKED: [&CStr; 12] = [
    c"proc/acpi",
    c"proc/asound",
    c"proc/interrupts",
    c"proc/kcore",
    c"proc/keys",
    c"proc/latency_stats",
    c"proc/sched_debug",
    c"proc/scsi",
    c"proc/timer_list",
    c"proc/timer_stats",
    c"sys/devices/virtual/powercap",
    c"sys/firmware",
];

const READ_ONLY: [&CStr; 5] = [
    c"proc/bus",
    c"proc/fs",
    c"proc/irq",
    c"proc/sys",
    c"proc/sysrq-trigger",
];

/// Name, major, minor of the character devices that everybody may use.
const DEVICES: [(&CStr, u32, u32); 6] = [
    (c"dev/null", 1, 3),
    (c"dev/zero", 1, 5),
    (c"dev/full", 1, 7),
    (c"dev/random", 1, 8),
    (c"dev/urandom", 1, 9),
    (c"dev/tty", 5, 0),
];

const LINKS: [(&CStr, &CStr); 6] = [
    (c"/proc/self/fd", c"dev/fd"),
    (c"/proc/self/fd/0", c"dev/stdin"),
    (c"/proc/self/fd/1", c"dev/stdout"),
    (c"/proc/self/fd/2", c"dev/stderr"),
    (c"/proc/kcore", c"dev/core"),
    (c"pts/ptmx", c"dev/ptmx"),
];

/// `/proc` and `/dev`.
pub(super) fn proc() -> Order {
    mount(c"proc", &[("source", "proc")], NO_SUID_EXEC_DEV, c"proc")
}

pub(super) fn dev() -> Order {
    let options = [("source", "tmpfs"), ("mode", "755"), ("size", "65536k")];
    mount(
        c"tmpfs",
        &options,
        Attributes::NO_SUID | Attributes::STRICT_ATIME,
        c"dev",
    )
}

/// Terminals of the container's own. Group 5 is `tty` wherever there is one.
pub(super) fn devpts() -> Order {
    let options = [
        ("source", "devpts"),
        ("ptmxmode", "0666"),
        ("mode", "0620"),
        ("gid", "5"),
    ];
    mount(
        c"devpts",
        &options,
        Attributes::NO_SUID | Attributes::NO_EXEC,
        c"dev/pts",
    )
}

pub(super) fn sys(writable: bool) -> Order {
    mount(
        c"sysfs",
        &[("source", "sysfs")],
        NO_SUID_EXEC_DEV | read_only(!writable),
        c"sys",
    )
}

pub(super) fn mqueue() -> Order {
    mount(
        c"mqueue",
        &[("source", "mqueue")],
        NO_SUID_EXEC_DEV,
        c"dev/mqueue",
    )
}

pub(super) fn shm(size: Option<u64>) -> Order {
    let size = size.unwrap_or(SHM_SIZE).to_string();
    mount(
        c"tmpfs",
        &[("source", "shm"), ("mode", "1777"), ("size", &size)],
        NO_SUID_EXEC_DEV,
        c"dev/shm",
    )
}

/// The container's own cgroups below `/sys/fs/cgroup`, from `/proc/self/cgroup` of this process.
///
/// On a host with v1 each hierarchy gets its directory, named as systemd and Docker name it, with a link for each of
/// several controllers that share one. A hierarchy that cannot be mounted is left out.
pub(super) fn cgroups(table: &str, writable: bool) -> Vec<Order> {
    let attributes = NO_SUID_EXEC_DEV | read_only(!writable);
    let named: Vec<&str> = table
        .lines()
        .filter_map(|line| line.split(':').nth(1))
        .filter(|names| !names.is_empty())
        .collect();
    if named.is_empty() {
        return vec![mount(
            c"cgroup2",
            &[("source", "cgroup")],
            attributes,
            c"sys/fs/cgroup",
        )];
    }
    let options = [("source", "tmpfs"), ("mode", "755")];
    let mut orders = vec![mount(
        c"tmpfs",
        &options,
        NO_SUID_EXEC_DEV,
        c"sys/fs/cgroup",
    )];
    orders.extend(
        named
            .into_iter()
            .flat_map(|names| hierarchy(names, attributes)),
    );
    orders.extend((!writable).then(|| Order::ReadOnlyMount(c"sys/fs/cgroup".into())));
    orders
}

/// `cpu,cpuacct` or `name=systemd`.
fn hierarchy(names: &str, attributes: u64) -> Vec<Order> {
    let directory = names.strip_prefix("name=").unwrap_or(names);
    let Some(path) = inside(Path::new(&format!("sys/fs/cgroup/{directory}"))) else {
        return Vec::new();
    };
    let options = match names.strip_prefix("name=") {
        Some(name) => [option("none"), value("name", name)]
            .into_iter()
            .flatten()
            .collect(),
        None => names.split(',').filter_map(option).collect(),
    };
    let on = Spot {
        path,
        file: false,
        ours: true,
    };
    let shared = names.split(',').filter(|_| names.contains(','));
    let links = shared.filter_map(|name| {
        let path = CString::new(format!("sys/fs/cgroup/{name}")).ok()?;
        Some(Order::NamedLink {
            target: CString::new(names).ok()?,
            path,
        })
    });
    let mount = Order::Mount {
        kind: c"cgroup".into(),
        options,
        attributes,
        on,
        optional: true,
    };
    [mount].into_iter().chain(links).collect()
}

fn option(name: &str) -> Option<(CString, Option<CString>)> {
    Some((CString::new(name).ok()?, None))
}

fn value(name: &str, value: &str) -> Option<(CString, Option<CString>)> {
    Some((CString::new(name).ok()?, Some(CString::new(value).ok()?)))
}

/// Devices and links of a fresh `/dev`.
pub(super) fn devices() -> impl Iterator<Item = Order> {
    let devices = DEVICES.map(|(path, major, minor)| {
        Order::Device(Device {
            path: path.into(),
            mode: 0o020_666,
            major,
            minor,
            uid: 0,
            gid: 0,
        })
    });
    devices.into_iter().chain(links())
}

fn links() -> impl Iterator<Item = Order> {
    LINKS
        .into_iter()
        .map(|(target, path)| Order::Link { target, path })
}

/// All devices of the host, for a privileged container, but those that a container has its own of.
pub(super) fn host_devices() -> Vec<Order> {
    let mut found = Vec::new();
    collect(Path::new("/dev"), &mut found);
    found
}

fn collect(directory: &Path, found: &mut Vec<Order>) {
    const OWN: [&str; 9] = [
        "pts",
        "shm",
        "mqueue",
        "fd",
        "console",
        "ptmx",
        ".udev",
        ".lxc",
        ".lxd-mounts",
    ];
    // What vanishes meanwhile, or may not be read, is not there for the container either.
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if OWN.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        let (path, Ok(meta)) = (entry.path(), entry.path().symlink_metadata()) else {
            continue;
        };
        let kind = meta.file_type();
        if kind.is_dir() {
            collect(&path, found);
        } else if kind.is_char_device() || kind.is_block_device() {
            found.extend(host_device(&path, &meta));
        }
    }
}

fn host_device(path: &Path, meta: &fs::Metadata) -> Option<Order> {
    let number = |part: u64| u32::try_from(part).ok();
    Some(Order::Device(Device {
        path: inside(path)?,
        mode: meta.permissions().mode(),
        major: number(nix::sys::stat::major(meta.rdev()))?,
        minor: number(nix::sys::stat::minor(meta.rdev()))?,
        uid: meta.uid(),
        gid: meta.gid(),
    }))
}

/// What is hidden, the processors' throttling counters included: they tell what else the machine is doing.
pub(super) fn masked() -> Vec<CString> {
    let processors = fs::read_dir("/sys/devices/system/cpu")
        .into_iter()
        .flatten()
        .flatten();
    let throttles = processors
        .map(|entry| entry.path().join("thermal_throttle"))
        .filter(|path| path.exists())
        .filter_map(|path| inside(&path));
    MASKED
        .iter()
        .map(|path| CString::from(*path))
        .chain(throttles)
        .collect()
}

/// What can be read but not written.
pub(super) fn read_only_paths() -> Vec<CString> {
    READ_ONLY.iter().map(|path| CString::from(*path)).collect()
}

fn read_only(yes: bool) -> u64 {
    if yes { Attributes::READ_ONLY } else { 0 }
}

fn mount(kind: &CStr, options: &[(&str, &str)], attributes: u64, on: &CStr) -> Order {
    let options: FsOptions = options
        .iter()
        .filter_map(|(key, text)| value(key, text))
        .collect();
    let on = Spot {
        path: on.into(),
        file: false,
        ours: true,
    };
    Order::Mount {
        kind: kind.into(),
        options,
        attributes,
        on,
        optional: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_v1_host_gets_a_directory_for_each_hierarchy() {
        let words = |table| {
            cgroups(table, false)
                .iter()
                .map(Order::words)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            words("9:name=systemd:/\n2:cpu,cpuacct:/x\n0::/\n"),
            [
                "mount tmpfs on /sys/fs/cgroup",
                "mount cgroup on /sys/fs/cgroup/systemd",
                "mount cgroup on /sys/fs/cgroup/cpu,cpuacct",
                "make the link /sys/fs/cgroup/cpu",
                "make the link /sys/fs/cgroup/cpuacct",
                "make the mount /sys/fs/cgroup read-only",
            ]
        );
        assert_eq!(words("0::/\n"), ["mount cgroup2 on /sys/fs/cgroup"]);
    }
}
