//! What a builder needs of the store: room for a step's files, layers made of them, and a memory of which step made
//! what.
//!
//! A step writes into a [`Scratch`] directory; [`Store::seal`] hashes it into a layer and moves it to its place without
//! copying anything. From then on later steps can stand on it, while no row names it yet: [`Store::commit_build`] makes
//! layers, records and images visible in one transaction, and what never gets that far is swept at the next start.
//!
//! A pull waits until its files are on disk. A build does not, since its commonest reader is a person who changed one
//! line: its layers carry the machine's boot id until they are written out in the background, and those of another
//! boot are forgotten at the start, with what stands on them. A build can be done again.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use bowline_sys::overlay::{Overlay, OverlayError};
use bowline_sys::root::Dir;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::config::ImageFile;
use crate::digest::{Digest, ImageId};
use crate::error::Context;
use crate::layer::LayerError;
use crate::store::{Inner, LayerRecord, Pins, Staging, Store, lock};

mod commit;
mod ordered;
mod prune;
mod seal;
mod tree;
mod write;

pub(crate) use commit::boot_id;
pub use commit::{BuildCommit, NewBuild};
pub use prune::{BuildEntry, PruneBuilds, PrunedBuilds};

/// What a build step made, remembered under the key of everything it depended on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildRecord {
    /// All layers of the result, bottom first. The last one is the step's own.
    pub layers: Vec<Digest>,
    /// When it was made, nanoseconds since 1970.
    pub created: u64,
    /// When a build last counted on it, nanoseconds since 1970.
    pub used: u64,
    /// How many builds counted on it.
    pub uses: u64,
    /// The instruction, for people.
    pub description: String,
    /// Keys of the steps it stands on.
    pub parents: Vec<Digest>,
}

/// Keeps layers from being removed while it lives.
#[derive(Debug)]
pub struct Hold {
    #[expect(dead_code, reason = "it is there to be dropped")]
    pins: Pins,
}

/// Room for the files of one step. Dropped unsealed, they go.
#[derive(Debug)]
pub struct Scratch {
    staging: Staging,
    diff: PathBuf,
    work: PathBuf,
}

impl Scratch {
    /// The directory that holds what the step adds, in overlayfs' form: the upper directory of its root.
    pub fn upper(&self) -> &Path {
        &self.diff
    }

    /// The overlay's scratch directory.
    pub fn work(&self) -> &Path {
        &self.work
    }
}

/// A layer in its place, that no row names yet.
#[derive(Debug)]
pub struct Sealed {
    /// Its digest.
    pub diff_id: Digest,
    /// Bytes of its files.
    pub size: u64,
    /// Keeps it.
    pub hold: Hold,
}

impl Store {
    /// Room for what a step adds to `layers` (bottom first). Its top has the attributes of theirs.
    pub fn scratch(&self, layers: &[Digest]) -> Result<Scratch> {
        let staging = Staging::new(&self.0)?;
        let (diff, work) = (staging.path().join("diff"), staging.path().join("work"));
        for path in [&diff, &work] {
            std::fs::create_dir(path).file("create", path)?;
        }
        tree::adopt_top(&diff, self.layer_dirs(layers).first()).file("set up", &diff)?;
        Ok(Scratch {
            staging,
            diff,
            work,
        })
    }

    /// The directories of these layers (given bottom first), top first and each once: overlayfs refuses one directory
    /// twice, and the upper one of the two hides the lower one entirely.
    pub fn layer_dirs(&self, layers: &[Digest]) -> Vec<PathBuf> {
        let mut seen = HashSet::new();
        let layers = layers.iter().rev().filter(|layer| seen.insert(*layer));
        layers.map(|layer| self.0.layer_files(layer)).collect()
    }

    /// As [`Store::layer_dirs`], filled up with empty directories to `least`: an overlay without an upper directory
    /// wants two.
    pub fn lower_dirs(&self, layers: &[Digest], least: usize) -> Vec<PathBuf> {
        let mut dirs = self.layer_dirs(layers);
        let missing = least.saturating_sub(dirs.len()).min(2);
        dirs.extend((1..=missing).map(|n| self.0.root.join("empty").join(n.to_string())));
        dirs
    }

