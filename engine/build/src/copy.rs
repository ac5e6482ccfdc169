//! Files of one tree laid over another: what `COPY` and `ADD` do.
//!
//! First is decided what is meant ([`select`]): wildcards, exclusions, links. The key of the step is made from that.
//! Then it is laid ([`lay`]) into an upper directory over the read-only base ([`canvas`]), without mounting anything for
//! writing: a file's way through an overlay costs as much again as the file.

pub(crate) mod canvas;
mod chmod;
mod files;
mod lay;
mod owner;
pub(crate) mod select;
pub(crate) mod twins;
mod unpack;
mod wildcard;

use std::io;
use std::path::{Path, PathBuf};

pub(crate) use canvas::Canvas;
pub(crate) use lay::{Laying, lay};
pub(crate) use owner::Owner;
pub(crate) use select::select;
pub(crate) use twins::Linking;

/// Files could not be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A source that is not there, or that the ignore file hides.
    #[error("\"{path}\" not found{hint}")]
    NotFound {
        /// Its path in the context or stage.
        path: String,
        /// What may help, with a comma before it, or nothing.
        hint: &'static str,
    },
    /// A directory over something else.
    #[error("cannot copy to non-directory: {path}")]
    NotDirectory {
        /// In the image.
        path: String,
    },
    /// A file over a directory.
    #[error("cannot replace directory {path} with a file")]
    Directory {
        /// In the image.
        path: String,
    },
    /// A name where there is no image to look it up in.
    #[error("the user or group `{name}` cannot be looked up in an empty image; use numbers")]
    NoNames {
        /// As written.
        name: String,
    },
    /// A pattern of `--exclude` or `--parents`.
    #[error("read the pattern")]
    Pattern(#[source] crate::ignore::IgnoreError),
    /// A file changed between being hashed and being copied; the step is tried again.
    #[error("\"{path}\" changes while it is copied")]
    Changed {
        /// In the context.
        path: String,
    },
    /// An archive to unpack.
    #[error("unpack \"{path}\"")]
    Unpack {
        /// The archive.
        path: String,
        /// Why.
        source: unpack::UnpackError,
    },
    /// The kernel refused.
    #[error("{step} \"{path}\"")]
    Io {
        /// What was tried.
        step: &'static str,
        /// On which path.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
}

pub use unpack::UnpackError;

/// Names the step and the path of an I/O error.
pub(crate) trait At<T> {
    fn at(self, step: &'static str, path: &Path) -> Result<T, CopyError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, step: &'static str, path: &Path) -> Result<T, CopyError> {
        self.map_err(|source| CopyError::Io {
            step,
            path: shown(path),
            source,
        })
    }
}

/// A path in a tree as people write it.
pub(crate) fn shown(path: &Path) -> String {
    PathBuf::from("/").join(path).display().to_string()
}

#[cfg(test)]
mod tests;
