//! The draft of a container's first process.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use bowline_init::Instruction;
use bowline_sys::overlay::Overlay;
use nix::libc::{
    CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUTS,
};
use oci_spec::runtime::Process;

use super::order::{Order, inside};
use super::program::Program;
use super::{Draft, Rights, c_string, defaults, devices, mounts};
use crate::cgroup::{Cgroup, Hierarchies, Join};
use crate::spawn::chain;
use crate::{Launch, StartError, StartStep};

/// What the shim brings to a container.
#[derive(Debug)]
pub(crate) struct Supplies {
    /// The process's streams; none for a terminal.
    pub(crate) stdio: Option<[OwnedFd; 3]>,
    /// The filter, compiled.
    pub(crate) filter: Vec<Instruction>,
    /// Capabilities where the spec names none.
    pub(crate) capabilities: u64,
}

/// Draws up the first process and makes its cgroup. The warnings are limits that this machine cannot hold.
pub(crate) fn container(
    launch: &Launch,
    supplies: Supplies,
) -> Result<(Draft, Cgroup, Vec<String>), StartError> {
    let process = launch.spec.process().as_ref();
    let process =
        process.ok_or_else(|| StartError::new(StartStep::Plan, "the plan has no process"))?;
    let reaper = launch.init.then(own_executable).transpose()?;
    let program = Program::new(process, reaper)?;
    let layers = &launch.rootfs;
    let overlay = Overlay {
        lowers: &layers.lowers,
        upper: Some((&layers.upper, &layers.work)),
    };
    let tree = match layers.volatile {
        true => overlay.mount_with(&[("volatile", "")]),
        false => overlay.mount(),
    };
    let tree = tree.map_err(|error| StartError::new(StartStep::Rootfs, chain(&error)))?;
    let root = tree
        .try_clone()
        .map_err(|error| StartError::io(StartStep::Rootfs, "keep the root", &error))?;
    let mut orders = Vec::new();
    own_mounts(launch, tree, &mut orders)?;
    let (cgroup, join, warnings) = make_cgroup(launch)?;
    let mut first = join_orders(launch, join.tasks)?;
    first.append(&mut orders);
    let draft = Draft {
        namespaces: namespaces(launch),
        cgroup: join.into,
        pid_namespace: launch
            .join
            .pid
            .as_deref()
            .map(|path| open(path, "pid namespace"))
            .transpose()?,
        orders: first,
        stdio: supplies.stdio,
        program,
        rights: Rights::new(Some(process), supplies.capabilities, supplies.filter),
        limits: limits(process),
        oom_score_adj: process.oom_score_adj(),
        user: launch.user.clone(),
        additional_groups: launch.additional_groups.clone(),
        root,
    };
    Ok((draft, cgroup, warnings))
}

fn own_executable() -> Result<OwnedFd, StartError> {
    File::open("/proc/self/exe")
        .map(OwnedFd::from)
        .map_err(|error| StartError::io(StartStep::Shim, "open the reaper", &error))
}

fn make_cgroup(launch: &Launch) -> Result<(Cgroup, Join, Vec<String>), StartError> {
    let failed = |error: crate::cgroup::CgroupError| StartError {
        code: 128,
        ..StartError::new(StartStep::Cgroup, chain(&error))
    };
    let hierarchies = Hierarchies::detect().map_err(failed)?;
    let plan = &launch.cgroup;
    let resources = devices::resources(launch);
    let (cgroup, warnings) =
        Cgroup::create(&hierarchies, &plan.parent, &plan.name, &resources).map_err(failed)?;
    let join = cgroup.join().map_err(failed)?;
    Ok((
        cgroup,
        join,
        warnings.iter().map(ToString::to_string).collect(),
    ))
}

fn namespaces(launch: &Launch) -> u64 {
    let join = &launch.join;
    let own = [
        (CLONE_NEWNS, true),
        (CLONE_NEWPID, join.pid.is_none() && !join.host_pid),
        (CLONE_NEWIPC, join.ipc.is_none() && !join.host_ipc),
        (CLONE_NEWUTS, join.uts.is_none() && !join.host_uts),
    ];
    own.into_iter()
        .filter(|(_, own)| *own)
        .fold(0, |all, (flag, _)| all | u64::from(flag.unsigned_abs()))
}

