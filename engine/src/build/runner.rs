//! Steps of builds as containers of ours: made, followed to their end, and gone without a trace.

use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};

use bowline_api::stdcopy::{self, Decoder};
use bowline_build::progress::Stream;
use bowline_build::run::{
    Cancel, Exit, RunError, RunFuture, RunMountKind, RunOutput, RunStep, Runner,
};
use bowline_runtime::cgroup::Cgroup;
use bowline_runtime::{
    Attach, AttachedStreams, ExitRecord, Launch, LaunchFds, Shim, ShimEvent, Shims, StartError,
    StdioPlan, Target,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::task::spawn_blocking;

use super::agent::Agent;
use super::launch::{self, Bind, Layout};
use super::network::{self, Joined};
use super::place::{Access, Place};
use crate::engine::Engine;
use crate::error::Error;

/// How much of a step's output is read at once.
const PIECE: usize = 64 * 1024;

/// What the solver runs steps through. The engine makes itself known once it is whole.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    engine: OnceLock<Weak<Engine>>,
}

impl Steps {
    /// Steps run in `engine` from now on.
    pub(crate) fn run_in(&self, engine: &Arc<Engine>) {
        // Said once, by who has just made the engine.
        let _again = self.engine.set(Arc::downgrade(engine));
    }
}

impl Runner for Steps {
    fn run(&self, step: RunStep, output: RunOutput, cancel: Cancel) -> RunFuture {
        let engine = self.engine.get().and_then(Weak::upgrade);
        Box::pin(async move {
            let engine = engine.ok_or_else(|| trouble(Error::internal("the engine is leaving")))?;
            run(&engine, step, Face::Output(output), cancel).await
        })
    }
}

fn trouble(error: Error) -> RunError {
    RunError::Engine(Box::new(error))
}

fn failed(what: &str) -> impl Fn(&dyn std::error::Error) -> RunError {
    let what = what.to_owned();
    move |error| trouble(Error::failed(&what, error))
}

/// Who hears and speaks to the process of a step.
#[derive(Debug)]
enum Face {
    /// The build: it hears.
    Output(RunOutput),
    /// A person at a terminal, through the client's connection.
    Terminal(crate::Stream),
}

/// Runs `step` once more with a person's terminal joined to it.
pub(super) async fn look(
    engine: &Arc<Engine>,
    step: RunStep,
    terminal: crate::Stream,
    cancel: Cancel,
) -> Result<Exit, RunError> {
    run(engine, step, Face::Terminal(terminal), cancel).await
}

async fn run(
    engine: &Arc<Engine>,
    step: RunStep,
    face: Face,
    cancel: Cancel,
) -> Result<Exit, RunError> {
    if cancel.is_cancelled() {
        return Err(RunError::Cancelled);
    }
    let _busy = engine.busy();
    let (id, cgroup) = (step.id.clone(), cgroup_parent(engine, &step));
    // Known before anything of it exists, so that nothing of it is taken for a leak.
    engine.builds().enter(&id);
    let outcome = match network::join(engine, &id, &step.network).await {
        Ok(joined) => {
            let outcome = Box::pin(in_place(engine, step, &joined, face, cancel)).await;
            network::leave(engine, &id, joined).await;
            outcome
        }
        Err(error) => Err(RunError::Engine(Box::new(error))),
    };
    remove_cgroup(engine, &id, cgroup);
    outcome
}

fn cgroup_parent(engine: &Engine, step: &RunStep) -> String {
    let own = &engine.settings().cgroup_parent;
    match step.cgroup_parent.as_deref().unwrap_or_default() {
        "" => own.clone(),
        wish if wish.starts_with('/') => wish.to_owned(),
        wish => format!("{own}/{wish}"),
    }
}

/// The kernel needs a moment after the last exit, so this is nobody's wait.
fn remove_cgroup(engine: &Arc<Engine>, id: &str, parent: String) {
    let (own, id) = (Arc::clone(engine), id.to_owned());
    engine.background(move || {
        let opened = Cgroup::open(own.hierarchies(), &parent, &id);
        if let Err(error) = opened.and_then(|cgroup| cgroup.remove()) {
            tracing::debug!(%error, "cgroup of a build step left behind");
        }
        own.builds().leave(&id);
    });
}

async fn in_place(
    engine: &Arc<Engine>,
    step: RunStep,
    joined: &Joined,
    face: Face,
    cancel: Cancel,
) -> Result<Exit, RunError> {
    let folder = engine.settings().roots.build_run(&step.id);
    let resolver = [
        launch::hosts(&step, joined.gateway),
        joined.resolv_conf.clone(),
    ];
    let layout = Layout {
        run_dir: folder.clone(),
        binds: Vec::new(),
        stubs: None,
        netns: joined.netns.clone(),
        cgroup_parent: cgroup_parent(engine, &step),
        shims: format!("{}/shims", engine.settings().cgroup_parent),
        engine_life: engine.settings().roots.life(),
        revive: engine.revives(),
    };
    let prepared = spawn_blocking(move || prepare(&step, layout, &resolver));
    let (place, prepared) = prepared
        .await
        .map_err(|error| failed("prepare a build step")(&error))?;
    let outcome = match prepared {
        Ok((launch, agents)) => {
            let outcome = follow(engine.shims(), launch, face, cancel).await;
            drop(agents);
            outcome
        }
        Err(error) => Err(error),
    };
    // Nothing may be mounted any more when the solver hears of the end.
    if let Some(place) = place {
        drop(spawn_blocking(move || place.clear()).await);
    }
    outcome
}

