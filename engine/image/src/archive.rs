//! What can be wrong with an archive of images.

use crate::digest::{Digest, DigestError};
use crate::tar::TarError;

/// An archive that holds no image, or a broken one.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The outer archive.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// The outer compression.
    #[error(transparent)]
    Compression(#[from] crate::compression::CompressionError),
    /// No list of images.
    #[error(
        "the archive holds no image: it has neither a `manifest.json` nor an `index.json` (for a plain root file system use `import`)"
    )]
    NoImage,
    /// A file that is referred to and not there.
    #[error("the archive lacks `{path}`, which `{by}` refers to")]
    Lacks {
        /// What.
        path: String,
        /// By what.
        by: String,
    },
    /// A document that cannot be read.
    #[error("`{path}` in the archive is not valid")]
    Document {
        /// Which.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A file whose contents belie its name.
    #[error("`{path}` in the archive has the digest {found}")]
    Digest {
        /// Which.
        path: String,
        /// What it holds.
        found: Digest,
    },
    /// A digest that cannot be checked.
    #[error("a digest in the archive")]
    BadDigest(#[from] DigestError),
    /// The configuration tells other layers than the archive holds.
    #[error("image {image} has {layers} layers, but its configuration tells of {diff_ids}")]
    Layers {
        /// Which.
        image: Digest,
        /// In the archive.
        layers: usize,
        /// In the configuration.
        diff_ids: usize,
    },
    /// More text than any image has.
    #[error("the documents in the archive are too large")]
    TooLarge,
    /// An index without a fitting image.
    #[error("the archive holds no image for {0}")]
    NoPlatform(String),
}
