//! Settings below /proc/sys/net, which show the namespace of the thread that opens them.

use std::collections::BTreeMap;
use std::fs;

use crate::{NetworkError, Result};

/// The setting, or `None` where this kernel (or this build of it) has no such thing.
pub(crate) fn get(key: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/sys/{key}"))
        .ok()
        .map(|text| text.trim().to_owned())
}

/// Sets it unless it is so already: in a container /proc/sys may be read-only and still right.
pub(crate) fn set(key: &str, value: &str) -> Result<()> {
    if get(key).as_deref() == Some(value) {
        return Ok(());
    }
    fs::write(format!("/proc/sys/{key}"), value).map_err(|source| NetworkError::Sysctl {
        key: key.to_owned(),
        value: value.to_owned(),
        source,
    })
}

/// Sets it if the kernel knows it.
pub(crate) fn set_if_known(key: &str, value: &str) -> Result<()> {
    if get(key).is_some() {
        set(key, value)
    } else {
        Ok(())
    }
}

/// Where the settings that a user gave for an interface are: `net.ipv4.conf.IFNAME.log_martians` and the like.
pub(crate) fn of_endpoint(
    ifname: &str,
    sysctls: &BTreeMap<String, String>,
) -> Result<Vec<(String, String)>> {
    sysctls
        .iter()
        .map(|(key, value)| {
            let parts: Vec<_> = key.split('.').collect();
            // An interface's name may hold dots, its placeholder does not; anything that climbs is not a setting.
            let good = parts.first() == Some(&"net")
                && parts.contains(&"IFNAME")
                && parts
                    .iter()
                    .all(|part| !part.is_empty() && !part.contains('/'));
            if !good {
                return Err(NetworkError::EndpointSysctl(key.clone()));
            }
            Ok((parts.join("/").replace("IFNAME", ifname), value.clone()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_may_only_set_what_is_its_own() {
        let one = |key: &str| BTreeMap::from([(key.to_owned(), "1".to_owned())]);
        assert_eq!(
            of_endpoint("eth0", &one("net.ipv4.conf.IFNAME.log_martians")).unwrap(),
            [("net/ipv4/conf/eth0/log_martians".to_owned(), "1".to_owned())]
        );
        for bad in [
            "kernel.IFNAME",
            "net.ipv4.ip_forward",
            "net.ipv4.conf.IFNAME.../../../kernel",
        ] {
            assert!(of_endpoint("eth0", &one(bad)).is_err(), "{bad}");
        }
    }
}
