//! What can be said to a container's actor.

use std::os::fd::OwnedFd;

use bowline_api::{EndpointSettings, ExecCreate, HostConfig};
use bowline_runtime::{Attach, ShimEvent, Target};
use tokio::sync::oneshot;

use crate::error::Result;
use crate::health::Probe;

/// Where the answer goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T>>;

/// A client's connection after the 101: its socket, and what it sent early.
#[derive(Debug)]
pub struct Stream {
    /// The client's socket.
    pub fd: OwnedFd,
    /// Bytes that came with the request.
    pub leftover: Vec<u8>,
}

/// A checked exec that waits for its stream.
#[derive(Clone, Debug)]
pub(crate) struct ExecTicket {
    /// The exec's id.
    pub id: String,
    /// What was asked for.
    pub create: ExecCreate,
    /// Size of its terminal.
    pub console_size: Option<(u16, u16)>,
}

/// A request to, or an event for, one container.
#[derive(Debug)]
pub(crate) enum Message {
    /// Answers once everything before it is done, what an earlier engine left among it.
    Settle(Reply<()>),
    /// Answers whether anything changed.
    Start(Reply<bool>),
    /// Answers whether anything changed, once the container has ended.
    Stop {
        /// A name or number; `None` is the container's own.
        signal: Option<String>,
        /// Seconds until KILL; negative waits for ever; `None` is the container's own.
        timeout: Option<i64>,
        /// See above.
        reply: Reply<bool>,
    },
    /// Stop, then start.
    Restart {
        /// As for `Stop`.
        signal: Option<String>,
        /// As for `Stop`.
        timeout: Option<i64>,
        /// Answered when it runs again.
        reply: Reply<()>,
    },
    /// Sends a signal; KILL answers once the container has ended.
    Kill {
        /// A name or number; `None` is KILL.
        signal: Option<String>,
        /// See above.
        reply: Reply<()>,
    },
    /// Freezes or thaws.
    Pause {
        /// Freeze, or thaw.
        freeze: bool,
        /// Answered when done.
        reply: Reply<()>,
    },
    /// Nothing of it moves, and nothing else is done with it, until the sender is dropped.
    Still {
        /// Its other end.
        until: oneshot::Receiver<()>,
        /// Answered when all stand still.
        reply: Reply<()>,
    },
    /// Nothing is done with a container that does not run until the sender is dropped; one that runs goes on.
    Idle {
        /// Its other end.
        until: oneshot::Receiver<()>,
        /// Answered when everything before it is done.
        reply: Reply<()>,
    },
    /// Removes the container.
    Remove {
        /// Kill it first where it runs.
        force: bool,
        /// Its anonymous volumes too.
        volumes: bool,
        /// Answered when nothing of it is left.
        reply: Reply<()>,
    },
    /// Gives another name, already reserved in the registry.
    Rename {
        /// The new name.
        name: String,
        /// Answered when recorded.
        reply: Reply<()>,
    },
    /// Hands a client's stream to the shim, now or at the next start.
    Attach {
        /// Which streams.
        attach: Attach,
        /// The client.
        stream: Stream,
        /// Answered when handed over.
        reply: Reply<()>,
    },
    /// Runs another command; answers its pid.
    Exec {
        /// What.
        ticket: Box<ExecTicket>,
        /// The client, unless it is detached.
        stream: Option<Stream>,
        /// Where output goes instead, for a health probe.
        capture: Option<OwnedFd>,
        /// Its pid on the host.
        reply: Reply<i32>,
    },
    /// Sends a signal to an exec (a probe that took too long).
    SignalExec {
        /// The exec's id.
        id: String,
        /// Signal number.
        signal: i32,
    },
    /// Sets the size of a terminal.
    Resize {
        /// Whose.
        target: Target,
        /// Rows.
        height: u16,
        /// Columns.
        width: u16,
        /// Answered when done.
        reply: Reply<()>,
    },
    /// Changes limits and the restart policy.
    Update {
        /// Only the fields that can be updated count.
        changes: Box<HostConfig>,
        /// Warnings.
        reply: Reply<Vec<String>>,
    },
    /// Joins a network.
    Connect {
        /// Network name.
        network: String,
        /// Wishes.
        settings: Box<EndpointSettings>,
        /// Answered when done.
        reply: Reply<()>,
    },
    /// Leaves a network.
    Disconnect {
        /// Network name.
        network: String,
        /// Answered when done.
        reply: Reply<()>,
    },
    /// Something the shim of launch `launch` said; `None` means it is gone.
    Shim {
        /// Which launch; events of earlier ones are stale.
        launch: u64,
        /// What.
        event: Option<ShimEvent>,
    },
    /// A health probe of launch `launch` ended.
    Probed {
        /// Which launch.
        launch: u64,
        /// Its result.
        probe: Probe,
        /// When it began, counted from the start of the container.
        started_after: std::time::Duration,
    },
}
