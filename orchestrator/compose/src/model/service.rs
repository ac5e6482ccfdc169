//! One service: a template for its containers.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Attachment, Blkio, Build, Bytes, CredentialSpec, Dependency, Deploy, Develop, Device,
    DeviceRequest, Duration, EnvFile, FileReference, Healthcheck, Hook, Logging, Mount,
    NetworkMode, Port, PreStart, Provider, PullPolicy, RestartPolicy, ServiceModel, Ulimit,
    is_false,
};

/// One service. The fields stand in the order Compose prints them: what only a service has, what
/// any container has, what a service or a job has.
#[expect(clippy::struct_excessive_bools, reason = "the specification's flags")]
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Service {
    /// The key under `services`; not printed.
    #[serde(skip)]
    pub name: String,
    /// The profiles that switch it on; empty means always on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
    /// Replicas and resources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deploy: Option<Deploy>,
    /// What `watch` does when files change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub develop: Option<Develop>,
    /// When the engine starts it again.
    #[serde(skip)]
    pub restart: Option<RestartPolicy>,
    /// The word of `restart` as it was written; it may be one that no engine knows.
    #[serde(skip_serializing_if = "Option::is_none", rename = "restart")]
    pub restart_text: Option<String>,
    /// How many containers; see [`Service::replicas`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<u32>,
    /// Whether an attached `up` shows its output; absent means yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attach: Option<bool>,
    /// A fixed container name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_name: Option<String>,
    /// Something outside that runs it, instead of a container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    /// `container[:alias]` of containers outside the project.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub external_links: Vec<String>,
    /// `service[:alias]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
    /// Containers that run to their end before the service starts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pre_start: Vec<PreStart>,
    /// Commands run in each container once it has started.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub post_start: Vec<Hook>,
    /// Commands run in each container before it is stopped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pre_stop: Vec<Hook>,
    /// OCI annotations of the container.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Limits and weights of block devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blkio_config: Option<Blkio>,
    /// Capabilities added, without a rule about the `CAP_` prefix.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_add: Vec<String>,
    /// Capabilities taken away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_drop: Vec<String>,
    /// The cgroup its own is made in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup_parent: Option<String>,
    /// The cgroup namespace: `host` or `private`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// Processors, on Windows only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_count: Option<i64>,
    /// A share of all processors, on Windows only.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "super::units::processors"
    )]
    pub cpu_percent: Option<f32>,
    /// The period of the processor quota, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_period: Option<i64>,
    /// The processor time in each period, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_quota: Option<i64>,
    /// The period of the real-time scheduler, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_rt_period: Option<i64>,
    /// The real-time share of each period, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_rt_runtime: Option<i64>,
    /// Processors it may use.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "super::units::processors"
    )]
    pub cpus: Option<f32>,
    /// The processors it may run on: `0-3` or `0,1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpuset: Option<String>,
    /// Its weight against other containers; 1024 is usual.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_shares: Option<i64>,
    /// `None` is the image's own; an empty list is no command.
    pub command: Option<Vec<String>>,
    /// Configs it sees.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub configs: Vec<FileReference>,
    /// Credentials of a managed account, on Windows only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_spec: Option<CredentialSpec>,
    /// Rules for devices that come later: `c 1:3 mr`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device_cgroup_rules: Vec<String>,
    /// Host devices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
    /// DNS servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<String>,
    /// Resolver options.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_opt: Vec<String>,
    /// Search domains.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_search: Vec<String>,
    /// The container's domain name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domainname: Option<String>,
    /// `None` is the image's own; an empty list is no entrypoint.
    pub entrypoint: Option<Vec<String>>,
    /// Variables, those of `env_file` under them. `None` is listed but set nowhere: it is not
    /// passed on, and it hides an `env_file`'s value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, Option<String>>,
    /// The files `environment` is still to be completed from; empty once that is done.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env_file: Vec<EnvFile>,
    /// The files `environment` was completed from; not printed, as their values already are.
    #[serde(skip)]
    pub env_files_read: Vec<EnvFile>,
    /// Extra lines of `/etc/hosts`, as `name=address`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_hosts: Vec<String>,
    /// More groups, names or numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub group_add: Vec<String>,
    /// Graphics processors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<DeviceRequest>,
    /// The container's host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The image's reference, as written; empty where it is built or provided.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// A reaper as pid 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
    /// The IPC namespace: `host`, `shareable`, `private`, `service:x`, `container:x`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipc: Option<String>,
    /// The isolation technology, on Windows only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<String>,
    /// Labels, those of `label_file` under them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Files of labels, absolute.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub label_file: Vec<String>,
    /// Where its output goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
    /// Memory it may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_limit: Option<Bytes>,
    /// Memory it is meant to have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_reservation: Option<Bytes>,
    /// Memory and swap together; -1 is unlimited swap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memswap_limit: Option<Bytes>,
    /// How readily the kernel swaps it out, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_swappiness: Option<Bytes>,
    /// A fixed hardware address on its main network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac_address: Option<String>,
    /// Models it uses; `None` is the usual variables.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<String, Option<ServiceModel>>,
    /// Something else than the project's networks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_mode: Option<NetworkMode>,
    /// The networks it sits on; `None` is no special wish.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<String, Option<Attachment>>,
    /// The kernel may not kill it for want of memory.
    #[serde(skip_serializing_if = "is_false")]
    pub oom_kill_disable: bool,
    /// Its place in the queue for that, -1000 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i64>,
    /// The PID namespace: `host`, `service:x`, `container:x`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<String>,
    /// Processes it may have; -1 is unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids_limit: Option<i64>,
    /// `os/arch[/variant]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// All rights.
    #[serde(skip_serializing_if = "is_false")]
    pub privileged: bool,
    /// When to pull.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<PullPolicy>,
    /// The age after which the image is pulled again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_refresh_after: Option<String>,
    /// A read-only root.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only: bool,
    /// The OCI runtime.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// Secrets it sees.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<FileReference>,
    /// Security options as written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub security_opt: Vec<String>,
    /// The text of the seccomp profile that `security_opt` names, if it names a file.
    #[serde(skip)]
    pub seccomp_profile: Option<String>,
    /// The size of /dev/shm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<Bytes>,
    /// How long a stop may take; the default is ten seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_grace_period: Option<Duration>,
    /// What asks it to stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Options of the storage driver.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub storage_opt: BTreeMap<String, String>,
    /// Kernel settings of its namespaces.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, String>,
    /// `path[:options]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tmpfs: Vec<String>,
    /// Resource limits of its processes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// The engine's socket and credentials are given to the container.
    #[serde(skip_serializing_if = "is_false")]
    pub use_api_socket: bool,
    /// `user[:group]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The user namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub userns_mode: Option<String>,
    /// The UTS namespace: `host`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uts: Option<String>,
    /// What is mounted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Mount>,
    /// `service[:ro]` or `container:name[:ro]` whose volumes it shares.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes_from: Vec<String>,
    /// Where its process starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// How its image is built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
    /// What it waits for; implied dependencies (links, namespaces) are in it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub depends_on: BTreeMap<String, Dependency>,
    /// Ports other containers may use; nothing is opened by it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expose: Vec<String>,
    /// How its health is found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Ports opened on the host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// Keeps standard input open.
    #[serde(skip_serializing_if = "is_false")]
    pub stdin_open: bool,
    /// A terminal.
    #[serde(skip_serializing_if = "is_false")]
    pub tty: bool,
    /// `x-*` keys; printed in YAML only.
    #[serde(skip)]
    pub extensions: BTreeMap<String, serde_json::Value>,
}

