//! Transcripts of the stock docker command line.

use std::time::Duration;

use bowline_tests::{Terminal, eventually, page};
use nix::sys::signal::Signal;

use crate::stock::Stock;

/// `run` must carry output and exit codes, 125 to 127 included, and with `--rm` must leave nothing, above all not itself
/// waiting, when the process cannot start: the client waits for the removal.
#[test]
fn run_carries_output_and_every_exit_code() {
    let stock = Stock::with(&["busybox"]);
    let ran = stock.docker(&[
        "run",
        "--rm",
        "busybox",
        "sh",
        "-c",
        "echo out; echo err >&2; exit 3",
    ]);
    let ran = ran.fails_with(3);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("out\n", "err\n"));
    stock
        .docker(&["run", "--rm", "busybox", "nosuch"])
        .fails_with(127)
        .says("executable file not found");
    stock
        .docker(&["run", "--rm", "busybox", "/etc"])
        .fails_with(126);
    stock
        .docker(&["run", "--rm", "busybox", "sh", "-c", "kill -9 $$; sleep 1"])
        .ok();
    stock
        .docker(&["run", "--rm", "--init", "busybox", "sh", "-c", "kill -9 $$"])
        .fails_with(137);
    stock
        .shell("echo hello | docker run --rm -i busybox cat")
        .ok()
        .says("hello");
    assert_eq!(stock.text(&["ps", "-aq"]), "");
    stock.ends_clean();
}

/// The flags people give `run` must reach the process.
#[test]
fn flags_of_run_reach_the_process() {
    let stock = Stock::with(&["busybox"]);
    let script = "pwd; id -u; id -g; echo $A; hostname; cat /d/f; touch /d/x 2>&1; true";
    let folder = stock.world.folder("shared", &[("f", "from the host\n")]);
    let bind = format!("{}:/d:ro", folder.path().display());
    let arguments = [
        "run",
        "--rm",
        "--name",
        "flags",
        "-e",
        "A=b",
        "-w",
        "/tmp",
        "-u",
        "1000:1001",
        "-h",
        "box",
        "-v",
        &bind,
        "--memory",
        "64m",
        "busybox",
        "sh",
        "-c",
        script,
    ];
    let ran = stock.docker(&arguments).ok();
    let lines: Vec<_> = ran.text().lines().collect();
    assert_eq!(
        lines[..6],
        ["/tmp", "1000", "1001", "b", "box", "from the host"]
    );
    assert!(lines[6].contains("Read-only file system"), "{ran}");
    stock.text(&[
        "run", "-d", "--name", "limited", "--memory", "64m", "busybox", "sleep", "60",
    ]);
    let stats = stock.text(&[
        "stats",
        "--no-stream",
        "--format",
        "{{.Name}} {{.MemUsage}} {{.PIDs}}",
        "limited",
    ]);
    assert!(
        stats.starts_with("limited ") && stats.ends_with("/ 64MiB 1"),
        "{stats}"
    );
    // A process finds its own limit where programs look for it, with either version of cgroups.
    let look = "cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes";
    assert_eq!(
        stock.text(&["exec", "limited", "sh", "-c", look]),
        "67108864"
    );
    stock.text(&["rm", "-f", "limited"]);
    stock.ends_clean();
}

/// On a terminal, `run -it` and `exec -it` must have one of the client's size, and end with the process's code.
#[test]
fn terminals_have_the_clients_size() {
    let stock = Stock::with(&["busybox"]);
    let on_a_terminal = |arguments: &[&str]| {
        let terminal = Terminal::start(stock.command("docker".as_ref(), arguments), 33, 101);
        terminal.shows("/dev/pts/");
        (terminal.screen(), terminal.ends())
    };
    // The size follows the start, so the process looks until it is there.
    let look =
        "until [ \"$(stty size)\" = '33 101' ]; do usleep 10000; done; stty size; tty; exit 5";
    let (shown, code) = on_a_terminal(&["run", "--rm", "-it", "busybox", "sh", "-c", look]);
    assert!(shown.starts_with("33 101\r\n/dev/pts/0"), "{shown}");
    assert_eq!(code, 5);
    stock.text(&["run", "-d", "--name", "box", "busybox", "sleep", "60"]);
    let (shown, code) = on_a_terminal(&["exec", "-it", "box", "sh", "-c", look]);
    assert!(shown.starts_with("33 101\r\n/dev/pts/"), "{shown}");
    assert_eq!(code, 5);
    stock.text(&["rm", "-f", "box"]);
    stock.ends_clean();
}

