//! What ends while there is no engine.

use std::time::Duration;

use bowline_tests::{World, eventually};

use crate::kill::{gone, is_alive, pid, shims};

const PROJECT: &str = "
services:
  ender:
    image: bowline/demo
    command: exit 7 --after 2
    ports: ['127.0.0.1::8080']
  again:
    image: bowline/demo
    command: exit 3 --after 2
    restart: on-failure:1
  stays:
    image: bowline/demo
    command: sleep forever
";

/// The next engine must know each exit code, do what restart policies ask for, and give up the ports of what has ended.
#[test]
fn ends_without_an_engine_are_known_afterwards() {
    let world = World::with(&[("BOWLINE_REVIVE", "0")]);
    let ends = world.project("ends", PROJECT);
    ends.bowline(&["up", "-d"]).ok();
    let doomed = [pid(&ends, "ender"), pid(&ends, "again")];
    let stays = pid(&ends, "stays");
    world.kill_engine();
    doomed.into_iter().for_each(gone);

    let state = ends.inspect("ender")["State"].clone();
    assert_eq!(
        (&state["Status"], &state["ExitCode"]),
        (&"exited".into(), &7.into())
    );
    eventually(Duration::from_secs(20), || {
        let seen = ends.inspect("again");
        match seen["RestartCount"] == 1 && seen["State"]["Status"] == "exited" {
            true if seen["State"]["ExitCode"] == 3 => Ok(()),
            _ => Err(seen["State"].clone()),
        }
    });
    assert_eq!(pid(&ends, "stays"), stays);
    world.bowline(&["system", "check"]).ok();
    ends.bowline(&["down", "-t", "1"]).ok();
    world.ends_clean();
}

/// A terminal must not be hung up with its shim, and is heard again by the next one.
#[test]
fn a_terminal_outlives_its_shim() {
    let world = World::new();
    let talk = world.project(
        "talk",
        "services:\n  one:\n    image: bowline/demo\n    command: print forever --interval 20\n    tty: true\n",
    );
    talk.bowline(&["up", "-d"]).ok();
    let one = pid(&talk, "one");
    for (_, shim) in shims(&world) {
        crate::kill::kill(shim);
        gone(shim);
    }
    let last = || {
        let logs = talk
            .bowline(&["logs", "--no-log-prefix", "--tail", "1"])
            .ok();
        let number = logs
            .text()
            .rsplit(' ')
            .next()
            .and_then(|word| word.parse::<u64>().ok());
        number.ok_or_else(|| logs.text().to_owned())
    };
    let heard = last().expect("a number");
    eventually(Duration::from_secs(10), || match last() {
        Ok(more) if more > heard + 10 => Ok(()),
        other => Err(other),
    });
    assert!(is_alive(one));
    assert_eq!(pid(&talk, "one"), one);
    talk.bowline(&["down", "-t", "1"]).ok();
    world.ends_clean();
}
