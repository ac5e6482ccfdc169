//! What a container's process finds around it.

use bowline_tests::{Ran, World};

/// Runs one service `it` with these keys and asks `look` of it.
#[track_caller]
fn it(keys: &str, look: impl Fn(&dyn Fn(&[&str]) -> Ran)) {
    let world = World::new();
    let project = world.project(
        "inside",
        &format!("services: {{it: {{image: bowline/demo, command: sleep forever, {keys}}}}}"),
    );
    project.up();
    look(&|words| project.exec("it", words));
    project.down();
    world.ends_clean();
}

/// The line of `caps` that starts with `set`.
#[track_caller]
fn capabilities(ran: &Ran, set: &str) -> Vec<String> {
    let line = ran
        .out
        .lines()
        .find(|line| line.starts_with(set))
        .expect("the set");
    line.split(' ').skip(2).map(str::to_owned).collect()
}

const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SYS_CHROOT",
    "MKNOD",
    "AUDIT_WRITE",
    "SETFCAP",
];

/// A container must run with the fourteen default capabilities, no more in the bounding set, and a seccomp filter.
#[test]
fn rights_are_dockers_defaults() {
    it("hostname: here", |run| {
        let caps = run(&["caps"]).ok();
        for set in ["CapPrm", "CapEff", "CapBnd"] {
            assert_eq!(capabilities(&caps, set), DEFAULT, "{set}");
        }
        caps.says("Seccomp 2").says("CapAmb 0000000000000000");
    });
}

/// The container's own process must have the same rights as one of `exec`.
#[test]
fn the_main_process_has_the_same_rights() {
    let world = World::new();
    let project = world.project(
        "main",
        "services: {it: {image: bowline/demo, command: caps}}",
    );
    let ran = project.bowline(&["up"]).ok();
    ran.says("CapEff 00000000a80425fb")
        .says("CapBnd 00000000a80425fb")
        .says("Seccomp 2");
    project.down();
    world.ends_clean();
}

/// `cap_add` and `cap_drop` must add and take.
#[test]
fn capabilities_can_be_added_and_dropped() {
    it("cap_add: [NET_ADMIN], cap_drop: [MKNOD, CHOWN]", |run| {
        let caps = run(&["caps"]).ok();
        let effective = capabilities(&caps, "CapEff");
        assert!(effective.contains(&"NET_ADMIN".to_owned()));
        assert!(
            !effective.contains(&"MKNOD".to_owned()) && !effective.contains(&"CHOWN".to_owned())
        );
        assert_eq!(effective.len(), 13);
    });
}

/// `cap_drop: [ALL]` must leave only what is added.
#[test]
fn all_capabilities_can_be_dropped() {
    it("cap_drop: [ALL], cap_add: [CAP_CHOWN]", |run| {
        let caps = run(&["caps"]).ok();
        assert_eq!(capabilities(&caps, "CapEff"), ["CHOWN"]);
        assert_eq!(capabilities(&caps, "CapBnd"), ["CHOWN"]);
    });
}

/// `privileged` must give every capability, no filter, and the host's devices.
#[test]
fn privileged_has_everything() {
    it("privileged: true", |run| {
        let caps = run(&["caps"]).ok().says("Seccomp 0");
        assert!(capabilities(&caps, "CapEff").contains(&"SYS_ADMIN".to_owned()));
        run(&["stat", "/dev/kmsg"]).ok().says("character-device");
        run(&["mounts", "/sys"]).ok().says("sysfs rw");
    });
}

/// `no-new-privileges` must be set when asked.
#[test]
fn no_new_privileges_is_set() {
    it("security_opt: ['no-new-privileges:true']", |run| {
        run(&["caps"]).ok().says("NoNewPrivs 1");
    });
}

/// `seccomp=unconfined` must leave no filter.
#[test]
fn seccomp_can_be_switched_off() {
    it("security_opt: ['seccomp=unconfined']", |run| {
        run(&["caps"]).ok().says("Seccomp 0");
    });
}

/// Only the three standard streams must be open, in the main process and in one of `exec`.
#[test]
fn no_file_descriptor_leaks() {
    let world = World::new();
    let project = world.project("fds", "services: {it: {image: bowline/demo, command: fds}, live: {image: bowline/demo, command: sleep forever}}");
    project.up();
    let numbers = |ran: &Ran| -> Vec<String> {
        ran.out
            .lines()
            .map(|line| line.split(' ').next().unwrap_or_default().to_owned())
            .collect()
    };
    let main = project.bowline(&["logs", "--no-log-prefix", "it"]).ok();
    assert_eq!(numbers(&main), ["0", "1", "2"], "{main}");
    let exec = project.exec("live", &["fds"]).ok();
    assert_eq!(numbers(&exec), ["0", "1", "2"], "{exec}");
    project.down();
    world.ends_clean();
}

