//! Namespaces: one's own, somebody else's, the host's.

use std::fs;

use serde_json::json;

use crate::Test;
use crate::rig::guest;

pub(crate) const TESTS: &[Test] = &[
    (
        "every namespace is the container's own, but the network's",
        own,
    ),
    ("the host name, and kernel parameters of its own", names),
    (
        "a kernel parameter of the host's is refused",
        foreign_parameters,
    ),
    ("another container's processes and memory", joined),
    ("the host's processes", host),
    ("a network namespace is joined", network),
];

const KINDS: [&str; 6] = ["mnt", "pid", "ipc", "uts", "cgroup", "net"];

fn of(pid: i32) -> Vec<String> {
    let link = |kind: &&str| {
        fs::read_link(format!("/proc/{pid}/ns/{kind}"))
            .unwrap()
            .display()
            .to_string()
    };
    KINDS.iter().map(link).collect()
}

fn own() {
    let container = guest(&["sleep"]).start();
    let (theirs, ours) = (
        of(container.pid()),
        of(i32::try_from(std::process::id()).unwrap()),
    );
    let differs: Vec<bool> = theirs
        .iter()
        .zip(&ours)
        .map(|(theirs, ours)| theirs != ours)
        .collect();
    assert_eq!(differs, [true, true, true, true, true, false]);
    assert_eq!(guest(&["pid"]).output(), "1\n");
}

fn names() {
    assert!(
        guest(&["read", "/proc/sys/kernel/hostname"])
            .output()
            .ends_with(" box\n")
    );
    let parameters = json!({"kernel.msgmax": "12345", "fs.mqueue.msg_max": "77"});
    let text = guest(&["read", "/proc/sys/kernel/msgmax"])
        .set("/linux/sysctl", parameters)
        .output();
    assert!(text.ends_with(" 12345\n"), "{text}");
    let domain = guest(&["read", "/proc/sys/kernel/domainname"])
        .set("/domainname", json!("example"))
        .output();
    assert!(domain.ends_with(" example\n"), "{domain}");
}

fn foreign_parameters() {
    let error = guest(&["exit", "0"])
        .set("/linux/sysctl", json!({"vm.swappiness": "1"}))
        .refused();
    assert!(
        error.message.contains("not in a separate kernel namespace"),
        "{error}"
    );
    let error = guest(&["exit", "0"])
        .set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}))
        .refused();
    assert!(
        error.message.contains("not in a separate kernel namespace"),
        "{error}"
    );
}

fn joined() {
    let first = guest(&["sleep"]).start();
    let at = |kind: &str| Some(format!("/proc/{}/ns/{kind}", first.pid()).into());
    let second = guest(&["read", "/proc/1/comm"]).with(|launch| {
        launch.join.pid = at("pid");
        launch.join.ipc = at("ipc");
        launch.join.uts = at("uts");
    });
    let text = second.output();
    assert!(text.contains("guest"), "{text}");
    let write =
        guest(&["write", "/dev/shm/shared", "hello"]).with(|launch| launch.join.ipc = at("ipc"));
    assert_eq!(write.output(), "ok\n");
    let read = guest(&["read", "/dev/shm/shared"]).with(|launch| launch.join.ipc = at("ipc"));
    assert_eq!(read.output(), "/dev/shm/shared 5 hello\n");
}

fn host() {
    let pid = guest(&["pid"])
        .with(|launch| launch.join.host_pid = true)
        .output();
    assert!(pid.trim().parse::<i32>().unwrap() > 2, "{pid}");
    let container = guest(&["background"])
        .with(|launch| launch.join.host_pid = true)
        .start();
    // What it left running must not outlive it.
    assert_eq!(container.wait().code, 0);
    assert!(!container.text().contains("tick 24"));
}

fn network() {
    let directory = crate::rig::base().join("netns");
    fs::create_dir_all(&directory).unwrap();
    let path = directory.join("one");
    let namespace = bowline_sys::netns::create().unwrap();
    bowline_sys::netns::pin(&namespace, &path).unwrap();
    let parameters = json!({"net.ipv4.ip_unprivileged_port_start": "7"});
    let container = guest(&[
        "read",
        "/proc/net/dev",
        "/proc/sys/net/ipv4/ip_unprivileged_port_start",
    ])
    .with(|launch| launch.netns = Some(path.clone()))
    .set("/linux/sysctl", parameters);
    let text = container.output();
    assert!(
        text.contains("lo:") && !text.contains("eth0:") && text.ends_with(" 7\n"),
        "{text}"
    );
    drop(namespace);
    bowline_sys::netns::unpin(&path).unwrap();
}
