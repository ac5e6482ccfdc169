//! The shim: a small process that is the parent of one container.
//!
//! It makes the container's process, holds its streams, writes its log, relays its ports, runs further commands in it,
//! and writes down how it ended. It outlives the engine and decides nothing: whether to start again, and when, is the
//! engine's business. One loop, one thread; only the log has another, because only a disk may have to be waited for.

use std::ffi::CStr;

mod boot;
mod client;
mod conn;
mod detach;
mod ending;
mod execs;
mod forward;
mod hub;
mod keeper;
mod line;
mod log;
mod log_file;
mod poll;
mod requests;
mod revival;
mod streams;

/// The shim's whole environment: how the C library allocates in it, which it reads once, before `main`. By itself it
/// keeps up to seven freed pieces of every size, wherever they lie, which holds a third of what a shim may cost; and it
/// gives every thread a heap of its own.
pub(crate) const ENVIRONMENT: &CStr =
    c"GLIBC_TUNABLES=glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1";

/// The shim's whole life. `main` calls this before anything else when `argv[0]` is [`crate::SHIM_NAME`].
pub fn shim_main() -> ! {
    let code = match boot::boot() {
        Ok(mut keeper) => {
            keeper.run();
            0
        }
        // Nobody listens yet: the engine sees the connection break.
        Err(_) => 1,
    };
    leave(code)
}

#[expect(clippy::exit, reason = "the end of a process, not of a function")]
fn leave(code: i32) -> ! {
    std::process::exit(code)
}
