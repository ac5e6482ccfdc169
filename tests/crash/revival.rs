//! The engine that comes back by itself.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use bowline_tests::{World, eventually};

use crate::kill::{is_alive, shims};

fn environment(pid: i32) -> BTreeMap<String, String> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).expect("its environment");
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let pairs = text.split('\0').filter_map(|entry| entry.split_once('='));
    let ours = pairs.filter(|(name, _)| name.starts_with("BOWLINE_") && *name != "BOWLINE_LOCK_FD");
    ours.map(|(name, value)| (name.into(), value.into()))
        .collect()
}

/// Ten shims hear of the engine's death at the same moment: one engine must come back, with the settings it had, in a
/// session of its own, and its containers as they were. Six times.
#[test]
fn shims_bring_one_engine_back_and_only_one() {
    let world = World::new();
    let crowd = world.project(
        "crowd",
        "services:\n  one:\n    image: bowline/demo\n    command: sleep forever\n    scale: 10\n",
    );
    crowd.bowline(&["up", "-d"]).ok();
    let kept = shims(&world);
    assert_eq!(kept.len(), 10);
    let settings = environment(world.engine());
    for _round in 0..6 {
        let dead = world.kill_engine();
        let revived = eventually(Duration::from_secs(20), || {
            let engines = world.engines();
            assert!(engines.len() < 2, "more than one engine: {engines:?}");
            let ready = engines.first().filter(|_| world.bowline_socket_answers());
            ready.copied().ok_or("no engine yet")
        });
        assert_ne!(revived, dead);
        assert_eq!(environment(revived), settings);
        let stat = fs::read_to_string(format!("/proc/{revived}/stat")).expect("its stat");
        let session = stat.rsplit_once(") ").expect("a stat").1.split(' ').nth(3);
        assert_eq!(session, Some(revived.to_string().as_str()), "its session");
        assert!(kept.iter().all(|(_, shim)| is_alive(*shim)));
        let running = crowd.bowline(&["ps", "-q"]).ok();
        assert_eq!(running.out.lines().count(), 10);
        assert_eq!(world.engines(), [revived]);
    }
    let log = fs::read_to_string(world.names().roots[1].join("engine.log"));
    assert!(log.is_ok(), "the log lies in the run root");
    crowd.bowline(&["down", "-t", "1"]).ok();
    world.ends_clean();
}

trait Answers {
    fn bowline_socket_answers(&self) -> bool;
}

impl Answers for World {
    /// Whether somebody accepts, without starting anybody.
    fn bowline_socket_answers(&self) -> bool {
        std::os::unix::net::UnixStream::connect(self.socket()).is_ok()
    }
}
