//! A process on its way: made, told who it is, held, released.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd, BorrowedFd, OwnedFd};

use bowline_init::{Arg, Birth, Home, Identity, Persona, Report, Vector};
use bowline_sys::{fdpass, process};
use nix::libc::CLONE_NEWPID;

use super::failure::Failure;
use super::order::{FsOptionRefs, Order};
use super::program::Program;
use super::{Draft, user};
use crate::{StartError, StartStep};

/// A process that has not begun its program.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) pid: i32,
    pub(crate) process: OwnedFd,
    /// The master of its terminal, once it has made one.
    pub(crate) terminal: Option<OwnedFd>,
    pub(crate) root: OwnedFd,
    sync: OwnedFd,
    orders: Vec<Order>,
    program: Program,
    user: String,
    additional_groups: Vec<String>,
    stage: Stage,
    limits: Vec<(u32, u64, u64)>,
    oom_score_adj: Option<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It mounts, or becomes who it is.
    Preparing,
    /// It waits for [`Pending::go`].
    Held,
    /// It executes its program.
    Released,
}

/// How far it came.
#[derive(Debug)]
pub(crate) enum Progress {
    /// Nothing new that matters.
    Working,
    /// It is held before its program.
    Ready,
    /// Its program runs.
    Running,
    /// It has ended without a program.
    Failed(StartError),
}

impl Pending {
    /// Makes the process. Everything the draft held for it is closed here.
    pub(crate) fn begin(draft: Draft) -> Result<Self, StartError> {
        let (ours, theirs) = fdpass::pair()
            .map_err(|error| StartError::io(StartStep::Shim, "make a socket", &error))?;
        let born = {
            let _guest = draft.pid_namespace.as_ref().map(Guest::enter).transpose()?;
            begin(&draft, &theirs)
        }?;
        let (pid, process) = born;
        let Draft {
            orders,
            program,
            limits,
            oom_score_adj,
            user,
            additional_groups,
            root,
            ..
        } = draft;
        let stage = Stage::Preparing;
        Ok(Self {
            pid,
            process,
            terminal: None,
            root,
            sync: ours,
            orders,
            program,
            user,
            additional_groups,
            stage,
            limits,
            oom_score_adj,
        })
    }

    /// From outside, for inside there may be no right to it any more, and no /proc that can be trusted. Only now, or
    /// the setup itself would have to live with few open files.
    fn limit(&self) -> Result<(), StartError> {
        for (resource, soft, hard) in &self.limits {
            process::set_limit(self.pid, *resource, *soft, *hard).map_err(|error| {
                let what = format!("set rlimit {resource} to {soft}:{hard}");
                StartError {
                    code: 128,
                    ..StartError::io(StartStep::Setup, &what, &error)
                }
            })?;
        }
        let Some(score) = self.oom_score_adj else {
            return Ok(());
        };
        match std::fs::write(
            format!("/proc/{}/oom_score_adj", self.pid),
            score.to_string(),
        ) {
            // Making it less likely to be chosen than we are takes a right that the engine itself may lack.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            other => {
                other.map_err(|error| StartError::io(StartStep::Setup, "set oom_score_adj", &error))
            }
        }
    }

    /// Readable when [`Self::advance`] has something to do.
    pub(crate) fn sync_fd(&self) -> BorrowedFd<'_> {
        self.sync.as_fd()
    }

    /// Takes the next report, if one is there.
    pub(crate) fn advance(&mut self) -> Progress {
        let packet = match fdpass::receive(self.sync.as_fd(), 64, false) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Progress::Working,
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => {
                return self.fail(StartError::io(
                    StartStep::Setup,
                    "hear from the new process",
                    &error,
                ));
            }
            Err(_) => fdpass::Packet::default(),
            Ok(packet) => packet,
        };
        match Report::decode(&packet.bytes) {
            Some(Report::Mounted) => {
                self.terminal = packet.fds.into_iter().next();
                self.introduce()
            }
            Some(Report::Ready) => match self.limit() {
                Ok(()) => {
                    self.stage = Stage::Held;
                    // What the mounts were made of is theirs now.
                    self.orders = Vec::new();
                    Progress::Ready
                }
                Err(error) => self.fail(error),
            },
            Some(Report::Failed { phase, step, errno }) => {
                let failure = Failure { phase, step, errno };
                self.fail(failure.explain(&self.orders, &self.program))
            }
            // The socket closes by itself when the program begins, and with the process.
            None if self.stage == Stage::Released => Progress::Running,
            None => self.fail(StartError {
                code: 128,
                ..StartError::new(
                    StartStep::Setup,
                    "the new process was killed before its program began",
                )
            }),
        }
    }

    fn introduce(&mut self) -> Progress {
        let sent = user::resolve(&self.root, &self.user, &self.additional_groups)
            .and_then(|user| self.send(&user));
        match sent {
            Ok(()) => Progress::Working,
            Err(error) => self.fail(error),
        }
    }

    fn send(&self, user: &user::User) -> Result<(), StartError> {
        let persona = Persona {
            uid: user.uid,
            gid: user.gid,
            groups: &user.groups,
            home: user.home.as_bytes(),
        };
        let mut packet = Box::new([0; Persona::LENGTH]);
        let length = persona.encode(&mut packet).map_err(|_| {
            StartError::new(
                StartStep::User,
                "the user has too many groups or too long a home",
            )
        })?;
        fdpass::send(self.sync.as_fd(), &packet[..length], &[], true).map_err(|error| {
            StartError::io(StartStep::User, "tell the new process who it is", &error)
        })
    }

    fn fail(&self, error: StartError) -> Progress {
        self.abandon();
        Progress::Failed(error)
    }

    /// Lets it execute its program.
    pub(crate) fn go(&mut self) -> Result<(), StartError> {
        self.stage = Stage::Released;
        fdpass::send(self.sync.as_fd(), b"go", &[], true)
            .map_err(|error| StartError::io(StartStep::Exec, "release the process", &error))
    }

    /// Ends it and waits for its end.
    pub(crate) fn abandon(&self) {
        if process::signal(self.process.as_fd(), nix::libc::SIGKILL).is_ok() {
            process::reap(self.process.as_fd());
        }
    }
}

