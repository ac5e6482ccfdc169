//! What the store keeps of a container, a network and a volume.
//!
//! Fields are only ever added, each with a default, so that a newer engine reads an older record.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use bowline_api::{Config, EndpointSettings, HostConfig};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::health::Health;

/// Where a container stands. The API's status words follow from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Never started.
    #[default]
    Created,
    /// Its process runs.
    Running,
    /// Its process is frozen.
    Paused,
    /// Waiting for its next run.
    Restarting,
    /// Its process ended.
    Exited,
    /// Being removed; removal is driven to its end at the next engine start.
    Removing,
}

impl Phase {
    /// The API's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
            Self::Removing => "removing",
        }
    }

    /// Whether a process exists.
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }
}

/// The last run of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Process id on the host; 0 while none runs.
    pub pid: i32,
    /// RFC 3339; empty before the first start.
    pub started_at: String,
    /// RFC 3339; empty before the first end.
    pub finished_at: String,
    /// Exit code of the last run.
    pub code: i32,
    /// Why the last start failed; empty otherwise.
    pub error: String,
    /// The kernel killed something in the cgroup for lack of memory.
    pub oom_killed: bool,
}

/// One address a container listens at for the outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundPort {
    /// Port in the container.
    pub container_port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Address on the host; the unspecified one of its family means all.
    pub host_ip: IpAddr,
    /// Port on the host.
    pub host_port: u16,
}

/// A container's place in one network; the lease lives as long as the container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Id of the network.
    pub network: String,
    /// Id of this endpoint.
    pub id: String,
    /// What was asked for: aliases, static addresses, links, priority.
    pub settings: EndpointSettings,
    /// The address, once leased.
    pub ipv4: Option<Ipv4Addr>,
    /// The IPv6 address, once leased.
    pub ipv6: Option<Ipv6Addr>,
    /// Hardware address, once leased.
    pub mac: Option<[u8; 6]>,
    /// The interface's name inside, once leased.
    #[serde(default)]
    pub ifname: String,
}

/// What kind of thing is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountKind {
    /// A path of the host.
    Bind,
    /// A volume, named or anonymous.
    Volume,
    /// Memory.
    Tmpfs,
    /// The files of an image, read-only.
    Image,
}

/// One resolved mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPoint {
    /// See [`MountKind`].
    pub kind: MountKind,
    /// Volume name; empty for the others.
    #[serde(default)]
    pub name: String,
    /// Path on the host; empty for tmpfs.
    #[serde(default)]
    pub source: PathBuf,
    /// Path inside.
    pub destination: PathBuf,
    /// Writable.
    pub writable: bool,
    /// Mode text as it was given (`ro`, `z`, …).
    #[serde(default)]
    pub mode: String,
    /// Propagation word; empty means `rprivate`.
    #[serde(default)]
    pub propagation: String,
    /// Do not bind what is mounted below the source.
    #[serde(default)]
    pub non_recursive: bool,
    /// Read-only is only the mount itself, not what is mounted below it.
    #[serde(default)]
    pub read_only_top: bool,
    /// Path inside the volume that is mounted.
    #[serde(default)]
    pub subpath: String,
    /// Fill an empty volume from the image.
    #[serde(default)]
    pub copy_up: bool,
    /// tmpfs options, `size=…`, `mode=…`.
    #[serde(default)]
    pub options: Vec<String>,
}

/// One container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerRecord {
    /// 64 hex digits.
    pub id: String,
    /// Without the leading slash.
    pub name: String,
    /// RFC 3339.
    pub created: String,
    /// Image id.
    pub image: String,
    /// Image as it was asked for.
    pub image_name: String,
    /// The request's configuration with the image's defaults merged in.
    pub config: Config,
    /// The request's host configuration.
    pub host: HostConfig,
    /// By network name, in the order of their gateways' priority.
    pub endpoints: IndexMap<String, Endpoint>,
    /// Resolved mounts in the order they are made.
    pub mounts: Vec<MountPoint>,
    /// Shell of the image, for healthchecks in shell form.
    pub shell: Vec<String>,
    /// See [`Phase`].
    pub phase: Phase,
    /// A start was begun and not finished: set before the first effect, cleared by its result.
    pub starting: bool,
    /// Its anonymous volumes go with it, also where the next engine finishes its removal.
    #[serde(default)]
    pub removes_volumes: bool,
    /// See [`Run`].
    pub run: Run,
    /// Restarts by policy since the last start by hand.
    pub restarts: u64,
    /// A person stopped it; persists until a person starts it.
    pub stopped_by_hand: bool,
    /// Boot id of the machine when it last ran; empty before.
    pub boot: String,
    /// What is published while it runs.
    pub ports: Vec<BoundPort>,
    /// Verdict of its healthcheck; absent without one or before the first start.
    pub health: Option<Health>,
}

