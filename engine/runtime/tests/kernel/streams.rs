//! Output, input, logs, clients.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bowline_runtime::{Attach, AttachedStreams, LogPlan, ShimEvent, StdioPlan, Target};

use crate::Test;
use crate::rig::{Container, guest, until, wait_for};

pub(crate) const TESTS: &[Test] = &[
    ("the log has lines, streams and times", log_lines),
    (
        "a long line is split, an unfinished one is kept",
        partial_lines,
    ),
    ("the log is rotated", rotation),
    ("no log loses no output for clients", no_log),
    (
        "a client attached before the start gets the first byte, framed",
        attach,
    ),
    ("half a close ends the input and not the output", half_close),
    ("what the client had sent already counts", leftover),
    (
        "without stdin_once the input stays open for the next",
        two_clients,
    ),
    ("a stopped client stops nobody", stopped_client),
    ("a slow client gets everything", slow_client),
    ("a terminal is one, and is told its size", terminal),
    ("a terminal's input arrives and detach keys end it", detach),
];

const BOTH: AttachedStreams = AttachedStreams {
    stdin: false,
    stdout: true,
    stderr: true,
};
const ALL: AttachedStreams = AttachedStreams {
    stdin: true,
    ..BOTH
};

fn attach_to(container: &Container, streams: AttachedStreams, leftover: &[u8]) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let attach = Attach {
        streams,
        multiplexed: true,
        leftover: leftover.to_vec(),
        ..Attach::default()
    };
    container.shim().attach(attach, theirs.into()).unwrap();
    ours
}

/// Takes the frames apart: what came on each stream.
fn frames(mut stream: UnixStream) -> [String; 3] {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let mut texts = [const { String::new() }; 3];
    let mut rest = bytes.as_slice();
    while let Some((header, tail)) = rest.split_at_checked(8) {
        let length = usize::try_from(u32::from_be_bytes(header[4..].try_into().unwrap())).unwrap();
        texts[usize::from(header[0])].push_str(&String::from_utf8_lossy(&tail[..length]));
        rest = &tail[length..];
    }
    texts
}

fn log_lines() {
    let container = guest(&["print", "one", "two"]).start();
    container.wait();
    let lines = container.lines();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["log"], "one\n");
    assert_eq!(lines[0]["stream"], "stdout");
    assert_eq!(
        lines[0]["time"].as_str().unwrap().len(),
        "2026-11-22T07:00:00.000000001Z".len()
    );
    let container = guest(&["error", "bad"]).start();
    container.wait();
    assert_eq!(container.lines()[0]["stream"], "stderr");
}

fn partial_lines() {
    let container = guest(&["long", "40000"]).start();
    container.wait();
    let lengths: Vec<usize> = container
        .lines()
        .iter()
        .map(|line| line["log"].as_str().unwrap().len())
        .collect();
    assert_eq!(lengths, [16384, 16384, 7233]);
    assert_eq!(guest(&["raw", "no newline"]).output(), "no newline");
}

fn rotation() {
    let container = guest(&["lines", "500"]);
    let path = container.dir.join("log");
    let log = LogPlan::JsonFile {
        path,
        max_size: Some(4096),
        max_file: 3,
        compress: false,
        attrs: std::collections::BTreeMap::new(),
    };
    let container = container.with(|launch| launch.log = log).start();
    container.wait();
    assert!(container.text().ends_with("line 499\n"));
    let size = |name: &str| {
        std::fs::metadata(container.dir.join(name))
            .map(|meta| meta.len())
            .unwrap_or(0)
    };
    assert!((4096..4300).contains(&size("log.1")) && (4096..4300).contains(&size("log.2")));
    assert_eq!(size("log.3"), 0);
}

fn no_log() {
    let container = guest(&["print", "heard"])
        .with(|launch| launch.log = LogPlan::None)
        .prepare();
    let client = attach_to(&container, BOTH, b"");
    container.shim().start().unwrap();
    assert_eq!(frames(client)[1], "heard\n");
    assert!(!container.dir.join("log").exists());
}

fn attach() {
    let container = guest(&["print", "first"]).prepare();
    let client = attach_to(&container, BOTH, b"");
    container.shim().start().unwrap();
    assert_eq!(
        frames(client),
        [String::new(), "first\n".to_owned(), String::new()]
    );
    assert_eq!(container.wait().code, 0);
    assert_eq!(container.text(), "first\n");
}

