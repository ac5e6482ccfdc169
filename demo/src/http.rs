//! As much HTTP/1.1 as the guest needs, on both sides: one request per connection, bodies by
//! length, and forgiving about how others write it.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::net::connect_to;
use crate::words::{Fault, OrFail, Outcome};

const LONGEST_HEAD: u64 = 16 << 10;
const LONGEST_BODY: u64 = 4 << 20;
const IDLE: Duration = Duration::from_secs(10);
/// Connections served at once; beyond that, a visitor is told to come again.
const VISITORS: usize = 256;

/// What a client asked for.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Without the query.
    pub(crate) path: String,
    pub(crate) accept: String,
}

/// What it gets.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn text(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            kind: "text/plain; charset=utf-8",
            body: body.into(),
        }
    }
}

/// Serves `port` on all addresses until the process ends.
pub(crate) fn serve(
    port: u16,
    answer: impl Fn(&Request) -> Response + Send + Sync + 'static,
) -> Outcome {
    let listener = listen(port).or_fail(format!("cannot listen on port {port}"))?;
    println!("listening on port {port}");
    let answer = Arc::new(answer);
    let visitors = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        // A client that left while it queued is no reason to stop.
        let Ok(stream) = stream else { continue };
        if visitors.fetch_add(1, Ordering::Relaxed) >= VISITORS {
            drop(write_response(
                &stream,
                &Response::text(503, "too many visitors\n"),
            ));
            visitors.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let (answer, visitors) = (Arc::clone(&answer), Arc::clone(&visitors));
        thread::spawn(move || {
            drop(serve_one(&stream, &*answer));
            visitors.fetch_sub(1, Ordering::Relaxed);
        });
    }
    Ok(0)
}

/// Listens for both families, or for IPv4 alone where the kernel has no other.
pub(crate) fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).or_else(|error| match error.kind() {
        ErrorKind::AddrInUse => Err(error),
        _ => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)),
    })
}

fn serve_one(stream: &TcpStream, answer: &dyn Fn(&Request) -> Response) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    let response = match read_request(stream) {
        Ok(request) => answer(&request),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            Response::text(400, format!("{error}\n"))
        }
        Err(error) => return Err(error),
    };
    write_response(stream, &response)?;
    // Closing with unread bytes would reset the connection and lose the answer on its way.
    stream.shutdown(std::net::Shutdown::Write)?;
    io::copy(&mut stream.take(LONGEST_BODY), &mut io::sink()).map(drop)
}

fn read_request(stream: &TcpStream) -> io::Result<Request> {
    let mut reader = BufReader::new(stream);
    let (first, headers) = read_head(&mut reader)?;
    let mut words = first.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(io::Error::new(ErrorKind::InvalidData, "this is no request"));
    };
    let length = headers.length().unwrap_or(0).min(LONGEST_BODY);
    io::copy(&mut reader.take(length), &mut io::sink())?;
    Ok(Request {
        method: method.to_ascii_uppercase(),
        path: target.split('?').next().unwrap_or_default().to_owned(),
        accept: headers.get("accept").unwrap_or_default().to_owned(),
    })
}

fn write_response(mut stream: &TcpStream, response: &Response) -> io::Result<()> {
    let Response { status, kind, body } = response;
    let reason = match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        _ => "Service Unavailable",
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())
}

/// Header fields in order, their names in lower case.
#[derive(Debug)]
struct Headers(Vec<(String, String)>);

impl Headers {
    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    fn length(&self) -> Option<u64> {
        self.get("content-length")?.parse().ok()
    }

