//! What a container must not see, reach or become.

use std::os::unix::fs::symlink;
use std::path::Path;

use bowline_runtime::Seccomp;
use serde_json::json;

use crate::Test;
use crate::rig::{base, command, guest};

pub(crate) const TESTS: &[Test] = &[
    ("no descriptor but the three leaks in", no_leaks),
    ("Docker's capabilities, its filter, and no more", rights),
    ("no-new-privileges is kept", no_new_privileges),
    ("a user has no capabilities in force", user_rights),
    ("masked paths are empty and read-only ones stay", masks),
    ("devices are Docker's", devices),
    ("privileged means all of it", privileged),
    (
        "a read-only root is read-only, its volumes are not",
        read_only_root,
    ),
    ("mounts land inside, made where they are missing", mounts),
    (
        "a symlink in the image leads no mount outside",
        escaping_mounts,
    ),
    ("no mount inside of /proc", mounts_in_proc),
    ("/proc, /sys and /dev may not be symlinks", symlinked_places),
    (
        "a working directory behind a descriptor is refused",
        leaked_cwd,
    ),
    (
        "/proc/self/exe as interpreter reaches nothing that can be written",
        own_executable,
    ),
    (
        "a null device that is none is not used for masking",
        false_null,
    ),
    ("the keyring is not the engine's", keyring),
    ("cgroups are visible and read-only", cgroups),
];

fn no_leaks() {
    assert_eq!(guest(&["fds"]).output(), "0,1,2\n");
    let null = guest(&["stat", "/proc/self/fd/0"]).output();
    assert!(null.contains("link /dev/null"), "{null}");
}

fn rights() {
    let text = guest(&[
        "status",
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "CapAmb",
        "NoNewPrivs",
        "Seccomp",
    ])
    .output();
    let docker = "00000000a80425fb";
    let expected = format!(
        "CapInh 0000000000000000\nCapPrm {docker}\nCapEff {docker}\nCapBnd {docker}\nCapAmb 0000000000000000\nNoNewPrivs 0\nSeccomp 2\n"
    );
    assert_eq!(text, expected);
    let open = guest(&["status", "Seccomp"]).with(|launch| launch.seccomp = Seccomp::Unconfined);
    assert_eq!(open.output(), "Seccomp 0\n");
}

fn no_new_privileges() {
    let text = guest(&["status", "NoNewPrivs", "Seccomp"])
        .set("/process/noNewPrivileges", json!(true))
        .output();
    assert_eq!(text, "NoNewPrivs 1\nSeccomp 2\n");
}

fn user_rights() {
    let text = guest(&["status", "CapPrm", "CapEff", "CapBnd"])
        .with(|launch| launch.user = "app".to_owned())
        .output();
    assert_eq!(
        text,
        "CapPrm 0000000000000000\nCapEff 0000000000000000\nCapBnd 00000000a80425fb\n"
    );
}

fn masks() {
    let text = guest(&["read", "/proc/keys", "/proc/timer_list"]).output();
    assert_eq!(text, "/proc/keys 0 \n/proc/timer_list 0 \n");
    assert_eq!(guest(&["list", "/sys/firmware"]).output(), "\n");
    assert_eq!(
        guest(&["write", "/proc/sys/kernel/hostname", "x"]).output(),
        "EROFS\n"
    );
    assert_eq!(guest(&["make", "/sys/firmware/x"]).output(), "EROFS\n");
    let opened = guest(&["read", "/proc/timer_list"])
        .set("/linux/maskedPaths", json!([]))
        .output();
    assert!(opened.len() > 40, "{opened}");
}