/// `hostname` and `domainname` must be the container's, in the kernel and in its files.
#[test]
fn it_knows_its_name() {
    it("hostname: alpha, domainname: example.test", |run| {
        run(&["hostname"]).ok().says("alpha\nexample.test");
        run(&["cat", "/etc/hostname"]).ok().says("alpha");
        run(&["cat", "/etc/hosts"])
            .ok()
            .says("alpha")
            .says("localhost");
    });
}

/// A container without a name of its own must be called by its short id.
#[test]
fn the_host_name_is_the_short_id() {
    let world = World::new();
    let project = world.project(
        "short",
        "services: {it: {image: bowline/demo, command: sleep forever}}",
    );
    project.up();
    let id = project.id("it");
    assert_eq!(project.exec("it", &["hostname"]).ok().text(), &id[..12]);
    project.down();
    world.ends_clean();
}

/// `user` by name must take ids and groups of the image's own files, and `group_add` must add to them.
#[test]
fn users_are_the_images_own() {
    it("user: demo, group_add: ['4242']", |run| {
        run(&["id"])
            .ok()
            .says("uid=1000(demo) gid=1000(demo)")
            .says("50(staff)")
            .says("4242");
        let caps = run(&["caps"]).ok();
        caps.says("CapEff 0000000000000000")
            .says("CapBnd 00000000a80425fb");
    });
}

/// `exec -u` must run as somebody else.
#[test]
fn exec_can_be_somebody_else() {
    let world = World::new();
    let project = world.project(
        "who",
        "services: {it: {image: bowline/demo, command: sleep forever}}",
    );
    project.up();
    let asked = project
        .bowline(&["exec", "-T", "-u", "nobody", "it", "id"])
        .ok();
    asked.says("uid=65534(nobody) gid=65534");
    let asked = project
        .bowline(&["exec", "-T", "-u", "1234:50", "it", "id"])
        .ok();
    asked.says("uid=1234 gid=50(staff)");
    project.down();
    world.ends_clean();
}

/// `environment` and `env_file` must reach the process, the first winning; so must `working_dir`.
#[test]
fn environment_and_folder_reach_it() {
    let world = World::new();
    let project = world.folder(
        "env",
        &[
            (
                "compose.yaml",
                "
services:
  it: {image: bowline/demo, command: sleep forever, env_file: it.env, environment: {WHO: compose}, working_dir: /etc}
",
            ),
            ("it.env", "WHO=file\nONLY=file\n"),
        ],
    );
    project.up();
    project
        .exec("it", &["env"])
        .ok()
        .says("WHO=compose")
        .says("ONLY=file")
        .says("PATH=")
        .says("HOSTNAME=");
    project.exec("it", &["ls"]).ok().says("passwd");
    let exec = project
        .bowline(&["exec", "-T", "-e", "MORE=exec", "-w", "/tmp", "it", "env"])
        .ok();
    exec.says("MORE=exec").says("WHO=compose");
    project.down();
    world.ends_clean();
}

