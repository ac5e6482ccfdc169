//! Starting shims.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::OnceLock;

use bowline_sys::process::{self, IntoCgroup, Spawn};
use bowline_sys::{fdpass, memfd};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use oci_spec::runtime::Capability;
use serde::{Deserialize, Serialize};

use crate::caps::CapSet;
use crate::cgroup::{Hierarchies, Join};
use crate::handle::socket_path;
use crate::record::{EXIT, SOCKET, STATE};
use crate::seccomp::{self, Profile, Target};
use crate::wire::{Reply, Request};
use crate::{Error, Identity, Launch, PROTOCOL, Seccomp, Shim, StartError, StartStep};

/// What starts shims: a sealed copy of this executable, and the cgroups of this machine. Made once per engine start.
#[derive(Debug)]
pub struct Shims {
    executable: OwnedFd,
    null: OwnedFd,
    hierarchies: OnceLock<Hierarchies>,
}

/// Descriptors that go to a shim with its launch.
#[derive(Debug, Default)]
pub struct LaunchFds {
    /// Listeners, which the launch's forwards name by index.
    pub forwards: Vec<OwnedFd>,
    /// Whatever is to outlive the engine, each under a name.
    pub keep: Vec<(String, OwnedFd)>,
}

/// A container that has lost its shim.
#[derive(Debug)]
pub struct Survivor {
    /// Who it is, by its record.
    pub identity: Identity,
    /// A handle on its process, as [`crate::Adopted::Gone`] has it.
    pub process: OwnedFd,
    /// The master of its terminal, as [`Shim::terminal`] had given it.
    pub terminal: Option<OwnedFd>,
}

/// What the memfd holds before the filter: its length in eight bytes, then this as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Envelope {
    pub(crate) launch: Launch,
    pub(crate) keep: Vec<String>,
    pub(crate) forwards: usize,
    /// Bits of the capabilities that the filter was made for.
    pub(crate) capabilities: u64,
    /// The container runs already.
    #[serde(default)]
    pub(crate) relief: Option<Relief>,
}

/// What a shim takes over. Its process, and then its terminal, follow the other descriptors.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Relief {
    pub(crate) pid: i32,
    pub(crate) started_at: String,
    pub(crate) terminal: bool,
}

/// The shim's descriptors by number.
pub(crate) const PLAN_FD: i32 = 3;
pub(crate) const LISTENER_FD: i32 = 4;
pub(crate) const FIRST_PASSED_FD: i32 = 5;

impl Shims {
    /// Copies the running executable to where nobody can change it.
    pub fn seal() -> Result<Self, Error> {
        let null = nix::fcntl::open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())
            .map_err(|errno| Error::Seal(errno.into()))?;
        let executable = memfd::sealed_self("bowline").map_err(Error::Seal)?;
        Ok(Self {
            executable,
            null,
            hierarchies: OnceLock::new(),
        })
    }

    /// Starts a shim, which makes the container's process and holds it just before its program. The strings are limits
    /// that this machine cannot hold.
    ///
    /// # Errors
    /// When anything fails; nothing is left then but what the cgroup may hold.
    pub fn prepare(
        &self,
        launch: &Launch,
        fds: LaunchFds,
    ) -> Result<(Shim, Vec<String>), StartError> {
        clear(launch, &[EXIT, STATE, SOCKET])?;
        let shim = self.shim(launch, &fds, None)?;
        let asked = shim.ask(&Request::Prepare, &[]);
        match asked.map_err(|error| StartError::new(StartStep::Shim, error.to_string()))? {
            Reply::Prepared { warnings, .. } => Ok((shim, warnings)),
            Reply::Failed(error) => {
                shim.reap();
                Err(error)
            }
            other => Err(StartError::new(
                StartStep::Shim,
                format!("the shim answered out of turn: {other:?}"),
            )),
        }
    }

    /// Starts a shim for a container whose own has died. It goes on with the streams, the log and further commands; the
    /// input of a container without a terminal ended with the old shim. The exit code is exact where the kernel tells
    /// it to strangers (6.15), else 255 with the reason.
    ///
    /// # Errors
    /// When the shim cannot be started; the container goes on as it is.
    pub fn relieve(
        &self,
        launch: &Launch,
        fds: LaunchFds,
        survivor: Survivor,
    ) -> Result<Shim, StartError> {
        clear(launch, &[SOCKET])?;
        self.shim(launch, &fds, Some(survivor))
    }

    fn shim(
        &self,
        launch: &Launch,
        fds: &LaunchFds,
        survivor: Option<Survivor>,
    ) -> Result<Shim, StartError> {
        let socket = socket_path(&launch.run_dir);
        let listener = fdpass::listen_at(&socket).map_err(|error| {
            StartError::io(
                StartStep::Shim,
                &format!("listen at {}", socket.display()),
                &error,
            )
        })?;
        let plan = seal_plan(launch, fds, survivor.as_ref())?;
        let extra: Vec<OwnedFd> = survivor
            .map(|survivor| [Some(survivor.process), survivor.terminal])
            .into_iter()
            .flatten()
            .flatten()
            .collect();
        let process = self.spawn(launch, &plan, &listener, fds, &extra)?;
        // The shim holds the only listener now: when it dies, whoever waits for it is told.
        drop(listener);
        let gone = |error: Error| StartError::new(StartStep::Shim, error.to_string());
        Shim::connect(&launch.run_dir, process).map_err(gone)
    }

    fn spawn(
        &self,
        launch: &Launch,
        plan: &OwnedFd,
        listener: &OwnedFd,
        fds: &LaunchFds,
        extra: &[OwnedFd],
    ) -> Result<OwnedFd, StartError> {
        let run_dir = CString::new(launch.run_dir.as_os_str().as_bytes());
        let run_dir = run_dir.map_err(|error| {
            StartError::io(
                StartStep::Shim,
                "name the shim",
                &std::io::Error::other(error),
            )
        })?;
        let join = launch
            .cgroup
            .shims
            .as_deref()
            .map(|path| self.join(path))
            .transpose()?;
        let null = self.null.as_fd();
        let all: Vec<_> = [null, null, null, plan.as_fd(), listener.as_fd()]
            .into_iter()
            .chain(fds.forwards.iter().map(OwnedFd::as_fd))
            .chain(fds.keep.iter().map(|(_, fd)| fd.as_fd()))
            .chain(extra.iter().map(OwnedFd::as_fd))
            .collect();
        let spawned = process::spawn(&Spawn {
            exe: self.executable.as_fd(),
            // Not read by the shim: it tells people, and ledgers, whose shim a process is.
            argv: &[NAME, &run_dir],
            envp: &[crate::shim::ENVIRONMENT],
            fds: &all,
            cgroup: into_cgroup(join.as_ref()),
            sibling: false,
        });
        let spawned =
            spawned.map_err(|error| StartError::io(StartStep::Shim, "start the shim", &error))?;
        Ok(spawned.pidfd)
    }

    fn join(&self, path: &str) -> Result<Join, StartError> {
        let failed =
            |error: crate::cgroup::CgroupError| StartError::new(StartStep::Cgroup, chain(&error));
        let hierarchies = match self.hierarchies.get() {
            Some(known) => known,
            None => {
                let detected = Hierarchies::detect().map_err(failed)?;
                self.hierarchies.get_or_init(|| detected)
            }
        };
        hierarchies.join_at(path).map_err(failed)
    }
}