fn devices() {
    let text = guest(&[
        "stat",
        "/dev/null",
        "/dev/tty",
        "/dev/fd",
        "/dev/ptmx",
        "/dev/shm",
        "/dev/console",
    ])
    .output();
    assert_eq!(
        text,
        "/dev/null char 1:3 666 0:0\n/dev/tty char 5:0 666 0:0\n/dev/fd link /proc/self/fd 777 0:0\n/dev/ptmx link pts/ptmx 777 0:0\n/dev/shm dir 1777 0:0\n/dev/console -\n"
    );
    let names = guest(&["list", "/dev"]).output();
    assert_eq!(
        names,
        "core,fd,full,mqueue,null,ptmx,pts,random,shm,stderr,stdin,stdout,tty,urandom,zero\n"
    );
    let device =
        json!([{"path": "/dev/deep/er", "type": "c", "major": 1, "minor": 5, "fileMode": 0o600}]);
    let own = guest(&["stat", "/dev/deep/er"])
        .set("/linux/devices", device)
        .output();
    assert_eq!(own, "/dev/deep/er char 1:5 600 0:0\n");
}

fn privileged() {
    let all = |args: &[&str]| {
        let spec = guest(args).with(|launch| launch.privileged = true);
        spec.output()
    };
    let text = all(&["status", "CapEff", "Seccomp"]);
    assert!(
        text.contains("Seccomp 0") && !text.contains("a80425fb"),
        "{text}"
    );
    assert!(all(&["list", "/dev"]).split(',').count() > 16);
    assert_eq!(all(&["open", "/proc/timer_list"]), "ok\n");
}

