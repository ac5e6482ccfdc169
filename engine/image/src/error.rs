//! What can go wrong with images, and which kind of answer it deserves.

use std::io;
use std::path::PathBuf;

use crate::archive::ArchiveError;
use crate::changes::ChangeError;
use crate::digest::{Digest, ImageId};
use crate::layer::LayerError;
use crate::reference::ReferenceError;

use crate::registry::RegistryError;

pub(crate) use ImageError as Error;

/// An operation on images failed.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Nothing here has that name. The wording is what Docker's clients look for.
    #[error("No such image: {name}")]
    NotFound {
        /// The name as asked for.
        name: String,
    },
    /// An id prefix fits several images.
    #[error("image id prefix `{prefix}` fits more than one image")]
    Ambiguous {
        /// The prefix.
        prefix: String,
    },
    /// A name could not be read.
    #[error(transparent)]
    Name(#[from] ReferenceError),
    /// An image is needed elsewhere.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The image exists, but for another machine.
    #[error(
        "image with reference {name} was found but does not match the specified platform: wanted {wanted}, actual: {actual}"
    )]
    Platform {
        /// The image.
        name: String,
        /// What was asked for.
        wanted: String,
        /// What it is for.
        actual: String,
    },
    /// The registry, or the way to it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// An archive to load is not what it should be.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A layer could not be unpacked or put together again.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// An instruction given to `import` is wrong.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The image's configuration is not readable.
    #[error("the configuration {id} of the image is not valid")]
    Config {
        /// Its digest.
        id: Digest,
        /// Why.
        source: serde_json::Error,
    },
    /// The disk is full.
    #[error("no space left on the file system of `{}`; `image prune` or `system prune` may free some", root.display())]
    Full {
        /// The store's directory.
        root: PathBuf,
        /// What hit the limit.
        source: Box<Error>,
    },
    /// A tree of files beside the layers.
    #[error(transparent)]
    Tree(#[from] crate::files::TreeError),
    /// The state database.
    #[error("the image store's database failed")]
    Database(#[from] redb::Error),
    /// A record in the database that this version cannot read.
    #[error("the record of {key} in the image store is not readable")]
    Record {
        /// Whose.
        key: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A file of the store.
    #[error("{action} `{}`", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The image's file system could not be mounted.
    #[error("mount the layers of image {image}")]
    Mount {
        /// Which image.
        image: ImageId,
        /// Why.
        source: bowline_sys::overlay::OverlayError,
    },
    /// The data root's file system cannot hold containers.
    #[error(transparent)]
    Filesystem(#[from] FilesystemError),
    /// The client's end of a stream failed.
    #[error("the connection to the client broke")]
    Stream(#[source] io::Error),
    /// Whoever wanted the result has left.
    #[error("cancelled")]
    Cancelled,
    /// The one that did the work for several failed; all get its words.
    #[error(transparent)]
    Shared(std::sync::Arc<Error>),
}

/// Why an image stays. The wordings are Docker's, which tools match on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The last name of an image that a container was made from.
    #[error(
        "conflict: unable to remove repository reference \"{name}\" (must force) - container {container} is using its referenced image {image}"
    )]
    Referenced {
        /// The name.
        name: String,
        /// The container.
        container: String,
        /// The image, short.
        image: String,
    },
    /// A running container.
    #[error(
        "conflict: unable to delete {image} (cannot be forced) - image is being used by running container {container}"
    )]
    Running {
        /// The image, short.
        image: String,
        /// The container.
        container: String,
    },
    /// A stopped container.
    #[error(
        "conflict: unable to delete {image} (must be forced) - image is being used by stopped container {container}"
    )]
    Stopped {
        /// The image, short.
        image: String,
        /// The container.
        container: String,
    },
    /// Named in several repositories, and asked for by id.
    #[error(
        "conflict: unable to delete {image} (must be forced) - image is referenced in multiple repositories"
    )]
    Repositories {
        /// The image, short.
        image: String,
    },
}

/// Why a directory cannot hold containers' file systems.
#[derive(Debug, thiserror::Error)]
pub enum FilesystemError {
    /// The test files could not be made.
    #[error("`{}` cannot be written", root.display())]
    Write {
        /// The directory.
        root: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// No trusted extended attributes.
    #[error("the file system of `{}` has no `trusted.` extended attributes, which overlay file systems need", root.display())]
    Attributes {
        /// The directory.
        root: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Directory entries come without a type.
    #[error("the file system of `{}` does not tell file types in directories (d_type), which overlay file systems need", root.display())]
    FileTypes {
        /// The directory.
        root: PathBuf,
    },
    /// The overlay mount itself.
    #[error("the file system of `{}` cannot hold the upper layer of an overlay (is it itself an overlay, or a network file system?)", root.display())]
    Overlay {
        /// The directory.
        root: PathBuf,
        /// What the kernel said.
        source: bowline_sys::overlay::OverlayError,
    },
}

/// The kind of answer an error deserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// It does not exist.
    NotFound,
    /// The request is wrong.
    Invalid,
    /// It is in use.
    Conflict,
    /// The registry wants other credentials.
    Forbidden,
    /// The other side cannot be reached, or wants less load.
    Unavailable,
    /// The disk is full.
    Full,
    /// Nobody waits for the answer.
    Cancelled,
    /// Our own trouble.
    Internal,
}

impl ImageError {
    /// The kind of answer it deserves.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } | Self::Platform { .. } => ErrorKind::NotFound,
            Self::Ambiguous { .. } | Self::Name(_) | Self::Change(_) | Self::Config { .. } => {
                ErrorKind::Invalid
            }
            Self::Archive(_) | Self::Filesystem(_) => ErrorKind::Invalid,
            Self::Layer(error) => error.kind(),
            Self::Tree(error) => error.kind(),
            Self::Conflict(_) => ErrorKind::Conflict,
            Self::Registry(error) => error.kind(),
            Self::Full { .. } => ErrorKind::Full,
            Self::Cancelled | Self::Stream(_) => ErrorKind::Cancelled,
            Self::Shared(error) => error.kind(),
            Self::Database(_) | Self::Record { .. } | Self::File { .. } | Self::Mount { .. } => {
                ErrorKind::Internal
            }
        }
    }

    /// Tells a full disk by its own name, however deep the kernel's word for it lies.
    pub(crate) fn telling_full(self, root: &std::path::Path) -> Self {
        if matches!(self, Self::Full { .. }) || !is_full(&self) {
            return self;
        }
        Self::Full {
            root: root.to_owned(),
            source: Box::new(self),
        }
    }
}

fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        let kinds = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        if kinds.contains(&error.kind()) {
            return true;
        }
        // An io::Error that wraps another skips it in `source`.
        if let Some(inner) = error.get_ref() {
            return is_full(inner);
        }
    }
    if let Some(redb::Error::Io(error)) = error.downcast_ref::<redb::Error>() {
        return is_full(error);
    }
    error.source().is_some_and(is_full)
}

/// Names the step and the file of an I/O error.
pub(crate) trait Context<T> {
    fn file(self, action: &'static str, path: &std::path::Path) -> Result<T, Error>;
}

impl<T> Context<T> for io::Result<T> {
    fn file(self, action: &'static str, path: &std::path::Path) -> Result<T, Error> {
        self.map_err(|source| Error::File {
            action,
            path: path.to_owned(),
            source,
        })
    }
}
