//! Reading back what containers printed, from the json-file logs their shims write.
//!
//! A reader follows a log across rotation by inode, never by name, and takes the file as a crash may have left it: a
//! half-written last record is waited for, garbage in front of a record is skipped. Writing is the shim's business.

mod file;
mod follow;
mod record;
mod watch;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

pub use follow::{Options, follow};
pub use record::Record;
pub use watch::Watcher;

/// Where a container's log is, and until when it grows.
pub struct Source {
    /// The newest file; rotated ones have `.1`, `.2` … behind the name.
    pub path: PathBuf,
    /// Ready once the run that goes on now is over and its log complete; at once when none goes on.
    pub ended: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Source")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
