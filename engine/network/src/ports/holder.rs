//! Who has a port: from the address to the socket's inode, from there to the process that has it open.

use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use crate::model::Proto;

/// A process that holds a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its id.
    pub pid: u32,
    /// The name of its program.
    pub command: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`, pid {}", self.command, self.pid)
    }
}

/// Looks for the holder in the calling thread's namespace.
pub(super) fn find(proto: Proto, wanted: SocketAddr) -> Option<Holder> {
    // An IPv6 socket that takes IPv4 as well is only listed among the IPv6 ones.
    let inodes: Vec<_> = ["", "6"]
        .iter()
        .filter_map(|family| {
            fs::read_to_string(format!("/proc/thread-self/net/{proto}{family}")).ok()
        })
        .flat_map(|table| sockets(&table, proto, wanted))
        .collect();
    let mut processes: Vec<_> = fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .collect();
    // The lowest pid is most often the parent, which is the name people know.
    processes.sort_unstable();
    let pid = processes.into_iter().find(|pid| has_open(*pid, &inodes))?;
    Some(Holder {
        pid,
        command: command(pid),
    })
}

fn sockets(table: &str, proto: Proto, wanted: SocketAddr) -> Vec<String> {
    const LISTEN: &str = "0A";
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut columns = line.split_whitespace();
            let local = address(columns.nth(1)?)?;
            let state = columns.nth(1)?;
            let inode = columns.nth(5)?;
            let bound = proto == Proto::Udp || state == LISTEN;
            (bound && inode != "0" && collide(local, wanted)).then(|| format!("socket:[{inode}]"))
        })
        .collect()
}

fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let everything = |ip: IpAddr| ip.is_unspecified();
    a.port() == b.port() && (a.ip() == b.ip() || everything(a.ip()) || everything(b.ip()))
}

/// `0100007F:1F90`: 32-bit words in host byte order, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::with_capacity(16);
    for word in ip.as_bytes().chunks(8) {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    let ip = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(v4) => IpAddr::V4(Ipv4Addr::from(v4)),
        Err(_) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    };
    Some(SocketAddr::new(ip, port))
}

fn has_open(pid: u32, inodes: &[String]) -> bool {
    let Ok(fds) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    fds.flatten().any(|fd| {
        fs::read_link(fd.path()).is_ok_and(|link| {
            inodes
                .iter()
                .any(|inode| link.as_os_str() == inode.as_str())
        })
    })
}

fn command(pid: u32) -> String {
    let argv = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let first = argv.split(|byte| *byte == 0).next().unwrap_or_default();
    // Servers overwrite their title ("nginx: master process ..."), so the first word of the first argument counts.
    let first = String::from_utf8_lossy(first);
    let word = first
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .trim_end_matches(':');
    match Path::new(word).file_name() {
        Some(name) => name.to_string_lossy().into_owned(),
        None => fs::read_to_string(format!("/proc/{pid}/comm"))
            .map_or("?".to_owned(), |s| s.trim().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_procfs_are_read() {
        assert_eq!(
            address("0100007F:1F90"),
            Some("127.0.0.1:8080".parse().unwrap())
        );
        assert_eq!(
            address("00000000000000000000000001000000:0050"),
            Some("[::1]:80".parse().unwrap())
        );
        assert_eq!(address("xyz"), None);
    }

    #[test]
    fn a_port_of_this_process_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let wanted = SocketAddr::from(([0, 0, 0, 0], listener.local_addr().unwrap().port()));
        assert_eq!(find(Proto::Tcp, wanted).unwrap().pid, std::process::id());
        assert_eq!(find(Proto::Udp, wanted), None);
    }
}
