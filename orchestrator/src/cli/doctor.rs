//! `doctor`: what the engine needs of this machine, and the fix where it is missing.
//!
//! First the facts are gathered from /proc, /sys and the data root's file system; then each check
//! judges them. No engine is needed, and nothing is changed.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::context::Context;
use super::ps::Format;
use crate::autostart::Environment;
use crate::ui::{Outcome, Style, bytes};

/// See the module.
#[derive(Args, Clone, Debug)]
pub(super) struct Doctor {
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grade {
    Good,
    /// It works, perhaps not as somebody thinks.
    Fair,
    /// The engine cannot work.
    Bad,
}

/// One check's verdict; the fix is empty where there is nothing to fix.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    check: &'static str,
    grade: Grade,
    found: String,
    fix: &'static str,
}

/// How cgroups are mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cgroups {
    Unified,
    Hybrid,
    Legacy,
    Missing,
}

/// What there is to know.
#[derive(Clone, Debug)]
struct Facts {
    root: bool,
    kernel: String,
    cgroups: Cgroups,
    /// Of a unified hierarchy; empty elsewhere.
    controllers: String,
    overlay: bool,
    nf_tables: bool,
    forwarding: Option<bool>,
    data_root: PathBuf,
    /// Magic number and free bytes of the file system that the data root is, or will be, on.
    file_system: Option<(u64, u64)>,
    proxies: Vec<String>,
}

impl Doctor {
    pub(super) fn run(self, context: &Context) -> Outcome {
        let findings = examine(&gather(&context.environment));
        for finding in &findings {
            match self.format {
                Format::Json => context.ui.line(as_json(finding)),
                Format::Table => context.ui.line(as_text(finding, context.ui.color_out)),
            }
        }
        Ok(u8::from(
            findings.iter().any(|finding| finding.grade == Grade::Bad),
        ))
    }
}

fn as_text(finding: &Finding, color: bool) -> String {
    let (mark, style) = match finding.grade {
        Grade::Good => ("ok", Style::Good),
        Grade::Fair => ("note", Style::Warning),
        Grade::Bad => ("bad", Style::Error),
    };
    let mark = style.paint(&format!("{mark:<4}"), color);
    let line = format!("{mark}  {:<11} {}", finding.check, finding.found);
    match finding.fix {
        "" => line,
        fix => format!("{line}\n      {:<11} fix: {fix}", ""),
    }
}

fn as_json(finding: &Finding) -> String {
    let grade = match finding.grade {
        Grade::Good => "good",
        Grade::Fair => "fair",
        Grade::Bad => "bad",
    };
    json!({"check": finding.check, "grade": grade, "found": finding.found, "fix": finding.fix})
        .to_string()
}

