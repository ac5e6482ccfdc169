//! `run` and `exec`.

use bowline_tests::{Terminal, World};

const IT: &str = "services: {it: {image: bowline/demo, command: sleep forever}}";

/// `run` must end with its process' own code.
#[test]
fn run_ends_with_its_process_code() {
    let world = World::new();
    let project = world.project("codes", IT);
    project
        .bowline(&["run", "--rm", "it", "exit", "42"])
        .fails_with(42);
    project.bowline(&["run", "--rm", "it", "true"]).ok();
    project.down();
    world.ends_clean();
}

/// A program that is not there must be 127, one that cannot be executed 126.
#[test]
fn programs_that_cannot_start_have_their_codes() {
    let world = World::new();
    let project = world.project("codes", IT);
    project
        .bowline(&["run", "--rm", "--entrypoint", "/no/such", "it"])
        .fails_with(127)
        .says("/no/such");
    project
        .bowline(&["run", "--rm", "--entrypoint", "/etc/passwd", "it"])
        .fails_with(126)
        .says("permission denied");
    assert_eq!(world.containers(), Vec::<String>::new());
    project.down();
    world.ends_clean();
}

/// A process that dies of a signal must be 128 and the signal's number.
#[test]
fn a_signal_has_its_code() {
    let world = World::new();
    let project = world.project(
        "signals",
        "services: {it: {image: bowline/demo, command: trap}}",
    );
    let run = project.start(&["run", "--rm", "--name", "victim", "it"]);
    run.shows("waiting for signals");
    let (status, body) = bowline_tests::ask(
        &world.socket(),
        "POST",
        "/containers/victim/kill?signal=KILL",
    );
    assert_eq!(status, 204, "{body}");
    run.wait().fails_with(137);
    project.down();
    world.ends_clean();
}

/// `run --rm` must leave no container and no anonymous volume.
#[test]
fn run_leaves_nothing() {
    let world = World::new();
    let project = world.project(
        "leaves",
        "services: {it: {image: bowline/demo, volumes: [/data]}}",
    );
    project
        .bowline(&["run", "--rm", "it", "write", "/data/x", "y"])
        .ok();
    assert_eq!(world.containers(), Vec::<String>::new());
    let volumes = std::fs::read_dir(world.names().roots[0].join("volumes"))
        .expect("volumes")
        .count();
    assert_eq!(volumes, 0);
    project.down();
    world.ends_clean();
}

/// `run` must pass on output as it is: both streams apart, not a byte added.
#[test]
fn run_passes_output_on_unchanged() {
    let world = World::new();
    let project = world.project("output", IT);
    let ran = project
        .bowline(&["run", "--rm", "-T", "it", "print", "3"])
        .ok();
    assert_eq!(ran.out, "line 1 \nline 2 \nline 3 \n");
    let ran = project
        .bowline(&["run", "--rm", "-T", "it", "print", "1", "--err"])
        .ok();
    assert_eq!(ran.out, "");
    ran.says("line 1");
    project.down();
    world.ends_clean();
}

/// `run` must start the service's dependencies, and take the service's settings but for the command.
#[test]
fn run_starts_dependencies() {
    let world = World::new();
    let project = world.project(
        "deps",
        "
services:
  it: {image: bowline/demo, environment: {A: b}, depends_on: [db]}
  db: {image: bowline/demo, command: tcp-echo 7000}
",
    );
    project
        .bowline(&["run", "--rm", "it", "connect", "db", "7000"])
        .ok()
        .says("connected");
    project
        .bowline(&["run", "--rm", "-e", "C=d", "it", "env"])
        .ok()
        .says("A=b")
        .says("C=d");
    assert_eq!(world.containers(), ["/deps-db-1"]);
    project.down();
    world.ends_clean();
}

/// `exec` must end with its process' own code, and 127 for a program that is not there.
#[test]
fn exec_ends_with_its_process_code() {
    let world = World::new();
    let project = world.project("exec", IT);
    project.up();
    project.exec("it", &["exit", "9"]).fails_with(9);
    project.exec("it", &["/no/such"]).fails_with(127);
    project.down();
    world.ends_clean();
}

/// `exec` on a service that does not run must say so.
#[test]
fn exec_needs_a_running_service() {
    let world = World::new();
    let project = world.project("exec", IT);
    project.exec("it", &["true"]).fails_with(1).says("it");
    project.exec("nope", &["true"]).fails_with(1).says("nope");
    project.down();
    world.ends_clean();
}

/// At a terminal, `exec` must give the process one of the same size; `-T` must not.
#[test]
fn exec_has_a_terminal_of_our_size() {
    let world = World::new();
    let project = world.project("tty", IT);
    project.up();
    let terminal = Terminal::start(project.command(&["exec", "it", "tty"]), 31, 117);
    terminal.shows("stdin tty 31x117");
    terminal.shows("stderr tty 31x117");
    assert_eq!(terminal.ends(), 0);
    let terminal = Terminal::start(project.command(&["exec", "-T", "it", "tty"]), 31, 117);
    terminal.shows("stdin not a tty");
    assert_eq!(terminal.ends(), 0);
    project.down();
    world.ends_clean();
}

/// Keys must reach a process at its terminal, Ctrl-C as the signal it means there.
#[test]
fn keys_reach_the_process() {
    let world = World::new();
    let project = world.project("keys", IT);
    project.up();
    let mut terminal = Terminal::start(project.command(&["exec", "it", "trap"]), 24, 80);
    terminal.shows("waiting for signals");
    terminal.types("\u{3}");
    terminal.shows("SIGINT");
    assert_eq!(terminal.ends(), 0);
    project.down();
    world.ends_clean();
}

/// What is typed must come out of a process that reads, until the end of input.
#[test]
fn input_reaches_the_process() {
    let world = World::new();
    let project = world.project("input", IT);
    project.up();
    let mut terminal = Terminal::start(project.command(&["exec", "it", "cat"]), 24, 80);
    terminal.types("over and out\n");
    // Once as the terminal's echo, once from the process.
    terminal.shows("over and out\r\nover and out\r\n");
    terminal.types("\u{4}");
    assert_eq!(terminal.ends(), 0);
    project.down();
    world.ends_clean();
}

/// Standard input that is no terminal must reach the process whole, with its end.
#[test]
fn a_pipe_reaches_the_process() {
    let world = World::new();
    let project = world.folder(
        "pipe",
        &[("compose.yaml", IT), ("input", "three\nlines\nlong\n")],
    );
    project.up();
    let mut command = project.command(&["exec", "-T", "it", "cat"]);
    command.stdin(std::fs::File::open(project.path().join("input")).expect("the input"));
    let out = command.output().expect("run");
    assert_eq!(String::from_utf8_lossy(&out.stdout), "three\nlines\nlong\n");
    project.down();
    world.ends_clean();
}