fn once() -> StdioPlan {
    StdioPlan {
        open_stdin: true,
        stdin_once: true,
        ..StdioPlan::default()
    }
}

fn half_close() {
    let container = guest(&["cat"])
        .with(|launch| launch.stdio = once())
        .prepare();
    let mut client = attach_to(&container, ALL, b"");
    container.shim().start().unwrap();
    client.write_all(b"typed\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(frames(client)[1], "typed\n<eof>\n");
    assert_eq!(container.wait().code, 0);
}

fn leftover() {
    let container = guest(&["cat"])
        .with(|launch| launch.stdio = once())
        .prepare();
    let mut client = attach_to(&container, ALL, b"before ");
    container.shim().start().unwrap();
    client.write_all(b"after").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(frames(client)[1], "before after<eof>\n");
}

fn two_clients() {
    let open = StdioPlan {
        open_stdin: true,
        ..StdioPlan::default()
    };
    let container = guest(&["echo-line"])
        .with(|launch| launch.stdio = open)
        .start();
    let mut first = attach_to(&container, ALL, b"");
    first.write_all(b"hel").unwrap();
    first.shutdown(Shutdown::Write).unwrap();
    // Its attachment ends, the container's input does not.
    assert_eq!(frames(first)[1], "");
    let mut second = attach_to(&container, ALL, b"");
    second.write_all(b"lo\n").unwrap();
    assert_eq!(frames(second)[1], "got hello\n");
    assert_eq!(container.wait().code, 0);
}

fn stopped_client() {
    let container = guest(&["flood", "8"])
        .with(|launch| launch.log = LogPlan::None)
        .prepare();
    let client = attach_to(&container, BOTH, b"");
    container.shim().start().unwrap();
    // It never reads. The container waits for it, but not for ever.
    let record = wait_for(container.shim(), |event| match event {
        ShimEvent::Exited(record) => Some(record),
        _ => None,
    });
    assert_eq!(record.code, 0);
    drop(client);
}

fn slow_client() {
    let container = guest(&["flood", "8"]).prepare();
    let mut client = attach_to(&container, BOTH, b"");
    container.shim().start().unwrap();
    let (mut total, mut buffer) = (0, vec![0; 256 * 1024]);
    loop {
        std::thread::sleep(Duration::from_millis(5));
        match client.read(&mut buffer).unwrap() {
            0 => break,
            count => total += buffer[..count].iter().filter(|byte| **byte == b'y').count(),
        }
    }
    assert_eq!(total, 8 * 1024 * 1023);
    let logged: usize = container
        .text()
        .bytes()
        .filter(|byte| *byte == b'y')
        .count();
    assert_eq!(logged, 8 * 1024 * 1023);
}

fn terminal() {
    let tty = StdioPlan {
        tty: true,
        open_stdin: true,
        console_size: Some((24, 80)),
        ..StdioPlan::default()
    };
    let text = guest(&["tty"]).with(|launch| launch.stdio = tty).output();
    assert_eq!(text, "true true true\r\n/dev/pts/0\r\ntrue\r\n");
    let console = guest(&["stat", "/dev/console"])
        .with(|launch| launch.stdio = tty)
        .output();
    assert!(console.contains("char 136:0"), "{console}");
    let container = guest(&["size"]).with(|launch| launch.stdio = tty).start();
    container.until_logged("24x80");
    container.shim().resize(Target::Container, 50, 132).unwrap();
    assert_eq!(container.wait().code, 0);
}

fn detach() {
    let tty = StdioPlan {
        tty: true,
        open_stdin: true,
        ..StdioPlan::default()
    };
    let container = guest(&["echo-line"])
        .with(|launch| launch.stdio = tty)
        .start();
    let mut client = attach_to(&container, ALL, b"");
    client.write_all(b"\x10\x11").unwrap();
    let detached = wait_for(container.shim(), |event| match event {
        ShimEvent::AttachClosed { detached, .. } => Some(detached),
        _ => None,
    });
    assert!(detached);
    let mut client = attach_to(&container, ALL, b"");
    client.write_all(b"hi\n").unwrap();
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    // Unframed; the terminal echoes.
    assert!(
        text.contains("hi\r\n") && text.contains("got hi\r\n"),
        "{text:?}"
    );
    until(|| container.text().contains("got hi"), "the log");
}