/// Into the cgroups first: a cgroup namespace is rooted where its maker is.
fn join_orders(launch: &Launch, tasks: Vec<OwnedFd>) -> Result<Vec<Order>, StartError> {
    let mut orders: Vec<Order> = tasks.into_iter().map(Order::JoinTasks).collect();
    if !launch.join.host_cgroup {
        orders.push(Order::Unshare(CLONE_NEWCGROUP));
    }
    let joined = [
        (&launch.netns, CLONE_NEWNET, "network namespace"),
        (&launch.join.ipc, CLONE_NEWIPC, "ipc namespace"),
        (&launch.join.uts, CLONE_NEWUTS, "uts namespace"),
    ];
    for (path, kinds, what) in joined {
        if let Some(path) = path {
            orders.push(Order::Enter {
                fd: open(path, what)?,
                kinds,
                what,
            });
        }
    }
    Ok(orders)
}

fn open(path: &Path, what: &str) -> Result<OwnedFd, StartError> {
    File::open(path).map(OwnedFd::from).map_err(|error| {
        StartError::io(
            StartStep::Setup,
            &format!("open the {what} {}", path.display()),
            &error,
        )
    })
}

/// From the session to the new root. What hides and protects comes after all that it could hide from.
fn own_mounts(launch: &Launch, tree: OwnedFd, orders: &mut Vec<Order>) -> Result<(), StartError> {
    orders.push(Order::Session);
    orders.push(Order::Keyring(c_string(
        format!("bowline-{}", launch.id),
        "the id",
    )?));
    names(launch, orders);
    orders.push(Order::PrivateMounts);
    // Over our own run directory, in the new namespace alone: a place that is there and that nobody else looks at.
    let at = c_string(
        launch.run_dir.as_os_str().as_encoded_bytes(),
        "the run directory",
    )?;
    orders.push(Order::Root { tree, at });
    let (mounts, own_dev) = mounts::orders(launch)?;
    orders.extend(mounts);
    add_devices(launch, own_dev, orders)?;
    parameters(launch, orders)?;
    working_directory(launch, orders);
    if launch.stdio.tty {
        orders.push(Order::Terminal { console: own_dev });
    }
    protect(launch, orders);
    orders.push(Order::Pivot);
    Ok(())
}

/// Names belong to the namespace: somebody else's keeps its own.
fn names(launch: &Launch, orders: &mut Vec<Order>) {
    if launch.join.uts.is_some() || launch.join.host_uts {
        return;
    }
    orders.extend(launch.spec.hostname().clone().map(Order::HostName));
    orders.extend(launch.spec.domainname().clone().map(Order::DomainName));
}

fn add_devices(launch: &Launch, own_dev: bool, orders: &mut Vec<Order>) -> Result<(), StartError> {
    if own_dev {
        if launch.privileged {
            orders.extend(defaults::host_devices());
        }
        orders.extend(defaults::devices());
    }
    let linux = launch.spec.linux().as_ref();
    for device in linux
        .and_then(|linux| linux.devices().as_deref())
        .unwrap_or_default()
    {
        orders.push(devices::order(device)?);
    }
    Ok(())
}

fn parameters(launch: &Launch, orders: &mut Vec<Order>) -> Result<(), StartError> {
    let linux = launch.spec.linux().as_ref();
    let Some(parameters) = linux.and_then(|linux| linux.sysctl().as_ref()) else {
        return Ok(());
    };
    for (name, value) in parameters {
        if !of_namespace(launch, name) {
            let text = format!("sysctl \"{name}\" is not in a separate kernel namespace");
            return Err(StartError {
                code: 128,
                ..StartError::new(StartStep::Plan, text)
            });
        }
        // As sysctl(8) has it: where there are slashes, they separate, and a dot is part of a name.
        let path = if name.contains('/') {
            name.clone()
        } else {
            name.replace('.', "/")
        };
        let path = c_string(format!("sys/{path}"), "a sysctl")?;
        orders.push(Order::Parameter {
            path,
            value: c_string(value.as_str(), "a sysctl")?,
            name: name.clone(),
        });
    }
    Ok(())
}

