//! The engine is dead for a while, and again, while its containers are at work.

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use bowline_tests::{Folder, World, eventually, free_ports, get};

use crate::kill::{gone, kill, pid};
use crate::load::Load;

const GAP: Duration = Duration::from_secs(3);
/// New connections a second that must be served while there is no engine.
const RATE: u64 = 200;
/// What the printing service must write in each gap.
const PRINTED: usize = 1 << 20;

fn project(world: &World, port: u16) -> Folder<'_> {
    let site = port + 1;
    world.project(
        "stand",
        &format!(
            r#"
services:
  web:
    image: bowline/demo
    command: serve --port 8080
    ports: ["127.0.0.1:{port}:8080", "[::1]:{port}:8080"]
  site:
    image: bowline/demo
    command: serve --port 8080 --count-via http://counter:9000/
    ports: ["127.0.0.1:{site}:8080"]
  counter:
    image: bowline/demo
    command: count /data/visits --port 9000
    volumes: [visits:/data]
    healthcheck:
      test: [CMD, /bin/healthy, "http://127.0.0.1:9000/healthy"]
      interval: 1s
      retries: 5
  printer:
    image: bowline/demo
    command: print forever --interval 1 --width 2000
  phoenix:
    image: bowline/demo
    command: sleep forever
    restart: always
volumes:
  visits:
"#
        ),
    )
}

const SERVICES: [&str; 5] = ["web", "site", "counter", "printer", "phoenix"];

fn pids(folder: &Folder<'_>) -> Vec<i32> {
    SERVICES.map(|service| pid(folder, service)).to_vec()
}

/// The numbers of `line N …`, which must be whole.
fn numbers(text: &str) -> Vec<u64> {
    let number = |line: &str| {
        let rest = line.strip_prefix("line ")?;
        rest.split(['.', ' ']).next()?.parse().ok()
    };
    let lines = text.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| number(line).unwrap_or_else(|| panic!("not a line of ours: {line:.60}")))
        .collect()
}

/// Everything from 1 on, once, in order.
#[track_caller]
fn complete(what: &str, numbers: &[u64]) {
    let broken = numbers
        .iter()
        .zip(1_u64..)
        .find(|(have, want)| *have != want);
    assert_eq!(
        broken,
        None,
        "{what}: (found, expected) of {} lines",
        numbers.len()
    );
}

fn log_size(world: &World, id: &str) -> usize {
    let folder = world.names().roots[0].join("containers").join(id);
    let log = std::fs::metadata(folder.join(format!("{id}-json.log")));
    log.map_or(0, |log| usize::try_from(log.len()).expect("a size"))
}

/// Five times without an engine: no connection may fail, no line may be missing or doubled, in the log and in a client
/// that follows it; an exec goes on; the next engine finds everything as it was and takes it up again.
#[test]
fn nothing_is_lost_while_the_engine_is_dead() {
    let world = World::with(&[("BOWLINE_REVIVE", "0")]);
    let port = free_ports(2);
    let stand = project(&world, port);
    stand.bowline(&["up", "-d", "--wait"]).ok();
    let before = pids(&stand);
    let printer = stand.id("printer");
    let addresses: [SocketAddr; 2] = [
        ([127, 0, 0, 1], port).into(),
        ([0, 0, 0, 0, 0, 0, 0, 1], port).into(),
    ];
    for address in addresses {
        eventually(Duration::from_secs(10), || get(address, "/"));
    }

    let logs = stand.start(&["logs", "-f", "--no-log-prefix", "printer"]);
    let session = stand.start(&[
        "exec",
        "-T",
        "web",
        "/demo",
        "print",
        "1500",
        "--interval",
        "10",
    ]);
    let load = Load::on(&addresses);
    for _round in 0..5 {
        world.kill_engine();
        let (served, written) = (load.served(), log_size(&world, &printer));
        let (began, late) = (Instant::now(), ask_late(port + 1));
        thread::sleep(GAP);
        let rate = (load.served() - served) * 1000
            / u64::try_from(began.elapsed().as_millis()).expect("short");
        let printed = log_size(&world, &printer) - written;
        let answers = UnixStream::connect(world.socket());
        assert!(answers.is_err(), "revival was switched off");
        // The next command brings the next engine.
        assert_eq!(pids(&stand), before);
        assert!(rate >= RATE, "{rate} connections a second");
        assert!(printed >= PRINTED, "{printed} bytes in the gap");
        let answer = late
            .join()
            .expect("the late caller")
            .expect("an answer, late");
        assert!(answer.contains("Visits: "), "{answer}");
        eprintln!("{rate} connections a second, {printed} bytes of log in {GAP:?}");
    }
    assert_eq!(load.end(), Vec::<String>::new(), "connections failed");
    let ran = session.wait().ok();
    complete("the exec", &numbers(&ran.out));
    assert_eq!(numbers(&ran.out).len(), 1500);

    at_work_again(&stand);
    stand.bowline(&["stop", "-t", "5", "printer"]).ok();
    let all = stand.bowline(&["logs", "--no-log-prefix", "printer"]).ok();
    let all = numbers(&all.out);
    complete("the log", &all);
    let followed = numbers(&logs.wait().ok().out);
    complete("logs -f", &followed);
    assert_eq!(followed.len(), all.len(), "logs -f has everything");
    stand.bowline(&["down", "-v"]).ok();
    world.ends_clean();
}

/// A page whose making asks for a name, in the gap: nobody answers that yet, and it must come late instead of never.
fn ask_late(port: u16) -> thread::JoinHandle<std::io::Result<String>> {
    thread::spawn(move || {
        thread::sleep(GAP.mul_f32(0.9));
        get(([127, 0, 0, 1], port).into(), "/")
    })
}

/// Health checks and restarts of an engine that took over.
#[track_caller]
fn at_work_again(stand: &Folder<'_>) {
    eventually(Duration::from_secs(10), || {
        match stand.container("counter")["Health"].as_str() {
            Some("healthy") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let old = pid(stand, "phoenix");
    kill(old);
    gone(old);
    eventually(Duration::from_secs(10), || {
        let state = stand.inspect("phoenix");
        let pid = state["State"]["Pid"].as_i64().unwrap_or(0);
        match pid > 0 && pid != i64::from(old) && state["RestartCount"] == 1 {
            true => Ok(()),
            false => Err(state["State"].clone()),
        }
    });
}
