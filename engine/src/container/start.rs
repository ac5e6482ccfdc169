//! Starting a container: network, files, shim, release. Intent is recorded first, the result last.

use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use bowline_api::HostConfig;
use bowline_dns::resolv::ResolvConf;
use bowline_runtime::{
    CgroupPlan, JoinNamespaces, Launch, LaunchFds, PROTOCOL, Rootfs, Seccomp, Shim, StartError,
    Started, StdioPlan,
};

use super::actor::Actor;
use super::network::{Ready, addresses};
use crate::create::propagation;
use crate::error::{Error, ErrorKind, Result};
use crate::launch::spec::{self, Security};
use crate::launch::{block, devices, files, log};
use crate::record::{ContainerRecord, MountKind, Phase};
use crate::restart::{BackOff, Policy};

impl Actor {
    /// A start by hand; false where it runs already.
    pub(super) async fn start(&mut self) -> Result<bool> {
        match self.record.phase {
            Phase::Running | Phase::Restarting => return Ok(false),
            Phase::Paused => {
                return Err(Error::conflict(
                    "cannot start a paused container, try unpause instead",
                ));
            }
            Phase::Removing => {
                return Err(Error::conflict(
                    "container is marked for removal and cannot be started",
                ));
            }
            Phase::Created | Phase::Exited => {}
        }
        self.record.restarts = 0;
        self.record.stopped_by_hand = false;
        self.back_off = BackOff::default();
        self.launch().await.map(|()| true)
    }

    /// One launch, by hand or by policy.
    pub(super) async fn launch(&mut self) -> Result<()> {
        let _busy = self.engine.busy();
        self.record.starting = true;
        self.record.boot = self.engine.boot_id().to_owned();
        self.save()?;
        let launched = self.try_launch().await;
        self.record.starting = false;
        let started = match launched {
            Ok(started) => started,
            Err(failure) => return Err(self.start_failed(failure).await),
        };
        let run = &mut self.record.run;
        run.pid = started.pid;
        run.started_at = started.started_at;
        run.error = String::new();
        run.code = 0;
        run.oom_killed = false;
        self.record.phase = Phase::Running;
        self.begin_health();
        self.save_what_is();
        self.hold_terminal().await;
        self.event("start", &[]);
        self.start_probes();
        Ok(())
    }

    async fn start_failed(&mut self, failure: Failure) -> Error {
        self.pending.clear();
        self.release_network().await;
        self.remove_cgroup();
        let (error, code) = match failure {
            // Ports and networks are the engine's affair: the container stays what it was.
            Failure::Before(error) => (error, None),
            Failure::Process(error) => (start_failure(&error), Some(error.code)),
        };
        self.record.phase = match self.record.run.started_at.is_empty() {
            true => Phase::Created,
            false => Phase::Exited,
        };
        self.record.run.pid = 0;
        self.record.run.error.clone_from(&error.message);
        if let Some(code) = code {
            self.record.run.code = if code == 125 { 128 } else { code };
        }
        self.save_what_is();
        self.engine.release_volumes(&self.record);
        error
    }

    async fn try_launch(&mut self) -> std::result::Result<Started, Failure> {
        // Until the record says that it runs, which holds them then.
        let _volumes = self.engine.hold_volumes(&self.record).await?;
        let ready = self.bring_up().await?;
        let launch = self.plan(&ready)?;
        let fds = LaunchFds {
            forwards: ready.listeners,
            keep: ready.keep,
        };
        let shims = self.engine.shims();
        let prepared = tokio::task::spawn_blocking(move || shims.prepare(&launch, fds)).await;
        let prepared = prepared.map_err(|error| Error::failed("prepare the container", &error))?;
        let (shim, warnings) = prepared.map_err(Failure::Process)?;
        for warning in warnings {
            tracing::warn!(container = self.record.name, warning);
        }
        let shim = Arc::new(shim);
        self.hand_over_clients(&shim);
        self.follow(Arc::clone(&shim));
        let starting = Arc::clone(&shim);
        let started = tokio::task::spawn_blocking(move || starting.start()).await;
        let started = started.map_err(|error| Error::failed("start the container", &error))?;
        started.map_err(|error| {
            self.shim = None;
            self.launch += 1;
            // A shim whose process never ran has nothing to keep.
            drop(shim.dismiss());
            Failure::Process(error)
        })
    }

