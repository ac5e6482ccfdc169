//! What one container may see: the names it was given and where other questions go.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use crate::resolv::HostServers;

/// Names that mean the host, as Docker Desktop, Docker's build and Podman spell them.
const HOST_NAMES: [&str; 3] = [
    "host.docker.internal",
    "gateway.docker.internal",
    "host.containers.internal",
];

/// Everything the name server knows on behalf of one container.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Own names, lower-case, without the final dot: container, service, alias, short id, hostname,
    /// and the qualified forms `name.network` and `service.project`. Where two projects share a
    /// network, whoever builds the view decides which of them a bare name means.
    pub names: HashMap<String, Records>,
    /// Own addresses and the one name that each is known by.
    pub ptr: HashMap<IpAddr, String>,
    /// Where questions about other names go.
    pub forward: Forward,
    /// Addresses that `host.docker.internal` and its relatives answer; empty where the host must
    /// not be reachable.
    pub host_gateway: Records,
    /// Names of the container's networks and of its project: an unknown name below one of them does
    /// not exist, and is never asked of anybody else. See [`View::is_own_suffix`] for the
    /// exception.
    pub network_names: Vec<String>,
    /// Whether unknown names of one label are relayed. Only a host with a search list, or a user
    /// who set `ndots`, expects an answer to them; elsewhere they are typing errors that would leak
    /// and be slow.
    pub forward_single_labels: bool,
}

/// Addresses of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// Answers to A.
    pub v4: Vec<Ipv4Addr>,
    /// Answers to AAAA.
    pub v6: Vec<Ipv6Addr>,
}

/// Where questions go that the view does not answer.
#[derive(Clone, Debug, Default)]
pub enum Forward {
    /// To these servers, in this order (a container with `dns:` of its own).
    Upstreams(Vec<SocketAddr>),
    /// To the host's servers, whatever its resolv.conf names at that moment.
    Host(Arc<HostServers>),
    /// Nowhere: the container is on internal networks only, and what we do not know does not exist.
    #[default]
    None,
}

/// What the view says about a name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Known<'a> {
    Addresses(&'a Records),
    Pointer(&'a str),
    /// The name exists, and has no data of any type.
    Empty,
    Nonexistent,
    /// Somebody else's.
    Foreign,
}

impl View {
    /// Looks up `name`, lower-case and without the final dot.
    ///
    /// `infrastructure` says that the question is about a zone, not a host (NS, SOA, DS, DNSKEY):
    /// those are asked of top-level domains by validating resolvers and are no typing errors.
    pub(crate) fn find(&self, name: &str, infrastructure: bool) -> Known<'_> {
        if let Some(records) = self.names.get(name) {
            return Known::Addresses(records);
        }
        if HOST_NAMES.contains(&name) {
            return match self.host_gateway.is_empty() {
                true => Known::Nonexistent,
                false => Known::Addresses(&self.host_gateway),
            };
        }
        if let Some(own) = arpa_address(name).and_then(|address| self.ptr.get(&address)) {
            return Known::Pointer(own);
        }
        if let Some(below) = self.below_own_suffix(name) {
            return if below {
                Known::Nonexistent
            } else {
                Known::Empty
            };
        }
        let lone = !name.is_empty() && !name.contains('.');
        if lone && !infrastructure && !self.forward_single_labels {
            return Known::Nonexistent;
        }
        match self.forward {
            Forward::None => Known::Nonexistent,
            Forward::Upstreams(_) | Forward::Host(_) => Known::Foreign,
        }
    }

    /// `Some(true)` for a name below one of our suffixes, `Some(false)` for the suffix itself.
    fn below_own_suffix(&self, name: &str) -> Option<bool> {
        self.network_names
            .iter()
            .filter(|suffix| Self::is_own_suffix(suffix))
            .find_map(|suffix| match name.strip_suffix(suffix.as_str())? {
                "" => Some(false),
                rest => rest.ends_with('.').then_some(true),
            })
    }

    /// Whether unknown names below `suffix` are ours to deny.
    ///
    /// A project in a folder called `app` or `dev` shares its name with a top-level domain, and
    /// denying everything below would cut the container off from it. Such a suffix, one whose last
    /// label could be a top-level domain (letters only, or `xn--`), answers for the names we know
    /// and lets the others pass. Compose's own network names hold an underscore, which no top-level
    /// domain does.
    #[must_use]
    pub fn is_own_suffix(suffix: &str) -> bool {
        let last = suffix.rsplit('.').next().unwrap_or_default();
        let public = last.bytes().all(|b| b.is_ascii_alphabetic()) || last.starts_with("xn--");
        !public
    }
}

