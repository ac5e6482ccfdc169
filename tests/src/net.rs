//! Requests from the host's side.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::wait::eventually;

/// More than any answer takes on two busy cores.
const PATIENCE: Duration = Duration::from_secs(10);

/// One HTTP GET on a fresh connection; the whole answer.
///
/// # Errors
/// The connection's.
pub fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The body of a GET that must succeed, once somebody listens: a container that runs may not do so yet.
#[track_caller]
pub fn page(address: &str) -> String {
    let parsed = address.parse().expect("an address");
    let answer = eventually(PATIENCE, || get(parsed, "/"));
    let good = answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.0 200");
    assert!(good, "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    body.to_owned()
}

/// One request to an engine's socket: status and body.
#[track_caller]
pub fn ask(socket: &Path, method: &str, path: &str) -> (u16, String) {
    let mut stream =
        UnixStream::connect(socket).unwrap_or_else(|error| panic!("{}: {error}", socket.display()));
    stream
        .set_read_timeout(Some(PATIENCE * 3))
        .expect("a limit");
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: engine\r\n\r\n").expect("ask the engine");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no HTTP: {answer}"));
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    (
        status.unwrap_or_else(|| panic!("no status: {head}")),
        body.to_owned(),
    )
}

/// What a UDP echo at `address` says to `text`.
///
/// # Errors
/// The socket's, an answer that does not come in time among them.
pub fn udp(address: SocketAddr, text: &str) -> std::io::Result<String> {
    let any = if address.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let socket = UdpSocket::bind(any)?;
    socket.set_read_timeout(Some(PATIENCE / 10))?;
    socket.connect(address)?;
    socket.send(text.as_bytes())?;
    let mut answer = [0; 1024];
    let length = socket.recv(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

/// The first of `count` neighbouring TCP ports that nobody listened on a moment ago; never one that the kernel gives to
/// callers, so that stories side by side do not take it away.
#[track_caller]
pub fn free_ports(count: u16) -> u16 {
    let id = u16::try_from(std::process::id() % 10_000).expect("a small number");
    let candidates = (0..500_u16).map(|step| 12_000 + (id + step * 29 + next()) % 18_000);
    let free = |port: u16| {
        TcpListener::bind(("::", port)).is_ok() && UdpSocket::bind(("::", port)).is_ok()
    };
    let mut found = candidates.filter(|first| (0..count).all(|more| free(first + more)));
    found.next().expect("free ports")
}

/// As [`free_ports`], for one.
#[track_caller]
pub fn free_port() -> u16 {
    free_ports(1)
}

/// Another stretch for each caller in this process.
fn next() -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    static TURN: AtomicU16 = AtomicU16::new(0);
    TURN.fetch_add(1, Ordering::Relaxed).wrapping_mul(37) % 9_000
}