fn read_only_root() {
    let container = guest(&["make", "/x"]).with(|launch| launch.rootfs.readonly = true);
    assert_eq!(container.output(), "EROFS\n");
    let tmp = json!([{"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "size=64k"]}]);
    let container = guest(&["make", "/tmp/x"])
        .with(|launch| launch.rootfs.readonly = true)
        .set("/mounts", tmp);
    assert_eq!(container.output(), "ok\n");
}

fn mounts() {
    let outside = base().join("outside");
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::write(outside.join("file"), "text").unwrap();
    let bind = |at: &str, from: &Path, options: &[&str]| json!([{"destination": at, "type": "bind", "source": from, "options": options}]);
    let read = guest(&["read", "/a/b/c/file"])
        .set("/mounts", bind("/a/b/c", &outside, &["rbind"]))
        .output();
    assert_eq!(read, "/a/b/c/file 4 text\n");
    let file = outside.join("file");
    let read = guest(&["read", "/n/e/w"])
        .set("/mounts", bind("/n/e/w", &file, &["bind"]))
        .output();
    assert_eq!(read, "/n/e/w 4 text\n");
    let closed = guest(&["make", "/a/x"])
        .set("/mounts", bind("/a", &outside, &["rbind", "ro"]))
        .output();
    assert_eq!(closed, "EROFS\n");
    let dangling = guest(&["read", "/etc/resolv.conf", "/run/there"])
        .layer(|layer| {
            std::fs::create_dir_all(layer.join("etc")).unwrap();
            symlink("../run/there", layer.join("etc/resolv.conf")).unwrap();
        })
        .set("/mounts", bind("/etc/resolv.conf", &file, &["bind"]))
        .output();
    assert_eq!(dangling, "/etc/resolv.conf 4 text\n/run/there 4 text\n");
    let error = guest(&["exit", "0"])
        .set("/mounts", bind("/a", Path::new("/no/such"), &["rbind"]))
        .refused();
    assert_eq!(error.message, "bind source path does not exist: /no/such");
}

fn escaping_mounts() {
    let target = base().join("must-stay-empty");
    std::fs::create_dir_all(&target).unwrap();
    let tmpfs = json!([{"destination": "/way/out/new", "type": "tmpfs", "source": "tmpfs"}]);
    let container = guest(&["stat", "/way/out/new"])
        .layer(|layer| {
            std::fs::create_dir_all(layer.join("way")).unwrap();
            symlink(
                format!("../../../../../..{}", target.display()),
                layer.join("way/out"),
            )
            .unwrap();
        })
        .set("/mounts", tmpfs);
    let (code, _) = match container.prepare_with(bowline_runtime::LaunchFds::default()) {
        Ok(container) => {
            container.shim().start().unwrap();
            (container.wait().code, ())
        }
        Err(_) => (0, ()),
    };
    assert_eq!(code, 0);
    assert_eq!(std::fs::read_dir(&target).unwrap().count(), 0);
}

fn mounts_in_proc() {
    let into = |at: &str| json!([{"destination": at, "type": "tmpfs", "source": "tmpfs"}]);
    let error = guest(&["exit", "0"])
        .set("/mounts", into("/proc/sys"))
        .refused();
    assert!(error.message.contains("inside of /proc"), "{error}");
    let hidden = guest(&["exit", "0"])
        .layer(|layer| symlink("/proc/self", layer.join("innocent")).unwrap())
        .set("/mounts", into("/innocent/attr"))
        .refused();
    assert!(hidden.message.contains("inside of /proc"), "{hidden}");
}

fn symlinked_places() {
    for (name, target) in [
        ("proc", "/tmp"),
        ("sys", "/tmp"),
        ("dev", "/tmp"),
        ("dev", "../../../../etc"),
    ] {
        let whole = base().join(format!("links-{name}"));
        let _ignored = std::fs::remove_dir_all(&whole);
        std::fs::create_dir_all(whole.join("tmp")).unwrap();
        std::fs::copy("/proc/self/exe", whole.join("guest")).unwrap();
        symlink(target, whole.join(name)).unwrap();
        let error = guest(&["exit", "0"])
            .with(|launch| launch.rootfs.lowers = vec![whole])
            .refused();
        assert!(error.message.contains("symlink"), "{name}: {error}");
    }
}

fn leaked_cwd() {
    for fd in 3..12 {
        let error = guest(&["cwd"])
            .set("/process/cwd", json!(format!("/proc/self/fd/{fd}")))
            .refused();
        assert!(error.code >= 126, "{error}");
    }
}

fn own_executable() {
    let script = command(&["/script"]).layer(|layer| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(layer.join("script"), "#!/proc/self/exe\n").unwrap();
        std::fs::set_permissions(layer.join("script"), PermissionsExt::from_mode(0o755)).unwrap();
    });
    // The kernel resolves the interpreter to our sealed copy, which may run but not be written to.
    match script.prepare_with(bowline_runtime::LaunchFds::default()) {
        Err(_) => {}
        Ok(container) => {
            let _ignored = container.shim().start();
        }
    }
    let sealed = guest(&["write", "/proc/1/exe", "x"])
        .with(|launch| launch.init = true)
        .output();
    assert!(
        ["EPERM\n", "ETXTBSY\n", "EACCES\n"].contains(&sealed.as_str()),
        "{sealed}"
    );
}

fn false_null() {
    let dev = base().join("false-dev");
    std::fs::create_dir_all(dev.join("pts")).unwrap();
    std::fs::write(dev.join("null"), "").unwrap();
    let mounts =
        json!([{"destination": "/dev", "type": "bind", "source": dev, "options": ["rbind"]}]);
    let error = guest(&["exit", "0"]).set("/mounts", mounts).refused();
    assert!(error.message.contains("mask"), "{error}");
}

fn keyring() {
    let own = guest(&["read", "/proc/self/status"]).output();
    assert!(own.contains("Name"), "{own}");
    // The masked /proc/keys hides it inside; a privileged container may look.
    let keys = guest(&["read", "/proc/keys"])
        .with(|launch| launch.privileged = true)
        .output();
    assert!(
        keys.contains("bowline-c") || keys.contains("ENOENT"),
        "{keys}"
    );
}

fn cgroups() {
    let names = guest(&["list", "/sys/fs/cgroup"]).output();
    assert!(
        names.contains("memory") || names.contains("cgroup.procs"),
        "{names}"
    );
    assert_eq!(guest(&["make", "/sys/fs/cgroup/x"]).output(), "EROFS\n");
    let own = guest(&["read", "/proc/self/cgroup"]).output();
    assert!(
        own.lines()
            .filter(|line| line.contains(':'))
            .all(|line| line.ends_with(":/")),
        "{own}"
    );
}
