//! Verbs that reach out to others.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use crate::http::fetch;
use crate::resolve::Resolver;
use crate::words::{Fault, OrFail, Outcome, Words};
use crate::work::seconds;

const PATIENCE: Duration = Duration::from_secs(5);

/// Connects to the first address of `host` that answers.
pub(crate) fn connect_to(host: &str, port: u16, patience: Duration) -> Result<TcpStream, Fault> {
    let mut failure = Fault::Failed(format!("`{host}` has no address"));
    for address in Resolver::read().addresses(host)? {
        let address = SocketAddr::from((address, port));
        let stream = TcpStream::connect_timeout(&address, patience);
        match stream.or_fail(format!("cannot connect to {host} at {address}")) {
            Ok(stream) => return Ok(stream),
            Err(fault) => failure = fault,
        }
    }
    Err(failure)
}

/// `connect`: over UDP it takes an answer to know that somebody is there, so something is sent.
pub(crate) fn connect(mut words: Words) -> Outcome {
    let patience = seconds(&mut words, "--timeout")?.unwrap_or(PATIENCE);
    let text = words.option("--send")?;
    let udp = words.flag("--udp");
    let host = words.next("HOST")?;
    let port = words.next_parsed("PORT")?;
    words.end()?;
    if udp {
        return connect_udp(
            &host,
            port,
            &text.unwrap_or_else(|| "hello".into()),
            patience,
        );
    }
    let mut stream = connect_to(&host, port, patience)?;
    let peer = stream.peer_addr().or_fail("connection lost")?;
    println!("connected to {peer}");
    if let Some(text) = text {
        let answer =
            talk(&mut stream, &text, patience).or_fail(format!("no answer from {peer}"))?;
        println!("{answer}");
    }
    Ok(0)
}

fn talk(stream: &mut TcpStream, text: &str, patience: Duration) -> io::Result<String> {
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(text.as_bytes())?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn connect_udp(host: &str, port: u16, text: &str, patience: Duration) -> Outcome {
    let mut failure = Fault::Failed(format!("`{host}` has no address"));
    for address in Resolver::read().addresses(host)? {
        let answer = talk_udp(address, port, text, patience);
        match answer.or_fail(format!("no answer from {host} at {address}")) {
            Ok(answer) => {
                println!("answer from {address}\n{answer}");
                return Ok(0);
            }
            Err(fault) => failure = fault,
        }
    }
    Err(failure)
}

fn talk_udp(address: IpAddr, port: u16, text: &str, patience: Duration) -> io::Result<String> {
    let local: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((local, 0))?;
    socket.connect((address, port))?;
    socket.set_read_timeout(Some(patience))?;
    socket.send(text.as_bytes())?;
    let mut buffer = vec![0; 1 << 16];
    let length = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

/// `wget`: the body to standard output; exit 1 unless the status is 2xx.
pub(crate) fn wget(mut words: Words) -> Outcome {
    let patience = seconds(&mut words, "--timeout")?.unwrap_or(PATIENCE);
    let post = words.option("--post")?;
    let url = words.next("URL")?;
    words.end()?;
    let (status, body) = fetch(&url, post.as_deref(), patience)?;
    io::stdout().write_all(&body).or_fail("cannot print")?;
    match status {
        200..300 => Ok(0),
        status => Err(Fault::Failed(format!("{url} answers {status}"))),
    }
}

pub(crate) fn healthy(mut words: Words) -> Outcome {
    let target = words.next("FILE or URL")?;
    words.end()?;
    if !target.starts_with("http://") {
        return match Path::new(&target).exists() {
            true => Ok(0),
            false => Err(Fault::Failed(format!("there is no `{target}`"))),
        };
    }
    match fetch(&target, None, PATIENCE)? {
        (200..300, _) => Ok(0),
        (status, _) => Err(Fault::Failed(format!("{target} answers {status}"))),
    }
}
