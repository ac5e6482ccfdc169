//! What engine and shim say to each other: JSON in packets, descriptors beside them.
//!
//! An engine opens two connections. On the first it sends [`Request`]s and each gets one [`Reply`], in order. On the
//! second, after `Hello` with `events`, the shim sends [`ShimEvent`]s, one at a time: the next follows when the engine
//! has taken the last and said `Next`. So events queue up here and not in the socket, and every one is news to whoever
//! waits for the socket to become readable. Frames only ever gain variants and optional fields; an unknown request is
//! refused by name, an unknown event is skipped.
//!
//! [`ShimEvent`]: crate::ShimEvent

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use bowline_sys::{fdpass, memfd};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Attach, Error, ExecPlan, ExitRecord, Forward, StartError, Target};

/// Bodies beyond this travel in a memfd: a packet must fit the socket's buffer, which the host may have made small.
const INLINE: usize = 48 * 1024;
/// The whole body of a packet whose real body is its first descriptor.
const ELSEWHERE: &[u8] = b"^";

/// What an engine asks.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// The first on every connection.
    Hello {
        protocol: u32,
        #[serde(default)]
        events: bool,
    },
    /// Answers once the process waits before its program, or could not be made.
    Prepare,
    /// The last event is taken. Has no answer.
    Next,
    Start,
    /// With the client's socket.
    Attach(Attach),
    /// With the client's socket, or, when captured, the descriptor that gets all output; or none.
    Exec {
        plan: Box<ExecPlan>,
        #[serde(default)]
        captured: bool,
    },
    Resize {
        target: Target,
        height: u16,
        width: u16,
    },
    Signal {
        target: Target,
        signal: i32,
    },
    /// With the descriptor to keep.
    Keep {
        name: String,
    },
    Forget {
        name: String,
    },
    Kept,
    /// Answered like `Kept`, with the terminal's master if there is one.
    Terminal,
    /// With the listener; `listener` in the forward is not used.
    AddForward(Forward),
    RemoveForward(Forward),
    Dismiss,
}

/// What the shim answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Hello {
        protocol: u32,
        status: Status,
    },
    Done,
    Prepared {
        pid: i32,
        warnings: Vec<String>,
    },
    Started {
        pid: i32,
        started_at: String,
    },
    /// With the descriptors, in the order of their names.
    Kept {
        names: Vec<String>,
    },
    Failed(StartError),
    Refused(String),
}

/// Where the container is in its life.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Status {
    Preparing,
    Prepared { pid: i32 },
    Running { pid: i32, started_at: String },
    Exited(ExitRecord),
}

/// A body as it came, with its descriptors.
pub(crate) type Frame = (Vec<u8>, Vec<OwnedFd>);

/// Sends one body.
pub(crate) fn send<T: Serialize>(
    socket: BorrowedFd<'_>,
    body: &T,
    fds: &[BorrowedFd<'_>],
    wait: bool,
) -> Result<(), Error> {
    let bytes = serde_json::to_vec(body).map_err(Error::Frame)?;
    if bytes.len() <= INLINE {
        return fdpass::send(socket, &bytes, fds, wait).map_err(send_error);
    }
    let file = memfd::sealed("frame", &[&bytes]).map_err(Error::Send)?;
    let all: Vec<_> = [file.as_fd()]
        .into_iter()
        .chain(fds.iter().copied())
        .collect();
    fdpass::send(socket, ELSEWHERE, &all, wait).map_err(send_error)
}

/// Receives one body; none means that the other side has closed.
pub(crate) fn receive(socket: BorrowedFd<'_>, wait: bool) -> Result<Option<Frame>, Error> {
    let mut packet = match fdpass::receive(socket, INLINE, wait) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
        other => other.map_err(Error::Receive)?,
    };
    if packet.bytes.is_empty() {
        return Ok(None);
    }
    if packet.bytes == ELSEWHERE && !packet.fds.is_empty() {
        packet.bytes = memfd::read(packet.fds.remove(0)).map_err(Error::Receive)?;
    }
    Ok(Some((packet.bytes, packet.fds)))
}

/// Reads a body.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(Error::Frame)
}

fn send_error(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::NotConnected => Error::Gone,
        _ => Error::Send(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_body_travels_beside_its_packet_and_before_its_descriptors() {
        let (left, right) = fdpass::pair().unwrap();
        let body = "x".repeat(3 * INLINE);
        let extra = std::fs::File::open("/dev/null").unwrap();
        send(left.as_fd(), &body, &[extra.as_fd()], true).unwrap();
        let (bytes, fds) = receive(right.as_fd(), true).unwrap().unwrap();
        assert_eq!(parse::<String>(&bytes).unwrap(), body);
        assert_eq!(fds.len(), 1);
    }

    #[test]
    fn an_unknown_request_is_an_error_and_an_unknown_field_is_not() {
        assert!(parse::<Request>(br#"{"Levitate":{"height":3}}"#).is_err());
        assert!(parse::<Request>(br#"{"Hello":{"protocol":1,"colour":"red"}}"#).is_ok());
    }
}
