//! Finding the engine, and starting it when nobody answers.
//!
//! The engine that is started here leaves our session, folder and cgroup by itself, first thing. What
//! we owe it is a clean environment, closed standard streams, and a pipe: it writes one line when it
//! is ready or knows why it cannot be. Nothing is polled. Who loses the race against another starter
//! hears `ready` all the same, once the winner is.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bowline_client::{Client, Endpoint};
use tokio::io::AsyncReadExt as _;

use crate::ui::{Failure, Outcome, WithContext as _};

/// Environment variables by name, read once at start.
pub(crate) type Environment = BTreeMap<String, String>;

/// How often an engine may leave, or be killed, between its start and our first word to it.
const ATTEMPTS: usize = 5;

/// How long shims have to bring an engine back.
const SHIMS_FIRST: Duration = Duration::from_millis(1500);

/// What an engine may know of its starter's environment.
const PASSED: &[&str] = &["PATH", "HOME", "TZ", "RUST_LOG", "RUST_BACKTRACE"];
const PROXIES: &[&str] = &["http_proxy", "https_proxy", "no_proxy", "all_proxy"];

/// The run root that the environment names.
pub(crate) fn run_root(environment: &Environment) -> PathBuf {
    let named = environment
        .get("BOWLINE_RUN_ROOT")
        .filter(|value| !value.is_empty());
    named.map_or_else(|| PathBuf::from("/run/bowline"), PathBuf::from)
}

/// Where the engine is: flag, `BOWLINE_HOST`, else the socket in the run root.
pub(crate) fn endpoint(host: Option<&str>, environment: &Environment) -> Outcome<Endpoint> {
    let named = host.or_else(|| environment.get("BOWLINE_HOST").map(String::as_str));
    match named.filter(|text| !text.is_empty()) {
        Some(text) => text.parse().map_err(|error| {
            let failure = Failure::from_error(&error);
            failure
                .with_code(2)
                .hint("for example `--host unix:///run/bowline/bowline.sock`")
        }),
        None => Ok(Endpoint::Unix(run_root(environment).join("bowline.sock"))),
    }
}

/// A client of the engine at `host`, which is started if it is ours to start and does not answer.
pub(crate) async fn connect(host: Option<&str>, environment: &Environment) -> Outcome<Client> {
    let endpoint = endpoint(host, environment)?;
    let ours = Endpoint::Unix(run_root(environment).join("bowline.sock"));
    let client = Client::new(endpoint.clone());
    for _attempt in 0..ATTEMPTS {
        match stay(&endpoint).await {
            // One that is leaving may have taken the connection, and then never answers: it is as good as gone.
            Ok(()) if endpoint != ours || client.ping().await.is_ok() => return Ok(client),
            Ok(()) => {}
            Err(error) if endpoint == ours && is_absent(&error) => {}
            Err(error) => return Err(unreachable_engine(&endpoint, &error)),
        }
        start(environment).await?;
    }
    Err(Failure::new(format!(
        "the engine at {endpoint} comes and goes without an answer"
    )))
}

/// While something is being done: an engine that dies, and that no shim brings back, is started again, so that whoever
/// waits for it can go on.
pub(crate) async fn attend(host: Option<&str>, environment: &Environment) -> Infallible {
    let path = run_root(environment).join("bowline.sock");
    match endpoint(host, environment) {
        Ok(Endpoint::Unix(named)) if named == path => {}
        // Not ours to start.
        _ => return std::future::pending().await,
    }
    loop {
        if let Ok(mut open) = tokio::net::UnixStream::connect(&path).await {
            // Nothing is ever said here; it ends with the engine.
            let _end = open.read(&mut [0]).await;
        }
        tokio::time::sleep(SHIMS_FIRST).await;
        // What is wrong with it the next request will say.
        let _failure = connect(host, environment).await;
    }
}

/// Opens a connection and holds it until the command ends: an engine that has a client does not leave.
async fn stay(endpoint: &Endpoint) -> io::Result<()> {
    let open: Box<dyn Send + Sync> = match endpoint {
        Endpoint::Unix(path) => Box::new(tokio::net::UnixStream::connect(path).await?),
        Endpoint::Tcp(address) => Box::new(tokio::net::TcpStream::connect(address).await?),
    };
    tokio::spawn(async move {
        let _open = open;
        std::future::pending::<()>().await;
    });
    Ok(())
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset
    )
}

