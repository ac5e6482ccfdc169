//! A small DNS client: one question, read back record by record. Enough for looking names up and
//! for showing people and tests what a name server says.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use crate::resolve::{Resolver, random};
use crate::words::{Fault, OrFail, Outcome, Words};

/// Record types by name and number; others are given and shown as numbers.
const TYPES: [(&str, u16); 11] = [
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", 6),
    ("PTR", 12),
    ("MX", 15),
    ("TXT", 16),
    ("AAAA", 28),
    ("SRV", 33),
    ("HTTPS", 65),
    ("ANY", 255),
];
const CODES: [&str; 6] = [
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
];

const PATIENCE: Duration = Duration::from_secs(5);
const HEADER: usize = 12;
const TRUNCATED: u8 = 0x02;

/// What a server said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u8,
    pub(crate) truncated: bool,
    pub(crate) records: Vec<Record>,
}

/// A record of the answer section.
#[derive(Debug)]
pub(crate) struct Record {
    name: String,
    kind: u16,
    ttl: u32,
    data: Data,
}

#[derive(Debug)]
enum Data {
    Address(IpAddr),
    Name(String),
    Bytes(Vec<u8>),
}

impl Record {
    pub(crate) fn address(&self) -> Option<IpAddr> {
        match self.data {
            Data::Address(address) => Some(address),
            Data::Name(_) | Data::Bytes(_) => None,
        }
    }
}

/// `query`: prints the code and one line for each record of the answer; exit 0 when there is one.
pub(crate) fn query(mut words: Words) -> Outcome {
    let server = words.option("--server")?;
    let tcp = words.flag("--tcp");
    let name = words.next("NAME")?;
    let kind = words.maybe().unwrap_or_else(|| "A".to_owned());
    words.end()?;
    let kind = number(&kind)?;
    let name = match (kind, name.parse()) {
        (12, Ok(address)) => reverse_name(address),
        _ => name,
    };
    let servers = match server {
        Some(server) => vec![address(&server)?],
        None => Resolver::read().servers,
    };
    let answer = ask_any(&servers, &name, kind, tcp)?;
    let truncated = if answer.truncated { " (truncated)" } else { "" };
    let code = CODES
        .get(usize::from(answer.code))
        .copied()
        .unwrap_or("other error");
    println!("{code}{truncated}");
    answer
        .records
        .iter()
        .for_each(|record| println!("{record}"));
    Ok(if answer.records.is_empty() { 1 } else { 0 })
}

fn ask_any(servers: &[SocketAddr], name: &str, kind: u16, tcp: bool) -> Result<Answer, Fault> {
    let mut failure = Fault::Failed("no name server is configured".to_owned());
    for server in servers {
        let answer = match tcp {
            true => ask_tcp(*server, name, kind),
            false => ask(*server, name, kind, PATIENCE),
        };
        match answer.or_fail(format!("no answer from {server}")) {
            Ok(answer) => return Ok(answer),
            Err(fault) => failure = fault,
        }
    }
    Err(failure)
}

fn number(kind: &str) -> Result<u16, Fault> {
    let known = TYPES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(kind));
    let digits = kind.strip_prefix("TYPE").unwrap_or(kind);
    let number = known
        .map(|(_, number)| *number)
        .or_else(|| digits.parse().ok());
    number.ok_or_else(|| Fault::Usage(format!("no record type `{kind}`")))
}

fn address(text: &str) -> Result<SocketAddr, Fault> {
    let whole = text.parse::<SocketAddr>();
    let bare = text.parse::<IpAddr>().map(|address| (address, 53).into());
    whole
        .or(bare)
        .map_err(|_| Fault::Usage(format!("no address: `{text}`")))
}

fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let octets = v6.octets().into_iter().rev();
            let nibbles = octets.map(|octet| format!("{:x}.{:x}.", octet & 15, octet >> 4));
            format!("{}ip6.arpa", nibbles.collect::<String>())
        }
    }
}

/// Asks over UDP, and over TCP when the answer did not fit.
pub(crate) fn ask(
    server: SocketAddr,
    name: &str,
    kind: u16,
    patience: Duration,
) -> io::Result<Answer> {
    let question = encode(name, kind)?;
    let local: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((local, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(patience))?;
    socket.send(&question)?;
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer)?;
        if buffer[..length].get(..2) == Some(&question[..2]) {
            let answer = decode(&buffer[..length])?;
            return if answer.truncated {
                ask_tcp(server, name, kind)
            } else {
                Ok(answer)
            };
        }
    }
}

fn ask_tcp(server: SocketAddr, name: &str, kind: u16) -> io::Result<Answer> {
    let question = encode(name, kind)?;
    let length = u16::try_from(question.len()).map_err(|_| ErrorKind::InvalidInput)?;
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&[&length.to_be_bytes()[..], &question].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut wire = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut wire)?;
    decode(&wire)
}

