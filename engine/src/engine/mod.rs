//! The engine's state and what everything else reaches it by. Its operations are in the modules, one a subject.

mod activity;
mod archive;
mod check;
mod commit;
pub(crate) mod containers;
pub(crate) mod create;
mod disk;
mod execs;
pub(crate) mod images;
mod lease;
mod names;
pub(crate) mod networks;
mod open;
mod registry;
mod system;
mod top;
mod volumes;

use std::sync::Arc;

use bowline_build::Builder;
use bowline_runtime::Shims;
use bowline_runtime::cgroup::Hierarchies;

pub(crate) use archive::{CopyIn, Outgoing, PathStat};
pub(crate) use commit::CommitOptions;
pub(crate) use disk::Wanted;
pub(crate) use lease::LeaseRequest;
pub(crate) use open::OpenError;

use crate::build::Builds;
use crate::config::Settings;
use crate::events::Bus;
use crate::netthread::NetThread;
use crate::record::ContainerRecord;
use crate::store::Store;

use activity::Activity;
use execs::Execs;
use names::Names;
use networks::Networks;
use registry::Registry;
use volumes::Volumes;

/// One engine: the owner of its two roots.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    auto: bool,
    revive: bool,
    boot_id: String,
    store: Store,
    images: bowline_image::Store,
    shims: Arc<Shims>,
    hierarchies: Hierarchies,
    net: NetThread,
    events: Bus,
    containers: Registry,
    networks: Networks,
    volumes: Volumes,
    names: Names,
    execs: Execs,
    activity: Activity,
    leases: lease::Leases,
    builds: Builds,
    builder: Builder,
}

impl Engine {
    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether a command or a shim started it.
    pub fn is_auto(&self) -> bool {
        self.auto
    }

    /// Whether shims may bring it back.
    pub(crate) fn revives(&self) -> bool {
        self.revive
    }

    /// This boot of the machine.
    pub(crate) fn boot_id(&self) -> &str {
        &self.boot_id
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The images.
    pub fn images(&self) -> &bowline_image::Store {
        &self.images
    }

    pub(crate) fn shims(&self) -> Arc<Shims> {
        Arc::clone(&self.shims)
    }

    pub(crate) fn hierarchies(&self) -> &Hierarchies {
        &self.hierarchies
    }

    pub(crate) fn unified_cgroups(&self) -> bool {
        system::is_unified(self.hierarchies.layout())
    }

    pub(crate) fn net(&self) -> &NetThread {
        &self.net
    }

    /// The event bus.
    pub fn events(&self) -> &Bus {
        &self.events
    }

    /// The containers.
    pub(crate) fn containers(&self) -> &Registry {
        &self.containers
    }

    pub(crate) fn networks(&self) -> &Networks {
        &self.networks
    }

    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// The builder.
    pub(crate) fn builder(&self) -> &Builder {
        &self.builder
    }

    /// What is being built.
    pub(crate) fn builds(&self) -> &Builds {
        &self.builds
    }

    pub(crate) fn execs(&self) -> &Execs {
        &self.execs
    }

    pub(crate) fn volume_names(&self) -> std::collections::BTreeSet<String> {
        self.volumes.names()
    }

    /// Where a container's cgroup lies: below its own wish, or below ours.
    pub(crate) fn cgroup_parent(&self, record: &ContainerRecord) -> String {
        match record.host.cgroup_parent.trim_end_matches('/') {
            "" => self.settings.cgroup_parent.clone(),
            wish if wish.starts_with('/') => wish.to_owned(),
            wish => format!("{}/{wish}", self.settings.cgroup_parent),
        }
    }

    /// Names follow a rename.
    pub(crate) fn refresh_names(&self) {
        self.names.update(self.records(), &self.networks.all());
    }
}