fn unreachable_engine(endpoint: &Endpoint, error: &io::Error) -> Failure {
    let failure =
        Failure::new(format!("cannot reach the engine at {endpoint}")).cause(error.to_string());
    match error.kind() {
        io::ErrorKind::PermissionDenied => failure.hint(
            "run the command with sudo, or as a member of the group `bowline` (which equals root)",
        ),
        _ => failure.hint("check `--host` and BOWLINE_HOST"),
    }
}

/// Starts an engine in the background and returns when it is ready.
pub(crate) async fn start(environment: &Environment) -> Outcome<()> {
    let environment = environment.clone();
    let started = tokio::task::spawn_blocking(move || spawn(&environment)).await;
    started.map_err(|error| Failure::from_error(&error).context("cannot start the engine"))?
}

fn spawn(environment: &Environment) -> Outcome<()> {
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::new("no engine is running, and only root can start one").hint(
            "run the command with sudo, or start the engine as root with `sudo bowline engine` and join \
             the group `bowline` (which equals root)",
        ));
    }
    let run_root = run_root(environment);
    let log_path = run_root.join("engine.log");
    let log = open_log(&run_root, &log_path)
        .during(format!("cannot open {} for the engine", log_path.display()))?;
    let errors = log.try_clone().during("cannot share the engine's log")?;
    let (ready, theirs) = io::pipe().during("cannot make a pipe to the engine")?;
    // The one descriptor that the engine inherits beside its standard streams; our end stays ours.
    rustix::io::fcntl_setfd(&theirs, rustix::io::FdFlags::empty())
        .during("cannot hand a pipe to the engine")?;
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("bowline")
        .args(["engine", "--auto", "--ready-fd"])
        .arg(theirs.as_raw_fd().to_string())
        .current_dir("/")
        .env_clear()
        .envs(environment.iter().filter(|(name, _)| is_passed(name)))
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors);
    let mut child = command
        .spawn()
        .during("cannot run our own executable as the engine")?;
    drop(theirs);
    let mut word = String::new();
    let heard = BufReader::new(ready).read_line(&mut word);
    heard.during("cannot hear from the engine that was started")?;
    match word.trim() {
        "ready" => {
            // A starter that lost the race has ended by now; one that won lives on without us.
            let _running = child.try_wait();
            Ok(())
        }
        "" => Err(
            Failure::new("the engine ended before it was ready").excerpt(
                format!("last lines of {}:", log_path.display()),
                tail(&log_path),
            ),
        ),
        error => {
            let reason = error.strip_prefix("error: ").unwrap_or(error);
            Err(Failure::new("the engine could not start")
                .cause(reason)
                .hint("`bowline doctor` checks what the engine needs"))
        }
    }
}

fn is_passed(name: &str) -> bool {
    let proxy = PROXIES.iter().any(|proxy| proxy.eq_ignore_ascii_case(name));
    PASSED.contains(&name) || proxy || name.starts_with("BOWLINE_") && name != "BOWLINE_HOST"
}

fn open_log(run_root: &Path, path: &Path) -> io::Result<File> {
    std::fs::create_dir_all(run_root)?;
    OpenOptions::new().create(true).append(true).open(path)
}

fn tail(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
    lines[lines.len().saturating_sub(10)..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        pairs
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect()
    }

    #[test]
    fn the_flag_goes_before_the_environment() {
        let set = environment(&[
            ("BOWLINE_HOST", "tcp://127.0.0.1:1"),
            ("BOWLINE_RUN_ROOT", "/r"),
        ]);
        let text = |host, set: &Environment| endpoint(host, set).unwrap().to_string();
        assert_eq!(text(Some("tcp://127.0.0.1:2"), &set), "tcp://127.0.0.1:2");
        assert_eq!(text(None, &set), "tcp://127.0.0.1:1");
        assert_eq!(
            text(None, &environment(&[("BOWLINE_RUN_ROOT", "/r")])),
            "unix:///r/bowline.sock"
        );
        assert_eq!(
            text(None, &Environment::new()),
            "unix:///run/bowline/bowline.sock"
        );
        assert_eq!(endpoint(Some("nonsense"), &set).unwrap_err().code(), 2);
    }

    #[test]
    fn the_engine_gets_a_clean_environment() {
        for name in [
            "PATH",
            "HOME",
            "BOWLINE_DATA_ROOT",
            "HTTPS_PROXY",
            "no_proxy",
            "RUST_LOG",
        ] {
            assert!(is_passed(name), "{name}");
        }
        for name in ["BOWLINE_HOST", "LD_PRELOAD", "SSH_AUTH_SOCK", "SECRET"] {
            assert!(!is_passed(name), "{name}");
        }
    }
}
