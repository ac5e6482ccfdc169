//! `attach`: the streams of a running container's main process.

use bowline_tests::{Terminal, World};
use nix::sys::signal::Signal;

/// Signals must reach the process, and its code must be the command's.
#[test]
fn signals_reach_the_process() {
    let world = World::new();
    let project = world.project(
        "signals",
        "services: {it: {image: bowline/demo, command: trap}}",
    );
    project.up();
    let attached = project.start(&["attach", "it"]);
    // What it prints from now on is seen, so a signal by hand shows that we are there.
    bowline_tests::eventually(std::time::Duration::from_secs(20), || {
        project.bowline(&["kill", "-s", "USR1", "it"]).ok();
        match attached.so_far().contains("USR1") {
            true => Ok(()),
            false => Err(attached.so_far()),
        }
    });
    attached.signal(Signal::SIGTERM);
    attached.wait().ok().says("TERM");
    assert_eq!(project.state("it"), "exited");
    project.down();
    world.ends_clean();
}

/// The keys to detach must leave the container running.
#[test]
fn detach_keys_leave_it_alone() {
    let world = World::new();
    let project = world.project(
        "keys",
        "services: {it: {image: bowline/demo, command: cat, tty: true, stdin_open: true}}",
    );
    project.up();
    let mut terminal = Terminal::start(
        project.command(&["attach", "--detach-keys", "ctrl-x", "it"]),
        24,
        80,
    );
    bowline_tests::eventually(std::time::Duration::from_secs(20), || {
        terminal.types("hello\n");
        match terminal.screen().contains("hello\r\nhello") {
            true => Ok(()),
            false => Err(terminal.screen()),
        }
    });
    terminal.types("\u{18}");
    assert_eq!(terminal.ends(), 0);
    assert_eq!(project.state("it"), "running");
    project.down();
    world.ends_clean();
}

/// What does not run cannot be attached to.
#[test]
fn only_what_runs_can_be_attached_to() {
    let world = World::new();
    let project = world.project(
        "ended",
        "services: {it: {image: bowline/demo, command: 'true'}}",
    );
    project.up();
    project.bowline(&["wait", "it"]).ok();
    project
        .bowline(&["attach", "it"])
        .fails_with(1)
        .says("not running");
    project
        .bowline(&["attach", "--index", "3", "it"])
        .fails_with(1)
        .says("no container 3");
    project.down();
    world.ends_clean();
}
