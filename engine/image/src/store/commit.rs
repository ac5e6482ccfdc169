//! From unpacked to visible: layers move into place, then one transaction names them and the image.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bowline_sys::root::Dir;

use super::records::{ImageRecord, LayerRecord, pinned};
use super::{Image, Inner, Store, lock, parse_config};
use crate::Result;
use crate::digest::{Digest, ImageId};
use crate::error::{Context, Error};
use crate::layer::LayerError;
use crate::reference::Reference;

/// A layer that is unpacked and checked but not visible yet. Dropped uncommitted, its files go.
#[derive(Debug)]
pub(crate) struct StagedLayer {
    pub(crate) diff_id: Digest,
    pub(crate) record: LayerRecord,
    pub(crate) staging: Staging,
}

/// A directory under `ingest` that goes when dropped, unless it was moved away.
#[derive(Debug)]
pub(crate) struct Staging {
    path: PathBuf,
    moved: AtomicBool,
}

impl Staging {
    pub(crate) fn new(inner: &Inner) -> Result<Self> {
        let path = inner.ingest().join(inner.fresh_name());
        std::fs::create_dir(&path).file("create", &path)?;
        Ok(Self {
            path,
            moved: AtomicBool::new(false),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// It was moved away.
    pub(crate) fn forget(mut self) {
        *self.moved.get_mut() = true;
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !*self.moved.get_mut()
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "a staged layer could not be removed");
        }
    }
}

/// An image ready to become visible.
#[derive(Debug)]
pub(crate) struct NewImage {
    /// The configuration document, byte by byte.
    pub(crate) config: Vec<u8>,
    /// The layers that were not in the store yet.
    pub(crate) layers: Vec<Arc<StagedLayer>>,
    /// Its names, by tag or digest.
    pub(crate) names: Vec<Reference>,
    /// Manifests to keep.
    pub(crate) manifests: Vec<Vec<u8>>,
}

/// Keeps layers from being removed while it lives.
#[derive(Debug)]
pub(crate) struct Pins {
    inner: Arc<Inner>,
    layers: Vec<Digest>,
}

impl Drop for Pins {
    fn drop(&mut self) {
        let mut pins = pinned(&self.inner);
        for layer in &self.layers {
            if let Some(count) = pins.get_mut(layer) {
                *count -= 1;
                if *count == 0 {
                    pins.remove(layer);
                }
            }
        }
    }
}

impl Store {
    /// Keeps these layers, there already or to come, until the answer is dropped.
    pub(crate) fn pin(&self, layers: &[Digest]) -> Pins {
        let mut pins = pinned(&self.0);
        for layer in layers {
            *pins.entry(layer.clone()).or_default() += 1;
        }
        Pins {
            inner: Arc::clone(&self.0),
            layers: layers.to_vec(),
        }
    }

    /// Makes an image visible. The caller pins its layers.
    pub(crate) fn commit(&self, new: &NewImage) -> Result<Image> {
        let file = parse_config(&new.config)?;
        let id = ImageId(Digest::of(&new.config));
        {
            let _one_at_a_time = lock(&self.0.committing);
            self.0
                .place(&new.layers)
                .map_err(|error| error.telling_full(&self.0.root))?;
            let written = self.0.write_image(&id, new, &file.rootfs.diff_ids);
            written.map_err(|error| error.telling_full(&self.0.root))?;
        }
        self.view()?.image(&id)
    }
}

impl Inner {
    /// Moves the layers into place: files to disk first, then the names, then the directory that holds the names. A
    /// power cut at any point leaves directories without a row, which the next start removes.
    fn place(&self, layers: &[Arc<StagedLayer>]) -> Result<()> {
        let todo: Vec<_> = layers
            .iter()
            .filter(|layer| !layer.staging.moved.load(Ordering::Acquire))
            .collect();
        if todo.is_empty() {
            return Ok(());
        }
        let path = self.root.join("layers");
        let parent = Dir::open(&path).file("open", &path)?;
        parent
            .sync_filesystem()
            .file("sync the file system of", &path)?;
        for layer in todo {
            self.place_one(layer)?;
        }
        parent.sync().file("sync", &path)
    }

    fn place_one(&self, layer: &StagedLayer) -> Result<()> {
        // An image may have the same layer twice.
        if layer.staging.moved.load(Ordering::Acquire) {
            return Ok(());
        }
        let target = self.layer_dir(&layer.diff_id);
        if lock(&self.placed).contains_key(&layer.diff_id)
            || self.write(|tables| tables.has_layer(&layer.diff_id))?
        {
            // Somebody else was faster; the staged copy goes with its last owner.
            return Ok(());
        }
        if target.exists() {
            self.discard(&target)?;
        }
        std::fs::rename(layer.staging.path(), &target).file("move into place", &target)?;
        layer.staging.moved.store(true, Ordering::Release);
        Ok(())
    }

    fn write_image(&self, id: &ImageId, new: &NewImage, diff_ids: &[Digest]) -> Result<()> {
        let now = self.now();
        self.write(|tables| {
            for layer in &new.layers {
                tables.put_layer(&layer.diff_id, &layer.record)?;
            }
            for layer in diff_ids {
                if !tables.has_layer(layer)? {
                    return Err(LayerError::Missing {
                        layer: layer.clone(),
                    }
                    .into());
                }
            }
            let mut record = tables.image(id)?.unwrap_or_default();
            for manifest in &new.manifests {
                let digest = tables.put_blob(manifest)?;
                if !record.manifests.contains(&digest) {
                    record.manifests.push(digest);
                }
            }
            tables.put_blob(&new.config)?;
            let record = ImageRecord {
                layers: diff_ids.to_vec(),
                last_tagged: Some(now),
                ..record
            };
            tables.put_image(id, &record)?;
            new.names
                .iter()
                .try_for_each(|name| tables.put_tag(name, id))
        })
    }

    /// Takes a directory out of sight, then deletes it. The rename is what makes removal all-or-nothing.
    pub(crate) fn discard(&self, path: &Path) -> Result<(), Error> {
        let trash = self.root.join("trash").join(self.fresh_name());
        match std::fs::rename(path, &trash) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            other => other.file("move to the trash", path)?,
        }
        std::fs::remove_dir_all(&trash).file("remove", &trash)
    }
}