impl Service {
    /// How many containers it wants: `scale`, else `deploy.replicas`, else one.
    #[must_use]
    pub fn replicas(&self) -> u32 {
        self.scale
            .or_else(|| self.deploy.as_ref().and_then(|d| d.replicas))
            .unwrap_or(1)
    }

    /// The memory limit, whichever of the two ways it was written.
    #[must_use]
    pub fn memory_limit(&self) -> Option<Bytes> {
        self.mem_limit
            .or_else(|| self.limits().and_then(|limits| limits.memory))
    }

    /// The processor limit, whichever of the two ways it was written.
    #[must_use]
    pub fn cpu_limit(&self) -> Option<f32> {
        self.cpus
            .or_else(|| self.limits().and_then(|limits| limits.cpus))
    }

    /// The process limit, whichever of the two ways it was written.
    #[must_use]
    pub fn process_limit(&self) -> Option<i64> {
        self.pids_limit
            .or_else(|| self.limits().and_then(|limits| limits.pids))
    }

    /// The memory reservation, whichever of the two ways it was written.
    #[must_use]
    pub fn memory_reservation(&self) -> Option<Bytes> {
        let reservations = || self.deploy.as_ref()?.resources.reservations.as_ref();
        self.mem_reservation.or_else(|| reservations()?.memory)
    }

    fn limits(&self) -> Option<&super::ResourceLimits> {
        self.deploy.as_ref()?.resources.limits.as_ref()
    }
}
