//! What older versions of the API do not have: it is taken out of requests and added to answers.

use bowline_api::{ContainerCreate, ContainerInspect, HealthConfig, ids};

use super::path::ApiVersion;
use crate::error::{Error, Result};

/// Drops or refuses what `version` does not know, as Docker does.
pub(super) fn narrow_create(create: &mut ContainerCreate, version: ApiVersion) -> Result<()> {
    let host = &mut create.host_config;
    if version < ApiVersion::one(42) {
        for mount in host
            .mounts
            .iter_mut()
            .filter_map(|mount| mount.bind_options.as_mut())
        {
            mount.create_mountpoint = false;
        }
    }
    if version < ApiVersion::one(43) {
        host.annotations.clear();
    }
    if version < ApiVersion::one(44) {
        if let Some(check) = &mut create.config.healthcheck {
            *check = HealthConfig {
                start_interval: 0,
                ..std::mem::take(check)
            };
        }
        if create.networking_config.endpoints_config.len() > 1 {
            return Err(Error::invalid(
                "Container cannot be connected to network endpoints: more than one needs API version 1.44",
            ));
        }
    }
    let subpath = |mount: &bowline_api::Mount| {
        mount
            .volume_options
            .as_ref()
            .is_some_and(|options| !options.subpath.is_empty())
    };
    if version < ApiVersion::one(45) && host.mounts.iter().any(subpath) {
        return Err(Error::invalid(
            "VolumeOptions.Subpath needs at least API version 1.45",
        ));
    }
    if version < ApiVersion::one(48) {
        for endpoint in create
            .networking_config
            .endpoints_config
            .values_mut()
            .flatten()
        {
            endpoint.gw_priority = 0;
        }
    }
    Ok(())
}

/// Adds what clients of `version` look for.
pub(super) fn widen_inspect(inspect: &mut ContainerInspect, version: ApiVersion) {
    if version >= ApiVersion::one(45) {
        return;
    }
    let short = ids::short(&inspect.id).to_owned();
    for endpoint in inspect.network_settings.networks.values_mut() {
        let aliases = endpoint.aliases.get_or_insert_default();
        if !aliases.contains(&short) {
            aliases.push(short.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use bowline_api::EndpointSettings;

    use super::*;

    #[test]
    fn older_versions_have_one_network_at_creation() {
        let mut create = ContainerCreate::default();
        for network in ["front", "back"] {
            let endpoints = &mut create.networking_config.endpoints_config;
            endpoints.insert(network.into(), Some(EndpointSettings::default()));
        }
        assert!(narrow_create(&mut create, ApiVersion::one(44)).is_ok());
        assert!(narrow_create(&mut create, ApiVersion::one(43)).is_err());
    }

    #[test]
    fn older_versions_have_no_start_interval() {
        let mut create = ContainerCreate::default();
        create.config.healthcheck = Some(HealthConfig {
            start_interval: 5,
            interval: 7,
            ..HealthConfig::default()
        });
        narrow_create(&mut create, ApiVersion::one(43)).unwrap();
        let check = create.config.healthcheck.unwrap();
        assert_eq!((check.start_interval, check.interval), (0, 7));
    }
}
