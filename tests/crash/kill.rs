//! Processes of a world: who they are, and their end.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bowline_tests::{Folder, World, eventually};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

/// Ends a process of ours without a word of warning.
#[track_caller]
pub(crate) fn kill(pid: i32) {
    assert!(pid > 1, "{pid} is nobody of ours");
    signal::kill(Pid::from_raw(pid), Signal::SIGKILL).expect("kill a process");
}

/// Makes a process of ours stand still.
#[track_caller]
pub(crate) fn stop(pid: i32) {
    signal::kill(Pid::from_raw(pid), Signal::SIGSTOP).expect("stop a process");
}

/// Waits until a process is gone, or a zombie whose parent is slow.
#[track_caller]
pub(crate) fn gone(pid: i32) {
    eventually(Duration::from_secs(10), || match is_alive(pid) {
        true => Err(pid),
        false => Ok(()),
    });
}

pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    !state.is_empty() && !state.starts_with(['Z', 'X'])
}

/// The first process of a service's container, as the host numbers it.
#[track_caller]
pub(crate) fn pid(folder: &Folder<'_>, service: &str) -> i32 {
    let pid = folder.inspect(service)["State"]["Pid"].as_i64();
    let pid = pid.and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0);
    assert!(is_alive(pid), "{service} runs, but not as {pid}");
    pid
}

/// All shims of a world, by the container they keep.
pub(crate) fn shims(world: &World) -> Vec<(String, i32)> {
    let containers = world.names().roots[1].join("containers");
    let entries = fs::read_dir(containers).into_iter().flatten().flatten();
    let mut shims: Vec<_> = entries
        .filter_map(|entry| {
            let id = entry.file_name().to_string_lossy().into_owned();
            Some((id, shim_in(&entry.path())?))
        })
        .collect();
    shims.sort();
    shims
}

fn shim_in(run: &Path) -> Option<i32> {
    let text = fs::read_to_string(run.join("state.json")).ok()?;
    let state: serde_json::Value = serde_json::from_str(&text).ok()?;
    let pid = i32::try_from(state["shim"].as_i64()?).ok()?;
    let name = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    name.starts_with(b"bowline-shim").then_some(pid)
}

/// The shim that keeps a service's container.
#[track_caller]
pub(crate) fn shim(world: &World, folder: &Folder<'_>, service: &str) -> i32 {
    let id = folder.id(service);
    eventually(Duration::from_secs(10), || {
        let found = shims(world).into_iter().find(|(of, _)| *of == id);
        found.map(|(_, pid)| pid).ok_or("no shim")
    })
}