type Prepared = Result<(Launch, Vec<Agent>), RunError>;

fn prepare(step: &RunStep, layout: Layout, resolver: &[String; 2]) -> (Option<Place>, Prepared) {
    match Place::make(layout.run_dir.clone()) {
        Ok(mut place) => {
            let prepared = arrange(step, layout, resolver, &mut place);
            (Some(place), prepared)
        }
        Err(error) => (None, Err(failed("make the folder of a build step")(&error))),
    }
}

/// Makes what is to be mounted, and what that is mounted on.
fn arrange(
    step: &RunStep,
    mut layout: Layout,
    [hosts, resolv_conf]: &[String; 2],
    place: &mut Place,
) -> Prepared {
    let fail = failed("write the files of a build step");
    let hosts = place.write("hosts", hosts).map_err(|error| fail(&error))?;
    let resolv_conf = place
        .write("resolv.conf", resolv_conf)
        .map_err(|error| fail(&error))?;
    let mut agents = Vec::new();
    layout.binds = launch::resolver_files(&hosts, &resolv_conf).to_vec();
    for mount in &step.mounts {
        let (source, size) = source(&mount.kind, place, &mut agents)?;
        layout.binds.push(Bind {
            file: source.as_deref().is_some_and(|path| !path.is_dir()),
            source,
            target: mount.target.clone(),
            readonly: mount.readonly,
            size,
        });
    }
    let stubs = place.stubs().map_err(|error| fail(&error))?;
    let points = launch::points(&layout.binds);
    let made = bowline_runtime::make_stubs(&step.rootfs.lowers, &points, &stubs)
        .map_err(|error| failed("prepare the mounts of a build step")(&error))?;
    layout.stubs = made.then_some(stubs);
    let launch = launch::launch(step, layout).map_err(trouble)?;
    Ok((launch, agents))
}

/// What is bound, made where it has to be; or how much memory there is to be.
fn source(
    kind: &RunMountKind,
    place: &mut Place,
    agents: &mut Vec<Agent>,
) -> Result<(Option<PathBuf>, Option<u64>), RunError> {
    let fail = failed("make a mount of a build step");
    let path = match kind {
        RunMountKind::Tmpfs { size } => return Ok((None, *size)),
        RunMountKind::Directory { path } => path.clone(),
        RunMountKind::Tree {
            lowers,
            scratch,
            source,
        } => {
            let writable = scratch
                .as_ref()
                .map(|(upper, work)| (upper.as_path(), work.as_path()));
            let root = place.tree(lowers, writable).map_err(|error| fail(&error))?;
            found(&root, source)?
        }
        RunMountKind::File {
            contents,
            mode,
            uid,
            gid,
        } => place
            .secret(contents, access(*mode, *uid, *gid))
            .map_err(|error| fail(&error))?,
        RunMountKind::Ssh {
            socket,
            mode,
            uid,
            gid,
        } => {
            let at = place.memory_path().map_err(|error| fail(&error))?;
            let agent = Agent::listen(&at, socket, access(*mode, *uid, *gid));
            agents.push(agent.map_err(|error| fail(&error))?);
            at
        }
    };
    Ok((Some(path), None))
}

fn access(mode: u32, uid: u32, gid: u32) -> Access {
    Access { mode, uid, gid }
}

fn found(root: &Path, source: &Path) -> Result<PathBuf, RunError> {
    match bowline_runtime::locate_inside(root, source) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(RunError::Start {
            reason: format!("\"{}\": not found", source.display()),
            code: 127,
        }),
        other => other.map_err(|error| failed("find what is to be mounted")(&error)),
    }
}

