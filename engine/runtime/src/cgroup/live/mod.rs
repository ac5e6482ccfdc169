//! Groups on the real cgroupfs, in whichever layout this machine has. As root; elsewhere they say so and pass.

mod stand;

use std::env;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use oci_spec::runtime::{
    LinuxBlockIoBuilder, LinuxCpuBuilder, LinuxDeviceCgroup, LinuxDeviceCgroupBuilder,
    LinuxDeviceType, LinuxMemoryBuilder, LinuxPidsBuilder,
};

use self::stand::{Inmate, Stand, none, resources, with_memory};
use super::*;

#[test]
fn limits_stand_before_anyone_joins() {
    let Some(stand) = Stand::new("limits") else {
        return;
    };
    let mut wishes = with_memory(64 << 20);
    wishes
        .memory_mut()
        .as_mut()
        .unwrap()
        .set_reservation(Some(32 << 20));
    wishes.set_cpu(Some(
        LinuxCpuBuilder::default()
            .quota(50_000i64)
            .period(100_000u64)
            .shares(512u64)
            .cpus("0")
            .build()
            .unwrap(),
    ));
    wishes.set_pids(Some(
        LinuxPidsBuilder::default().limit(50i64).build().unwrap(),
    ));
    let (group, warnings) = stand.create(&wishes);
    if stand.has("memory", "memory") {
        assert_eq!(
            stand.read(&group, "memory.limit_in_bytes", "memory.max"),
            (64 << 20).to_string()
        );
        let swap = if stand.is_v1("memory") {
            128 << 20
        } else {
            64 << 20
        };
        if !warnings.iter().any(|warning| warning.wish.contains("swap")) {
            assert_eq!(
                stand.read(&group, "memory.memsw.limit_in_bytes", "memory.swap.max"),
                swap.to_string()
            );
        }
        assert_eq!(
            stand.read(&group, "memory.soft_limit_in_bytes", "memory.low"),
            (32 << 20).to_string()
        );
    }
    if stand.has("cpu", "cpu") {
        let (quota, shares) = if stand.is_v1("cpu") {
            ("50000", "512")
        } else {
            ("50000 100000", "59")
        };
        assert_eq!(stand.read(&group, "cpu.cfs_quota_us", "cpu.max"), quota);
        assert_eq!(stand.read(&group, "cpu.shares", "cpu.weight"), shares);
    }
    if stand.has("cpuset", "cpuset") {
        assert_eq!(stand.read(&group, "cpuset.cpus", "cpuset.cpus"), "0");
    }
    if stand.has("pids", "pids") {
        assert_eq!(stand.read(&group, "pids.max", "pids.max"), "50");
    }
    assert!(
        warnings.iter().all(|warning| warning.wish.contains("swap")),
        "{warnings:?}"
    );
}

#[test]
fn limits_change_up_and_down() {
    let Some(stand) = Stand::new("update") else {
        return;
    };
    if !stand.has("memory", "memory") {
        return;
    }
    let (group, _) = stand.create(&with_memory(64 << 20));
    for megabytes in [512i64, 16, 100] {
        group.update(&with_memory(megabytes << 20)).unwrap();
        let file = stand.read(&group, "memory.limit_in_bytes", "memory.max");
        assert_eq!(file, (megabytes << 20).to_string());
    }
    assert_eq!(group.stats().unwrap().memory.limit, Some(100 << 20));
    group.update(&with_memory(-1)).unwrap();
    assert_eq!(group.stats().unwrap().memory.limit, None);
}

