//! From `bowline engine` to a serving engine, and its orderly leave.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bowline_runtime::cgroup::Hierarchies;
use bowline_runtime::{EngineLife, EngineState, LOCK_FD_VARIABLE};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, chdir, chown, setsid};
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{ConfigError, Flags, Settings};
use crate::engine::{Engine, OpenError};
use crate::lock::{Claim, LockError, claim};
use crate::{activation, http, passwd};

/// The reason to leave that may pass.
const IDLE: &str = "idle";

/// How the engine was started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Started by a command or a shim: leaves when idle.
    pub auto: bool,
    /// A pipe that gets one line: `ready`, or `error: …`.
    pub ready_fd: Option<RawFd>,
    /// Shims must not bring this engine back after a crash.
    pub no_revive: bool,
    /// Settings given as flags.
    pub flags: Flags,
}

/// Why the engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Not root.
    #[error(
        "the engine needs root: run the command with sudo, or join the group `bowline` of a running engine (which equals root)"
    )]
    Rights,
    /// See [`ConfigError`].
    #[error("the configuration cannot be used")]
    Config(#[from] ConfigError),
    /// A folder of the roots cannot be made.
    #[error("cannot make {}; BOWLINE_DATA_ROOT and BOWLINE_RUN_ROOT choose other places", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// A number given for an inherited descriptor is not open.
    #[error("file descriptor {0} was not inherited")]
    Inherited(RawFd, #[source] io::Error),
    /// Leaving the caller's session, folder or cgroup failed.
    #[error("cannot {step}")]
    Detach {
        /// What was tried.
        step: &'static str,
        /// The kernel's word.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// See [`LockError`].
    #[error("cannot claim the run root")]
    Lock(#[from] LockError),
    /// See [`OpenError`].
    #[error("cannot open the engine's state")]
    Open(#[from] OpenError),
    /// The API socket cannot be bound.
    #[error("cannot listen on {}", path.display())]
    Listen {
        /// The socket.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// A service manager handed over something else than this engine's socket.
    #[error("cannot use what the service manager handed over")]
    Activation(#[from] activation::ActivationError),
    /// The asynchronous runtime or a signal handler cannot be made.
    #[error("cannot set up the event loop")]
    Loop(#[source] io::Error),
    /// engine.json cannot be written.
    #[error("cannot write the engine's life record")]
    Life(#[source] io::Error),
}

/// Runs the engine until it leaves. Returns at once, and well, where another engine serves the roots.
///
/// # Errors
/// Why it could not start; the same text went to the ready pipe.
pub fn run(options: &Options) -> Result<(), StartError> {
    let mut ready = take(options.ready_fd)?.map(File::from);
    let result = start(options, &mut ready);
    if let (Err(error), Some(pipe)) = (&result, ready.as_mut()) {
        // The starter may be gone; then there is nobody to tell.
        drop(writeln!(pipe, "error: {}", crate::error::chain(error)));
    }
    result
}

fn take(number: Option<RawFd>) -> Result<Option<OwnedFd>, StartError> {
    let taken = number.map(|fd| {
        bowline_runtime::inherited(fd).map_err(|source| StartError::Inherited(fd, source))
    });
    taken.transpose()
}

fn start(options: &Options, ready: &mut Option<File>) -> Result<(), StartError> {
    if !Uid::effective().is_root() {
        return Err(StartError::Rights);
    }
    let settings = Settings::from_process(&options.flags)?;
    let made = settings.roots.create();
    made.map_err(|(path, source)| StartError::Folder { path, source })?;
    // A shim that brings an engine back took the lock before it started it.
    let handed = activation::listener(&variable, &settings.roots.socket())?;
    let revived = std::env::var(LOCK_FD_VARIABLE)
        .ok()
        .and_then(|text| text.parse().ok());
    let lock_fd = take(revived)?;
    let background = options.auto || revived.is_some();
    start_log(&settings, background)?;
    if background {
        leave_session()?;
    }
    let Claim::Won { starting, life } =
        claim(&settings.roots.lock(), &settings.roots.socket(), lock_fd)?
    else {
        tell_ready(ready);
        return Ok(());
    };
    // Under the lock: an engine that is leaving removes these very directories.
    leave_cgroup(&settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(StartError::Loop)?;
    let outcome = runtime.block_on(serve(options, settings, handed, || {
        drop(starting);
        tell_ready(ready);
        activation::notify(&variable, "READY=1");
    }));
    // Detached work (following logs, streaming images) must not hold the leave up.
    runtime.shutdown_timeout(Duration::from_secs(1));
    drop(life);
    outcome
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// What shims need to bring this very engine back: its words, and of its environment what it reads.
fn life(options: &Options, settings: &Settings) -> EngineLife {
    let mut argv: Vec<String> = ["bowline", "engine"].map(String::from).to_vec();
    if options.auto {
        argv.push("--auto".into());
    }
    let read = |name: &str| {
        name.starts_with("BOWLINE_") && name != LOCK_FD_VARIABLE
            || name.to_uppercase().ends_with("_PROXY")
            || ["PATH", "HOME", "TZ", "RUST_LOG"].contains(&name)
    };
    let env = std::env::vars().filter(|(name, _)| read(name));
    let mut env: Vec<String> = env.map(|(name, value)| format!("{name}={value}")).collect();
    for (key, value) in &options.flags {
        // A flag beats the environment, so it takes its variable's place.
        if let Some(setting) = crate::config::TABLE
            .iter()
            .find(|setting| setting.key == *key)
        {
            env.retain(|entry| entry.split('=').next() != Some(setting.variable));
            env.push(format!("{}={value}", setting.variable));
        }
    }
    EngineLife {
        state: EngineState::Running,
        revive: settings.revive && !options.no_revive,
        lock: settings.roots.lock(),
        argv,
        env,
        cgroup: Some(format!("{}/engine", settings.cgroup_parent)),
    }
}

/// The engine's own log: its terminal where a person started it, else `engine.log` in the run root.
fn start_log(settings: &Settings, background: bool) -> Result<(), StartError> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false);
    if !background {
        // A second initialisation in one process (a test) keeps the first.
        drop(log.with_writer(io::stderr).try_init());
        return Ok(());
    }
    let path = settings.roots.run().join("engine.log");
    let file = File::options().create(true).append(true).open(&path);
    let file = file.map_err(|source| StartError::Folder { path, source })?;
    drop(log.with_writer(Arc::new(file)).try_init());
    Ok(())
}

fn tell_ready(ready: &mut Option<File>) {
    if let Some(mut pipe) = ready.take() {
        // As above: a starter that is gone needs no word.
        drop(writeln!(pipe, "ready"));
    }
}

/// What started us may end: its session, folder, umask are not ours.
fn leave_session() -> Result<(), StartError> {
    let detach = |step, error: nix::Error| StartError::Detach {
        step,
        source: Box::new(error),
    };
    match setsid() {
        // EPERM: already a group leader, which a shim's child is.
        Ok(_) | Err(nix::Error::EPERM) => {}
        Err(error) => return Err(detach("leave the session", error)),
    }
    umask(Mode::from_bits_truncate(0o022));
    chdir("/").map_err(|error| detach("leave the folder", error))
}

/// Killing the starter's cgroup, as CI runners and systemd do, must not reach the engine. This
/// happens while the process has one thread: joining then costs no grace period per thread.
fn leave_cgroup(settings: &Settings) -> Result<(), StartError> {
    let detach = |error: Box<dyn std::error::Error + Send + Sync>| StartError::Detach {
        step: "leave the caller's cgroup",
        source: error,
    };
    let hierarchies = Hierarchies::detect().map_err(|error| detach(Box::new(error)))?;
    let own = format!("{}/engine", settings.cgroup_parent);
    hierarchies
        .leave_to(&own)
        .map_err(|error| detach(Box::new(error)))
}

async fn serve(
    options: &Options,
    settings: Settings,
    handed: Option<std::os::unix::net::UnixListener>,
    ready: impl FnOnce(),
) -> Result<(), StartError> {
    let roots = settings.roots.clone();
    let mut life = life(options, &settings);
    let engine = Engine::open(settings, options.auto, life.revive).await?;
    // A socket that was handed over is the service manager's, before this engine and after it.
    let own_socket = handed.is_none();
    let listener = match handed {
        Some(handed) => adopt(handed, &roots.socket())?,
        None => listen(&roots.socket(), engine.settings().socket_group.as_str())?,
    };
    life.write(&roots.life()).map_err(StartError::Life)?;
    let listener = Arc::new(listener);
    let mut ready = Some(ready);
    let reason = loop {
        let server = tokio::spawn(http::serve(Arc::clone(&listener), Arc::clone(&engine)));
        if let Some(ready) = ready.take() {
            ready();
        }
        let reason = until_leave(&engine).await?;
        // Nobody is let in any more, and who came in before this line counts: a client that was served once
        // finds the engine for as long as it holds a connection.
        server.abort();
        drop(server.await);
        if reason != IDLE || !engine.is_busy() {
            break reason;
        }
    };
    tracing::info!(reason, "leaving");
    activation::notify(&variable, "STOPPING=1");
    life.state = EngineState::Leaving;
    life.write(&roots.life()).map_err(StartError::Life)?;
    // A client that comes now finds nobody, or is cut off before its first answer: it starts the next engine.
    if own_socket {
        drop(std::fs::remove_file(roots.socket()));
    }
    drop(listener);
    engine.leave().await;
    Ok(())
}

async fn until_leave(engine: &Arc<Engine>) -> Result<&'static str, StartError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::Loop)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::Loop)?;
    // A terminal that goes away is no reason to leave.
    let mut hangup = signal(SignalKind::hangup()).map_err(StartError::Loop)?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok("terminated"),
            _ = interrupt.recv() => return Ok("interrupted"),
            () = engine.idle() => return Ok(IDLE),
            _ = hangup.recv() => {}
        }
    }
}

fn adopt(
    handed: std::os::unix::net::UnixListener,
    path: &Path,
) -> Result<UnixListener, StartError> {
    let failed = |source| StartError::Listen {
        path: path.into(),
        source,
    };
    handed.set_nonblocking(true).map_err(failed)?;
    UnixListener::from_std(handed).map_err(failed)
}

/// The life lock is ours, so a socket file that lies here is a dead engine's.
fn listen(path: &Path, group: &str) -> Result<UnixListener, StartError> {
    let failed = |source| StartError::Listen {
        path: path.into(),
        source,
    };
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let before = umask(Mode::from_bits_truncate(0o177));
    let bound = UnixListener::bind(path);
    umask(before);
    let listener = bound.map_err(failed)?;
    if let Some(gid) = passwd::host_group(group) {
        chown(path, Some(Uid::from_raw(0)), Some(Gid::from_raw(gid)))
            .map_err(|error| failed(error.into()))?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o660);
        std::fs::set_permissions(path, mode).map_err(failed)?;
    }
    Ok(listener)
}
