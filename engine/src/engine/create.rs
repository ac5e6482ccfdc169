//! Creating a container: everything that can be refused is refused before the first effect.

use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt as _;
use std::sync::Arc;

use bowline_api::{ContainerCreate, ContainerCreated, EndpointSettings, HostConfig};
use bowline_image::Image;
use indexmap::IndexMap;
use tokio::task::block_in_place;

use super::Engine;
use crate::container::{self, Resume};
use crate::create::merge::merge;
use crate::create::mounts;
use crate::error::{Error, ErrorKind, Result};
use crate::launch::{files, spec};
use crate::record::{ContainerRecord, Endpoint};
use crate::restart::{Pace, Policy};
use crate::store::Kind;
use crate::{clock, ids};

/// Checks a container name.
///
/// # Errors
/// 400 in Docker's words.
pub(crate) fn check_name(name: &str) -> Result<()> {
    if bowline_api::ids::is_name(name) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    )))
}

impl Engine {
    /// `POST /containers/create`.
    ///
    /// # Errors
    /// 404 where the image is not here (clients pull then), 409 where the name is taken, 400 for what cannot be right.
    pub async fn container_create(
        self: &Arc<Self>,
        name: Option<String>,
        platform: Option<String>,
        request: ContainerCreate,
    ) -> Result<ContainerCreated> {
        let busy = self.busy();
        let image = self
            .image_for_container(&request.config.image, platform.as_deref())
            .await?;
        let id = ids::fresh().map_err(|error| Error::failed("make an id", &error))?;
        let name = match name {
            Some(name) => name.strip_prefix('/').map(Into::into).unwrap_or(name),
            None => ids::name_from(&id),
        };
        check_name(&name)?;
        let record = self.compose_record(&id, &name, request, &image);
        let mut record = record.map_err(only_the_image_is_missing)?;
        self.containers().reserve(&name, &id)?;
        let made = block_in_place(|| self.make(&mut record, &image));
        if let Err(error) = made {
            self.containers().release(&name);
            return Err(only_the_image_is_missing(error));
        }
        let attributes = record.event_attributes();
        let handle = container::spawn(self, record, Resume::Idle);
        self.containers().insert(&id, handle);
        self.events()
            .publish("container", "create", &id, attributes);
        drop(busy);
        Ok(ContainerCreated {
            id,
            warnings: Vec::new(),
        })
    }

    /// The record, checked and complete but for its mounts' sources. No effects.
    fn compose_record(
        &self,
        id: &str,
        name: &str,
        request: ContainerCreate,
        image: &Image,
    ) -> Result<ContainerRecord> {
        let ContainerCreate {
            mut config,
            mut host_config,
            networking_config,
        } = request;
        let image_name = config.image.clone();
        merge(&mut config, &image.config);
        check_host(&host_config)?;
        self.resolve_modes(&mut host_config)?;
        if config.hostname.is_empty() {
            config.hostname = self.default_hostname(id, &host_config)?;
        }
        let asked = networking_config.endpoints_config;
        let endpoints = self.endpoints(&host_config, asked)?;
        let record = ContainerRecord {
            id: id.into(),
            name: name.into(),
            created: clock::now(),
            image: image.id.to_string(),
            image_name,
            shell: image.config.shell.clone().unwrap_or_default(),
            config,
            host: host_config,
            endpoints,
            ..ContainerRecord::default()
        };
        if spec::arguments(&record).is_empty() {
            return Err(Error::invalid("no command specified"));
        }
        // What the document refuses (capabilities, limits, security options) is refused now, not at the start.
        let document = spec::document(&record, &spec::Context::default());
        document.map_err(|error| Error::invalid(crate::error::chain(&error)))?;
        check_extra_hosts(&record.host)?;
        check_signal(&record)?;
        Ok(record)
    }

    /// Who shares a network shares the name that goes with it.
    fn default_hostname(&self, id: &str, host: &HostConfig) -> Result<String> {
        if let Some(other) = host.network_mode.strip_prefix("container:") {
            return Ok(self
                .containers()
                .find(other)?
                .record()
                .config
                .hostname
                .clone());
        }
        Ok(match host.network_mode.as_str() {
            "host" => host_name(),
            _ => id[..12].to_owned(),
        })
    }