#[test]
fn a_refused_limit_leaves_nothing_behind() {
    let Some(stand) = Stand::new("refused") else {
        return;
    };
    let mut wishes = none();
    wishes.set_cpu(Some(
        LinuxCpuBuilder::default().cpus("4000").build().unwrap(),
    ));
    let result = Cgroup::create(&stand.hierarchies, &stand.parent, "c", &wishes);
    if stand.has("cpuset", "cpuset") {
        let text = result.unwrap_err().to_string();
        assert!(
            text.contains("write `4000`") && text.contains("cpuset.cpus"),
            "{text}"
        );
        assert_eq!(
            stand.hierarchies.existing(&format!("{}/c", stand.parent)),
            Vec::<PathBuf>::new()
        );
    }
}

#[test]
fn processes_are_counted_frozen_and_killed() {
    let Some(stand) = Stand::new("processes") else {
        return;
    };
    let (group, _) = stand.create(&none());
    assert!(group.wait_empty(Duration::ZERO).unwrap());
    let inmate = Inmate::new(&group, "sleep 1000 & sleep 1000 & wait");
    let until = |done: &dyn Fn() -> bool| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !done() {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
    };
    until(&|| group.pids().unwrap().len() == 3);
    assert!(group.pids().unwrap().contains(&inmate.0.id().cast_signed()));
    assert!(!group.wait_empty(Duration::from_millis(20)).unwrap());

    group.freeze().unwrap();
    group.freeze().unwrap();
    group.thaw().unwrap();
    // Killed while frozen they must die all the same.
    group.freeze().unwrap();
    group.kill().unwrap();
    assert!(group.wait_empty(Duration::from_secs(10)).unwrap());
    drop(inmate);
    group.remove().unwrap();
    group.remove().unwrap();
    assert!(
        group.wait_empty(Duration::ZERO).unwrap(),
        "a group that is gone is empty"
    );
    assert_eq!(group.pids().unwrap(), Vec::<i32>::new());
    group.kill().unwrap();
}

#[test]
fn killing_works_without_a_v2_tree() {
    let Some(stand) = Stand::new("hunt") else {
        return;
    };
    if stand.hierarchies.v1.is_empty() {
        return;
    }
    let (whole, _) = stand.create(&none());
    let group = Cgroup {
        v2: None,
        ..whole.clone()
    };
    let _inmate = Inmate::new(&group, "sleep 1000 & sleep 1000 & wait");
    group.freeze().unwrap();
    group.thaw().unwrap();
    group.kill().unwrap();
    assert!(group.wait_empty(Duration::from_secs(10)).unwrap());
    whole.remove().unwrap();
}

#[test]
fn leftovers_and_groups_made_inside_are_cleared() {
    let Some(stand) = Stand::new("leftover") else {
        return;
    };
    let (group, _) = stand.create(&none());
    for (dir, _) in group_dirs(&group) {
        fs::create_dir_all(dir.join("made/inside")).unwrap();
    }
    let (again, _) = stand.create(&none());
    assert_eq!(group, again);
    for (dir, _) in group_dirs(&group) {
        assert!(!dir.join("made").exists());
    }
    let inmate = Inmate::new(&again, "sleep 1000");
    let error = Cgroup::create(&stand.hierarchies, &stand.parent, "c", &none()).unwrap_err();
    assert!(matches!(error, CgroupError::InUse { .. }), "{error}");
    drop(inmate);
}

fn group_dirs(group: &Cgroup) -> Vec<(PathBuf, bool)> {
    let v1 = group.v1.iter().map(|dir| (dir.path.clone(), false));
    v1.chain(group.v2.iter().map(|dir| (dir.clone(), true)))
        .collect()
}

#[test]
fn joining_is_offered_for_every_hierarchy() {
    let Some(stand) = Stand::new("join") else {
        return;
    };
    let (group, _) = stand.create(&none());
    let join = group.join().unwrap();
    assert_eq!(join.tasks.len(), stand.hierarchies.v1.len());
    assert_eq!(join.into.is_some(), stand.hierarchies.v2.is_some());
    let all: Vec<&OwnedFd> = join.tasks.iter().chain(&join.into).collect();
    assert!(!all.is_empty());
}

