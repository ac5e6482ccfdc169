//! From a host name to addresses: `/etc/hosts` first, then the servers of `/etc/resolv.conf`, with
//! its search list and `ndots`.

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::dns;
use crate::words::Fault;

const ATTEMPTS: usize = 2;
const PATIENCE: Duration = Duration::from_secs(3);
const TYPES: [u16; 2] = [1, 28];
const NO_ERROR: u8 = 0;
const NO_SUCH_NAME: u8 = 3;

/// What `/etc/hosts` and `/etc/resolv.conf` say.
#[derive(Debug)]
pub(crate) struct Resolver {
    hosts: Vec<(IpAddr, Vec<String>)>,
    pub(crate) servers: Vec<SocketAddr>,
    search: Vec<String>,
    ndots: usize,
}

impl Resolver {
    /// Reads both files anew: a container's names may change while it runs.
    pub(crate) fn read() -> Self {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        Self::parse(&text("/etc/hosts"), &text("/etc/resolv.conf"))
    }

    fn parse(hosts: &str, conf: &str) -> Self {
        let mut resolver = Self {
            hosts: Vec::new(),
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
        };
        for line in hosts.lines() {
            let mut words = line
                .split('#')
                .next()
                .unwrap_or_default()
                .split_whitespace();
            if let Some(Ok(address)) = words.next().map(str::parse) {
                resolver
                    .hosts
                    .push((address, words.map(str::to_lowercase).collect()));
            }
        }
        for line in conf.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    resolver
                        .servers
                        .extend(address.map(|address| SocketAddr::from((address, 53))));
                }
                Some("search") => resolver.search = words.map(str::to_owned).collect(),
                Some("options") => {
                    let mut ndots = words.filter_map(|word| word.strip_prefix("ndots:"));
                    let ndots = ndots.next_back().and_then(|number| number.parse().ok());
                    resolver.ndots = ndots.unwrap_or(resolver.ndots);
                }
                _ => {}
            }
        }
        if resolver.servers.is_empty() {
            resolver.servers.push((Ipv4Addr::LOCALHOST, 53).into());
        }
        resolver
    }

    /// All addresses of `name`, IPv4 first.
    pub(crate) fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, Fault> {
        if let Ok(address) = name.trim_matches(['[', ']']).parse() {
            return Ok(vec![address]);
        }
        let known = self.known(name);
        if !known.is_empty() {
            return Ok(known);
        }
        for candidate in self.candidates(name) {
            let found = self.ask(&candidate)?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Err(Fault::Failed(format!("no host is called `{name}`")))
    }

    fn known(&self, name: &str) -> Vec<IpAddr> {
        let name = name.to_lowercase();
        let known = self.hosts.iter().filter(|(_, names)| names.contains(&name));
        known.map(|(address, _)| *address).collect()
    }

    /// The names to try: as given first if it has at least `ndots` dots, else last.
    fn candidates(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let mut names: Vec<_> = self
            .search
            .iter()
            .map(|domain| format!("{name}.{domain}"))
            .collect();
        let first = name.matches('.').count() >= self.ndots;
        let at = if first { 0 } else { names.len() };
        names.insert(at, name.to_owned());
        names
    }

    fn ask(&self, name: &str) -> Result<Vec<IpAddr>, Fault> {
        let mut found = Vec::new();
        for kind in TYPES {
            found.extend(self.ask_for(name, kind)?);
        }
        Ok(found)
    }

    fn ask_for(&self, name: &str, kind: u16) -> Result<Vec<IpAddr>, Fault> {
        let mut problem = String::new();
        for server in self
            .servers
            .iter()
            .cycle()
            .take(self.servers.len() * ATTEMPTS)
        {
            match dns::ask(*server, name, kind, PATIENCE) {
                Ok(answer) if matches!(answer.code, NO_ERROR | NO_SUCH_NAME) => {
                    return Ok(answer
                        .records
                        .iter()
                        .filter_map(dns::Record::address)
                        .collect());
                }
                Ok(answer) => problem = format!("{server} answers with error {}", answer.code),
                Err(error) => problem = format!("{server}: {error}"),
            }
        }
        Err(Fault::Failed(format!("cannot look up `{name}`: {problem}")))
    }
}

/// Some random bits: the standard library seeds its hash tables with them.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_come_first_and_ndots_decides_the_order() {
        let resolver = Resolver::parse(
            "127.0.0.1 localhost # me\n10.0.0.2 Web web.shop\n",
            "nameserver 127.0.0.11\nsearch a.example b.example\noptions edns0 ndots:0\n",
        );
        assert_eq!(
            resolver.addresses("web").unwrap(),
            [IpAddr::from([10, 0, 0, 2])]
        );
        assert_eq!(
            resolver.addresses("192.0.2.1").unwrap(),
            [IpAddr::from([192, 0, 2, 1])]
        );
        assert_eq!(
            resolver.candidates("db"),
            ["db", "db.a.example", "db.b.example"]
        );
        assert_eq!(resolver.candidates("db."), ["db."]);
        let plain = Resolver::parse("", "search a.example");
        assert_eq!(plain.candidates("db"), ["db.a.example", "db"]);
        assert_eq!(plain.servers, ["127.0.0.1:53".parse().unwrap()]);
    }
}