    /// Container references in modes become ids, so that a rename changes nothing.
    fn resolve_modes(&self, host: &mut HostConfig) -> Result<()> {
        if ["", "default"].contains(&host.network_mode.as_str()) {
            host.network_mode = "bridge".into();
        }
        for mode in [
            &mut host.network_mode,
            &mut host.pid_mode,
            &mut host.ipc_mode,
        ] {
            if let Some(other) = mode.strip_prefix("container:") {
                let found = self.containers().find(other)?;
                *mode = format!("container:{}", found.record().id);
            }
        }
        for (what, mode, known) in [
            ("PID mode", &host.pid_mode, &["", "host", "private"][..]),
            (
                "IPC mode",
                &host.ipc_mode,
                &["", "host", "private", "shareable", "none"][..],
            ),
            ("UTS mode", &host.uts_mode, &["", "host"][..]),
            (
                "cgroup namespace mode",
                &host.cgroupns_mode,
                &["", "host", "private"][..],
            ),
        ] {
            let joins = mode.starts_with("container:") && !what.starts_with('U');
            if !joins && !known.contains(&mode.as_str()) {
                return Err(Error::invalid(format!("invalid {what}: {mode}")));
            }
        }
        Ok(())
    }

    /// The networks a container joins, the one of its mode first, then by priority.
    fn endpoints(
        &self,
        host: &HostConfig,
        mut asked: BTreeMap<String, Option<EndpointSettings>>,
    ) -> Result<IndexMap<String, Endpoint>> {
        let mode = host.network_mode.as_str();
        if mode.starts_with("container:") {
            return Ok(IndexMap::new());
        }
        let first = own_settings(&mut asked, mode);
        let mut wishes = vec![(mode.to_owned(), first)];
        // In the modes without a network of its own, what else is asked for cannot be joined.
        if !["host", "none"].contains(&mode) {
            wishes.extend(
                asked
                    .into_iter()
                    .map(|(name, wish)| (name, wish.unwrap_or_default())),
            );
        }
        let mut endpoints = IndexMap::new();
        for (name, mut settings) in wishes {
            let network = self.networks().find(&name)?;
            if !host.links.is_empty() {
                settings
                    .links
                    .get_or_insert_default()
                    .extend(host.links.iter().cloned());
            }
            let id = ids::fresh().map_err(|error| Error::failed("make an id", &error))?;
            let endpoint = super::networks::endpoint(&network, id, settings)?;
            endpoints.insert(network.name.clone(), endpoint);
        }
        endpoints.sort_by(|_, a, _, b| b.settings.gw_priority.cmp(&a.settings.gw_priority));
        Ok(endpoints)
    }

    /// The effects: volumes with what the image has at their places, bind sources, the record, the folder.
    fn make(self: &Arc<Self>, record: &mut ContainerRecord, image: &Image) -> Result<()> {
        let others = self.volumes_from(&record.host.volumes_from)?;
        let wanted = mounts::wanted(&record.config, &record.host, &others);
        let wanted = wanted.map_err(|error| Error::invalid(error.to_string()))?;
        let mut provided = self.provide(wanted, image)?;
        record.mounts = std::mem::take(&mut provided.points);
        let stored = self.store().add(Kind::Container, &record.id, record);
        if let Err(error) = stored {
            self.take_back_volumes(provided);
            return Err(Error::failed("record the container", &error));
        }
        let folder = self.settings().roots.container(&record.id);
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(&folder);
        if let Err(error) = made {
            // The error that counts is the first; what is left of this one is swept at the next start.
            drop(self.store().remove(Kind::Container, &record.id));
            drop(std::fs::remove_dir_all(&folder));
            self.take_back_volumes(provided);
            return Err(Error::failed("make the container's folder", &error));
        }
        Ok(())
    }
}

/// A client that is answered 404 pulls the image and tries again, so nothing else that is missing may say so.
fn only_the_image_is_missing(error: Error) -> Error {
    match error.kind {
        ErrorKind::NotFound => Error::invalid(error.message),
        _ => error,
    }
}

/// The wishes for the network of the mode. Docker's command line calls the default bridge `default` here.
fn own_settings(
    asked: &mut BTreeMap<String, Option<EndpointSettings>>,
    mode: &str,
) -> EndpointSettings {
    let by_default = (mode == "bridge").then(|| asked.remove("default"));
    let named = asked.remove(mode).flatten();
    named.or(by_default.flatten().flatten()).unwrap_or_default()
}

