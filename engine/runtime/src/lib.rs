//! From an OCI-shaped plan to a running process, and the shim that is its parent.
//!
//! The engine builds a [`Launch`], [`Shims::prepare`] starts a shim for it, and the [`Shim`] handle then starts the
//! process, attaches clients, runs further commands and hears of the end. Everything is synchronous: the engine decides
//! on which thread it may block. Nothing here chooses policy (restart, health, names): that is the engine's.
//!
//! *Invariant:* the exit record on disk is the truth, a message about it only a hint.
//! *Invariant:* between clone and exec only `bowline-init` runs.

pub mod caps;
pub mod cgroup;
mod error;
mod exec;
mod handle;
mod launch;
mod life;
mod outside;
mod reaper;
mod record;
pub mod seccomp;
mod setup;
mod shim;
mod spawn;
mod stubs;
mod time;
mod tree;
mod wire;

pub use bowline_sys::net::unread_by_peer;
pub use error::{AdoptError, ShimError as Error, StartError, StartStep};
pub use exec::{Attach, AttachedStreams, ExecPlan, ExecStarted, Target};
pub use handle::{Adopted, Shim, ShimEvent, ShimStatus, Started};
pub use launch::{
    CgroupPlan, Forward, ForwardProtocol, JoinNamespaces, Launch, LogPlan, Rootfs, Seccomp,
    StdioPlan,
};
pub use life::{EngineLife, EngineState, LOCK_FD_VARIABLE};
pub use outside::{exit_code, inherited};
pub use reaper::init_main;
pub use record::{ExecRecord, ExitRecord, Identity};
pub use shim::shim_main;
pub use spawn::{LaunchFds, Shims, Survivor};
pub use stubs::{Point, make_stubs};
pub use tree::{attach_tree, locate_inside};

/// What the shim's process is called; `main` branches to [`shim_main`] when `argv[0]` is this.
pub const SHIM_NAME: &str = "bowline-shim";

/// What the reaper's process is called; `main` branches to [`init_main`] when `argv[0]` is this.
pub const INIT_NAME: &str = "bowline-init";

/// The version of everything that engine and shim say to each other. It rises with each change that an older side
/// would misread; fields that an older side may ignore do not raise it.
pub const PROTOCOL: u32 = 1;
