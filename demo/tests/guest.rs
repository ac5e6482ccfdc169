//! The guest as others meet it: a process with a name, words, signals, files and ports.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn program() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join("examples/demo")
}

fn run(words: &[&str]) -> Output {
    Command::new(program()).args(words).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A guest in the background, killed when the test ends.
struct Guest {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Guest {
    fn start(words: &[&str]) -> Self {
        let mut command = Command::new(program());
        let mut child = command.args(words).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    fn code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn serving(words: &[&str]) -> (Guest, u16) {
    let port = free_port();
    let mut guest = Guest::start(&[words, &["--port", &port.to_string()]].concat());
    assert_eq!(guest.line(), format!("listening on port {port}"));
    (guest, port)
}

#[test]
fn a_page_counts_visits_through_another_service_and_the_number_survives() {
    let dir = tempfile();
    let file = dir.join("visits");
    let (mut counter, port) = serving(&["count", file.to_str().unwrap()]);
    let via = format!("http://localhost:{port}/");
    let (_web, web_port) = serving(&["serve", "--count-via", &via]);
    let page = format!("http://127.0.0.1:{web_port}/");
    assert!(text(&run(&["wget", &page]).stdout).ends_with("Visits: 1\n"));
    assert!(text(&run(&["wget", &page]).stdout).ends_with("Visits: 2\n"));
    assert_eq!(run(&["healthy", &via]).status.code(), Some(0));

    counter.signal(Signal::SIGTERM);
    assert_eq!(counter.code(), Some(0));
    let broken = run(&["wget", &page]);
    assert_eq!(broken.status.code(), Some(1));
    assert!(text(&broken.stdout).contains("cannot count your visit"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "2\n");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_browser_gets_html_and_noise_gets_a_400() {
    let (_web, port) = serving(&["serve"]);
    let talk = |request: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(talk("GET / HTTP/1.1\nAccept: text/html\n\n").contains("<!doctype html>"));
    assert!(talk("noise\r\n\r\n").starts_with("HTTP/1.1 400 "));
    assert!(talk("GET /else HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
}

#[test]
fn signals_are_printed_and_end_what_should_end() {
    let mut trap = Guest::start(&["trap", "--ignore", "TERM"]);
    assert!(trap.line().starts_with("waiting for signals"));
    trap.signal(Signal::SIGUSR1);
    assert_eq!(trap.line(), "SIGUSR1");
    trap.signal(Signal::SIGTERM);
    assert_eq!(trap.line(), "SIGTERM");
    trap.signal(Signal::SIGINT);
    assert_eq!((trap.line(), trap.code()), ("SIGINT".to_owned(), Some(0)));

    let mut print = Guest::start(&["print", "forever", "--interval", "10"]);
    assert_eq!(print.line(), "line 1");
    print.signal(Signal::SIGTERM);
    assert_eq!(print.code(), Some(0));
    assert_eq!(run(&["sleep", "0.01"]).status.code(), Some(0));
    assert_eq!(
        run(&["exit", "9", "--after", "0.01"]).status.code(),
        Some(9)
    );
}

#[test]
fn files_are_written_listed_and_described() {
    let dir = tempfile();
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    assert!(
        run(&["write", &path("a"), "some", "words"])
            .status
            .success()
    );
    assert!(
        run(&["write", "--append", &path("a"), "more"])
            .status
            .success()
    );
    assert_eq!(
        text(&run(&["cat", &path("a")]).stdout),
        "some words\nmore\n"
    );
    assert!(run(&["touch", &path("b")]).status.success());
    assert_eq!(text(&run(&["ls", dir.to_str().unwrap()]).stdout), "a\nb\n");
    assert!(text(&run(&["stat", &path("a")]).stdout).starts_with("file 0644 "));
    assert!(run(&["rm", &path("b")]).status.success());
    let missing = run(&["cat", &path("b")]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).starts_with("cat: cannot open "));
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn the_process_describes_itself() {
    assert!(text(&run(&["id"]).stdout).starts_with("uid="));
    assert!(text(&run(&["caps"]).stdout).contains("CapEff "));
    assert!(text(&run(&["mounts", "/proc"]).stdout).starts_with("/proc proc "));
    assert_eq!(
        text(&run(&["tty"]).stdout).lines().nth(1),
        Some("stdout not a tty")
    );
    let fds = text(&run(&["fds"]).stdout);
    let names: Vec<_> = fds
        .lines()
        .take(3)
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(names, ["0", "1", "2"], "{fds}");
    assert!(!fds.contains("/fd\n"), "the listing's own: {fds}");
    assert_eq!(text(&run(&["threads", "3"]).stdout), "3 threads\n");
}

#[test]
fn echoes_come_back() {
    let port = free_port();
    let mut echo = Guest::start(&["tcp-echo", &port.to_string()]);
    assert!(echo.line().starts_with("listening"));
    let answer = run(&["connect", "127.0.0.1", &port.to_string(), "--send", "hello"]);
    assert!(text(&answer.stdout).ends_with("\nhello\n"));

    let mut echo = Guest::start(&["udp-echo", &port.to_string()]);
    assert!(echo.line().starts_with("listening"));
    let answer = run(&[
        "connect",
        "127.0.0.1",
        &port.to_string(),
        "--udp",
        "--send",
        "hello",
    ]);
    assert!(text(&answer.stdout).ends_with("\nhello\n"));
}

#[test]
fn a_query_prints_code_and_records() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    let scripted = std::thread::spawn(move || {
        let mut wire = [0; 512];
        let (length, client) = server.recv_from(&mut wire).unwrap();
        let mut answer = wire[..length].to_vec();
        answer[2..4].copy_from_slice(&[0x81, 0x80]);
        answer[7] = 1;
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 10, 0, 0, 2]);
        server.send_to(&answer, client).unwrap();
    });
    let answer = run(&["query", "web", "--server", &address]);
    scripted.join().unwrap();
    assert_eq!(text(&answer.stdout), "NOERROR\nweb 5 A 10.0.0.2\n");
    assert_eq!(answer.status.code(), Some(0));
}

fn tempfile() -> PathBuf {
    let name = format!("bowline-demo-{}-{}", std::process::id(), free_port());
    let dir = std::env::temp_dir().join(name);
    std::fs::create_dir(&dir).unwrap();
    dir
}
