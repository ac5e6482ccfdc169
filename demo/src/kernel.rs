//! Verbs that print what the kernel says about this process.

use std::fs;
use std::io::{IsTerminal, stderr, stdin, stdout};
use std::os::fd::AsFd;

use crate::words::{Fault, OrFail, Outcome, Words};

/// Capability names in the order of their numbers.
#[rustfmt::skip]
const CAPABILITIES: [&str; 41] = [
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID",
    "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW",
    "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT",
    "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD",
    "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG",
    "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
];

pub(crate) fn env(words: Words) -> Outcome {
    words.end()?;
    for (key, value) in std::env::vars_os() {
        println!("{}={}", key.display(), value.display());
    }
    Ok(0)
}

pub(crate) fn hostname(words: Words) -> Outcome {
    words.end()?;
    println!("{}", read("/proc/sys/kernel/hostname")?.trim());
    match read("/proc/sys/kernel/domainname")?.trim() {
        "(none)" | "" => {}
        domain => println!("{domain}"),
    }
    Ok(0)
}

/// `id`, in the well-known form: `uid=0(root) gid=0(root) groups=0(root),50(staff)`.
pub(crate) fn id(words: Words) -> Outcome {
    words.end()?;
    let status = read("/proc/self/status")?;
    // Real, effective, saved and file-system id; the effective one counts.
    let effective = |key| field(&status, key).split_whitespace().nth(1).unwrap_or("?");
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let group = fs::read_to_string("/etc/group").unwrap_or_default();
    let groups = field(&status, "Groups").split_whitespace();
    let groups: Vec<_> = groups.map(|id| named(&group, id)).collect();
    println!(
        "uid={} gid={} groups={}",
        named(&passwd, effective("Uid")),
        named(&group, effective("Gid")),
        groups.join(",")
    );
    Ok(0)
}

pub(crate) fn caps(words: Words) -> Outcome {
    words.end()?;
    let status = read("/proc/self/status")?;
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        let mask = u64::from_str_radix(field(&status, set), 16).or_fail(set)?;
        let names = CAPABILITIES.iter().enumerate();
        let names = names
            .filter(|(bit, _)| mask >> bit & 1 == 1)
            .map(|(_, name)| *name);
        println!("{set} {mask:016x} {}", names.collect::<Vec<_>>().join(" "));
    }
    println!("NoNewPrivs {}", field(&status, "NoNewPrivs"));
    println!("Seccomp {}", field(&status, "Seccomp"));
    Ok(0)
}

/// `fds`: all but the one that the listing itself needs.
pub(crate) fn fds(words: Words) -> Outcome {
    words.end()?;
    let own = format!("/proc/{}/fd", std::process::id());
    let entries = fs::read_dir("/proc/self/fd").or_fail("cannot read /proc/self/fd")?;
    let mut open: Vec<(u32, String)> = Vec::new();
    for entry in entries.flatten() {
        let number = entry
            .file_name()
            .to_string_lossy()
            .parse()
            .or_fail("/proc/self/fd")?;
        // One that is gone again was the listing's.
        let Ok(target) = fs::read_link(entry.path()) else {
            continue;
        };
        open.push((number, target.to_string_lossy().into_owned()));
    }
    open.retain(|(_, target)| *target != own);
    open.sort();
    open.iter()
        .for_each(|(number, target)| println!("{number} {target}"));
    Ok(0)
}

/// `mounts`: `/data ext4 rw,relatime`, from mountinfo.
pub(crate) fn mounts(mut words: Words) -> Outcome {
    let wanted = words.maybe();
    words.end()?;
    let mut found = false;
    for line in read("/proc/self/mountinfo")?.lines() {
        let Some((place, source)) = line.split_once(" - ") else {
            continue;
        };
        let place: Vec<_> = place.split(' ').collect();
        let (Some(target), Some(options)) = (place.get(4), place.get(5)) else {
            continue;
        };
        if wanted.as_deref().is_none_or(|wanted| wanted == *target) {
            let kind = source.split(' ').next().unwrap_or("?");
            println!("{target} {kind} {options}");
            found = true;
        }
    }
    Ok(if found { 0 } else { 1 })
}

pub(crate) fn tty(words: Words) -> Outcome {
    words.end()?;
    let (stdin, stdout, stderr) = (stdin(), stdout(), stderr());
    let streams = [
        ("stdin", stdin.is_terminal(), stdin.as_fd()),
        ("stdout", stdout.is_terminal(), stdout.as_fd()),
        ("stderr", stderr.is_terminal(), stderr.as_fd()),
    ];
    for (name, terminal, fd) in streams {
        match rustix::termios::tcgetwinsize(fd) {
            Ok(size) if terminal => println!("{name} tty {}x{}", size.ws_row, size.ws_col),
            _ => println!("{name} not a tty"),
        }
    }
    Ok(0)
}

fn read(path: &str) -> Result<String, Fault> {
    fs::read_to_string(path).or_fail(format!("cannot read {path}"))
}

/// The value of `key` in a file of `Key:\tvalue` lines; empty when it is not there.
fn field<'a>(status: &'a str, key: &str) -> &'a str {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.unwrap_or_default().trim()
}

/// `0(root)`, by a file in the format of passwd and group, or `0` when the id has no name there.
fn named(file: &str, id: &str) -> String {
    let name = file.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then_some(name)
    });
    name.map_or_else(|| id.to_owned(), |name| format!("{id}({name})"))
}