/// `bowline-shim`, as an argument vector has it.
const NAME: &CStr = c"bowline-shim";

pub(crate) fn into_cgroup(join: Option<&Join>) -> IntoCgroup<'_> {
    join.map_or_else(IntoCgroup::default, |join| IntoCgroup {
        born: join.into.as_ref().map(OwnedFd::as_fd),
        tasks: &join.tasks,
    })
}

/// An error with all its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Removes what an earlier run of the same container left: a record found later must be this run's.
fn clear(launch: &Launch, names: &[&str]) -> Result<(), StartError> {
    for name in names {
        let path = launch.run_dir.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StartError::io(
                    StartStep::Shim,
                    &format!("remove {}", path.display()),
                    &error,
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn seal_plan(
    launch: &Launch,
    fds: &LaunchFds,
    survivor: Option<&Survivor>,
) -> Result<OwnedFd, StartError> {
    if launch.protocol != PROTOCOL {
        let text = format!(
            "launch has protocol {}, this runtime {PROTOCOL}",
            launch.protocol
        );
        return Err(StartError::new(StartStep::Plan, text));
    }
    let capabilities = capabilities(launch);
    let envelope = Envelope {
        launch: launch.clone(),
        keep: fds.keep.iter().map(|(name, _)| name.clone()).collect(),
        forwards: fds.forwards.len(),
        capabilities,
        relief: survivor.map(|survivor| Relief {
            pid: survivor.identity.pid,
            started_at: survivor.identity.started_at.clone(),
            terminal: survivor.terminal.is_some(),
        }),
    };
    let json = serde_json::to_vec(&envelope)
        .map_err(|error| StartError::new(StartStep::Plan, format!("write the plan: {error}")))?;
    let length = (json.len() as u64).to_le_bytes();
    let filter = filter(launch, capabilities)?;
    memfd::sealed("plan", &[&length, &json, &filter])
        .map_err(|error| StartError::io(StartStep::Plan, "seal the plan", &error))
}

/// The filter is compiled here, where compiled ones are kept, and not in the shim, which would pay for each.
fn filter(launch: &Launch, capabilities: u64) -> Result<Vec<u8>, StartError> {
    let profile = match &launch.seccomp {
        _ if launch.privileged => return Ok(Vec::new()),
        Seccomp::Unconfined => return Ok(Vec::new()),
        Seccomp::Default => Profile::docker_default(),
        Seccomp::Profile(text) => Profile::from_json(text)
            .map_err(|error| StartError::new(StartStep::Plan, chain(&error)))?,
    };
    let program = seccomp::compile(&profile, capabilities, Target::native());
    Ok(program
        .map_err(|error| StartError::new(StartStep::Plan, chain(&error)))?
        .to_bytes())
}

/// What the process may hold: what the spec says, or else Docker's default, or everything.
fn capabilities(launch: &Launch) -> u64 {
    let named = launch
        .spec
        .process()
        .as_ref()
        .and_then(|process| process.capabilities().as_ref());
    match named.and_then(|capabilities| capabilities.bounding().as_ref()) {
        Some(set) => capability_bits(set),
        None if launch.privileged => CapSet::available().bits(),
        None => CapSet::DEFAULT.bits(),
    }
}

/// A set of the spec's as the kernel's bits.
pub(crate) fn capability_bits<'a>(set: impl IntoIterator<Item = &'a Capability>) -> u64 {
    set.into_iter()
        .filter_map(|capability| crate::caps::Cap::parse(&capability.to_string()).ok())
        .fold(0, |bits, cap| bits | 1 << cap.bit())
}