/// Starts, hands the output on, waits for the end; a cancelled step is killed, and waited for all the same.
async fn follow(
    shims: Arc<Shims>,
    mut launch: Launch,
    face: Face,
    mut cancel: Cancel,
) -> Result<Exit, RunError> {
    let (output, terminal) = match face {
        Face::Output(output) => (Some(output), None),
        Face::Terminal(stream) => (None, Some(stream)),
    };
    if terminal.is_some() {
        launch.stdio = StdioPlan {
            tty: true,
            open_stdin: true,
            stdin_once: true,
            console_size: None,
        };
    }
    let started = spawn_blocking(move || start(&shims, &launch, terminal)).await;
    let (shim, stream) = started.map_err(|error| failed("start a build step")(&error))??;
    let read = match (stream, output) {
        (Some(stream), Some(output)) => {
            let stream = UnixStream::from_std(stream)
                .map_err(|error| failed("read a step's output")(&error))?;
            Some(tokio::spawn(hand_on(stream, output)))
        }
        _ => None,
    };
    let waiting = Arc::clone(&shim);
    let mut end = spawn_blocking(move || exit_of(&waiting));
    let mut killed = false;
    let end = loop {
        tokio::select! {
            end = &mut end => break end,
            () = cancel.cancelled(), if !killed => {
                killed = true;
                // One that has just ended cannot be told.
                let _ended = shim.signal(Target::Container, nix::libc::SIGKILL);
            }
        }
    };
    // The shim has passed on all there was before it told the end.
    if let Some(read) = read {
        drop(read.await);
    }
    drop(spawn_blocking(move || shim.dismiss()).await);
    let exit = end.map_err(|error| failed("wait for a build step")(&error))?;
    match exit {
        _ if killed => Err(RunError::Cancelled),
        Some(exit) => Ok(Exit {
            code: exit.code,
            out_of_memory: exit.oom_killed,
        }),
        None => Err(trouble(Error::internal(
            "the shim of a build step was killed",
        ))),
    }
}

fn start(
    shims: &Shims,
    launch: &Launch,
    terminal: Option<crate::Stream>,
) -> Result<(Arc<Shim>, Option<StdStream>), RunError> {
    let (shim, warnings) = shims
        .prepare(launch, LaunchFds::default())
        .map_err(|error| refused(&error))?;
    for warning in warnings {
        tracing::warn!(warning, "build step");
    }
    let connected = match terminal {
        Some(stream) => join(&shim, stream).map(|()| None),
        None => connect(&shim).map(Some),
    };
    let started = connected.and_then(|stream| {
        shim.start().map_err(|error| refused(&error))?;
        Ok(stream)
    });
    match started {
        Ok(stream) => Ok((Arc::new(shim), stream)),
        Err(error) => {
            // A shim whose process never ran has nothing to keep.
            drop(shim.dismiss());
            Err(error)
        }
    }
}

/// Hands a client's connection to the shim, which carries the terminal on it.
fn join(shim: &Shim, stream: crate::Stream) -> Result<(), RunError> {
    let attach = Attach {
        streams: AttachedStreams {
            stdin: true,
            stdout: true,
            stderr: true,
        },
        leftover: stream.leftover,
        ..Attach::default()
    };
    shim.attach(attach, stream.fd)
        .map_err(|error| failed("connect to a step's terminal")(&error))
}

fn connect(shim: &Shim) -> Result<StdStream, RunError> {
    let fail = failed("connect to a step's output");
    let (ours, theirs) = StdStream::pair().map_err(|error| fail(&error))?;
    ours.set_nonblocking(true).map_err(|error| fail(&error))?;
    let attach = Attach {
        streams: AttachedStreams {
            stdin: false,
            stdout: true,
            stderr: true,
        },
        multiplexed: true,
        ..Attach::default()
    };
    shim.attach(attach, OwnedFd::from(theirs))
        .map_err(|error| fail(&error))?;
    Ok(ours)
}

/// What the command itself is to blame for is the person's to mend, all else is ours.
fn refused(error: &StartError) -> RunError {
    match error.code {
        code @ (126 | 127) => RunError::Start {
            reason: error.message.clone(),
            code,
        },
        _ => trouble(Error::internal(error.message.clone())),
    }
}

async fn hand_on(mut stream: UnixStream, output: RunOutput) {
    let mut decoder = Decoder::new();
    let mut piece = vec![0; PIECE];
    while let Ok(read @ 1..) = stream.read(&mut piece).await {
        let mut input = &piece[..read];
        // What is not a frame can only come from a shim that is broken.
        while let Ok(Some((stream, bytes))) = decoder.next(&mut input) {
            let stream = match stream {
                stdcopy::Stream::Stdout => Stream::Stdout,
                _ => Stream::Stderr,
            };
            output.write(stream, bytes);
        }
    }
}

/// Blocks until the step has ended; `None` where its shim has gone without a word.
fn exit_of(shim: &Shim) -> Option<ExitRecord> {
    loop {
        match shim.next_event() {
            Ok(Some(ShimEvent::Exited(exit))) => return Some(exit),
            Ok(Some(_)) => {}
            Ok(None) => return None,
            Err(bowline_runtime::Error::Receive(error))
                if error.kind() == std::io::ErrorKind::WouldBlock =>
            {
                let events = shim.events_fd();
                let mut fds = [PollFd::new(events.as_fd(), PollFlags::POLLIN)];
                // A signal only makes it look once more.
                let _interrupted = poll(&mut fds, PollTimeout::NONE);
            }
            Err(_) => return None,
        }
    }
}