    /// The tree that these layers make, read-only, mounted nowhere; it goes when the descriptor closes.
    pub fn mount_layers(&self, layers: &[Digest]) -> Result<OwnedFd, OverlayError> {
        let lowers = self.lower_dirs(layers, 2);
        Overlay {
            lowers: &lowers,
            upper: None,
        }
        .mount()
    }

    /// Keeps layers while the answer lives. Fails if one of them is not there (any more).
    pub fn hold(&self, layers: &[Digest]) -> Result<Hold> {
        // Pinned first and looked up then, so that nothing can be removed in between.
        let pins = self.pin(layers);
        let view = self.view()?;
        for layer in layers {
            if !lock(&self.0.placed).contains_key(layer) && view.layer(layer)?.is_none() {
                let layer = layer.clone();
                return Err(LayerError::Missing { layer }.into());
            }
        }
        Ok(Hold { pins })
    }

    /// Makes a layer over `below` of what is in `scratch`. It holds whatever the step touched, changed or not, and may be
    /// empty: so are the layers of the stock builder, and a history line without a layer would be another image.
    pub fn seal(&self, scratch: Scratch, below: &[Digest]) -> Result<Sealed> {
        let sealed = self.try_seal(scratch, below);
        sealed.map_err(|error| error.telling_full(&self.0.root))
    }

    fn try_seal(&self, scratch: Scratch, below: &[Digest]) -> Result<Sealed> {
        let Scratch {
            staging,
            diff,
            work,
        } = scratch;
        std::fs::remove_dir_all(&work).file("remove", &work)?;
        tree::adopt_top(&diff, self.layer_dirs(below).first()).file("set up", &diff)?;
        let upper = Dir::open(&diff).file("open", &diff)?;
        let files = tree::list(&upper)?;
        let (diff_id, record) = seal::write(staging.path(), &upper, &files)?;
        // The pin comes before the place, for from then on a removal could find it unused.
        let pins = self.pin(std::slice::from_ref(&diff_id));
        self.0.place_unsynced(staging, &diff_id, record)?;
        Ok(Sealed {
            diff_id,
            size: record.size,
            hold: Hold { pins },
        })
    }

    /// What the step with this key made, if its layers are still there.
    pub fn build_record(&self, key: &Digest) -> Result<Option<BuildRecord>> {
        self.view()?.build(key)
    }

    /// Bytes of the files of a layer.
    pub fn layer_size(&self, layer: &Digest) -> Result<u64> {
        if let Some(placed) = lock(&self.0.placed).get(layer) {
            return Ok(placed.size);
        }
        self.view()?.layer_size(layer)
    }

    /// The whole configuration document of an image.
    pub fn image_file(&self, id: &ImageId) -> Result<ImageFile> {
        crate::store::parse_config(&self.config_bytes(id)?)
    }
}

impl Inner {
    /// Moves a layer into place without waiting for the disk and without a row.
    fn place_unsynced(&self, staging: Staging, layer: &Digest, record: LayerRecord) -> Result<()> {
        let _one_at_a_time = lock(&self.committing);
        if lock(&self.placed).contains_key(layer) || self.has_row(layer)? {
            // The same layer is there; this copy goes when it is dropped.
            return Ok(());
        }
        let target = self.layer_dir(layer);
        if target.exists() {
            self.discard(&target)?;
        }
        std::fs::rename(staging.path(), &target).file("move into place", &target)?;
        staging.forget();
        lock(&self.placed).insert(layer.clone(), record);
        Ok(())
    }

    /// Whether a row names the layer.
    fn has_row(&self, layer: &Digest) -> Result<bool> {
        Ok(crate::store::View::of(self)?.layer(layer)?.is_some())
    }
}

#[cfg(test)]
mod tests;
