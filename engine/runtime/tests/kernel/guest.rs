//! What runs inside: one verb, one fact.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::time::Duration;

pub(crate) fn main() -> ! {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let refs: Vec<&str> = args.iter().map(String::as_str).collect();
    std::process::exit(run(&refs))
}

fn run(args: &[&str]) -> i32 {
    match args {
        ["exit", code] => return code.parse().unwrap(),
        ["print", texts @ ..] => texts.iter().for_each(|text| println!("{text}")),
        ["raw", text] => print!("{text}"),
        ["error", text] => eprintln!("{text}"),
        ["long", count] => println!("{}", "x".repeat(count.parse().unwrap())),
        ["lines", count] => {
            (0..count.parse::<u64>().unwrap()).for_each(|line| println!("line {line}"));
        }
        ["ticks", count] => (0..count.parse::<u64>().unwrap()).for_each(tick),
        ["sleep"] => std::thread::sleep(Duration::from_secs(600)),
        ["cat"] => cat(),
        ["fds"] => fds(),
        ["status", keys @ ..] => status(keys),
        ["env", name] => println!("{}", std::env::var(name).unwrap_or_else(|_| "-".to_owned())),
        ["cwd"] => println!("{}", std::env::current_dir().unwrap().display()),
        ["id"] => id(),
        ["pid"] => println!("{}", std::process::id()),
        ["read", paths @ ..] => paths.iter().for_each(|path| read(path)),
        ["write", path, text] => report(std::fs::write(path, text)),
        ["open", path] => report(std::fs::File::open(path).map(drop)),
        ["make", path] => report(std::fs::File::create(path).map(drop)),
        ["stat", paths @ ..] => paths.iter().for_each(|path| stat(path)),
        ["list", path] => list(path),
        ["tty"] => tty(),
        ["size"] => size(),
        ["echo-line"] => echo_line(),
        ["on-term", code] => return on_term(code.parse().unwrap()),
        ["orphan"] => orphan(),
        ["eat", mib] => eat(mib.parse().unwrap()),
        ["flood", mib] => flood(mib.parse().unwrap()),
        ["background"] => background(),
        other => {
            eprintln!("guest: what is {other:?}?");
            return 99;
        }
    }
    0
}

fn tick(number: u64) {
    println!("tick {number}");
    std::thread::sleep(Duration::from_millis(20));
}

fn cat() {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    print!("{text}");
    println!("<eof>");
}

fn fds() {
    let mut names: Vec<String> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            Some((
                entry.file_name().into_string().ok()?,
                std::fs::read_link(entry.path()).ok()?,
            ))
        })
        .filter(|(_, target)| !target.ends_with("fd"))
        .map(|(name, _)| name)
        .collect();
    names.sort();
    println!("{}", names.join(","));
}

fn status(keys: &[&str]) {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    for key in keys {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{key}:")))
            .unwrap_or("?");
        println!("{key} {}", line.trim());
    }
}

fn id() {
    let groups = nix::unistd::getgroups().unwrap();
    let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
    println!(
        "{}:{} {}",
        nix::unistd::getuid(),
        nix::unistd::getgid(),
        groups.join(",")
    );
}

fn read(path: &str) {
    match std::fs::read(path) {
        Ok(bytes) => println!(
            "{path} {} {}",
            bytes.len(),
            String::from_utf8_lossy(&bytes).trim()
        ),
        Err(error) => println!("{path} {}", word(&error)),
    }
}

fn report(result: std::io::Result<()>) {
    println!(
        "{}",
        result.map_or_else(|error| word(&error), |()| "ok".to_owned())
    );
}

fn word(error: &std::io::Error) -> String {
    format!(
        "{:?}",
        nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(0))
    )
}

fn stat(path: &str) {
    let Ok(meta) = std::fs::symlink_metadata(path) else {
        return println!("{path} -");
    };
    let kind = meta.file_type();
    let what = match () {
        () if kind.is_char_device() => {
            format!(
                "char {}:{}",
                nix::sys::stat::major(meta.rdev()),
                nix::sys::stat::minor(meta.rdev())
            )
        }
        () if kind.is_symlink() => format!("link {}", std::fs::read_link(path).unwrap().display()),
        () if kind.is_dir() => "dir".to_owned(),
        () if kind.is_fifo() => "fifo".to_owned(),
        () => "file".to_owned(),
    };
    println!(
        "{path} {what} {:o} {}:{}",
        meta.mode() & 0o7777,
        meta.uid(),
        meta.gid()
    );
}

fn list(path: &str) {
    let entries = std::fs::read_dir(path).map(|entries| {
        let mut names: Vec<String> = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names.join(",")
    });
    println!("{}", entries.unwrap_or_else(|error| word(&error)));
}

fn tty() {
    let is = |fd: i32| nix::unistd::isatty(unsafe_free(fd)).unwrap_or(false);
    println!("{} {} {}", is(0), is(1), is(2));
    println!(
        "{}",
        std::fs::read_link("/proc/self/fd/0").unwrap().display()
    );
    println!("{}", std::fs::File::open("/dev/tty").is_ok());
}

fn unsafe_free(fd: i32) -> impl std::os::fd::AsFd {
    std::fs::File::open(format!("/proc/self/fd/{fd}")).unwrap()
}

fn size() {
    loop {
        let tty = std::fs::File::open("/dev/tty").unwrap();
        let size = nix::sys::termios::tcgetattr(&tty).is_ok();
        println!("size {} {size}", terminal_size());
        if terminal_size() == "50x132" {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Without an ioctl of our own: `/proc` does not tell, so the standard terminal does.
fn terminal_size() -> String {
    bowline_sys::terminal::size(std::io::stdin())
        .map_or_else(|_| "?".to_owned(), |(h, w)| format!("{h}x{w}"))
}

fn echo_line() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    println!("got {}", line.trim());
}

fn on_term(code: i32) -> i32 {
    use nix::sys::signal::{SigSet, Signal};
    let mut set = SigSet::empty();
    set.add(Signal::SIGTERM);
    set.thread_block().unwrap();
    println!("waiting");
    set.wait().unwrap();
    println!("terminated");
    code
}

/// Leaves a grandchild behind, whose parent ends first.
fn orphan() {
    let mut child = std::process::Command::new("/guest")
        .args(["background"])
        .spawn()
        .unwrap();
    child.wait().unwrap();
    std::thread::sleep(Duration::from_millis(700));
    let zombies = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok())
        .filter(|stat| stat.contains(") Z "))
        .count();
    println!("zombies {zombies}");
}

/// Starts something that goes on for half a second with the same streams, and ends.
fn background() {
    let child = std::process::Command::new("/guest")
        .args(["ticks", "25"])
        .spawn()
        .unwrap();
    std::mem::forget(child);
}

fn eat(mib: usize) {
    let mut hoard = Vec::new();
    for _ in 0..mib {
        hoard.push(vec![1_u8; 1 << 20]);
    }
    println!("ate {}", hoard.len());
}

fn flood(mib: usize) {
    let block = [vec![b'y'; 1023], b"\n".to_vec()].concat().repeat(64);
    let mut out = std::io::stdout().lock();
    for _ in 0..mib * 16 {
        out.write_all(&block).unwrap();
    }
}
