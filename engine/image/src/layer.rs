//! From a stream to a layer: unpack, hash and write down, all in one pass.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use bowline_sys::root::Dir;

use crate::compression::{CompressionError, Unpacked};
use crate::digest::{Digest, Hashed};
use crate::error::{Context, Error, ErrorKind};
use crate::store::{Inner, LayerRecord, StagedLayer, Staging};
use crate::tar::{Archive, TarError};

mod parents;
mod path;
mod recipe;
mod unpack;

use recipe::Recorder;
pub(crate) use recipe::{RecipeWriter, write_tar};
use unpack::Unpacker;

/// A layer could not be unpacked or put together again.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The archive is damaged or of a kind we do not read.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// The compression.
    #[error(transparent)]
    Compression(#[from] CompressionError),
    /// A path that would leave the layer.
    #[error("refusing `{path}`: it leads out of the layer")]
    Escape {
        /// Which.
        path: String,
    },
    /// A path no file system takes.
    #[error("refusing `{path}`: {reason}")]
    Path {
        /// Which, shortened.
        path: String,
        /// Why.
        reason: &'static str,
    },
    /// A hard link to something that is not in the layer.
    #[error("hard link `{path}` points to `{target}`, which is not a file of the same layer")]
    Link {
        /// The link.
        path: String,
        /// Its target.
        target: String,
    },
    /// The kernel refused an entry.
    #[error("{step} `{path}`")]
    Entry {
        /// What was tried.
        step: &'static str,
        /// For which entry.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The contents are not what their name promised.
    #[error("the layer's contents have the digest {found}, but {expected} was promised")]
    Digest {
        /// By the configuration or the manifest.
        expected: Digest,
        /// By our reading.
        found: Digest,
    },
    /// A layer that must be there is not.
    #[error("layer {layer} is not in the store")]
    Missing {
        /// Which.
        layer: Digest,
    },
    /// The notes for writing the tar again are damaged.
    #[error("the layer's recipe is damaged: {0}")]
    Recipe(&'static str),
    /// The layer's own files, when it is written as a tar again.
    #[error("read the layer's file `{path}`")]
    File {
        /// Which.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The notes could not be read or written.
    #[error("access the layer's recipe")]
    RecipeFile(#[source] io::Error),
    /// The receiving end.
    #[error("write the layer's archive")]
    Write(#[source] io::Error),
}

impl LayerError {
    /// The kind of answer it deserves.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Entry { .. } | Self::Missing { .. } | Self::Recipe(_) => ErrorKind::Internal,
            Self::File { .. } | Self::RecipeFile(_) | Self::Write(_) => ErrorKind::Internal,
            _ => ErrorKind::Invalid,
        }
    }
}

/// Unpacks a stream into a layer that is not visible yet, and gives back the stream, read as far as the decoder went.
/// The digest in the answer is of the uncompressed tar; comparing it is the caller's.
pub(crate) fn stage<R: Read>(inner: &Inner, source: R) -> Result<(StagedLayer, R), Error> {
    let staging = Staging::new(inner)?;
    let (diff_id, record, source) = unpack(staging.path(), source)?;
    Ok((
        StagedLayer {
            diff_id,
            record,
            staging,
        },
        source,
    ))
}

fn unpack<R: Read>(staging: &Path, source: R) -> Result<(Digest, LayerRecord, R), Error> {
    let files = staging.join("diff");
    std::fs::create_dir(&files).file("create", &files)?;
    let recipe = staging.join("recipe");
    let recipe = File::create_new(&recipe).file("create", &recipe)?;
    let plain = Unpacked::sniff(source).map_err(LayerError::from)?;
    let tar = BufReader::with_capacity(64 * 1024, Hashed::new(plain));
    let recorder = Recorder::new(tar, recipe).map_err(LayerError::RecipeFile)?;
    let staging = Dir::open(staging).file("open", staging)?;
    let mut unpacker = Unpacker::new(&staging).file("open", &files)?;
    let mut archive = Archive::new(recorder);
    let done = unpacker.unpack(&mut archive)?;
    archive.drain().map_err(LayerError::from)?;
    let tar = archive
        .into_source()
        .finish()
        .map_err(LayerError::RecipeFile)?;
    let (plain, diff_id, tar_size) = tar.into_inner().into_parts();
    let record = LayerRecord {
        size: done.size,
        tar_size,
        entries: done.entries,
    };
    Ok((diff_id, record, plain.into_source()))
}

/// Fails unless the digests are equal.
pub(crate) fn expect_digest(found: &Digest, expected: &Digest) -> Result<(), LayerError> {
    if found == expected {
        return Ok(());
    }
    Err(LayerError::Digest {
        expected: expected.clone(),
        found: found.clone(),
    })
}

#[cfg(test)]
mod tests;