#[test]
fn the_oom_killer_is_counted() {
    let Some(stand) = Stand::new("oom") else {
        return;
    };
    if !stand.has("memory", "memory") {
        return;
    }
    let mut wishes = with_memory(24 << 20);
    wishes
        .memory_mut()
        .as_mut()
        .unwrap()
        .set_swap(Some(24 << 20));
    let (group, _) = stand.create(&wishes);
    assert_eq!(group.oom_kills().unwrap(), 0);
    let eater = Inmate::new(
        &group,
        "head -c 100000000 /dev/zero | tail -c 100000000 > /dev/null",
    );
    assert!(group.wait_empty(Duration::from_secs(60)).unwrap());
    drop(eater);
    assert!(group.oom_kills().unwrap() >= 1);
}

fn device(
    allow: bool,
    kind: LinuxDeviceType,
    numbers: Option<(i64, i64)>,
    access: &str,
) -> LinuxDeviceCgroup {
    let rule = LinuxDeviceCgroupBuilder::default()
        .allow(allow)
        .typ(kind)
        .access(access);
    let rule = match numbers {
        Some((major, minor)) => rule.major(major).minor(minor),
        None => rule,
    };
    rule.build().unwrap()
}

#[test]
fn devices_are_denied_but_for_those_named() {
    let Some(stand) = Stand::new("devices") else {
        return;
    };
    let rules = vec![
        device(false, LinuxDeviceType::A, None, "rwm"),
        device(true, LinuxDeviceType::C, Some((1, 3)), "rwm"),
        device(true, LinuxDeviceType::C, Some((1, 5)), "r"),
        device(true, LinuxDeviceType::C, None, "m"),
    ];
    let wishes = resources().devices(rules).build().unwrap();
    let (mut group, _) = stand.create(&wishes);
    let probe = "try() { if (eval \"$2\") 2>/dev/null; then echo $1 yes; else echo $1 no; fi; }
        try null ': > /dev/null'; try zero 'head -c1 /dev/zero > /dev/null'; try zero-write ': > /dev/zero'
        try random 'head -c1 /dev/urandom > /dev/null'";
    let expected = "null yes\nzero yes\nzero-write no\nrandom no\n";
    assert_eq!(Inmate::new(&group, probe).output(), expected);

    // Where there are both ways, the program of the v2 half must come to the same.
    if let (Some(dir), true) = (&group.v2, group.v1_dir("devices").is_some()) {
        let rules = devices::rules(wishes.devices().as_ref().unwrap()).unwrap();
        devices::apply_v2(dir, &rules).unwrap();
        group
            .v1
            .retain(|dir| !dir.controllers.iter().any(|name| name == "devices"));
        assert_eq!(Inmate::new(&group, probe).output(), expected);
    }
    let all = vec![device(true, LinuxDeviceType::A, None, "rwm")];
    group
        .update(&resources().devices(all).build().unwrap())
        .unwrap();
    let open = expected.replace("no", "yes");
    assert_eq!(Inmate::new(&group, probe).output(), open);
}

#[test]
fn usage_is_told() {
    let Some(stand) = Stand::new("stats") else {
        return;
    };
    let (group, _) = stand.create(&none());
    let inmate = Inmate::new(
        &group,
        "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 1000",
    );
    let deadline = Instant::now() + Duration::from_secs(20);
    let stats = loop {
        let stats = group.stats().unwrap();
        let enough = stats.cpu.usage_ns > 0
            && (stats.memory.usage > 0 || !stand.has("memory", "memory"))
            && (stats.pids.current > 0 || !stand.has("pids", "pids"));
        if enough {
            break stats;
        }
        assert!(Instant::now() < deadline, "{stats:?}");
    };
    assert_eq!((stats.memory.limit, stats.pids.limit), (None, None));
    assert!(!stats.memory.details.is_empty() || !stand.has("memory", "memory"));
    drop(inmate);
}

