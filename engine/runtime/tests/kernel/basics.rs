//! Starting, ending, and who the process is.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::Test;
use crate::rig::{command, guest};

pub(crate) const TESTS: &[Test] = &[
    ("exit codes arrive as they are", exit_codes),
    ("a signal's end is 128 and the signal", signals),
    (
        "what cannot be executed says why, in Docker's words",
        refusals,
    ),
    ("a bare name is found by the container's PATH", search),
    ("users come from the image's own files", users),
    ("a mounted passwd counts", mounted_passwd),
    ("the environment has HOME and nothing of ours", environment),
    ("the working directory is made", working_directory),
    ("limits are set from outside", limits),
    ("running out of memory is told", memory),
    ("the reaper passes signals on and reaps orphans", reaper),
    ("an unknown user does not start", unknown_user),
];

fn exit_codes() {
    assert_eq!(guest(&["exit", "0"]).run().0, 0);
    assert_eq!(guest(&["exit", "7"]).run().0, 7);
    assert_eq!(guest(&["exit", "255"]).run().0, 255);
}

fn signals() {
    let container = guest(&["sleep"]).start();
    container
        .shim()
        .signal(bowline_runtime::Target::Container, 9)
        .unwrap();
    let record = container.wait();
    assert_eq!((record.code, record.signal), (137, Some(9)));
    assert!(record.started_at < record.finished_at);
}

fn refusals() {
    let refused = |args: &[&str]| {
        let error = command(args).refused();
        (error.code, error.message)
    };
    let expect = |code: i32, text: &str| (code, text.to_owned());
    assert_eq!(
        refused(&["foo"]),
        expect(127, "exec: \"foo\": executable file not found in $PATH")
    );
    assert_eq!(
        refused(&["/foo"]),
        expect(127, "exec: \"/foo\": stat /foo: no such file or directory")
    );
    assert_eq!(
        refused(&["/etc"]),
        expect(126, "exec: \"/etc\": is a directory")
    );
    assert_eq!(
        refused(&["/plain"]),
        expect(126, "exec: \"/plain\": permission denied")
    );
    let broken = command(&["/broken"]).layer(|layer| {
        std::fs::write(layer.join("broken"), "no format").unwrap();
        std::fs::set_permissions(layer.join("broken"), PermissionsExt::from_mode(0o755)).unwrap();
    });
    let error = broken.refused();
    assert_eq!(
        (error.code, error.message.as_str()),
        (126, "exec /broken: exec format error")
    );
}

fn search() {
    assert_eq!(command(&["guest", "print", "found"]).output(), "found\n");
}

fn users() {
    let who = |user: &str, groups: &[&str]| {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        guest(&["id"])
            .with(|launch| (launch.user, launch.additional_groups) = (user.to_owned(), groups))
            .output()
    };
    assert_eq!(who("", &[]), "0:0 \n");
    assert_eq!(who("app", &[]), "1000:100 10\n");
    assert_eq!(who("app:wheel", &["77"]), "1000:10 77\n");
    assert_eq!(who("4000:5", &[]), "4000:5 \n");
}

fn mounted_passwd() {
    let container = guest(&["id"]).with(|launch| launch.user = "other".to_owned());
    let file = container.dir.join("passwd");
    std::fs::write(&file, "other:x:5:6::/:\n").unwrap();
    let mounts = json!([{"destination": "/etc/passwd", "type": "bind", "source": file, "options": ["rbind", "ro"]}]);
    assert_eq!(container.set("/mounts", mounts).output(), "5:6 \n");
}

fn environment() {
    assert_eq!(guest(&["env", "HOME"]).output(), "/root\n");
    assert_eq!(
        guest(&["env", "HOME"])
            .with(|launch| launch.user = "app".to_owned())
            .output(),
        "/srv/app\n"
    );
    assert_eq!(
        guest(&["env", "HOME"])
            .set("/process/env", json!(["HOME=/x"]))
            .output(),
        "/x\n"
    );
    assert_eq!(guest(&["env", "BOWLINE_LOCK_FD"]).output(), "-\n");
}

fn working_directory() {
    assert_eq!(
        guest(&["cwd"])
            .set("/process/cwd", json!("/made/for/it"))
            .output(),
        "/made/for/it\n"
    );
    let closed = guest(&["cwd"])
        .set("/process/cwd", json!("/secret"))
        .with(|launch| launch.user = "app".to_owned());
    // Root enters before it becomes the user, as Docker has it.
    assert_eq!(closed.output(), "/secret\n");
    let error = guest(&["cwd"])
        .set("/process/cwd", json!("/plain"))
        .refused();
    assert!(error.message.contains("plain"), "{error}");
}

fn limits() {
    let limits = json!([{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 99}]);
    let read = guest(&["read", "/proc/self/limits"])
        .set("/process/rlimits", limits)
        .output();
    assert!(
        read.lines().any(|line| line.contains("Max open files")
            && line.contains("77")
            && line.contains("99"))
    );
    let adjusted = guest(&["read", "/proc/self/oom_score_adj"])
        .set("/process/oomScoreAdj", json!(500))
        .output();
    assert!(adjusted.ends_with(" 500\n"), "{adjusted}");
}

fn memory() {
    let resources = json!({"memory": {"limit": 64 << 20, "swap": 64 << 20}});
    let container = guest(&["eat", "200"])
        .set("/linux/resources", resources)
        .start();
    let record = container.wait();
    assert_eq!((record.code, record.oom_killed), (137, true));
}

fn reaper() {
    let with_init = |args: &[&str]| guest(args).with(|launch| launch.init = true);
    assert_eq!(with_init(&["pid"]).output(), "2\n");
    assert_eq!(with_init(&["exit", "9"]).run().0, 9);
    assert_eq!(
        command(&["guest", "print", "x"])
            .with(|launch| launch.init = true)
            .output(),
        "x\n"
    );
    let name = with_init(&["read", "/proc/1/comm"]).output();
    assert!(name.contains("bowline-init"), "{name}");
    let orphans = with_init(&["orphan"]).output();
    assert!(orphans.contains("zombies 0"), "{orphans}");
    let container = with_init(&["on-term", "42"]).start();
    container.until_logged("waiting");
    container
        .shim()
        .signal(bowline_runtime::Target::Container, 15)
        .unwrap();
    assert_eq!(container.wait().code, 42);
}

fn unknown_user() {
    let error = guest(&["id"])
        .with(|launch| launch.user = "bob".to_owned())
        .refused();
    assert_eq!(
        error.message,
        "unable to find user bob: no matching entries in passwd file"
    );
}
