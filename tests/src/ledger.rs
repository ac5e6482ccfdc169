//! What the kernel and the disk hold of one engine, read without asking the engine.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How the engine of a world names things.
#[derive(Clone, Debug)]
pub struct Names {
    /// Data root and run root.
    pub roots: [PathBuf; 2],
    /// The nf_tables table.
    pub table: String,
    /// First letters of interfaces.
    pub prefix: String,
    /// The cgroup above all.
    pub cgroup: String,
}

/// Everything that carries those names, a line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger(pub BTreeSet<String>);

impl Ledger {
    /// Reads it now.
    pub fn read(names: &Names) -> Self {
        let mut lines = BTreeSet::new();
        lines.extend(mounts(names));
        lines.extend(links(names));
        lines.extend(tables(names));
        lines.extend(cgroups(names));
        lines.extend(processes(names));
        lines.extend(files(names));
        Self(lines)
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// What is left.
    pub fn empty(&self) -> Result<(), Vec<&str>> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(self.0.iter().map(String::as_str).collect())
        }
    }
}

fn mounts(names: &Names) -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let points = text.lines().filter_map(|line| line.split(' ').nth(4));
    let ours = points.filter(|point| {
        names
            .roots
            .iter()
            .any(|root| Path::new(point).starts_with(root))
    });
    ours.map(|point| format!("mount {point}")).collect()
}

fn links(names: &Names) -> Vec<String> {
    let entries = fs::read_dir("/sys/class/net").expect("/sys/class/net");
    let found = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned());
    found
        .filter(|name| name.starts_with(&names.prefix))
        .map(|name| format!("link {name}"))
        .collect()
}

/// By the nft program: a reader that shares nothing with ours.
fn tables(names: &Names) -> Vec<String> {
    let listed = Command::new("nft")
        .args(["list", "tables"])
        .output()
        .expect("nft, of the package nftables");
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let ours = text
        .lines()
        .filter(|line| line.split(' ').any(|word| word == names.table));
    ours.map(|line| format!("nft {line}")).collect()
}

fn cgroups(names: &Names) -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for line in text.lines() {
        let Some((before, after)) = line.split_once(" - ") else {
            continue;
        };
        let fields: Vec<&str> = before.split(' ').collect();
        // One hierarchy may be mounted at several places; the device number says that it is one.
        if !after.starts_with("cgroup") || !seen.insert(fields[2]) {
            continue;
        }
        let folder = Path::new(fields[4]).join(names.cgroup.trim_start_matches('/'));
        if folder.exists() {
            found.push(format!("cgroup {}", folder.display()));
            let below = fs::read_dir(&folder).into_iter().flatten().flatten();
            let below = below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            found.extend(below.map(|entry| format!("cgroup {}", entry.path().display())));
        }
    }
    found
}

/// Engines, shims and whatever else works with our run root, zombies not counted: those are their parent's.
fn processes(names: &Names) -> Vec<String> {
    let run = names.roots[1].to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        if pid == std::process::id() {
            continue;
        }
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&words).replace('\0', " ");
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        let environment = String::from_utf8_lossy(&environment).into_owned();
        let variable = format!("BOWLINE_RUN_ROOT={run}\0");
        if !line.is_empty() && (line.contains(&run) || environment.contains(&variable)) {
            found.push(format!("process {pid} {}", line.trim()));
        }
    }
    found
}

/// Folders of containers and volumes, pins, sockets; the store itself and images are state, not leaks.
fn files(names: &Names) -> Vec<String> {
    let [data, run] = &names.roots;
    let folders = [
        data.join("containers"),
        data.join("volumes"),
        run.join("containers"),
        run.join("netns"),
    ];
    let mut found = Vec::new();
    for folder in folders {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        found.extend(entries.map(|entry| format!("file {}", entry.path().display())));
    }
    found
}