#[test]
fn what_the_machine_lacks_is_said() {
    let Some(stand) = Stand::new("warnings") else {
        return;
    };
    let mut wishes = none();
    wishes.set_memory(Some(
        LinuxMemoryBuilder::default()
            .swappiness(10u64)
            .build()
            .unwrap(),
    ));
    let io = LinuxBlockIoBuilder::default()
        .weight(500u16)
        .build()
        .unwrap();
    wishes.set_block_io(Some(io));
    let (group, warnings) = stand.create(&wishes);
    if stand.is_v1("memory") {
        assert_eq!(stand.read(&group, "memory.swappiness", ""), "10");
    } else {
        assert!(
            warnings
                .iter()
                .any(|warning| warning.wish == "memory swappiness"),
            "{warnings:?}"
        );
    }
    for warning in &warnings {
        assert!(
            warning.to_string().contains(" is not applied: "),
            "{warning}"
        );
    }
}

const MARK: &str = "BOWLINE_TEST_LEAVES_TO";
const LEAVER: &str = "cgroup::live::leaving_child";

#[test]
fn a_process_leaves_in_every_hierarchy() {
    let Some(stand) = Stand::new("leave") else {
        return;
    };
    let path = format!("{}/c", stand.parent);
    let output = Command::new(env::current_exe().unwrap())
        .args([LEAVER, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, &path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let left = text
        .lines()
        .filter(|line| line.ends_with(&format!(":{path}")))
        .count();
    let all = stand.hierarchies.v1.len() + usize::from(stand.hierarchies.v2.is_some());
    assert_eq!(left, all, "{text}");
    stand.hierarchies.remove_path(&stand.parent).unwrap();
    assert_eq!(
        stand.hierarchies.existing(&stand.parent),
        Vec::<PathBuf>::new()
    );
}

/// Runs only when the test above calls for it.
#[test]
fn leaving_child() {
    let Ok(path) = env::var(MARK) else { return };
    let hierarchies = Hierarchies::detect().unwrap();
    hierarchies.leave_to(&path).unwrap();
    hierarchies.leave_to(&path).unwrap();
    println!(
        "{}",
        fs::read_to_string("/proc/thread-self/cgroup").unwrap()
    );
    // The group outlives nobody: its removal is left to the parent.
    hierarchies.leave_to("/").unwrap();
}

const BUSY: &str = "BOWLINE_TEST_BUSY_TOP";
const BUSY_CHILD: &str = "cgroup::live::busy_child";

/// As inside a container that runs us beside its own processes, with a cgroup namespace.
#[test]
fn a_top_that_holds_processes_is_named() {
    let Some(stand) = Stand::new("busy") else {
        return;
    };
    if stand.hierarchies.layout() != Layout::V2 {
        eprintln!("skipped: needs cgroup v2 alone");
        return;
    }
    let (group, _) = stand.create(&none());
    let test = env::current_exe().unwrap();
    let script = format!(
        "export {BUSY}=1; exec unshare --cgroup --mount sh -c 'umount /sys/fs/cgroup;
            mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec {} {BUSY_CHILD} --exact --nocapture 2>&1'",
        test.display()
    );
    let output = Inmate::new(&group, &script).output();
    assert!(output.contains("1 passed"), "{output}");
}

/// Runs only when the test above calls for it.
#[test]
fn busy_child() {
    if env::var_os(BUSY).is_none() {
        return;
    }
    let hierarchies = Hierarchies::detect().unwrap();
    let (group, warnings) =
        Cgroup::create(&hierarchies, "/p", "c", &with_memory(64 << 20)).unwrap();
    assert!(
        warnings
            .iter()
            .any(|warning| warning.wish == "the memory limit"),
        "{warnings:?}"
    );
    assert!(
        warnings[0].reason.contains("which holds processes"),
        "{warnings:?}"
    );
    group.remove().unwrap();
    hierarchies.remove_path("/p").unwrap();
}