/// `ulimits` must be the process' limits.
#[test]
fn limits_are_set() {
    it(
        "ulimits: {nofile: {soft: 1234, hard: 2345}, nproc: 99}",
        |run| {
            let limits = run(&["cat", "/proc/self/limits"]).ok();
            let line = |name: &str| {
                let line = limits
                    .out
                    .lines()
                    .find(|line| line.starts_with(name))
                    .expect("the limit");
                line[name.len()..]
                    .split_whitespace()
                    .take(2)
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            assert_eq!(line("Max open files"), "1234 2345");
            assert_eq!(line("Max processes"), "99 99");
        },
    );
}

/// `read_only` must refuse writes to the root and leave /dev, /proc and volumes usable.
#[test]
fn a_read_only_root_refuses_writes() {
    it("read_only: true, volumes: [/data]", |run| {
        run(&["write", "/etc/x", "y"])
            .fails_with(1)
            .says("Read-only file system");
        run(&["write", "/data/x", "y"]).ok();
        assert_eq!(run(&["cat", "/dev/null"]).ok().out, "");
        run(&["write", "/dev/shm/x", "y"]).ok();
    });
}

/// `shm_size` must be the size of /dev/shm.
#[test]
fn shared_memory_has_its_size() {
    let world = World::new();
    let project = world.project(
        "shm",
        "services: {it: {image: bowline/demo, command: sleep forever, shm_size: 8m}, plain: {image: bowline/demo, command: sleep forever}}",
    );
    project.up();
    let size = |service| {
        let pid = project.inspect(service)["State"]["Pid"]
            .as_u64()
            .expect("a pid");
        let stat =
            nix::sys::statvfs::statvfs(std::path::Path::new(&format!("/proc/{pid}/root/dev/shm")))
                .expect("statvfs");
        stat.blocks() * stat.fragment_size()
    };
    assert_eq!(size("it"), 8 << 20);
    assert_eq!(size("plain"), 64 << 20);
    project.down();
    world.ends_clean();
}

/// `init` must put a reaper at pid 1 that passes signals on.
#[test]
fn an_init_is_pid_one() {
    let world = World::new();
    let project = world.project(
        "init",
        "services: {it: {image: bowline/demo, command: trap, init: true}}",
    );
    project.up();
    project
        .exec("it", &["cat", "/proc/1/cmdline"])
        .ok()
        .says("bowline-init");
    let running = project.start(&["logs", "-f", "it"]);
    running.shows("waiting for signals");
    project.bowline(&["kill", "-s", "USR1", "it"]).ok();
    running.shows("SIGUSR1");
    project.bowline(&["stop", "it"]).ok();
    running.wait().ok().says("SIGTERM");
    assert_eq!(project.inspect("it")["State"]["ExitCode"], 0);
    project.down();
    world.ends_clean();
}

/// Without `init` the command itself must be pid 1.
#[test]
fn the_command_is_pid_one() {
    it("hostname: one", |run| {
        let line = run(&["cat", "/proc/1/cmdline"]).ok();
        assert_eq!(line.text().replace('\0', " ").trim(), "/demo sleep forever");
    });
}

/// Docker's masked paths must be empty, and its read-only ones must refuse writes.
#[test]
fn dangerous_paths_are_masked() {
    it("hostname: masked", |run| {
        assert_eq!(run(&["cat", "/proc/keys"]).ok().out, "");
        assert_eq!(run(&["ls", "/sys/firmware"]).ok().text(), "");
        run(&["write", "/proc/sysrq-trigger", "h"]).fails_with(1);
        run(&["write", "/proc/sys/kernel/hostname", "x"]).fails_with(1);
        run(&["mounts", "/sys"]).ok().says("sysfs ro");
    });
}

/// /dev must hold Docker's devices and no disk.
#[test]
fn devices_are_the_few_harmless_ones() {
    it("tty: false", |run| {
        let names = run(&["ls", "/dev"]).ok();
        let names: Vec<_> = names.out.lines().collect();
        for name in [
            "console", "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm",
            "stderr", "stdin", "stdout", "tty", "urandom", "zero",
        ] {
            // A console is there for containers with a terminal only.
            assert!(
                names.contains(&name) || name == "console",
                "no {name} in {names:?}"
            );
        }
        assert!(names.len() <= 16, "{names:?}");
        run(&["stat", "/dev/null"])
            .ok()
            .says("character-device 0666 0:0");
    });
}

/// `devices` must pass a host's device through.
#[test]
fn a_device_can_be_passed() {
    it("devices: ['/dev/null:/dev/nothing:rw']", |run| {
        run(&["stat", "/dev/nothing"]).ok().says("character-device");
        assert_eq!(run(&["cat", "/dev/nothing"]).ok().out, "");
    });
}

/// `sysctls` must set the container's own kernel parameters.
#[test]
fn kernel_parameters_are_its_own() {
    it(
        "sysctls: {net.ipv4.ip_local_port_range: '20000 20010', kernel.shm_rmid_forced: 1}",
        |run| {
            run(&["cat", "/proc/sys/net/ipv4/ip_local_port_range"])
                .ok()
                .says("20000\t20010");
            run(&["cat", "/proc/sys/kernel/shm_rmid_forced"])
                .ok()
                .says("1");
        },
    );
}

/// A container must see its own processes and nobody else's.
#[test]
fn it_sees_its_own_processes_only() {
    it("hostname: alone", |run| {
        let listed = run(&["ls", "/proc"]).ok();
        let pids = listed
            .out
            .lines()
            .filter(|name| name.bytes().all(|b| b.is_ascii_digit()))
            .count();
        // Its first process, and the one that looks.
        assert_eq!(pids, 2, "{listed}");
    });
}