fn encode(name: &str, kind: u16) -> io::Result<Vec<u8>> {
    // A random id, recursion wanted, one question.
    let mut wire = random().to_be_bytes()[..2].to_vec();
    wire.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name
        .trim_end_matches('.')
        .split('.')
        .filter(|_| name != ".")
    {
        let length = u8::try_from(label.len())
            .ok()
            .filter(|length| (1..64).contains(length));
        wire.push(length.ok_or(io::Error::new(ErrorKind::InvalidInput, "not a host name"))?);
        wire.extend(label.as_bytes());
    }
    wire.push(0);
    wire.extend(kind.to_be_bytes());
    wire.extend([0, 1]);
    Ok(wire)
}

fn decode(wire: &[u8]) -> io::Result<Answer> {
    let garbled = || io::Error::new(ErrorKind::InvalidData, "the answer cannot be read");
    read_answer(wire).ok_or_else(garbled)
}

fn read_answer(wire: &[u8]) -> Option<Answer> {
    let (flags, code) = (*wire.get(2)?, *wire.get(3)? & 15);
    let mut at = HEADER;
    for _ in 0..u16_at(wire, 4)? {
        at = read_name(wire, at)?.1 + 4;
    }
    let mut records = Vec::new();
    for _ in 0..u16_at(wire, 6)? {
        let (record, end) = read_record(wire, at)?;
        records.push(record);
        at = end;
    }
    Some(Answer {
        code,
        truncated: flags & TRUNCATED != 0,
        records,
    })
}

fn read_record(wire: &[u8], at: usize) -> Option<(Record, usize)> {
    let (name, at) = read_name(wire, at)?;
    let kind = u16_at(wire, at)?;
    let ttl = u32::from_be_bytes(wire.get(at + 4..at + 8)?.try_into().ok()?);
    let start = at + 10;
    let end = start + usize::from(u16_at(wire, at + 8)?);
    let bytes = wire.get(start..end)?;
    let data = match kind {
        1 => Data::Address(<[u8; 4]>::try_from(bytes).ok()?.into()),
        28 => Data::Address(<[u8; 16]>::try_from(bytes).ok()?.into()),
        2 | 5 | 12 => Data::Name(read_name(wire, start)?.0),
        _ => Data::Bytes(bytes.to_vec()),
    };
    Some((
        Record {
            name,
            kind,
            ttl,
            data,
        },
        end,
    ))
}

/// A name and where it ends. Compression points backwards, and each step is counted, so that a
/// hostile loop ends.
fn read_name(wire: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels: Vec<String> = Vec::new();
    let mut end = None;
    for _ in 0..128 {
        let length = usize::from(*wire.get(at)?);
        match length {
            0 => return Some((labels.join("."), end.unwrap_or(at + 1))),
            1..64 => {
                let label = wire.get(at + 1..at + 1 + length)?;
                labels.push(String::from_utf8_lossy(label).into_owned());
                at += 1 + length;
            }
            _ => {
                end.get_or_insert(at + 2);
                at = usize::from(u16_at(wire, at)? & 0x3fff);
            }
        }
    }
    None
}

fn u16_at(wire: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(wire.get(at..at + 2)?.try_into().ok()?))
}

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = TYPES.iter().find(|(_, number)| *number == self.kind);
        let kind = known.map_or_else(|| format!("TYPE{}", self.kind), |(name, _)| (*name).into());
        write!(f, "{} {} {kind} ", self.name, self.ttl)?;
        match &self.data {
            Data::Address(address) => write!(f, "{address}"),
            Data::Name(name) => f.write_str(name),
            Data::Bytes(bytes) => write!(f, "{}", bytes.escape_ascii()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_with_compressed_names_is_read() {
        let mut wire = encode("web.shop", 1).unwrap();
        wire[2] |= 0x80;
        wire[7] = 2;
        wire.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 0, 0, 2]);
        wire.extend([0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 9, 0, 4, 1, b'x', 0xc0, 16]);
        let answer = decode(&wire).unwrap();
        assert_eq!(answer.records[0].to_string(), "web.shop 9 A 10.0.0.2");
        assert_eq!(answer.records[1].to_string(), "web.shop 9 PTR x.shop");
        assert_eq!(
            answer.records[0].address(),
            Some(IpAddr::from([10, 0, 0, 2]))
        );
    }

    #[test]
    fn garbage_ends_in_an_error() {
        assert!(decode(&[]).is_err());
        let mut looping = encode("a", 1).unwrap();
        looping.truncate(HEADER);
        looping.extend([0xc0, 12]);
        assert!(decode(&looping).is_err());
    }

    #[test]
    fn reverse_names_are_spelt_backwards() {
        assert_eq!(reverse_name([10, 0, 0, 2].into()), "2.0.0.10.in-addr.arpa");
        assert!(reverse_name("fd00::2".parse().unwrap()).starts_with("2.0.0."));
        assert!(encode(&"x".repeat(64), 1).is_err());
        assert!(encode(".", 2).is_ok());
    }
}