/// Whether a parameter belongs to a namespace that the container has for itself: all others are the host's.
fn of_namespace(launch: &Launch, name: &str) -> bool {
    const IPC: [&str; 7] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
    ];
    let name = if name.contains('/') {
        name.replace('/', ".")
    } else {
        name.to_owned()
    };
    let own_ipc = !launch.join.host_ipc;
    match name.as_str() {
        "kernel.shm_rmid_forced" => own_ipc,
        ipc if IPC.contains(&ipc) || ipc.starts_with("fs.mqueue.") => own_ipc,
        net if net.starts_with("net.") => launch.netns.is_some(),
        "kernel.domainname" => !launch.join.host_uts,
        _ => false,
    }
}

fn working_directory(launch: &Launch, orders: &mut Vec<Order>) {
    let cwd = launch
        .spec
        .process()
        .as_ref()
        .and_then(|process| inside(process.cwd()));
    orders.extend(
        cwd.filter(|path| !path.is_empty())
            .map(|path| Order::Directory { path, mode: 0o755 }),
    );
}

fn protect(launch: &Launch, orders: &mut Vec<Order>) {
    let linux = launch.spec.linux().as_ref();
    let chosen = |paths: Option<&Vec<String>>, default: fn() -> Vec<CString>| match paths {
        Some(paths) => paths
            .iter()
            .filter_map(|path| inside(Path::new(path)))
            .collect(),
        None if launch.privileged => Vec::new(),
        None => default(),
    };
    let read_only = chosen(
        linux.and_then(|linux| linux.readonly_paths().as_ref()),
        defaults::read_only_paths,
    );
    orders.extend(read_only.into_iter().map(Order::ReadOnly));
    let masked = chosen(
        linux.and_then(|linux| linux.masked_paths().as_ref()),
        defaults::masked,
    );
    orders.extend(masked.into_iter().map(Order::Mask));
    if launch.rootfs.readonly {
        orders.push(Order::ReadOnlyMount(c"".into()));
    }
}

pub(super) fn limits(process: &Process) -> Vec<(u32, u64, u64)> {
    use oci_spec::runtime::PosixRlimitType as Type;
    let number = |kind| match kind {
        Type::RlimitCpu => nix::libc::RLIMIT_CPU,
        Type::RlimitFsize => nix::libc::RLIMIT_FSIZE,
        Type::RlimitData => nix::libc::RLIMIT_DATA,
        Type::RlimitStack => nix::libc::RLIMIT_STACK,
        Type::RlimitCore => nix::libc::RLIMIT_CORE,
        Type::RlimitRss => nix::libc::RLIMIT_RSS,
        Type::RlimitNproc => nix::libc::RLIMIT_NPROC,
        Type::RlimitNofile => nix::libc::RLIMIT_NOFILE,
        Type::RlimitMemlock => nix::libc::RLIMIT_MEMLOCK,
        Type::RlimitAs => nix::libc::RLIMIT_AS,
        Type::RlimitLocks => nix::libc::RLIMIT_LOCKS,
        Type::RlimitSigpending => nix::libc::RLIMIT_SIGPENDING,
        Type::RlimitMsgqueue => nix::libc::RLIMIT_MSGQUEUE,
        Type::RlimitNice => nix::libc::RLIMIT_NICE,
        Type::RlimitRtprio => nix::libc::RLIMIT_RTPRIO,
        Type::RlimitRttime => nix::libc::RLIMIT_RTTIME,
    };
    let limits = process.rlimits().as_deref().unwrap_or_default();
    limits
        .iter()
        .map(|limit| (number(limit.typ()), limit.soft(), limit.hard()))
        .collect()
}
