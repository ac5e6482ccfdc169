//! Further commands.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bowline_runtime::{Attach, AttachedStreams, ExecPlan, ExecRecord, ShimEvent, Target};
use serde_json::json;

use crate::Test;
use crate::rig::{Container, guest, wait_for};

pub(crate) const TESTS: &[Test] = &[
    ("an exec's code, streams and record", streams),
    (
        "an exec that cannot start says why, and leaves its stream alone",
        refusals,
    ),
    (
        "an exec has the container's rights and namespaces, and no descriptor of ours",
        rights,
    ),
    ("an exec's input ends with its client's", input),
    ("an exec's terminal", terminal),
    ("a captured exec writes to what it was given", captured),
    (
        "an exec outlived by its children ends all the same",
        background,
    ),
    (
        "an exec can be signalled and dies with the container",
        signals,
    ),
    ("execs at the same time", several),
];

const ALL: AttachedStreams = AttachedStreams {
    stdin: true,
    stdout: true,
    stderr: true,
};

fn plan(id: &str, args: &[&str]) -> ExecPlan {
    let args: Vec<&str> = ["/guest"].iter().chain(args).copied().collect();
    let process =
        json!({"user": {"uid": 0, "gid": 0}, "args": args, "env": ["PATH=/bin"], "cwd": "/"});
    ExecPlan {
        id: id.to_owned(),
        process: serde_json::from_value(process).unwrap(),
        user: String::new(),
        additional_groups: Vec::new(),
        tty: false,
        attach: Attach {
            streams: ALL,
            multiplexed: false,
            ..Attach::default()
        },
        privileged: false,
        console_size: None,
    }
}

fn pair() -> (UnixStream, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    (ours, theirs)
}

/// What it wrote, both streams, until the stream's end.
fn output(container: &Container, plan: &ExecPlan) -> String {
    let (mut ours, theirs) = pair();
    container.shim().exec(plan, Some(theirs.into())).unwrap();
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    text
}

fn streams() {
    let container = guest(&["sleep"]).start();
    assert_eq!(output(&container, &plan("a", &["print", "x"])), "x\n");
    output(&container, &plan("b", &["exit", "5"]));
    // The stream has closed: the record must be there.
    let record = ExecRecord::read(container.run_dir(), "b").unwrap().unwrap();
    assert_eq!(record.code, 5);
    let code = wait_for(container.shim(), |event| match event {
        ShimEvent::ExecExited { id, code } if id == "b" => Some(code),
        _ => None,
    });
    assert_eq!(code, 5);
    let framed = ExecPlan {
        attach: Attach {
            streams: ALL,
            multiplexed: true,
            ..Attach::default()
        },
        ..plan("c", &["print", "e"])
    };
    assert_eq!(
        output(&container, &framed).as_bytes(),
        b"\x01\0\0\0\0\0\0\x02e\n"
    );
}

fn refusals() {
    let container = guest(&["sleep"]).start();
    let (mut ours, theirs) = pair();
    let copy = theirs.try_clone().unwrap();
    let mut missing = plan("x", &[]);
    missing.process.set_args(Some(vec!["nothing".to_owned()]));
    let error = container
        .shim()
        .exec(&missing, Some(theirs.into()))
        .unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str()),
        (127, "exec: \"nothing\": executable file not found in $PATH")
    );
    let mut copy = copy;
    copy.write_all(b"explained").unwrap();
    drop(copy);
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    assert_eq!(text, "explained");
    let stranger = ExecPlan {
        user: "bob".to_owned(),
        ..plan("y", &["id"])
    };
    assert!(
        container
            .shim()
            .exec(&stranger, None)
            .unwrap_err()
            .message
            .contains("unable to find user bob")
    );
}

