//! Memory, processors, processes: what the kernel was told, and what it does about it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bowline_tests::{Folder, World, eventually};

/// A limit as the kernel has it: the file of version 1 in `controller`, or the one of version 2.
#[track_caller]
fn limit(world: &World, project: &Folder<'_>, controller: &str, v1: &str, v2: &str) -> String {
    let group = format!(
        "{}/{}",
        world.names().cgroup.trim_start_matches('/'),
        project.id("it")
    );
    let root = Path::new("/sys/fs/cgroup");
    let places = [
        root.join(controller).join(&group).join(v1),
        root.join(&group).join(v2),
    ];
    let found = places
        .iter()
        .find_map(|place| fs::read_to_string(place).ok());
    found
        .unwrap_or_else(|| panic!("none of {places:?}"))
        .trim()
        .to_owned()
}

/// `mem_limit`, `cpus` and `pids_limit` must be in the container's own cgroup.
#[test]
fn limits_reach_the_kernel() {
    let world = World::new();
    let project = world.project(
        "limits",
        "services: {it: {image: bowline/demo, command: sleep forever, mem_limit: 64m, cpus: 0.5, pids_limit: 33}}",
    );
    project.up();
    assert_eq!(
        limit(
            &world,
            &project,
            "memory",
            "memory.limit_in_bytes",
            "memory.max"
        ),
        "67108864"
    );
    assert_eq!(
        limit(&world, &project, "pids", "pids.max", "pids.max"),
        "33"
    );
    let quota = limit(&world, &project, "cpu", "cpu.cfs_quota_us", "cpu.max");
    assert!(["50000", "50000 100000"].contains(&&*quota), "{quota}");
    project.down();
    world.ends_clean();
}

/// `deploy.resources.limits` must mean the same as the short keys.
#[test]
fn limits_of_deploy_reach_the_kernel() {
    let world = World::new();
    let project = world.project(
        "deploy",
        "
services:
  it:
    image: bowline/demo
    command: sleep forever
    deploy: {resources: {limits: {memory: 32M, cpus: '1.5', pids: 44}}}
",
    );
    project.up();
    assert_eq!(
        limit(
            &world,
            &project,
            "memory",
            "memory.limit_in_bytes",
            "memory.max"
        ),
        "33554432"
    );
    assert_eq!(
        limit(&world, &project, "pids", "pids.max", "pids.max"),
        "44"
    );
    let quota = limit(&world, &project, "cpu", "cpu.cfs_quota_us", "cpu.max");
    assert!(["150000", "150000 100000"].contains(&&*quota), "{quota}");
    project.down();
    world.ends_clean();
}

/// A process that wants more memory than it may have must be killed with code 137, and its state must say why.
#[test]
fn too_much_memory_is_the_end() {
    let world = World::new();
    let project = world.project(
        "hog",
        "services: {it: {image: bowline/demo, command: hog 256, mem_limit: 32m}}",
    );
    let ran = project.bowline(&["up", "-d"]);
    drop(ran);
    let state = eventually(Duration::from_secs(20), || {
        let state = project.inspect("it")["State"].clone();
        if state["Running"] == false {
            Ok(state)
        } else {
            Err(state)
        }
    });
    assert_eq!(
        (&state["ExitCode"], &state["OOMKilled"]),
        (&137.into(), &true.into()),
        "{state}"
    );
    project.down();
    world.ends_clean();
}

/// A container must not start more threads than it may have.
#[test]
fn too_many_threads_are_refused() {
    let world = World::new();
    let project = world.project(
        "threads",
        "services: {it: {image: bowline/demo, command: sleep forever, pids_limit: 20}}",
    );
    project.up();
    project
        .exec("it", &["threads", "100"])
        .fails_with(1)
        .says("threads, then");
    project.down();
    world.ends_clean();
}
