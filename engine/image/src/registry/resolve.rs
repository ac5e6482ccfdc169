//! Addresses for names, without the C library: in a static binary it would load foreign NSS modules.

use std::net::IpAddr;

use hickory_resolver::TokioResolver;

use super::{RegistryError, Result};

/// The addresses of `host`, in the order to try them.
pub(super) async fn resolve(host: &str) -> Result<Vec<IpAddr>> {
    if let Ok(address) = host.trim_matches(['[', ']']).parse() {
        return Ok(vec![address]);
    }
    if host == "localhost" || host.ends_with(".localhost") {
        return Ok(vec![
            [127, 0, 0, 1].into(),
            IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        ]);
    }
    // Made anew each time: the machine may have moved to another network since.
    let failed = |source| RegistryError::Resolve {
        host: host.to_owned(),
        source,
    };
    let resolver = TokioResolver::builder_tokio().and_then(|builder| builder.build());
    let found = resolver
        .map_err(failed)?
        .lookup_ip(host)
        .await
        .map_err(failed)?;
    let addresses: Vec<_> = found.iter().collect();
    if addresses.is_empty() {
        return Err(RegistryError::NoAddress {
            host: host.to_owned(),
        });
    }
    Ok(addresses)
}
