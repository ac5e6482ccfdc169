//! Trees of files beside images: copies of them, and their ways in and out as archives.
//!
//! Volumes, snapshots of volumes and copying between host and container need what unpacking a layer needs (owners,
//! links, attributes, devices, and no way out of the tree), without a layer's bookkeeping.

use std::io;
use std::path::{Path, PathBuf};

pub use bowline_sys::root::{Dir, FileKind, Root, Stat, Timestamp};

use crate::ErrorKind;
use crate::tar::TarError;

mod copy;
mod diff;
mod extract;
mod header;
mod pack;
mod stack;
mod view;

pub use copy::{Copied, Transfer, copy_tree};
pub(crate) use diff::pack_changes;
pub use diff::{Change, ChangeKind, changes};
pub use extract::{Extraction, Owner, extract};
pub use pack::{Pack, pack};
pub use stack::{Stack, StackError, can_share, clear_tree, space_used};
pub use view::{Found, Mounted, View, ViewError};

/// A tree of files could not be read, copied or written.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The kernel refused.
    #[error("{step} `{}`", path.display())]
    Entry {
        /// What was tried.
        step: &'static str,
        /// With which file, from the top of the tree.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// The archive is damaged or of a kind we do not read.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// The compression of the archive.
    #[error(transparent)]
    Compression(#[from] crate::compression::CompressionError),
    /// A file in the way of a folder, or the other way round. The words are Docker's.
    #[error("cannot overwrite {have} \"{}\" with {new} \"{}\"", path.display(), entry.display())]
    InTheWay {
        /// What is there.
        have: &'static str,
        /// What should be.
        new: &'static str,
        /// Where.
        path: PathBuf,
        /// The entry of the archive.
        entry: PathBuf,
    },
    /// A path that leads out of the tree.
    #[error("refusing `{}`: it leads out of the archive", path.display())]
    Escape {
        /// Which.
        path: PathBuf,
    },
    /// The other end of a stream.
    #[error("write the archive")]
    Write(#[source] io::Error),
}

impl TreeError {
    /// The kind of answer it deserves.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Entry { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                ErrorKind::NotFound
            }
            Self::Entry { source, .. } if source.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                ErrorKind::Invalid
            }
            Self::Entry { .. } | Self::Write(_) => ErrorKind::Internal,
            _ => ErrorKind::Invalid,
        }
    }

    /// Whether the file system cannot share blocks between files.
    pub fn cannot_share(&self) -> bool {
        use errno::{EINVAL, ENOTTY, EOPNOTSUPP, EXDEV};
        matches!(self, Self::Entry { step, source, .. }
            if *step == copy::SHARE
                && matches!(source.raw_os_error(), Some(EINVAL | ENOTTY | EOPNOTSUPP | EXDEV)))
    }
}

/// Error numbers of Linux, which `std` has no names for.
mod errno {
    pub(super) const EXDEV: i32 = 18;
    pub(super) const EINVAL: i32 = 22;
    pub(super) const ENOTTY: i32 = 25;
    pub(super) const EOPNOTSUPP: i32 = 95;
}

/// Adds to the kernel's word what was tried with which file.
trait At<T> {
    fn at(self, step: &'static str, path: &Path) -> Result<T, TreeError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, step: &'static str, path: &Path) -> Result<T, TreeError> {
        self.map_err(|source| TreeError::Entry {
            step,
            path: path.to_owned(),
            source,
        })
    }
}
