//! The leak ledger: what bears our name in the kernel and on the disk, against what the records explain.

use std::collections::BTreeSet;
use std::path::Path;

use bowline_network::Ledger;

use super::Engine;
use crate::record::Phase;

/// What may be there.
#[derive(Debug, Default)]
pub(super) struct Expected {
    containers: BTreeSet<String>,
    running: BTreeSet<String>,
    bridges: BTreeSet<String>,
    volumes: BTreeSet<String>,
    trees: BTreeSet<String>,
    mounted: BTreeSet<std::path::PathBuf>,
    publications: usize,
    endpoints: usize,
}

impl Expected {
    /// From the records as they are now.
    pub(super) fn of(engine: &Engine) -> Self {
        let mut expected = Self::default();
        for record in engine.records() {
            if record.phase.is_alive() || record.phase == Phase::Restarting {
                expected.running.insert(record.id.clone());
                let bridged = record
                    .endpoints
                    .keys()
                    .filter(|name| *name != "none" && *name != "host");
                expected.endpoints += bridged.count();
                expected.publications += crate::launch::ports::publications(&record).len();
            }
            expected.containers.insert(record.id.clone());
        }
        for step in engine.builds().steps() {
            expected.endpoints += 1;
            expected.running.insert(step);
        }
        expected.bridges = engine
            .networks()
            .all()
            .into_values()
            .map(|network| network.bridge)
            .collect();
        expected.volumes = engine.volume_names();
        expected.trees = engine.volumes.tree_ids();
        expected.mounted = engine.volumes_in_use();
        expected
    }
}

/// One sentence a leak.
pub(super) fn leaks(engine: &Engine, expected: &Expected, ledger: &Ledger) -> Vec<String> {
    let roots = &engine.settings().roots;
    let mut leaks = links(&engine.settings().interface_prefix, expected, ledger);
    let pins = ledger
        .netns
        .iter()
        .filter(|pin| !expected.running.contains(*pin));
    leaks.extend(pins.map(|pin| format!("network namespace {pin}")));
    if ledger.publications > expected.publications {
        let more = ledger.publications - expected.publications;
        leaks.push(format!(
            "published ports: {more} more than running containers have"
        ));
    }
    leaks.extend(folders(roots, expected));
    let groups = cgroups(engine).into_iter().filter(|group| {
        !["engine", "shims"].contains(&group.as_str()) && !expected.running.contains(group)
    });
    leaks.extend(groups.map(|group| format!("cgroup {group}")));
    let mounts = mounts(roots.data(), roots.run())
        .into_iter()
        .filter(|mount| {
            let path = Path::new(mount);
            let pin = path.strip_prefix(roots.netns());
            !expected.mounted.contains(path)
                && !pin.is_ok_and(|pin| expected.running.contains(&*pin.to_string_lossy()))
        });
    leaks.extend(mounts.map(|mount| format!("mount {mount}")));
    let shims = shims(roots.run())
        .into_iter()
        .filter(|(_, id)| !expected.containers.contains(id));
    leaks.extend(shims.map(|(pid, id)| format!("process {pid} (shim of {id})")));
    leaks
}

fn links(prefix: &str, expected: &Expected, ledger: &Ledger) -> Vec<String> {
    // Host's ends of pairs carry a `v` after the prefix; which container one belongs to the kernel does not tell.
    let pair = format!("{prefix}v");
    let (pairs, others): (Vec<_>, Vec<_>) = ledger
        .links
        .iter()
        .partition(|link| link.starts_with(&pair));
    let strangers = others
        .into_iter()
        .filter(|link| !expected.bridges.contains(*link));
    let mut leaks: Vec<String> = strangers
        .map(|link| format!("network interface {link}"))
        .collect();
    if pairs.len() > expected.endpoints {
        let names: Vec<&str> = pairs.iter().map(|link| link.as_str()).collect();
        let more = pairs.len() - expected.endpoints;
        leaks.push(format!(
            "network interfaces: {more} more than endpoints, among {}",
            names.join(", ")
        ));
    }
    leaks
}

fn folders(roots: &crate::roots::Roots, expected: &Expected) -> Vec<String> {
    let kinds = [
        (
            "container folder",
            roots.data().join("containers"),
            &expected.containers,
        ),
        (
            "run folder",
            roots.run().join("containers"),
            &expected.containers,
        ),
        (
            "volume folder",
            roots.data().join("volumes"),
            &expected.volumes,
        ),
        ("frozen files", roots.trees(), &expected.trees),
    ];
    let mut leaks = Vec::new();
    for (kind, folder, known) in kinds {
        let strangers = entries(&folder)
            .into_iter()
            .filter(|entry| !known.contains(entry));
        leaks.extend(strangers.map(|entry| format!("{kind} {}", folder.join(entry).display())));
    }
    leaks
}

fn entries(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// Names of the cgroups below our parent, in any hierarchy.
fn cgroups(engine: &Engine) -> BTreeSet<String> {
    let parent = engine
        .settings()
        .cgroup_parent
        .trim_start_matches('/')
        .to_owned();
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mountinfo") else {
        return BTreeSet::new();
    };
    let hierarchies = mounts.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let kind = after.split(' ').next()?;
        kind.starts_with("cgroup")
            .then(|| before.split(' ').nth(4))
            .flatten()
    });
    let mut found = BTreeSet::new();
    for hierarchy in hierarchies {
        let folder = Path::new(hierarchy).join(&parent);
        let Ok(entries) = std::fs::read_dir(folder) else {
            continue;
        };
        let folders = entries
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        found.extend(folders.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    }
    found
}

/// Mount points below our roots; a root that is a mount itself is the person's.
fn mounts(data: &Path, run: &Path) -> Vec<String> {
    let Ok(text) = std::fs::read_to_string("/proc/self/mountinfo") else {
        return Vec::new();
    };
    let points = text.lines().filter_map(|line| line.split(' ').nth(4));
    let below = |point: &&str| {
        let path = Path::new(point);
        [data, run]
            .iter()
            .any(|root| path.starts_with(root) && path != *root)
    };
    points.filter(below).map(str::to_owned).collect()
}

/// Shims whose run folder is below ours, by their working command line.
fn shims(run: &Path) -> Vec<(i32, String)> {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let folder = run.join("containers");
    let one = |entry: std::fs::DirEntry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        if words.first() != Some(&bowline_runtime::SHIM_NAME.as_bytes()) {
            return None;
        }
        let path = std::str::from_utf8(words.get(1)?).ok()?;
        let id = Path::new(path).strip_prefix(&folder).ok()?;
        Some((pid, id.to_string_lossy().into_owned()))
    };
    processes.flatten().filter_map(one).collect()
}
