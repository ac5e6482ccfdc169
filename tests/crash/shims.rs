//! A shim is killed, alone and together with the engine.

use std::time::Duration;

use bowline_tests::{Folder, World, eventually};

use crate::kill::{gone, is_alive, kill, pid, shim, shims, stop};

const PROJECT: &str = "
services:
  talker:
    image: bowline/demo
    command: print forever --interval 20
  ender:
    image: bowline/demo
    command: trap
    stop_signal: SIGTERM
";

fn lines(folder: &Folder<'_>) -> Vec<u64> {
    let logs = folder.bowline(&["logs", "--no-log-prefix", "talker"]).ok();
    let number = |line: &str| line.strip_prefix("line ")?.trim().parse().ok();
    logs.out.lines().filter_map(number).collect()
}

/// What is seen of containers whose shims were killed: they run as before, they are heard, they can be entered and
/// stopped.
#[track_caller]
fn live_on(folder: &Folder<'_>, before: (i32, i32)) {
    assert_eq!((pid(folder, "talker"), pid(folder, "ender")), before);
    folder.bowline(&["ps"]).ok().says("talker").says("ender");
    let heard = lines(folder).len();
    eventually(Duration::from_secs(10), || match lines(folder) {
        more if more.len() > heard + 5 => Ok(()),
        more => Err(more.len()),
    });
    let all = lines(folder);
    let missing = all.windows(2).find(|pair| pair[1] > pair[0] + 1);
    assert_eq!(missing, None, "lines were lost");
    let ran = folder.bowline(&["exec", "-T", "talker", "/demo", "echo", "hello"]);
    assert_eq!(ran.ok().text(), "hello");
    folder.bowline(&["stop", "-t", "5", "ender"]).ok();
    gone(before.1);
    let state = folder.inspect("ender")["State"].clone();
    assert_eq!(state["Status"], "exited");
    // Which it is depends on the kernel: before 6.15 it tells only parents.
    let code = state["ExitCode"].as_i64();
    assert!(matches!(code, Some(0 | 143 | 255)), "{state}");
    eprintln!("the exit code told: {code:?}");
    folder.bowline(&["start", "ender"]).ok();
}

/// The engine must start new shims for containers whose own were killed.
#[test]
fn containers_outlive_their_shims() {
    let world = World::new();
    let pair = world.project("pair", PROJECT);
    pair.up();
    for _round in 0..2 {
        let before = (pid(&pair, "talker"), pid(&pair, "ender"));
        for service in ["talker", "ender"] {
            let killed = shim(&world, &pair, service);
            kill(killed);
            gone(killed);
        }
        live_on(&pair, before);
    }
    pair.down();
    world.ends_clean();
}

/// Killed together with the engine, they leave the containers to the next engine.
#[test]
fn containers_outlive_engine_and_shims_together() {
    let world = World::with(&[("BOWLINE_REVIVE", "0")]);
    let pair = world.project("pair", PROJECT);
    pair.up();
    let before = (pid(&pair, "talker"), pid(&pair, "ender"));
    let keepers = shims(&world);
    assert_eq!(keepers.len(), 2);
    world.kill_engine();
    for (_, keeper) in keepers {
        kill(keeper);
        gone(keeper);
    }
    assert!(is_alive(before.0) && is_alive(before.1));
    live_on(&pair, before);
    pair.down();
    world.ends_clean();
}

/// A shim that does not answer must not keep the next engine, and so all other containers, from coming back.
#[test]
fn a_shim_that_hangs_is_given_up() {
    let world = World::with(&[("BOWLINE_REVIVE", "0")]);
    let pair = world.project("pair", PROJECT);
    pair.up();
    let before = (pid(&pair, "talker"), pid(&pair, "ender"));
    let hanging = shim(&world, &pair, "ender");
    stop(hanging);
    world.kill_engine();
    live_on(&pair, before);
    gone(hanging);
    pair.down();
    world.ends_clean();
}