/// What is recognised and not there yet is refused, not ignored.
fn check_host(host: &HostConfig) -> Result<()> {
    let policy = &host.restart_policy;
    let parsed = Policy::parse(&policy.name, policy.maximum_retry_count);
    let policy = parsed.map_err(|error| Error::invalid(error.to_string()))?;
    Pace::parse(host.restart_policy.delay, host.restart_policy.window)
        .map_err(|error| Error::invalid(error.to_string()))?;
    if host.auto_remove && policy != Policy::No {
        return Err(Error::invalid(
            "can't create 'AutoRemove' container with restart policy",
        ));
    }
    crate::launch::log::Options::read(&host.log_config)
        .map_err(|error| Error::invalid(error.to_string()))?;
    let refused = [
        ("StorageOpt", !host.storage_opt.is_empty()),
        (
            "UsernsMode",
            !["", "host"].contains(&host.userns_mode.as_str()),
        ),
        (
            "VolumeDriver",
            !["", "local"].contains(&host.volume_driver.as_str()),
        ),
        ("DeviceRequests", !host.device_requests.is_empty()),
        (
            "Runtime",
            !["", "runc", "bowline"].contains(&host.runtime.as_str()),
        ),
        (
            "Isolation",
            !["", "default"].contains(&host.isolation.as_str()),
        ),
    ];
    if let Some((name, _)) = refused.iter().find(|(_, given)| *given) {
        return Err(Error::unsupported(format!("{name} is not supported yet")));
    }
    check_limits(host)
}

fn check_limits(host: &HostConfig) -> Result<()> {
    const LEAST: i64 = 6 << 20;
    if host.memory > 0 && host.memory < LEAST {
        return Err(Error::invalid("Minimum memory limit allowed is 6MB"));
    }
    if host.memory_swap > 0 && host.memory == 0 {
        return Err(Error::invalid(
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        ));
    }
    if host.memory_swap > 0 && host.memory_swap < host.memory {
        return Err(Error::invalid(
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        ));
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let most = i64::try_from(cores)
        .unwrap_or(i64::MAX)
        .saturating_mul(1_000_000_000);
    if host.nano_cpus < 0 || host.nano_cpus > most {
        return Err(Error::invalid(format!(
            "range of CPUs is from 0.01 to {cores}.00, as there are only {cores} CPUs available"
        )));
    }
    if let Some(rule) = host
        .device_cgroup_rules
        .iter()
        .find(|rule| crate::launch::devices::parse_rule(rule).is_none())
    {
        return Err(Error::invalid(format!(
            "invalid device cgroup rule format: '{rule}'"
        )));
    }
    Ok(())
}

fn check_extra_hosts(host: &HostConfig) -> Result<()> {
    let any = Some(std::net::Ipv4Addr::LOCALHOST.into());
    match host
        .extra_hosts
        .iter()
        .find(|entry| files::extra_host(entry, any).is_none())
    {
        Some(entry) => Err(Error::invalid(format!(
            "invalid IP address in add-host: \"{entry}\""
        ))),
        None => Ok(()),
    }
}

fn check_signal(record: &ContainerRecord) -> Result<()> {
    let signal = record.config.stop_signal.as_str();
    if signal.is_empty() || container::parse_signal(signal).is_some() {
        return Ok(());
    }
    Err(Error::invalid(format!("invalid signal: {signal}")))
}

/// The machine's own name, which a container on the host's network bears too.
fn host_name() -> String {
    let name = nix::unistd::gethostname().ok();
    name.and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "localhost".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(alias: &str) -> Option<EndpointSettings> {
        Some(EndpointSettings {
            aliases: Some(vec![alias.into()]),
            ..EndpointSettings::default()
        })
    }

    #[test]
    fn the_default_bridge_is_also_called_default() {
        let mut asked = BTreeMap::from([("default".to_owned(), wish("a"))]);
        let settings = own_settings(&mut asked, "bridge");
        assert_eq!((settings.aliases, asked.len()), (Some(vec!["a".into()]), 0));
        let mut asked = BTreeMap::from([("default".to_owned(), wish("a"))]);
        let settings = own_settings(&mut asked, "shop");
        assert_eq!((settings.aliases, asked.len()), (None, 1));
    }

    #[test]
    fn a_missing_network_is_not_mistaken_for_a_missing_image() {
        let error = only_the_image_is_missing(Error::not_found("network x not found"));
        assert_eq!(error.kind, ErrorKind::Invalid);
        let error = only_the_image_is_missing(Error::conflict("taken"));
        assert_eq!(error.kind, ErrorKind::Conflict);
    }
}