fn gather(environment: &Environment) -> Facts {
    let named = environment
        .get("BOWLINE_DATA_ROOT")
        .filter(|value| !value.is_empty());
    let data_root = named.map_or_else(|| PathBuf::from("/var/lib/bowline"), PathBuf::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let mounts = read("/proc/self/mounts");
    let legacy = mounts
        .lines()
        .any(|line| line.split(' ').nth(2) == Some("cgroup"));
    let second = mounts
        .lines()
        .any(|line| line.split(' ').nth(2) == Some("cgroup2"));
    let proxies = environment
        .iter()
        .filter(|(name, value)| !value.is_empty() && name.to_ascii_lowercase().ends_with("_proxy"));
    Facts {
        root: rustix::process::geteuid().is_root(),
        cgroups: match (unified, legacy, second) {
            (true, _, _) => Cgroups::Unified,
            (false, true, true) => Cgroups::Hybrid,
            (false, true, false) => Cgroups::Legacy,
            (false, false, _) => Cgroups::Missing,
        },
        controllers: read("/sys/fs/cgroup/cgroup.controllers"),
        overlay: read("/proc/filesystems")
            .lines()
            .any(|line| line.trim_start().ends_with("overlay"))
            || has_module(&kernel, "overlay"),
        nf_tables: has_module(&kernel, "nf_tables"),
        forwarding: match read("/proc/sys/net/ipv4/ip_forward").as_str() {
            "1" => Some(true),
            "0" => Some(false),
            _ => None,
        },
        file_system: file_system(&data_root),
        data_root,
        kernel,
        proxies: proxies.map(|(name, _)| name.clone()).collect(),
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// Loaded, built in, or there to be loaded on demand.
fn has_module(kernel: &str, name: &str) -> bool {
    let folder = Path::new("/lib/modules").join(kernel);
    let listed = |file: &str| {
        let text = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
        text.lines().any(|line| {
            let path = line.split(':').next().unwrap_or_default();
            let file = path.rsplit('/').next().unwrap_or_default();
            file.split('.').next() == Some(name)
        })
    };
    Path::new("/sys/module").join(name).exists()
        || listed("modules.builtin")
        || listed("modules.dep")
        || has_symbol(name)
}

/// A kernel without modules shows what is built in by its symbols.
fn has_symbol(name: &str) -> bool {
    let wanted = match name {
        "nf_tables" => " nf_tables_newtable",
        "overlay" => " ovl_fill_super",
        _ => return false,
    };
    std::fs::read_to_string("/proc/kallsyms")
        .unwrap_or_default()
        .contains(wanted)
}

/// Of the folder, or of the nearest one above it that exists.
fn file_system(path: &Path) -> Option<(u64, u64)> {
    let existing = path.ancestors().find(|folder| folder.exists())?;
    let kind = rustix::fs::statfs(existing).ok()?;
    let room = rustix::fs::statvfs(existing).ok()?;
    let magic = u64::from_ne_bytes(kind.f_type.to_ne_bytes());
    Some((magic, room.f_bavail.saturating_mul(room.f_frsize)))
}

fn examine(facts: &Facts) -> Vec<Finding> {
    vec![
        rights(facts),
        kernel(facts),
        cgroups(facts),
        overlay(facts),
        data_root(facts),
        disk(facts),
        nftables(facts),
        forwarding(facts),
        proxies(facts),
    ]
}

fn finding(
    check: &'static str,
    grade: Grade,
    found: impl Into<String>,
    fix: &'static str,
) -> Finding {
    Finding {
        check,
        grade,
        found: found.into(),
        fix,
    }
}

fn rights(facts: &Facts) -> Finding {
    match facts.root {
        true => finding("rights", Grade::Good, "root", ""),
        false => finding(
            "rights",
            Grade::Fair,
            "not root: an engine can be used, but not started",
            "use sudo, or join the group `bowline` of a running engine (which equals root)",
        ),
    }
}

fn kernel(facts: &Facts) -> Finding {
    let mut numbers = facts
        .kernel
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    match version {
        (6, 1..) | (7.., _) => finding("kernel", Grade::Good, &facts.kernel, ""),
        _ => finding(
            "kernel",
            Grade::Bad,
            &facts.kernel,
            "boot a kernel of version 6.1 or newer",
        ),
    }
}

fn cgroups(facts: &Facts) -> Finding {
    let missing = |name: &&str| !facts.controllers.split(' ').any(|have| have == *name);
    match facts.cgroups {
        Cgroups::Unified => match ["cpu", "memory", "pids"].iter().find(|name| missing(name)) {
            None => finding("cgroups", Grade::Good, "version 2", ""),
            Some(name) => finding(
                "cgroups",
                Grade::Fair,
                format!("version 2 without the controller `{name}`: its limits have no effect"),
                "enable the controller at boot, or in the cgroup this machine runs in",
            ),
        },
        Cgroups::Hybrid => finding("cgroups", Grade::Good, "hybrid: version 1 and 2", ""),
        Cgroups::Legacy => finding("cgroups", Grade::Good, "version 1", ""),
        Cgroups::Missing => finding(
            "cgroups",
            Grade::Bad,
            "not mounted",
            "mount -t cgroup2 none /sys/fs/cgroup",
        ),
    }
}

fn overlay(facts: &Facts) -> Finding {
    match facts.overlay {
        true => finding("overlay", Grade::Good, "the kernel has overlayfs", ""),
        false => finding(
            "overlay",
            Grade::Bad,
            "the kernel has no overlayfs",
            "modprobe overlay",
        ),
    }
}

const OVERLAYFS: u64 = 0x794c_7630;
const NFS: u64 = 0x6969;
const FUSE: u64 = 0x6573_5546;

fn data_root(facts: &Facts) -> Finding {
    let path = facts.data_root.display();
    let foreign = match facts.file_system {
        Some((OVERLAYFS, _)) => Some("overlayfs"),
        Some((NFS, _)) => Some("NFS"),
        Some((FUSE, _)) => Some("FUSE"),
        _ => None,
    };
    match foreign {
        None => finding("data root", Grade::Good, format!("{path}"), ""),
        Some(kind) => finding(
            "data root",
            Grade::Bad,
            format!("{path} is on {kind}, which cannot hold the upper layer of an overlay"),
            "set BOWLINE_DATA_ROOT to a folder on ext4, xfs, btrfs or tmpfs",
        ),
    }
}

fn disk(facts: &Facts) -> Finding {
    match facts.file_system {
        Some((_, free)) if free < 1_000_000_000 => finding(
            "disk",
            Grade::Fair,
            format!("{} free", bytes(free)),
            "make room, or set BOWLINE_DATA_ROOT to a larger file system",
        ),
        Some((_, free)) => finding("disk", Grade::Good, format!("{} free", bytes(free)), ""),
        None => finding("disk", Grade::Fair, "free space is not known", ""),
    }
}

fn nftables(facts: &Facts) -> Finding {
    match facts.nf_tables {
        true => finding("nftables", Grade::Good, "the kernel has nf_tables", ""),
        false => finding(
            "nftables",
            Grade::Fair,
            "nf_tables is neither loaded nor found as a module",
            "modprobe nf_tables; published ports and networks need it",
        ),
    }
}

fn forwarding(facts: &Facts) -> Finding {
    match facts.forwarding {
        Some(true) => finding("forwarding", Grade::Good, "IPv4 forwarding is on", ""),
        Some(false) => finding(
            "forwarding",
            Grade::Good,
            "IPv4 forwarding is off; the engine turns it on with the first network",
            "",
        ),
        None => finding("forwarding", Grade::Fair, "cannot be read", "mount /proc"),
    }
}

fn proxies(facts: &Facts) -> Finding {
    match facts.proxies.is_empty() {
        true => finding("proxies", Grade::Good, "none is set", ""),
        false => finding("proxies", Grade::Good, facts.proxies.join(", "), ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn healthy() -> Facts {
        Facts {
            root: true,
            kernel: "6.8.0-31-generic".into(),
            cgroups: Cgroups::Unified,
            controllers: "cpuset cpu io memory pids".into(),
            overlay: true,
            nf_tables: true,
            forwarding: Some(true),
            data_root: "/var/lib/bowline".into(),
            file_system: Some((0xef53, 10_000_000_000)),
            proxies: Vec::new(),
        }
    }

    fn worst(change: impl Fn(&mut Facts)) -> Vec<Finding> {
        let mut facts = healthy();
        change(&mut facts);
        examine(&facts)
            .into_iter()
            .filter(|finding| finding.grade != Grade::Good)
            .collect()
    }

    #[test]
    fn a_healthy_machine_has_nothing_to_fix() {
        assert!(worst(|_| {}).is_empty());
        assert!(worst(|facts| facts.cgroups = Cgroups::Hybrid).is_empty());
        assert!(worst(|facts| facts.kernel = "7.0".into()).is_empty());
    }

    #[test]
    fn every_fault_is_found_with_its_fix() {
        type Case = (&'static str, fn(&mut Facts));
        let cases: [Case; 7] = [
            ("rights", |facts| facts.root = false),
            ("kernel", |facts| facts.kernel = "5.15.0".into()),
            ("cgroups", |facts| facts.controllers = "cpu memory".into()),
            ("overlay", |facts| facts.overlay = false),
            ("data root", |facts| {
                facts.file_system = Some((OVERLAYFS, 10_000_000_000));
            }),
            ("disk", |facts| facts.file_system = Some((0xef53, 1000))),
            ("nftables", |facts| facts.nf_tables = false),
        ];
        for (check, change) in cases {
            let found = worst(change);
            assert_eq!(found.len(), 1, "{check}");
            assert_eq!(found[0].check, check);
            assert!(!found[0].fix.is_empty(), "{check}");
        }
    }
}
