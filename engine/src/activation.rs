//! What a service manager hands over: a socket that already listens, and where to say that the engine is ready.
//!
//! systemd's protocol (sd_listen_fds(3), sd_notify(3)): `LISTEN_PID` and `LISTEN_FDS` count descriptors from 3 on,
//! `NOTIFY_SOCKET` names a datagram socket. Both are only for the process they were made for.

use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};

use nix::sys::socket::{self, SockType, sockopt};

/// The first descriptor handed over.
const FIRST: RawFd = 3;

/// Why a socket that was handed over is not ours.
#[derive(Debug, thiserror::Error)]
pub enum ActivationError {
    /// More or other things than one socket.
    #[error(
        "{0} descriptors were handed over, expected one: the socket that the engine listens on"
    )]
    Count(String),
    /// It is not open, or no listening stream socket.
    #[error("descriptor 3 was handed over and is no listening Unix socket")]
    Kind(#[source] io::Error),
    /// It lies elsewhere.
    #[error(
        "the socket that was handed over is {}, this engine's is {}: ListenStream and BOWLINE_RUN_ROOT have to agree",
        given.display(), wanted.display()
    )]
    Path {
        /// Where it lies.
        given: PathBuf,
        /// Where clients look.
        wanted: PathBuf,
    },
}

/// The listening socket, if `LISTEN_PID` says that it is for this process.
///
/// # Errors
/// See [`ActivationError`].
pub(crate) fn listener(
    variable: &dyn Fn(&str) -> Option<String>,
    wanted: &Path,
) -> Result<Option<UnixListener>, ActivationError> {
    let ours = std::process::id().to_string();
    if variable("LISTEN_PID").as_deref() != Some(&ours) {
        return Ok(None);
    }
    match variable("LISTEN_FDS").as_deref() {
        None | Some("0") => return Ok(None),
        Some("1") => {}
        Some(other) => return Err(ActivationError::Count(other.into())),
    }
    let fd = bowline_runtime::inherited(FIRST).map_err(ActivationError::Kind)?;
    check(fd, wanted).map(Some)
}

fn check(fd: OwnedFd, wanted: &Path) -> Result<UnixListener, ActivationError> {
    let kind = |error: nix::Error| ActivationError::Kind(error.into());
    let stream = socket::getsockopt(&fd, sockopt::SockType).map_err(kind)? == SockType::Stream;
    let accepts = socket::getsockopt(&fd, sockopt::AcceptConn).map_err(kind)?;
    if !stream || !accepts {
        return Err(ActivationError::Kind(io::ErrorKind::InvalidInput.into()));
    }
    let listener = UnixListener::from(fd);
    let address = listener.local_addr().map_err(ActivationError::Kind)?;
    let given = address.as_pathname().unwrap_or(Path::new("")).to_owned();
    if given != wanted {
        return Err(ActivationError::Path {
            given,
            wanted: wanted.into(),
        });
    }
    Ok(listener)
}

/// Tells the service manager, if there is one; that it does not listen is its own affair.
pub(crate) fn notify(variable: &dyn Fn(&str) -> Option<String>, state: &str) {
    let Some(path) = variable("NOTIFY_SOCKET") else {
        return;
    };
    if let Err(error) = send(&path, state) {
        tracing::debug!(%error, path, "the service manager was not told");
    }
}

fn send(path: &str, state: &str) -> io::Result<()> {
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.send_to_addr(state.as_bytes(), &address).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_listening_socket_at_the_right_place_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sock");
        let taken = check(UnixListener::bind(&path).unwrap().into(), &path).unwrap();
        assert_eq!(taken.local_addr().unwrap().as_pathname(), Some(&*path));
        let elsewhere = folder.path().join("other.sock");
        let listener = UnixListener::bind(&elsewhere).unwrap();
        let refused = check(listener.into(), &path);
        assert!(
            matches!(refused, Err(ActivationError::Path { .. })),
            "{refused:?}"
        );
        let datagram = UnixDatagram::unbound().unwrap();
        let refused = check(datagram.into(), &path);
        assert!(
            matches!(refused, Err(ActivationError::Kind(_))),
            "{refused:?}"
        );
    }

    #[test]
    fn what_is_for_another_process_is_not_touched() {
        let variables = |name: &str| (name == "LISTEN_PID").then(|| "1".to_owned());
        assert!(listener(&variables, Path::new("/x")).unwrap().is_none());
    }

    #[test]
    fn readiness_is_told_by_name_and_by_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        notify(&|_| Some(path.to_string_lossy().into_owned()), "READY=1");
        let mut buffer = [0; 16];
        let length = manager.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1");
        let name = format!("bowline-test-{}", std::process::id());
        let manager =
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        notify(&|_| Some(format!("@{name}")), "STOPPING=1");
        let length = manager.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"STOPPING=1");
    }
}