impl Records {
    /// Whether there is no address at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Adds an address to its family.
    pub fn push(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.v4.push(address),
            IpAddr::V6(address) => self.v6.push(address),
        }
    }
}

impl FromIterator<IpAddr> for Records {
    fn from_iter<I: IntoIterator<Item = IpAddr>>(addresses: I) -> Self {
        let mut records = Self::default();
        addresses
            .into_iter()
            .for_each(|address| records.push(address));
        records
    }
}

impl From<IpAddr> for Records {
    fn from(address: IpAddr) -> Self {
        Self::from_iter([address])
    }
}

/// The address that a reverse name (`4.3.2.1.in-addr.arpa`, or 32 nibbles under `ip6.arpa`) stands
/// for.
fn arpa_address(name: &str) -> Option<IpAddr> {
    if let Some(octets) = name.strip_suffix(".in-addr.arpa") {
        let mut address = [0_u8; 4];
        let mut labels = octets.split('.');
        for octet in address.iter_mut().rev() {
            *octet = labels.next()?.parse().ok()?;
        }
        return labels.next().is_none().then(|| address.into());
    }
    let mut nibbles = name.strip_suffix(".ip6.arpa")?.split('.');
    let mut address = [0_u8; 16];
    for octet in address.iter_mut().rev() {
        let low = nibble(nibbles.next()?)?;
        let high = nibble(nibbles.next()?)?;
        *octet = high << 4 | low;
    }
    nibbles.next().is_none().then(|| address.into())
}

fn nibble(label: &str) -> Option<u8> {
    match label.len() {
        1 => u8::from_str_radix(label, 16).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> View {
        let web = Records::from(IpAddr::from([10, 0, 0, 2]));
        View {
            names: HashMap::from([("web".into(), web.clone()), ("web.app".into(), web)]),
            ptr: HashMap::from([
                (IpAddr::from([10, 0, 0, 2]), "web.shop_front".into()),
                ("fd00::2".parse().unwrap(), "web.shop_front".into()),
            ]),
            forward: Forward::Upstreams(vec!["192.0.2.1:53".parse().unwrap()]),
            host_gateway: IpAddr::from([10, 0, 0, 1]).into(),
            network_names: vec!["shop_front".into(), "app".into()],
            forward_single_labels: false,
        }
    }

    #[test]
    fn own_names_are_found_and_others_are_foreign() {
        let view = view();
        assert!(matches!(view.find("web", false), Known::Addresses(_)));
        assert_eq!(view.find("example.org", false), Known::Foreign);
        assert_eq!(
            view.find("", true),
            Known::Foreign,
            "the root is nobody's typing error"
        );
    }

    #[test]
    fn unknown_single_labels_do_not_exist_unless_a_search_list_wants_them() {
        let mut view = view();
        assert_eq!(view.find("wbe", false), Known::Nonexistent);
        assert_eq!(
            view.find("com", true),
            Known::Foreign,
            "NS of a top-level domain"
        );
        view.forward_single_labels = true;
        assert_eq!(view.find("wbe", false), Known::Foreign);
    }

    #[test]
    fn a_suffix_that_could_be_a_public_domain_lets_unknown_names_pass() {
        let view = view();
        assert_eq!(view.find("x.shop_front", false), Known::Nonexistent);
        assert_eq!(view.find("shop_front", false), Known::Empty);
        assert_eq!(view.find("xshop_front.org", false), Known::Foreign);
        assert_eq!(view.find("other.app", false), Known::Foreign);
        assert!(matches!(view.find("web.app", false), Known::Addresses(_)));
    }

    #[test]
    fn reverse_names_of_both_families_are_read() {
        let view = view();
        assert_eq!(
            view.find("2.0.0.10.in-addr.arpa", false),
            Known::Pointer("web.shop_front")
        );
        assert_eq!(view.find("3.0.0.10.in-addr.arpa", false), Known::Foreign);
        let v6 = format!("2.{}d.f.ip6.arpa", "0.".repeat(29));
        assert_eq!(view.find(&v6, false), Known::Pointer("web.shop_front"));
        assert_eq!(arpa_address("1.2.3.in-addr.arpa"), None);
        assert_eq!(arpa_address("1.2.3.4.5.in-addr.arpa"), None);
        assert_eq!(arpa_address("10.ip6.arpa"), None);
    }

    #[test]
    fn an_internal_view_denies_what_it_does_not_know_and_has_no_host() {
        let view = View {
            forward: Forward::None,
            host_gateway: Records::default(),
            ..view()
        };
        assert_eq!(view.find("example.org", false), Known::Nonexistent);
        assert_eq!(view.find("host.docker.internal", false), Known::Nonexistent);
    }
}
