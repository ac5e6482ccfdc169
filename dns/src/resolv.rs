//! `resolv.conf`: the host's is read, a container's is written. No files are touched but by
//! [`HostServers`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Where the name server stands as seen from inside a container.
pub const OWN_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));

const PORT: u16 = 53;
/// How often, at most, the host's file is looked at.
const RECHECK: Duration = Duration::from_secs(1);

/// What a `resolv.conf` says, by the rules of resolv.conf(5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvConf {
    /// Servers in order, with the scope of a link-local address where it has one.
    pub nameservers: Vec<SocketAddr>,
    /// The search list; of several `search` or `domain` lines the last counts.
    pub search: Vec<String>,
    /// All options, in order.
    pub options: Vec<String>,
}

impl ResolvConf {
    /// Reads a file's text. `scope_of` gives an interface's index, for servers such as
    /// `fe80::1%eth0`; a server that cannot be understood is passed over, as the C library does.
    pub fn parse(text: &str, scope_of: impl Fn(&str) -> Option<u32>) -> Self {
        let mut conf = Self::default();
        for line in text.lines() {
            // A comment starts the line; behind a value it would be part of it for glibc, and is
            // none for musl.
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    conf.nameservers
                        .extend(words.next().and_then(|w| server(w, &scope_of)));
                }
                Some("search" | "domain") => conf.search = words.map(str::to_owned).collect(),
                Some("options") => conf.options.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        conf
    }

    /// The servers to ask: those named or, as resolv.conf(5) has it, the local machine when none
    /// is.
    #[must_use]
    pub fn upstreams(&self) -> Vec<SocketAddr> {
        match self.nameservers.is_empty() {
            true => vec![SocketAddr::from(([127, 0, 0, 1], PORT))],
            false => self.nameservers.clone(),
        }
    }

    /// Whether somebody counts on names of one label being asked of these servers.
    #[must_use]
    pub fn expects_single_labels(&self) -> bool {
        !self.search.is_empty()
            || self
                .options
                .iter()
                .any(|option| option.starts_with("ndots:"))
    }

    /// The text of a container's file: our own server, and `ndots:0` unless an option says
    /// otherwise, so that a bare service name is tried before any search domain. A search list of
    /// `.` is how Docker spells "none".
    #[must_use]
    pub fn for_container(search: &[String], options: &[String]) -> String {
        let mut text = format!("nameserver {OWN_ADDRESS}\n");
        if !search.is_empty() && search != ["."] {
            text.push_str(&format!("search {}\n", search.join(" ")));
        }
        let mut options = options.to_vec();
        if !options.iter().any(|option| option.starts_with("ndots:")) {
            options.push("ndots:0".to_owned());
        }
        text.push_str(&format!("options {}\n", options.join(" ")));
        text
    }
}

/// The `dns:` servers of a container as upstreams: our own address would ask us again without end,
/// and is dropped.
#[must_use]
pub fn container_upstreams(servers: &[IpAddr]) -> Vec<SocketAddr> {
    let foreign = servers.iter().filter(|server| **server != OWN_ADDRESS);
    foreign
        .map(|server| SocketAddr::new(*server, PORT))
        .collect()
}

fn server(word: &str, scope_of: impl Fn(&str) -> Option<u32>) -> Option<SocketAddr> {
    let (address, scope) = match word.split_once('%') {
        Some((address, scope)) => (address, scope.parse().ok().or_else(|| scope_of(scope))?),
        None => (word, 0),
    };
    Some(match address.parse().ok()? {
        IpAddr::V4(v4) => SocketAddr::from((v4, PORT)),
        IpAddr::V6(v6) => SocketAddrV6::new(v6, PORT, 0, scope).into(),
    })
}

/// The host's servers, re-read when its file changes: a laptop that joins a VPN does not restart
/// its containers.
///
/// The file is looked at when a query is about to be relayed, at most once a second. That needs no
/// watch on the file, on the symbolic link it often is, and on the link's target.
#[derive(Debug)]
pub struct HostServers {
    path: PathBuf,
    state: Mutex<Option<Read>>,
}

#[derive(Debug)]
struct Read {
    checked: Instant,
    version: Option<Version>,
    conf: ResolvConf,
}

/// Device, inode, size and modification time: what tells one version of a file from the next.
type Version = (u64, u64, u64, i64, i64);