fn begin(draft: &Draft, sync: &OwnedFd) -> Result<(i32, OwnedFd), StartError> {
    let options: Vec<FsOptionRefs<'_>> = draft.orders.iter().map(Order::options).collect();
    let steps: Vec<_> = draft
        .orders
        .iter()
        .zip(&options)
        .map(|(order, options)| order.step(options))
        .collect();
    let program = &draft.program;
    let home = program.homeless.then(Home::new);
    let argv: Vec<_> = program
        .argv
        .iter()
        .map(|arg| Arg::new(arg))
        .chain([Arg::END])
        .collect();
    let env = program.env.iter().map(|pair| Arg::new(pair));
    let envp: Vec<_> = env
        .chain(home.as_ref().map(Arg::home))
        .chain([Arg::END])
        .collect();
    let candidates: Vec<&CStr> = program.candidates.iter().map(AsRef::as_ref).collect();
    let vector = |args| {
        Vector::new(args).ok_or_else(|| StartError::new(StartStep::Plan, "a vector has no end"))
    };
    let rights = &draft.rights;
    let birth = Birth {
        namespaces: draft.namespaces,
        cgroup: draft.cgroup.as_ref().map(AsRawFd::as_raw_fd),
        sync: sync.as_raw_fd(),
        keep: &kept(draft, sync),
        setup: &steps,
        identity: Identity {
            stdio: draft
                .stdio
                .as_ref()
                .map(|[a, b, c]| [a.as_raw_fd(), b.as_raw_fd(), c.as_raw_fd()]),
            cwd: &program.cwd,
            bounding: rights.bounding,
            effective: rights.effective,
            permitted: rights.permitted,
            inheritable: rights.inheritable,
            ambient: rights.ambient,
            no_new_privileges: rights.no_new_privileges,
            filter: &rights.filter,
        },
        program: bowline_init::Program {
            candidates: &candidates,
            searched: program.searched,
            argv: vector(&argv)?,
            envp: vector(&envp)?,
            home: home.as_ref(),
            reaper: program.reaper.as_ref().map(AsRawFd::as_raw_fd),
        },
    };
    let born = birth.begin().map_err(|errno| {
        let error = io::Error::from_raw_os_error(errno);
        StartError {
            code: 128,
            ..StartError::io(StartStep::Setup, "make the process", &error)
        }
    })?;
    let process = process::inherited(born.pidfd, 1)
        .ok()
        .and_then(|mut fds| fds.pop());
    let process = process
        .ok_or_else(|| StartError::new(StartStep::Setup, "the new process has no handle"))?;
    Ok((born.pid, process))
}

/// The descriptors that the child uses, rising.
fn kept(draft: &Draft, sync: &OwnedFd) -> Vec<i32> {
    let streams = draft.stdio.iter().flatten().map(AsRawFd::as_raw_fd);
    let reaper = draft.program.reaper.iter().map(AsRawFd::as_raw_fd);
    let orders = draft.orders.iter().filter_map(Order::fd);
    let mut all: Vec<i32> = [sync.as_raw_fd()]
        .into_iter()
        .chain(streams)
        .chain(reaper)
        .chain(orders)
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// While it lives, our children are born in another pid namespace; we ourselves stay where we are.
struct Guest {
    own: OwnedFd,
}

impl Guest {
    fn enter(namespace: &OwnedFd) -> Result<Self, StartError> {
        let failed = |error: io::Error| match error.raw_os_error() {
            Some(nix::libc::ESRCH) => StartError::new(StartStep::Setup, "container is not running"),
            _ => StartError::io(StartStep::Setup, "join the pid namespace", &error),
        };
        let own = std::fs::File::open("/proc/self/ns/pid")
            .map_err(failed)?
            .into();
        process::setns(namespace.as_fd(), CLONE_NEWPID).map_err(failed)?;
        Ok(Self { own })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if process::setns(self.own.as_fd(), CLONE_NEWPID).is_err() {
            // Every later child would be born in a namespace that is not its own.
            std::process::abort();
        }
    }
}
