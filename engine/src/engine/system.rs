//! The engine about itself: version, info, events, settings, and what it left in the kernel.

use std::collections::BTreeMap;

use bowline_api::{
    Component, Event, Filters, Info, PlatformName, Plugins, RegistryConfig, Runtime, Swarm, Version,
};
use bowline_runtime::cgroup::Layout;
use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::Engine;
use crate::clock;
use crate::error::{Error, Result};
use crate::record::Phase;

impl Engine {
    /// `GET /version`.
    pub fn version(&self) -> Version {
        let version = env!("CARGO_PKG_VERSION");
        Version {
            platform: PlatformName {
                name: "Bowline".into(),
            },
            components: vec![Component {
                name: "Engine".into(),
                version: version.into(),
                details: BTreeMap::from([
                    ("ApiVersion".into(), bowline_api::API_VERSION.into()),
                    ("MinAPIVersion".into(), bowline_api::MIN_API_VERSION.into()),
                    ("GitCommit".into(), crate::commit().into()),
                    ("Os".into(), "linux".into()),
                    ("Arch".into(), architecture().into()),
                    ("Experimental".into(), "false".into()),
                ]),
            }],
            version: version.into(),
            api_version: bowline_api::API_VERSION.into(),
            min_api_version: bowline_api::MIN_API_VERSION.into(),
            git_commit: crate::commit().into(),
            // Clients print the field; there is no Go here.
            go_version: "none".into(),
            os: "linux".into(),
            arch: architecture().into(),
            kernel_version: kernel(),
            ..Version::default()
        }
    }

    /// `GET /info`.
    ///
    /// # Errors
    /// The image store cannot be read.
    pub async fn info(&self) -> Result<Info> {
        let records = self.records();
        let count = |phases: &[Phase]| {
            let number = records
                .iter()
                .filter(|record| phases.contains(&record.phase))
                .count();
            i64::try_from(number).unwrap_or(i64::MAX)
        };
        let images = tokio::task::block_in_place(|| self.images().list())?;
        let settings = self.settings();
        let [http_proxy, https_proxy, no_proxy] = settings.proxies.clone();
        Ok(Info {
            id: settings.roots.tag().to_string(),
            containers: i64::try_from(records.len()).unwrap_or(i64::MAX),
            containers_running: count(&[Phase::Running, Phase::Restarting]),
            containers_paused: count(&[Phase::Paused]),
            containers_stopped: count(&[Phase::Created, Phase::Exited, Phase::Removing]),
            images: i64::try_from(images.len()).unwrap_or(i64::MAX),
            driver: "overlay2".into(),
            plugins: Plugins {
                volume: vec!["local".into()],
                network: ["bridge", "host", "null"].map(String::from).to_vec(),
                authorization: Vec::new(),
                log: ["json-file", "local", "none"].map(String::from).to_vec(),
            },
            memory_limit: true,
            swap_limit: true,
            cpu_cfs_period: true,
            cpu_cfs_quota: true,
            cpu_shares: true,
            cpu_set: true,
            pids_limit: true,
            ipv4_forwarding: true,
            system_time: clock::now(),
            logging_driver: "json-file".into(),
            cgroup_driver: "cgroupfs".into(),
            cgroup_version: if self.unified_cgroups() {
                "2".into()
            } else {
                "1".into()
            },
            kernel_version: kernel(),
            operating_system: operating_system(),
            os_type: "linux".into(),
            architecture: std::env::consts::ARCH.into(),
            index_server_address: "https://index.docker.io/v1/".into(),
            registry_config: RegistryConfig {
                insecure_registry_cidrs: vec!["::1/128".into(), "127.0.0.0/8".into()],
                ..RegistryConfig::default()
            },
            ncpu: std::thread::available_parallelism()
                .map_or(1, |n| i64::try_from(n.get()).unwrap_or(1)),
            mem_total: memory(),
            docker_root_dir: settings.roots.data().to_string_lossy().into_owned(),
            http_proxy,
            https_proxy,
            no_proxy,
            name: nix::unistd::gethostname()
                .ok()
                .and_then(|name| name.into_string().ok())
                .unwrap_or_default(),
            server_version: env!("CARGO_PKG_VERSION").into(),
            runtimes: BTreeMap::from([(
                "bowline".to_owned(),
                Runtime {
                    path: "bowline".into(),
                },
            )]),
            default_runtime: "bowline".into(),
            swarm: Swarm {
                local_node_state: "inactive".into(),
                ..Swarm::default()
            },
            live_restore_enabled: true,
            init_binary: "bowline-init".into(),
            security_options: vec!["name=seccomp,profile=builtin".into()],
            ..Info::default()
        })
    }

    /// Kept events, and those to come.
    ///
    /// # Errors
    /// A filter that cannot be right.
    pub fn events_since(
        &self,
        filters: &Filters,
    ) -> Result<(Vec<Event>, broadcast::Receiver<Event>)> {
        let known = [
            "container",
            "daemon",
            "event",
            "image",
            "label",
            "network",
            "plugin",
            "scope",
            "type",
            "volume",
        ];
        filters
            .allow_only(&known)
            .map_err(|error| Error::invalid(error.to_string()))?;
        Ok(self.events().subscribe())
    }

    /// Every effective setting, and who set it.
    pub fn effective_settings(&self) -> Value {
        json!({ "settings": self.settings().effective, "auto": self.is_auto() })
    }

    /// What the kernel holds in our name that no record explains.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub async fn check(&self) -> Result<Value> {
        self.settle().await;
        let failed = |error: &dyn std::error::Error| Error::failed("read the ledger", error);
        let ledger = self.net().call(|host| host.ledger()).await;
        let ledger = ledger.map_err(|e| failed(&e))?.map_err(|e| failed(&e))?;
        let expected = super::check::Expected::of(self);
        let leaks = tokio::task::block_in_place(|| super::check::leaks(self, &expected, &ledger));
        Ok(json!({ "leaks": leaks }))
    }
}

/// The architecture in Go's words.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Whether the machine has only the unified hierarchy.
pub(super) fn is_unified(layout: Layout) -> bool {
    layout == Layout::V2
}

fn kernel() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    text.trim().to_owned()
}

fn operating_system() -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| "Linux".into(), |name| name.trim_matches('"').to_owned())
}

fn memory() -> i64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<i64>().ok());
    kilobytes.unwrap_or_default().saturating_mul(1024)
}