impl HostServers {
    /// Servers of the file at `path`, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            state: Mutex::new(None),
        }
    }

    /// What the file says now.
    pub fn conf(&self) -> ResolvConf {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = state.as_mut() {
            if now.duration_since(read.checked) < RECHECK {
                return read.conf.clone();
            }
            read.checked = now;
            if read.version == version(&self.path) {
                return read.conf.clone();
            }
        }
        let version = version(&self.path);
        let conf = ResolvConf::parse(
            &std::fs::read_to_string(&self.path).unwrap_or_default(),
            interface_index,
        );
        state
            .insert(Read {
                checked: now,
                version,
                conf,
            })
            .conf
            .clone()
    }
}

fn version(path: &Path) -> Option<Version> {
    let meta = std::fs::metadata(path).ok()?;
    Some((
        meta.dev(),
        meta.ino(),
        meta.size(),
        meta.mtime(),
        meta.mtime_nsec(),
    ))
}

fn interface_index(name: &str) -> Option<u32> {
    if name.contains('/') {
        return None;
    }
    let text = std::fs::read_to_string(Path::new("/sys/class/net").join(name).join("ifindex"));
    text.ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> ResolvConf {
        ResolvConf::parse(text, |name| (name == "eth0").then_some(7))
    }

    #[test]
    fn the_last_search_line_counts_and_options_add_up() {
        let conf = parse(
            "# made by hand\nnameserver 192.0.2.1 # first\nnameserver\t2001:db8::1\nsearch a.example\n\
             domain b.example\noptions ndots:2 rotate\n; old\noptions edns0\nnameserver nonsense\n",
        );
        let servers: Vec<_> = conf.nameservers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.1:53", "[2001:db8::1]:53"]);
        assert_eq!(conf.search, ["b.example"]);
        assert_eq!(conf.options, ["ndots:2", "rotate", "edns0"]);
        assert!(conf.expects_single_labels());
    }

    #[test]
    fn a_link_local_server_keeps_its_interface() {
        let conf =
            parse("nameserver fe80::1%eth0\nnameserver fe80::2%3\nnameserver fe80::3%none\n");
        let scopes = conf.nameservers.iter().map(|server| match server {
            SocketAddr::V6(v6) => v6.scope_id(),
            SocketAddr::V4(_) => 0,
        });
        assert_eq!(scopes.collect::<Vec<_>>(), [7, 3]);
    }

    #[test]
    fn no_server_means_the_local_machine() {
        assert_eq!(parse("").upstreams(), ["127.0.0.1:53".parse().unwrap()]);
        assert!(!parse("").expects_single_labels());
    }

    #[test]
    fn a_container_gets_one_server_and_ndots() {
        assert_eq!(
            ResolvConf::for_container(&[], &["edns0".into()]),
            "nameserver 127.0.0.11\noptions edns0 ndots:0\n"
        );
        assert_eq!(
            ResolvConf::for_container(&["a.example".into(), "b".into()], &["ndots:3".into()]),
            "nameserver 127.0.0.11\nsearch a.example b\noptions ndots:3\n"
        );
        assert!(!ResolvConf::for_container(&[".".into()], &[]).contains("search"));
    }

    #[test]
    fn our_own_address_is_no_upstream() {
        let servers = container_upstreams(&[OWN_ADDRESS, IpAddr::from([192, 0, 2, 1])]);
        assert_eq!(servers, ["192.0.2.1:53".parse().unwrap()]);
    }

    #[test]
    fn the_hosts_file_is_read_again_when_it_changes() {
        let path = std::env::temp_dir().join(format!("bowline-dns-resolv-{}", std::process::id()));
        std::fs::write(&path, "nameserver 192.0.2.1\n").unwrap();
        let servers = HostServers::new(&path);
        let first = servers.conf();
        std::fs::write(&path, "nameserver 192.0.2.22\n").unwrap();
        assert_eq!(
            servers.conf(),
            first,
            "looked at no more than once a second"
        );
        let mut state = servers.state.lock().unwrap();
        state.as_mut().unwrap().checked = Instant::now().checked_sub(RECHECK).unwrap();
        drop(state);
        assert_eq!(
            servers.conf().nameservers,
            ["192.0.2.22:53".parse().unwrap()]
        );
        std::fs::remove_file(&path).unwrap();
    }
}