    /// Clients that attached before the start see the first byte.
    fn hand_over_clients(&mut self, shim: &Shim) {
        for (attach, stream) in std::mem::take(&mut self.pending) {
            let attach = bowline_runtime::Attach {
                leftover: stream.leftover,
                ..attach
            };
            if let Err(error) = shim.attach(attach, stream.fd) {
                tracing::debug!(container = self.record.name, %error, "client not attached");
            }
        }
    }

    /// Writes the container's own files and says what is to be run.
    pub(super) fn plan(&self, ready: &Ready) -> Result<Launch> {
        let record = &self.record;
        let roots = &self.engine.settings().roots;
        let folder = roots.container(&record.id);
        let invalid = |error: &dyn std::error::Error| Error::invalid(crate::error::chain(error));
        let devices = devices::resolve(&record.host).map_err(|error| invalid(&error))?;
        let files = self.write_files()?;
        let context = spec::Context {
            files,
            devices,
            images: self.mounted_images()?,
            block_io: block::io(&record.host).map_err(|error| invalid(&error))?,
        };
        let document = spec::document(record, &context).map_err(|error| invalid(&error))?;
        let security =
            Security::parse(&record.host.security_opt).map_err(|error| invalid(&error))?;
        let image = record.image.parse().map_err(|error| invalid(&error))?;
        let snapshot = self.engine.images().snapshot(&image, &folder);
        let snapshot =
            snapshot.map_err(|error| Error::failed("prepare the root file system", &error))?;
        let run_dir = roots.container_run(&record.id);
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&run_dir);
        made.map_err(|error| Error::failed("make the container's run folder", &error))?;
        let host = &record.host;
        Ok(Launch {
            protocol: PROTOCOL,
            id: record.id.clone(),
            spec: document,
            user: record.config.user.clone(),
            additional_groups: host.group_add.clone(),
            rootfs: Rootfs {
                lowers: snapshot.lowers,
                upper: snapshot.upper,
                work: snapshot.work,
                readonly: host.readonly_rootfs,
                volatile: false,
            },
            seccomp: match security.seccomp.as_deref() {
                _ if host.privileged => Seccomp::Unconfined,
                None => Seccomp::Default,
                Some("unconfined") => Seccomp::Unconfined,
                Some(profile) => Seccomp::Profile(profile.into()),
            },
            privileged: host.privileged,
            init: host.init.unwrap_or(false),
            shm_size: u64::try_from(host.shm_size).ok().filter(|size| *size > 0),
            cgroup: CgroupPlan {
                parent: self.engine.cgroup_parent(record),
                name: record.id.clone(),
                shims: Some(format!("{}/shims", self.engine.settings().cgroup_parent)),
            },
            stdio: stdio(record),
            log: log::plan(record, &folder).map_err(|error| invalid(&error))?,
            run_dir,
            netns: ready.netns.clone(),
            join: self.joins()?,
            forwards: ready.forwards.clone(),
            revive: self.engine.revives(),
            engine_life: Some(roots.life()),
        })
    }

    /// The images that are mounted in it, and whether its binds may travel as they are asked to.
    fn mounted_images(&self) -> Result<std::collections::BTreeMap<String, Vec<PathBuf>>> {
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mut images = std::collections::BTreeMap::new();
        for point in &self.record.mounts {
            match point.kind {
                MountKind::Image => {
                    let id = point.name.parse();
                    let id = id.map_err(|error: bowline_image::DigestError| {
                        Error::invalid(crate::error::chain(&error))
                    })?;
                    images.insert(point.name.clone(), self.engine.images().layer_folders(&id)?);
                }
                MountKind::Bind => {
                    let checked = propagation::check(&table, &point.source, &point.propagation);
                    checked.map_err(|error| Error::internal(error.to_string()))?;
                }
                MountKind::Volume | MountKind::Tmpfs => {}
            }
        }
        Ok(images)
    }

    fn joins(&self) -> Result<JoinNamespaces> {
        let host = &self.record.host;
        let namespace = |mode: &str, kind: &str| {
            let Some(other) = mode.strip_prefix("container:") else {
                return Ok(None);
            };
            let record = self.engine.containers().find(other)?.record();
            if !record.phase.is_alive() {
                return Err(Error::conflict(format!(
                    "cannot join {kind} of a non running container: {other}"
                )));
            }
            Ok(Some(PathBuf::from(format!(
                "/proc/{}/ns/{kind}",
                record.run.pid
            ))))
        };
        let host_cgroup = match host.cgroupns_mode.as_str() {
            // Private with v1 too: in the host's namespace the mounts below /sys/fs/cgroup would show every cgroup of
            // the machine, and the root's limits where programs look for their own.
            "" => host.privileged,
            mode => mode == "host",
        };
        Ok(JoinNamespaces {
            pid: namespace(&host.pid_mode, "pid")?,
            ipc: namespace(&host.ipc_mode, "ipc")?,
            uts: None,
            host_pid: host.pid_mode == "host",
            host_ipc: host.ipc_mode == "host",
            host_uts: host.uts_mode == "host",
            host_cgroup,
        })
    }

    /// `hosts`, `hostname` and `resolv.conf`; a container that joins another's network shares that one's.
    fn write_files(&self) -> Result<Vec<(PathBuf, PathBuf)>> {
        let record = &self.record;
        let roots = &self.engine.settings().roots;
        let owner = match record.host.network_mode.strip_prefix("container:") {
            Some(other) => roots.container(other),
            None => {
                let folder = roots.container(&record.id);
                let host = &record.config.hostname;
                let texts = [
                    ("hosts", self.hosts()),
                    ("hostname", format!("{host}\n")),
                    ("resolv.conf", self.resolv_conf()),
                ];
                for (name, text) in texts {
                    let written = std::fs::write(folder.join(name), text);
                    written
                        .map_err(|error| Error::failed("write the container's files", &error))?;
                }
                folder
            }
        };
        let inside = ["hosts", "hostname", "resolv.conf"];
        Ok(inside
            .map(|name| (owner.join(name), PathBuf::from("/etc").join(name)))
            .to_vec())
    }

    fn hosts(&self) -> String {
        let config = &self.record.config;
        let networks = self.engine.networks().all();
        let gateway = self.record.endpoints.keys().find_map(|name| {
            networks
                .get(name)
                .filter(|network| !network.internal)?
                .gateway
                .map(IpAddr::V4)
        });
        // On the host's network the host is here.
        let gateway = gateway
            .or((self.record.host.network_mode == "host").then_some(IpAddr::from([127, 0, 0, 1])));
        let extra: Vec<(String, IpAddr)> = self
            .record
            .host
            .extra_hosts
            .iter()
            .filter_map(|entry| files::extra_host(entry, gateway))
            .collect();
        files::hosts(
            &config.hostname,
            &config.domainname,
            &extra,
            &addresses(&self.record),
        )
    }

    fn resolv_conf(&self) -> String {
        let host: &HostConfig = &self.record.host;
        let machine = self.engine.names().host().conf();
        let search = if host.dns_search.is_empty() {
            &machine.search
        } else {
            &host.dns_search
        };
        let named = self
            .record
            .endpoints
            .keys()
            .any(|name| !["bridge", "host", "none"].contains(&name.as_str()));
        if named {
            return ResolvConf::for_container(search, &host.dns_options);
        }
        // The default bridge and the host's network ask the machine's servers themselves.
        let servers: Vec<String> = match host.dns.is_empty() {
            true => machine
                .nameservers
                .iter()
                .map(|server| server.ip().to_string())
                .collect(),
            false => host.dns.clone(),
        };
        let mut text: String = servers
            .iter()
            .map(|server| format!("nameserver {server}\n"))
            .collect();
        if !search.is_empty() {
            text.push_str(&format!("search {}\n", search.join(" ")));
        }
        let options = if host.dns_options.is_empty() {
            &machine.options
        } else {
            &host.dns_options
        };
        if !options.is_empty() {
            text.push_str(&format!("options {}\n", options.join(" ")));
        }
        text
    }

    /// Limits and restart policy of a container that may be running.
    pub(super) fn update(&mut self, changes: &HostConfig) -> Result<Vec<String>> {
        let mut host = self.record.host.clone();
        if !changes.restart_policy.name.is_empty() {
            let policy = &changes.restart_policy;
            let parsed = Policy::parse(&policy.name, policy.maximum_retry_count);
            parsed.map_err(|error| Error::invalid(error.to_string()))?;
            host.restart_policy = policy.clone();
        }
        let number = |own: &mut i64, new: i64| {
            if new != 0 {
                *own = new;
            }
        };
        number(&mut host.memory, changes.memory);
        number(&mut host.memory_swap, changes.memory_swap);
        number(&mut host.memory_reservation, changes.memory_reservation);
        number(&mut host.nano_cpus, changes.nano_cpus);
        number(&mut host.cpu_shares, changes.cpu_shares);
        number(&mut host.cpu_quota, changes.cpu_quota);
        number(&mut host.cpu_period, changes.cpu_period);
        host.pids_limit = changes.pids_limit.or(host.pids_limit);
        for (own, new) in [
            (&mut host.cpuset_cpus, &changes.cpuset_cpus),
            (&mut host.cpuset_mems, &changes.cpuset_mems),
        ] {
            if !new.is_empty() {
                own.clone_from(new);
            }
        }
        let before = std::mem::replace(&mut self.record.host, host);
        let applied = self.apply_limits();
        if applied.is_err() {
            self.record.host = before;
        }
        let warnings = applied?;
        self.save()?;
        self.event("update", &[]);
        Ok(warnings)
    }

    fn apply_limits(&self) -> Result<Vec<String>> {
        if !self.record.phase.is_alive() {
            return Ok(Vec::new());
        }
        let invalid = |error: &dyn std::error::Error| Error::invalid(crate::error::chain(error));
        let context = spec::Context {
            block_io: block::io(&self.record.host).map_err(|error| invalid(&error))?,
            ..spec::Context::default()
        };
        let document = spec::document(&self.record, &context);
        let document = document.map_err(|error| Error::invalid(crate::error::chain(&error)))?;
        let linux = document.linux().as_ref();
        let Some(resources) = linux.and_then(|linux| linux.resources().as_ref()) else {
            return Ok(Vec::new());
        };
        let mut resources = resources.clone();
        // Devices are set once: rewriting the list would take back what an exec was given meanwhile.
        resources.set_devices(None);
        let updated = self.cgroup()?.update(&resources);
        let warnings = updated.map_err(|error| Error::failed("update the limits", &error))?;
        Ok(warnings.iter().map(ToString::to_string).collect())
    }
}

enum Failure {
    Before(Error),
    Process(StartError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Before(error)
    }
}

/// Docker's status for what the command itself is to blame for is 400; clients turn the words into 126 and 127.
pub(super) fn start_failure(error: &StartError) -> Error {
    failure(
        "failed to create task for container: failed to create shim task",
        error,
    )
}

/// As [`start_failure`], for a command run in a container.
pub(super) fn exec_failure(error: &StartError) -> Error {
    failure(
        "OCI runtime exec failed: exec failed: unable to start container process",
        error,
    )
}

fn failure(what: &str, error: &StartError) -> Error {
    let kind = match error.code {
        126 | 127 => ErrorKind::Invalid,
        _ => ErrorKind::Internal,
    };
    Error::new(kind, format!("{what}: {}", error.message))
}

fn stdio(record: &ContainerRecord) -> StdioPlan {
    let size = record.host.console_size.and_then(|[height, width]| {
        Some((u16::try_from(height).ok()?, u16::try_from(width).ok()?))
    });
    StdioPlan {
        tty: record.config.tty,
        open_stdin: record.config.open_stdin,
        stdin_once: record.config.stdin_once,
        console_size: size.filter(|size| *size != (0, 0)),
    }
}