fn rights() {
    let container = guest(&["sleep"]).start();
    let run = |args: &[&str]| output(&container, &plan("r", args));
    assert_eq!(run(&["fds"]), "0,1,2\n");
    assert_eq!(
        run(&["status", "CapEff", "CapBnd", "Seccomp", "NSpid"])
            .lines()
            .take(3)
            .collect::<Vec<_>>(),
        [
            "CapEff 00000000a80425fb",
            "CapBnd 00000000a80425fb",
            "Seccomp 2"
        ]
    );
    assert!(run(&["read", "/proc/1/comm"]).contains("guest"));
    let own = run(&["read", "/proc/self/cgroup"]);
    assert!(
        own.lines()
            .filter(|line| line.contains(':'))
            .all(|line| line.ends_with(":/")),
        "{own}"
    );
    let user = ExecPlan {
        user: "app".to_owned(),
        ..plan("u", &["id"])
    };
    assert_eq!(output(&container, &user), "1000:100 10\n");
    let mut home = plan("h", &["env", "HOME"]);
    home.user = "app".to_owned();
    assert_eq!(output(&container, &home), "/srv/app\n");
    let all = ExecPlan {
        privileged: true,
        ..plan("p", &["status", "Seccomp"])
    };
    assert_eq!(output(&container, &all), "Seccomp 0\n");
    let mut outside = plan("o", &["cwd"]);
    outside.process.set_cwd("/proc/self/fd/7".into());
    container.shim().exec(&outside, None).unwrap_err();
}

fn input() {
    let container = guest(&["sleep"]).start();
    let (mut ours, theirs) = pair();
    container
        .shim()
        .exec(&plan("i", &["cat"]), Some(theirs.into()))
        .unwrap();
    ours.write_all(b"some text\n").unwrap();
    ours.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    assert_eq!(text, "some text\n<eof>\n");
}

fn terminal() {
    let container = guest(&["sleep"]).start();
    let with = |id: &str, args: &[&str]| ExecPlan {
        tty: true,
        console_size: Some((30, 90)),
        ..plan(id, args)
    };
    assert_eq!(
        output(&container, &with("t", &["tty"])),
        "true true true\r\n/dev/pts/0\r\ntrue\r\n"
    );
    let (mut ours, theirs) = pair();
    container
        .shim()
        .exec(&with("s", &["size"]), Some(theirs.into()))
        .unwrap();
    container
        .shim()
        .resize(Target::Exec("s".to_owned()), 50, 132)
        .unwrap();
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    assert!(text.contains("50x132"), "{text}");
}

fn captured() {
    let container = guest(&["sleep"]).start();
    let (mut reader, writer) = std::io::pipe().unwrap();
    container
        .shim()
        .exec_captured(&plan("k", &["error", "probe says no"]), writer.into())
        .unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "probe says no\n");
}

fn background() {
    let container = guest(&["sleep"]).start();
    let begun = std::time::Instant::now();
    output(&container, &plan("g", &["background"]));
    assert!(begun.elapsed() < Duration::from_secs(3));
}

fn signals() {
    let container = guest(&["sleep"]).start();
    let (_ours, theirs) = pair();
    container
        .shim()
        .exec(&plan("z", &["on-term", "3"]), Some(theirs.into()))
        .unwrap();
    container
        .shim()
        .signal(Target::Exec("z".to_owned()), 9)
        .unwrap();
    let ended = |event: ShimEvent| match event {
        ShimEvent::ExecExited { code, .. } => Some(code),
        _ => None,
    };
    assert_eq!(wait_for(container.shim(), ended), 137);
    let (_ours, theirs) = pair();
    container
        .shim()
        .exec(&plan("w", &["sleep"]), Some(theirs.into()))
        .unwrap();
    container.shim().signal(Target::Container, 9).unwrap();
    assert_eq!(container.wait().code, 137);
    assert!(container.shim().exec(&plan("v", &["sleep"]), None).is_err());
}

fn several() {
    let container = guest(&["sleep"]).start();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let container = &container;
            scope.spawn(move || {
                let text = output(
                    container,
                    &plan(&format!("n{number}"), &["print", &number.to_string()]),
                );
                assert_eq!(text, format!("{number}\n"));
            });
        }
    });
}
