//! A step of a build as what the shim is asked to run. Pure: a step and where things lie in, a launch out.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use bowline_api::{Command, Ulimit};
use bowline_build::run::RunStep;
use bowline_runtime::{
    CgroupPlan, JoinNamespaces, Launch, LogPlan, PROTOCOL, Point, Rootfs, Seccomp, StdioPlan,
};
use oci_spec::runtime::{Mount, Spec};
use serde_json::json;

use crate::error::{Error, Result};
use crate::launch::{files, spec};
use crate::record::ContainerRecord;

/// Where things of a step lie.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The shim's folder.
    pub(super) run_dir: PathBuf,
    /// What is bound: source, target, whether it is a file, whether it refuses writes.
    pub(super) binds: Vec<Bind>,
    /// See [`bowline_runtime::make_stubs`]; none where nothing was missing.
    pub(super) stubs: Option<PathBuf>,
    /// Network namespace; none is the host's.
    pub(super) netns: Option<PathBuf>,
    /// The cgroup above the step's.
    pub(super) cgroup_parent: String,
    /// The cgroup of shims.
    pub(super) shims: String,
    /// The engine's record of its life.
    pub(super) engine_life: PathBuf,
    /// Whether a shim may bring the engine back, which then ends the step.
    pub(super) revive: bool,
}

/// One bind, or memory where there is no source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bind {
    pub(super) source: Option<PathBuf>,
    pub(super) target: PathBuf,
    pub(super) file: bool,
    pub(super) readonly: bool,
    /// Bytes of memory.
    pub(super) size: Option<u64>,
}

/// What is mounted on, as far as it may be missing. `/proc`, `/dev` and `/sys` are not among it: where an image lacks
/// them they are made in the step's layer and stay there, as the stock builder leaves them.
pub(super) fn points(binds: &[Bind]) -> Vec<Point> {
    let point = |bind: &Bind| Point {
        path: bind.target.clone(),
        file: bind.file,
    };
    binds.iter().map(point).collect()
}

/// The launch of `step`.
///
/// # Errors
/// A limit that is not one.
pub(super) fn launch(step: &RunStep, layout: Layout) -> Result<Launch> {
    let mut lowers = step.rootfs.lowers.clone();
    if let Some(stubs) = layout.stubs {
        lowers.insert(0, stubs);
    }
    Ok(Launch {
        protocol: PROTOCOL,
        id: step.id.clone(),
        spec: document(step, &layout.binds)?,
        user: step.user.clone(),
        additional_groups: Vec::new(),
        rootfs: Rootfs {
            lowers,
            upper: step.rootfs.upper.clone(),
            work: step.rootfs.work.clone(),
            readonly: false,
            volatile: true,
        },
        seccomp: Seccomp::Default,
        privileged: false,
        init: false,
        shm_size: step.shm_size,
        cgroup: CgroupPlan {
            parent: layout.cgroup_parent,
            name: step.id.clone(),
            shims: Some(layout.shims),
        },
        stdio: StdioPlan::default(),
        log: LogPlan::None,
        run_dir: layout.run_dir,
        netns: layout.netns,
        join: JoinNamespaces::default(),
        forwards: Vec::new(),
        revive: layout.revive,
        engine_life: Some(layout.engine_life),
    })
}

fn document(step: &RunStep, binds: &[Bind]) -> Result<Spec> {
    let invalid = |error: &dyn std::error::Error| Error::invalid(crate::error::chain(error));
    let mut record = ContainerRecord::default();
    record.config.hostname.clone_from(&step.hostname);
    record.config.cmd = Some(Command(step.args.clone()));
    record.config.working_dir = step.cwd.to_string_lossy().into_owned();
    record.host.ulimits = step.ulimits.iter().map(ulimit).collect();
    let mut spec =
        spec::document(&record, &spec::Context::default()).map_err(|error| invalid(&error))?;
    if let Some(process) = spec.process_mut() {
        process.set_env(Some(environment(step)));
    }
    let mounts = binds.iter().map(|bind| serde_json::from_value(mount(bind)));
    let mounts: Vec<Mount> = mounts
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| invalid(&error))?;
    spec.set_mounts(Some(mounts));
    Ok(spec)
}

/// As the step has it, with its secrets; of several entries of one name the last counts.
fn environment(step: &RunStep) -> Vec<String> {
    let secrets = step
        .secret_env
        .iter()
        .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(&value.0)));
    let mut all: Vec<String> = Vec::new();
    for entry in step.env.iter().cloned().chain(secrets) {
        let name = entry.split('=').next().unwrap_or_default();
        all.retain(|have| have.split('=').next() != Some(name));
        all.push(entry);
    }
    all
}

