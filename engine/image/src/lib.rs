//! Images: their names, where they come from, and where they lie on disk.
//!
//! [`Store`] is the way in. Layers are directories keyed by the digest of their uncompressed tar (`diff_id`), already in
//! the form overlayfs reads, so that a container starts by naming them. Everything small (configurations, manifests,
//! names) lies in the engine's transactional database. *Invariant:* a layer or an image is visible only after every
//! digest in it was checked and its files are on disk; what a crash leaves behind is never visible and goes at the next
//! start. Builds are not made to wait for the disk ([`BuildRecord`]): what had not reached it is forgotten instead.
//!
//! ```text
//! images/layers/<diff_id>/diff     the layer as an overlay lower directory
//! images/layers/<diff_id>/recipe   what it takes beside those files to write the layer's exact tar again
//! images/ingest/                   layers being unpacked, partial downloads (kept for resuming)
//! images/trash/                    on its way out
//! ```

mod archive;
mod blocking;
mod build;
mod changes;
mod commit;
mod compression;
mod config;
mod copy_up;
mod create;
mod digest;
mod error;
pub mod files;
mod import;
mod layer;
mod load;
mod platform;
mod progress;
mod pull;
mod push;
mod reference;
mod registry;
mod save;
mod settings;
mod snapshot;
mod store;
mod tar;
#[cfg(test)]
mod testing;

pub use archive::ArchiveError;
pub use build::{
    BuildCommit, BuildEntry, BuildRecord, Hold, NewBuild, PruneBuilds, PrunedBuilds, Scratch,
    Sealed,
};
pub use changes::ChangeError;
pub use commit::Commit;
pub use config::{Empty, Healthcheck, HistoryRecord, ImageConfig, ImageFile, RootFs, Set};
pub use create::{NewFile, NewFileKind};
pub use digest::{Digest, DigestError, ImageId};
use error::Error;
pub use error::{Conflict, ErrorKind, FilesystemError, ImageError};
pub use layer::LayerError;
pub use load::Loaded;
pub use platform::{Platform, PlatformError};
pub use progress::Progress;
pub use push::Pushed;
pub use reference::{Reference, ReferenceError};
pub use registry::RegistryError;
pub use settings::{Auth, Proxies, Settings};
pub use snapshot::{Snapshot, verify_filesystem};
pub use store::{HistoryEntry, Image, InUse, Pruned, Removed, Store};
pub use tar::{Archive as TarArchive, Entry as TarEntry, Kind as TarKind, TarError};

/// The addresses of a host, in the order to try them, asked for without the C library.
///
/// # Errors
/// Nobody knows the name, or nobody can be asked.
pub async fn addresses(host: &str) -> Result<Vec<std::net::IpAddr>, RegistryError> {
    registry::addresses(host).await
}

/// What the operations of this crate answer.
pub type Result<T, E = ImageError> = std::result::Result<T, E>;