    fn is_chunked(&self) -> bool {
        self.get("transfer-encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    }
}

/// The first line and the headers. Lines may end without a carriage return, and empty ones before
/// the first are skipped, as RFC 9112 §2.2 advises.
fn read_head(reader: &mut impl BufRead) -> io::Result<(String, Headers)> {
    let mut head = reader.take(LONGEST_HEAD);
    let mut first = String::new();
    let mut headers = Vec::new();
    loop {
        let mut line = Vec::new();
        if head.read_until(b'\n', &mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        match (first.is_empty(), line.is_empty()) {
            (true, true) => {}
            (true, false) => first = line.to_owned(),
            (false, true) => return Ok((first, Headers(headers))),
            (false, false) => {
                let (key, value) = line.split_once(':').unwrap_or((line, ""));
                headers.push((key.trim().to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
    }
}

/// An `http://` address, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Url {
    host: String,
    port: u16,
    path: String,
}

impl Url {
    fn parse(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("http://").unwrap_or(url);
        let split = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(split);
        // The last colon separates the port, unless it is one of an IPv6 address in brackets.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
            _ => (authority, 80),
        };
        let path = if path.is_empty() { "/" } else { path };
        let known = !host.is_empty() && !url.starts_with("https:");
        known.then(|| Self {
            host: host.to_owned(),
            port,
            path: path.to_owned(),
        })
    }
}

/// Asks for a page: with `post`, sends that. Returns the status and the body.
pub(crate) fn fetch(
    url: &str,
    post: Option<&str>,
    patience: Duration,
) -> Result<(u16, Vec<u8>), Fault> {
    let Some(target) = Url::parse(url) else {
        return Err(Fault::Usage(format!(
            "not a URL of the form http://HOST[:PORT]/PATH: `{url}`"
        )));
    };
    let stream = connect_to(&target.host, target.port, patience)?;
    exchange(&stream, &target, post, patience).or_fail(format!("no answer from {url}"))
}

fn exchange(
    mut stream: &TcpStream,
    target: &Url,
    post: Option<&str>,
    patience: Duration,
) -> io::Result<(u16, Vec<u8>)> {
    stream.set_read_timeout(Some(patience))?;
    let method = if post.is_some() { "POST" } else { "GET" };
    let body = post.unwrap_or_default();
    let Url { host, port, path } = target;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: */*\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut reader = BufReader::new(stream);
    let (first, headers) = read_head(&mut reader)?;
    let status = first
        .split_whitespace()
        .nth(1)
        .and_then(|code| code.parse().ok());
    let status = status.ok_or(ErrorKind::InvalidData)?;
    Ok((status, read_body(reader, &headers)?))
}

fn read_body(mut reader: impl BufRead, headers: &Headers) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if headers.is_chunked() {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size)?;
            let size = size.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(|_| ErrorKind::InvalidData)?;
            if size == 0 {
                return Ok(body);
            }
            (&mut reader).take(size).read_to_end(&mut body)?;
            reader.read_line(&mut String::new())?;
        }
    }
    let length = headers.length().unwrap_or(u64::MAX);
    reader.take(length).read_to_end(&mut body)?;
    if length != u64::MAX && u64::try_from(body.len()).is_ok_and(|got| got < length) {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(host: &str, port: u16, path: &str) -> Option<Url> {
        Some(Url {
            host: host.into(),
            port,
            path: path.into(),
        })
    }

    #[test]
    fn urls_are_taken_apart() {
        assert_eq!(
            Url::parse("http://counter:9000/x?y"),
            url("counter", 9000, "/x?y")
        );
        assert_eq!(Url::parse("http://web"), url("web", 80, "/"));
        assert_eq!(Url::parse("http://[::1]:8080/"), url("[::1]", 8080, "/"));
        assert_eq!(Url::parse("http://[::1]/"), url("[::1]", 80, "/"));
        assert_eq!(Url::parse("https://web/"), None);
        assert_eq!(Url::parse("http://web:x/"), None);
    }

    #[test]
    fn heads_without_carriage_returns_are_read() {
        let mut head = "\nGET /  HTTP/1.0\nACCEPT:text/html\n\nrest".as_bytes();
        let (first, headers) = read_head(&mut head).unwrap();
        assert_eq!(first, "GET /  HTTP/1.0");
        assert_eq!(headers.get("accept"), Some("text/html"));
        assert!(read_head(&mut "GET / HTTP".as_bytes()).is_err());
    }

    #[test]
    fn bodies_are_read_by_length_by_chunk_or_to_the_end() {
        let headers = |key: &str, value: &str| Headers(vec![(key.into(), value.into())]);
        let read = |body: &str, headers: &Headers| read_body(body.as_bytes(), headers);
        assert_eq!(
            read("abcdef", &headers("content-length", "3")).unwrap(),
            b"abc"
        );
        assert!(read("ab", &headers("content-length", "3")).is_err());
        let chunked = headers("transfer-encoding", "chunked");
        assert_eq!(
            read("2\r\nab\r\n1;x\r\nc\r\n0\r\n\r\n", &chunked).unwrap(),
            b"abc"
        );
        assert_eq!(read("all", &Headers(Vec::new())).unwrap(), b"all");
    }
}