/// `exec` must run in the container as asked, carry input and the exit code, and list under `top`.
#[test]
fn exec_runs_beside_the_process() {
    let stock = Stock::with(&["busybox"]);
    stock.text(&["run", "-d", "--name", "box", "busybox", "sleep", "60"]);
    stock
        .docker(&["exec", "box", "sh", "-c", "echo hi; exit 7"])
        .fails_with(7)
        .says("hi");
    stock.docker(&["exec", "box", "nosuch"]).fails_with(127);
    stock
        .shell("echo hey | docker exec -i box cat")
        .ok()
        .says("hey");
    stock.text(&["exec", "-d", "box", "touch", "/tmp/made"]);
    let ran = stock.text(&[
        "exec",
        "-w",
        "/tmp",
        "-e",
        "Q=1",
        "-u",
        "2:3",
        "box",
        "sh",
        "-c",
        "pwd; id -u; echo $Q",
    ]);
    assert_eq!(ran, "/tmp\n2\n1");
    eventually(Duration::from_secs(10), || {
        match stock.docker(&["exec", "box", "ls", "/tmp"]) {
            ran if ran.text() == "made" => Ok(()),
            ran => Err(ran.to_string()),
        }
    });
    stock
        .docker(&["top", "box"])
        .ok()
        .says("PID")
        .says("sleep 60");
    stock.text(&["rm", "-f", "box"]);
    stock.ends_clean();
}

/// Logs must be told whole, followed to the end, cut by `--tail`, and stamped.
#[test]
fn logs_are_followed_to_the_end() {
    let stock = Stock::with(&["busybox"]);
    let script = "for i in 1 2 3; do echo line $i; sleep 0.2; done; echo late >&2";
    stock.text(&[
        "run", "-d", "--name", "talker", "busybox", "sh", "-c", script,
    ]);
    let followed = stock.docker(&["logs", "-f", "talker"]).ok();
    assert_eq!(
        (followed.out.as_str(), followed.err.as_str()),
        ("line 1\nline 2\nline 3\n", "late\n")
    );
    assert_eq!(stock.text(&["logs", "--tail", "2", "talker"]), "line 3");
    let stamped = stock.text(&["logs", "-t", "talker"]);
    assert!(
        stamped.lines().all(|line| line
            .split(' ')
            .next()
            .is_some_and(|time| time.ends_with('Z'))),
        "{stamped}"
    );
    assert_eq!(stock.text(&["wait", "talker"]), "0");
    stock.text(&["rm", "talker"]);
    stock.ends_clean();
}

/// An attached client must see output from now on and pass a signal to the process.
#[test]
fn attach_shows_output_and_passes_signals() {
    let stock = Stock::with(&["busybox"]);
    let script = "trap 'echo caught; exit 9' INT; while :; do echo tick; sleep 0.1; done";
    stock.text(&[
        "run", "-d", "--name", "ticker", "busybox", "sh", "-c", script,
    ]);
    let attached = stock.start(&["attach", "--no-stdin", "ticker"]);
    attached.shows("tick");
    attached.signal(Signal::SIGINT);
    attached.wait().fails_with(9).says("caught");
    stock.text(&["rm", "ticker"]);
    stock.ends_clean();
}

