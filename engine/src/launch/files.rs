//! The files Docker writes for each container: `hosts`, `hostname`, `resolv.conf`. Pure: text in, text out.

use std::fmt::Write as _;
use std::net::IpAddr;

/// `/etc/hosts`: loopback, `extra` entries in their order, then the container's own addresses.
pub(crate) fn hosts(
    hostname: &str,
    domain: &str,
    extra: &[(String, IpAddr)],
    own: &[IpAddr],
) -> String {
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::\tip6-localnet\n\
         ff00::\tip6-mcastprefix\n\
         ff02::1\tip6-allnodes\n\
         ff02::2\tip6-allrouters\n",
    );
    for (name, address) in extra {
        // Writing into a String cannot fail, here and below.
        let _ = writeln!(text, "{address}\t{name}");
    }
    for address in own {
        let _ = match domain {
            "" => writeln!(text, "{address}\t{hostname}"),
            domain => writeln!(text, "{address}\t{hostname}.{domain} {hostname}"),
        };
    }
    text
}

/// `name:address` of `extra_hosts`; `host-gateway` stands for the gateway of the container's own network.
pub(crate) fn extra_host(entry: &str, gateway: Option<IpAddr>) -> Option<(String, IpAddr)> {
    let (name, address) = entry.split_once([':', '='])?;
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let address = match address {
        "host-gateway" => gateway?,
        other => other.parse().ok()?,
    };
    (!name.is_empty()).then(|| (name.to_owned(), address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_hosts_take_both_separators_and_ipv6() {
        let gateway: IpAddr = "10.0.0.1".parse().unwrap();
        assert_eq!(
            extra_host("h:host-gateway", Some(gateway)),
            Some(("h".into(), gateway))
        );
        assert_eq!(extra_host("h:host-gateway", None), None);
        assert_eq!(
            extra_host("h=1.2.3.4", None),
            Some(("h".into(), "1.2.3.4".parse().unwrap()))
        );
        assert_eq!(
            extra_host("h:[::1]", None),
            Some(("h".into(), "::1".parse().unwrap()))
        );
        assert_eq!(extra_host("h:nonsense", None), None);
    }

    #[test]
    fn own_addresses_carry_the_qualified_name_first() {
        let text = hosts("web", "shop.lan", &[], &["10.0.0.2".parse().unwrap()]);
        assert!(text.ends_with("10.0.0.2\tweb.shop.lan web\n"), "{text}");
    }
}
