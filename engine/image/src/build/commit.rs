//! Making builds visible, and seeing to it that what is visible reaches the disk.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bowline_sys::root::Dir;

use super::BuildRecord;
use crate::Result;
use crate::digest::{Digest, ImageId};
use crate::error::Context;
use crate::layer::LayerError;
use crate::reference::Reference;
use crate::store::{ImageRecord, LayerRecord, Store, Tables, lock, parse_config};

/// How long layers wait for being written out, so that a build that follows at once does not wait for the disk.
const SYNC_DELAY: Duration = Duration::from_secs(2);

/// An image to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBuild {
    /// The configuration document, byte by byte.
    pub config: Vec<u8>,
    /// The names it gets.
    pub names: Vec<Reference>,
}

/// What a build leaves: all of it becomes visible, or nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuildCommit<'a> {
    /// Steps that were done, by key.
    pub records: &'a [(Digest, BuildRecord)],
    /// Keys of the steps that were found, whose time of last use is now.
    pub used: &'a [Digest],
    /// Images.
    pub images: &'a [NewBuild],
    /// The time now, nanoseconds since 1970.
    pub now: u64,
}

impl Store {
    /// Makes a build's results visible and answers the images' ids in order. The caller holds all layers. An image that
    /// is there already with these names costs nothing.
    pub fn commit_build(&self, commit: &BuildCommit<'_>) -> Result<Vec<ImageId>> {
        let ids: Vec<ImageId> = commit
            .images
            .iter()
            .map(|image| ImageId(Digest::of(&image.config)))
            .collect();
        if commit.records.is_empty() && commit.used.is_empty() && self.all_there(commit.images)? {
            return Ok(ids);
        }
        let unsynced = self.write_build(commit);
        if unsynced.map_err(|error| error.telling_full(&self.0.root))? {
            self.sync_later();
        }
        Ok(ids)
    }

    fn all_there(&self, images: &[NewBuild]) -> Result<bool> {
        let view = self.view()?;
        for image in images {
            let id = ImageId(Digest::of(&image.config));
            if !view.has_image(&id)? {
                return Ok(false);
            }
            for name in &image.names {
                if view.named(name)?.as_ref() != Some(&id) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Answers whether there is now something to be written out.
    fn write_build(&self, commit: &BuildCommit<'_>) -> Result<bool> {
        let _one_at_a_time = lock(&self.0.committing);
        let placed = lock(&self.0.placed).clone();
        let now = self.0.now();
        let mut files = Vec::new();
        for image in commit.images {
            files.push(parse_config(&image.config)?);
        }
        let layers: HashSet<&Digest> = commit
            .records
            .iter()
            .flat_map(|(_, record)| &record.layers)
            .chain(files.iter().flat_map(|file| &file.rootfs.diff_ids))
            .collect();
        let fresh = self.0.write(|tables| {
            let fresh = put_layers(tables, &layers, &placed)?;
            for (key, record) in commit.records {
                tables.put_build(key, record)?;
            }
            for key in commit.used {
                if let Some(mut record) = tables.build(key)? {
                    record.used = commit.now.max(record.used);
                    record.uses += 1;
                    tables.put_build(key, &record)?;
                }
            }
            for (image, file) in commit.images.iter().zip(&files) {
                put_image(tables, image, &file.rootfs.diff_ids, &now)?;
            }
            Ok(fresh)
        })?;
        lock(&self.0.placed).retain(|layer, _| !fresh.contains(layer));
        Ok(!fresh.is_empty())
    }

    /// Writes the layers of builds out to the disk in the background, and then says so in their rows.
    pub(crate) fn sync_later(&self) {
        if self.0.syncing.swap(true, Ordering::AcqRel) {
            return;
        }
        let store = self.clone();
        let thread = std::thread::Builder::new().name("layer-sync".to_owned());
        let spawned = thread.spawn(move || {
            std::thread::park_timeout(SYNC_DELAY);
            store.0.syncing.store(false, Ordering::Release);
            if let Err(error) = store.sync_builds() {
                tracing::warn!(%error, "layers of builds could not be written out");
            }
        });
        if let Err(error) = spawned {
            self.0.syncing.store(false, Ordering::Release);
            tracing::warn!(%error, "nobody can write the layers of builds out");
        }
    }

    /// Writes the layers of builds out to the disk, now.
    pub fn sync_builds(&self) -> Result<()> {
        let waiting = self.0.write(|tables| tables.unsynced())?;
        if waiting.is_empty() {
            return Ok(());
        }
        let path = self.0.root.join("layers");
        let layers = Dir::open(&path).file("open", &path)?;
        layers
            .sync_filesystem()
            .file("sync the file system of", &path)?;
        self.0.write(|tables| {
            waiting
                .iter()
                .try_for_each(|(layer, _)| tables.remove_unsynced(layer))
        })
    }
}

fn put_layers(
    tables: &mut Tables<'_>,
    layers: &HashSet<&Digest>,
    placed: &HashMap<Digest, LayerRecord>,
) -> Result<HashSet<Digest>> {
    let boot = boot_id();
    let mut fresh = HashSet::new();
    for layer in layers.iter().copied() {
        if let Some(record) = placed.get(layer) {
            tables.put_layer(layer, record)?;
            tables.put_unsynced(layer, &boot)?;
            fresh.insert(layer.clone());
        } else if !tables.has_layer(layer)? {
            let layer = layer.clone();
            return Err(LayerError::Missing { layer }.into());
        }
    }
    Ok(fresh)
}

fn put_image(
    tables: &mut Tables<'_>,
    image: &NewBuild,
    layers: &[Digest],
    now: &str,
) -> Result<()> {
    let id = ImageId(tables.put_blob(&image.config)?);
    let record = ImageRecord {
        layers: layers.to_vec(),
        last_tagged: Some(now.to_owned()),
        ..tables.image(&id)?.unwrap_or_default()
    };
    tables.put_image(&id, &record)?;
    image
        .names
        .iter()
        .try_for_each(|name| tables.put_tag(name, &id))
}

/// What tells this boot of the machine from every other; empty, and so equal to none, where the kernel does not say.
pub(crate) fn boot_id() -> String {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}
