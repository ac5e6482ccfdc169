//! The shim: a small process that is the parent of one container.
//!
//! It makes the container's process, holds its streams, writes its log, relays its ports, runs further commands in it,
//! and writes down how it ended. It outlives the engine and decides nothing: whether to start again, and when, is the
//! engine's business. One loop, one thread; only the log has another, because only a disk may have to be waited for.

use std::ffi::{CStr, CString};

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
mod poll;
mod requests;
mod revival;
mod streams;

/// How the C library allocates in a shim. By itself it keeps up to seven freed pieces of every size, wherever they lie,
/// which holds a third of what a shim may cost; and it gives every thread a heap of its own.
const ENVIRONMENT: &CStr = c"GLIBC_TUNABLES=glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1";

/// The shim's whole life. `main` calls this before anything else when `argv[0]` is [`crate::SHIM_NAME`].
pub fn shim_main() -> ! {
    anew();
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

/// Executes itself again with the [`ENVIRONMENT`], for it is read once, before `main`; unless whoever started this has
/// set it. Half a millisecond, and descriptors stay open until the plan says which there are. Where that cannot be, a
/// shim only costs more.
fn anew() {
    if std::env::var_os("GLIBC_TUNABLES").is_some() {
        return;
    }
    let words = std::env::args_os().map(|word| CString::new(word.into_encoded_bytes()));
    let words: Vec<CString> = words.filter_map(Result::ok).collect();
    let _as_we_are = nix::unistd::execve(c"/proc/self/exe", &words, &[ENVIRONMENT]);
}

#[expect(clippy::exit, reason = "the end of a process, not of a function")]
fn leave(code: i32) -> ! {
    std::process::exit(code)
}
