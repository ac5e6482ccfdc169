//! Requests from the host's side.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// One HTTP GET on a fresh connection; the whole answer.
///
/// # Errors
/// The connection's.
pub fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let limit = Duration::from_secs(10);
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The body of a GET that must succeed.
#[track_caller]
pub fn page(address: &str) -> String {
    let parsed = address.parse().expect("an address");
    let answer = get(parsed, "/").unwrap_or_else(|error| panic!("GET {address}: {error}"));
    assert!(answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.0 200"), "{answer}");
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}