fn ulimit(limit: &bowline_build::graph::Ulimit) -> Ulimit {
    Ulimit {
        name: limit.name.clone(),
        soft: limit.soft,
        hard: limit.hard,
    }
}

fn mount(bind: &Bind) -> serde_json::Value {
    let access = if bind.readonly { "ro" } else { "rw" };
    match &bind.source {
        Some(source) => json!({
            "destination": bind.target,
            "type": "bind",
            "source": source,
            "options": ["rbind", "rprivate", access],
        }),
        None => {
            let mut options = vec!["nosuid".to_owned(), "nodev".into(), access.into()];
            options.extend(bind.size.map(|size| format!("size={size}")));
            json!({
                "destination": bind.target,
                "type": "tmpfs",
                "source": "tmpfs",
                "options": options,
            })
        }
    }
}

/// `/etc/hosts`. The step's own name leads to itself.
pub(super) fn hosts(step: &RunStep, gateway: Option<IpAddr>) -> String {
    let extra: Vec<(String, IpAddr)> = step
        .extra_hosts
        .iter()
        .filter_map(|(name, address)| files::extra_host(&format!("{name}={address}"), gateway))
        .collect();
    let own = [IpAddr::from([127, 0, 0, 1])];
    files::hosts(&step.hostname, "", &extra, &own)
}

/// The resolver's files as mounts.
pub(super) fn resolver_files(hosts: &Path, resolv_conf: &Path) -> [Bind; 2] {
    [(hosts, "/etc/hosts"), (resolv_conf, "/etc/resolv.conf")].map(|(source, target)| Bind {
        source: Some(source.to_owned()),
        target: target.into(),
        file: true,
        readonly: true,
        size: None,
    })
}

#[cfg(test)]
mod tests {
    use bowline_build::graph::Network;
    use bowline_build::run::{RunRootfs, Secret};

    use super::*;

    fn step() -> RunStep {
        RunStep {
            id: "0".repeat(64),
            rootfs: RunRootfs {
                lowers: vec!["/base".into()],
                upper: "/upper".into(),
                work: "/work".into(),
            },
            args: vec!["/bin/sh".into(), "-c".into(), "true".into()],
            env: vec!["PATH=/bin".into(), "TOKEN=public".into()],
            secret_env: vec![("TOKEN".into(), Secret::from(&b"hidden"[..]))],
            cwd: "/src".into(),
            user: "app".into(),
            mounts: Vec::new(),
            network: Network::Default,
            extra_hosts: vec![("db".into(), "10.0.0.9".into())],
            hostname: "buildkitsandbox".into(),
            shm_size: Some(1 << 20),
            ulimits: Vec::new(),
            cgroup_parent: None,
        }
    }

    fn layout() -> Layout {
        Layout {
            run_dir: "/run/x".into(),
            binds: vec![Bind {
                source: None,
                target: "/tmp".into(),
                file: false,
                readonly: false,
                size: Some(4096),
            }],
            stubs: Some("/run/x/stubs".into()),
            netns: None,
            cgroup_parent: "/p".into(),
            shims: "/p/shims".into(),
            engine_life: "/run/engine.json".into(),
            revive: false,
        }
    }

    #[test]
    fn a_step_runs_over_its_stubs_with_nothing_but_its_own_environment() {
        let launch = launch(&step(), layout()).unwrap();
        assert_eq!(
            launch.rootfs.lowers,
            [PathBuf::from("/run/x/stubs"), "/base".into()]
        );
        assert!(launch.rootfs.volatile && !launch.privileged);
        let process = launch.spec.process().as_ref().unwrap();
        let env = process.env().as_deref().unwrap();
        assert_eq!(env, ["PATH=/bin", "TOKEN=hidden"]);
        assert_eq!(process.cwd(), Path::new("/src"));
        let mounts = launch.spec.mounts().as_deref().unwrap();
        let options = mounts[0].options().as_deref().unwrap();
        assert!(options.contains(&"size=4096".into()), "{options:?}");
    }

    #[test]
    fn a_step_finds_itself_and_its_extra_hosts() {
        let text = hosts(&step(), None);
        assert!(text.contains("10.0.0.9\tdb\n"), "{text}");
        assert!(text.ends_with("127.0.0.1\tbuildkitsandbox\n"), "{text}");
    }
}