impl ContainerRecord {
    /// The first twelve digits.
    pub fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }

    /// Attributes of this container's events: its labels, image and name.
    pub fn event_attributes(&self) -> BTreeMap<String, String> {
        let labels = self
            .config
            .labels
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()));
        let own = [("image", &self.image_name), ("name", &self.name)];
        labels
            .chain(own.map(|(key, value)| (key.to_owned(), value.clone())))
            .collect()
    }
}

/// One network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct NetworkRecord {
    /// 64 hex digits.
    pub id: String,
    /// Unique name.
    pub name: String,
    /// RFC 3339.
    pub created: String,
    /// `bridge`, `host` or `null`.
    pub driver: String,
    /// IPv4 subnet, CIDR; empty for host and null.
    pub subnet: String,
    /// Addresses are leased from this part of the subnet where it is set.
    pub ip_range: String,
    /// The bridge's address.
    pub gateway: Option<Ipv4Addr>,
    /// Addresses of other machines in either subnet (`aux_addresses`), by the name they were given.
    pub auxiliary: BTreeMap<String, IpAddr>,
    /// Members have no IPv4 address.
    pub without_ipv4: bool,
    /// IPv6 subnet, CIDR; empty without IPv6.
    pub subnet6: String,
    /// As `ip_range`, of the IPv6 subnet.
    pub ip_range6: String,
    /// The bridge's IPv6 address.
    pub gateway6: Option<Ipv6Addr>,
    /// The IPAM configuration came from the request.
    pub ipam_asked: bool,
    /// No way out.
    pub internal: bool,
    /// Accepted for its own sake: every bridge is attachable.
    pub attachable: bool,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Driver options.
    pub options: BTreeMap<String, String>,
    /// Interface name of the bridge.
    pub bridge: String,
}

/// One volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct VolumeRecord {
    /// Unique name.
    pub name: String,
    /// RFC 3339.
    pub created: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Driver options.
    pub options: BTreeMap<String, String>,
    /// Made for one container without a name.
    pub anonymous: bool,
    /// The tree it writes to, on top of `base`; empty where its files lie in its own folder.
    pub live: String,
    /// The topmost of the frozen trees below `live`; empty together with it.
    pub base: String,
    /// What it was forked from or restored to.
    pub origin: Option<Origin>,
    /// The tree its own folder is being moved to, while that takes: an engine that finds it moves the folder back.
    pub freezing: String,
}

/// Where a volume's files came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Origin {
    /// The volume.
    pub volume: String,
    /// The snapshot; empty where the volume itself was forked.
    pub tag: String,
    /// When the files were as they are there, RFC 3339.
    pub taken: String,
}

/// A tree of files that nobody changes any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct TreeRecord {
    /// Its folder's name.
    pub id: String,
    /// The tree it lies on, as overlayfs stacks them; empty where it is whole.
    pub parent: String,
    /// When it was frozen, RFC 3339.
    pub taken: String,
    /// The volume it was taken from.
    pub volume: String,
    /// A copy of that volume's files at that time, rather than the files themselves.
    pub copied: bool,
    /// Bytes it takes on the disk, when it was frozen.
    pub size: u64,
}

/// A tree under a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SnapshotRecord {
    /// The volume it is of, which may be gone.
    pub volume: String,
    /// Its name, unique for the volume.
    pub tag: String,
    /// When it was taken, RFC 3339.
    pub taken: String,
    /// The tree.
    pub tree: String,
    /// The images of the containers that used the volume: a database's files are bound to its version.
    pub images: Vec<String>,
    /// Whether containers were running with the volume, frozen for the moment.
    pub live: bool,
}

impl SnapshotRecord {
    /// Its key in the store.
    pub(crate) fn key(&self) -> String {
        format!("{}:{}", self.volume, self.tag)
    }
}