/// A container's whole life must be told by its states and by `events`, in order.
#[test]
fn a_life_is_told_by_states_and_events() {
    let stock = Stock::with(&["busybox"]);
    // With the past, so that nothing is missed before the client has subscribed.
    let filter = [
        "--since",
        "1h",
        "--filter",
        "container=life",
        "--filter",
        "type=container",
    ];
    let format = "{{.Action}} {{.Actor.Attributes.signal}} {{.Actor.Attributes.exitCode}}";
    let arguments = [&["events", "--format", format][..], &filter].concat();
    let events = stock.start(&arguments);
    let trap = "trap 'exit 4' TERM; while :; do sleep 0.1; done";
    stock.text(&["create", "--name", "life", "busybox", "sh", "-c", trap]);
    events.shows("create");
    assert_eq!(stock.field("life", "{{.State.Status}}"), "created");
    stock.text(&["start", "life"]);
    stock.text(&["pause", "life"]);
    assert_eq!(stock.field("life", "{{.State.Status}}"), "paused");
    stock.text(&["unpause", "life"]);
    stock.text(&["stop", "life"]);
    assert_eq!(
        stock.field("life", "{{.State.Status}} {{.State.ExitCode}}"),
        "exited 4"
    );
    stock.text(&["rename", "life", "after"]);
    stock.text(&["rename", "after", "life"]);
    stock.text(&["restart", "-t", "1", "life"]);
    assert_eq!(stock.field("life", "{{.State.Running}}"), "true");
    stock
        .docker(&["rm", "life"])
        .fails_with(1)
        .says("stop the container before removing");
    stock.text(&["kill", "life"]);
    assert_eq!(stock.text(&["wait", "life"]), "137");
    stock.text(&["rm", "life"]);
    events.shows("destroy");
    events.signal(Signal::SIGINT);
    let told = events.wait();
    let told: Vec<String> = told
        .out
        .lines()
        .filter(|line| !line.starts_with("rename"))
        .map(|line| {
            line.replace("<no value>", "")
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    let told = told.join(", ");
    let expected = "create, start, pause, unpause, kill 15, die 4, stop, start, restart, kill 9, die 137, destroy";
    assert_eq!(told, expected);
    stock.ends_clean();
}

/// Published ports must be reachable and named by `port` and `ps`; networks must join by name and alias.
#[test]
fn ports_and_networks_reach_the_container() {
    let stock = Stock::with(&["busybox"]);
    let serve = "echo hello >/tmp/index.html; exec httpd -f -h /tmp";
    stock.text(&["network", "create", "first"]);
    stock.text(&[
        "run",
        "-d",
        "--name",
        "web",
        "--network",
        "first",
        "-p",
        "127.0.0.1::80",
        "busybox",
        "sh",
        "-c",
        serve,
    ]);
    let address = stock.text(&["port", "web", "80"]);
    assert_eq!(
        eventually(Duration::from_secs(10), || fetch(&address)),
        "hello\n"
    );
    stock
        .docker(&["ps"])
        .ok()
        .says(&format!("{address}->80/tcp"));
    let wget = |network: &str, name: &str| {
        stock.text(&[
            "run",
            "--rm",
            "--network",
            network,
            "busybox",
            "wget",
            "-qO-",
            &format!("http://{name}/"),
        ])
    };
    assert_eq!(wget("first", "web"), "hello");
    stock.text(&["network", "create", "second"]);
    stock.text(&["network", "connect", "--alias", "w2", "second", "web"]);
    assert_eq!(wget("second", "w2"), "hello");
    let members = stock.text(&[
        "network",
        "inspect",
        "--format",
        "{{range .Containers}}{{.Name}}{{end}}",
        "second",
    ]);
    assert_eq!(members, "web");
    stock
        .docker(&["network", "rm", "second"])
        .fails_with(1)
        .says("has active endpoints");
    stock.text(&["network", "disconnect", "second", "web"]);
    stock.text(&["network", "rm", "second"]);
    stock.text(&["rm", "-f", "web"]);
    stock.text(&["network", "prune", "-f"]);
    assert_eq!(
        stock.text(&["network", "ls", "--format", "{{.Name}}"]),
        "bridge\nhost\nnone"
    );
    stock.ends_clean();
}

fn fetch(address: &str) -> Result<String, String> {
    std::panic::catch_unwind(|| page(address)).map_err(|_| address.to_owned())
}

/// A named volume must outlive its containers, and be removed and pruned only by name or with `-a`.
#[test]
fn volumes_outlive_containers() {
    let stock = Stock::with(&["busybox"]);
    stock.text(&["volume", "create", "kept"]);
    stock.text(&[
        "run",
        "--rm",
        "-v",
        "kept:/d",
        "busybox",
        "sh",
        "-c",
        "echo x >/d/f",
    ]);
    assert_eq!(
        stock.text(&["run", "--rm", "-v", "kept:/d", "busybox", "cat", "/d/f"]),
        "x"
    );
    stock.text(&["run", "--rm", "-v", "/anonymous", "busybox", "true"]);
    stock.text(&["volume", "prune", "-f"]);
    assert_eq!(stock.text(&["volume", "ls", "-q"]), "kept");
    stock.text(&["create", "--name", "user", "-v", "kept:/d", "busybox"]);
    stock
        .docker(&["volume", "rm", "kept"])
        .fails_with(1)
        .says("in use");
    stock.text(&["rm", "user"]);
    stock.text(&["volume", "rm", "kept"]);
    assert_eq!(stock.text(&["volume", "ls", "-q"]), "");
    stock.ends_clean();
}

/// Images must be listed, tagged, saved and loaded; `version`, `info` and the prunes must work to their end.
#[test]
fn images_and_the_system_are_shown() {
    let stock = Stock::with(&["busybox"]);
    stock
        .docker(&["version"])
        .ok()
        .says("Server: Bowline")
        .says("Experimental:     false");
    stock
        .docker(&["info"])
        .ok()
        .says("Storage Driver: overlay2");
    stock.text(&["tag", "busybox", "other:1"]);
    assert_eq!(
        stock.text(&["images", "-q", "other"]),
        stock.text(&["images", "-q", "busybox:latest"])
    );
    stock.shell("docker save other:1 >$HOME/saved.tar && docker rmi other:1 && docker load <$HOME/saved.tar; rm $HOME/saved.tar")
        .ok()
        .says("Untagged: other:1")
        .says("Loaded image: other:1");
    stock.docker(&["rmi", "other:1"]).ok();
    stock.text(&["system", "prune", "-f"]);
    assert_eq!(
        stock.text(&["images", "--format", "{{.Repository}}", "busybox:latest"]),
        "busybox"
    );
    stock.ends_clean();
}

/// A restart policy must bring a failing process back as often as it says.
#[test]
fn a_failing_process_is_brought_back() {
    let stock = Stock::with(&["busybox"]);
    stock.text(&[
        "run",
        "-d",
        "--name",
        "failing",
        "--restart",
        "on-failure:2",
        "busybox",
        "sh",
        "-c",
        "exit 1",
    ]);
    let last = eventually(Duration::from_secs(20), || {
        match stock.field(
            "failing",
            "{{.RestartCount}} {{.State.Status}} {{.State.ExitCode}}",
        ) {
            state if state.starts_with("2 exited") => Ok(state),
            state => Err(state),
        }
    });
    assert_eq!(last, "2 exited 1");
    stock.text(&["rm", "failing"]);
    stock.ends_clean();
}
