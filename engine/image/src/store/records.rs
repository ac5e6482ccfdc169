//! What the database holds about images, and the only code that touches those tables.

use std::collections::HashMap;

use redb::{
    Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, Table,
    TableDefinition, WriteTransaction,
};
use serde::{Deserialize, Serialize};

use super::{Image, Inner, lock, not_found, parse_config};
use crate::Result;
use crate::build::BuildRecord;
use crate::digest::{Digest, ImageId};
use crate::error::Error;
use crate::reference::Reference;

type Bytes = TableDefinition<'static, &'static str, &'static [u8]>;
type Text = TableDefinition<'static, &'static str, &'static str>;

/// Image id → [`ImageRecord`].
const IMAGES: Bytes = TableDefinition::new("image.images");
/// Canonical name with tag → image id.
const TAGS: Text = TableDefinition::new("image.tags");
/// Canonical name with digest → image id.
const DIGESTS: Text = TableDefinition::new("image.digests");
/// diff_id → [`LayerRecord`]. Its presence is what makes a layer's directory count.
const LAYERS: Bytes = TableDefinition::new("image.layers");
/// Digest → configuration or manifest, byte by byte.
const BLOBS: Bytes = TableDefinition::new("image.blobs");
/// Key of a build step → [`BuildRecord`].
const BUILDS: Bytes = TableDefinition::new("image.builds");
/// diff_id → boot id of the machine while the layer's files may not have reached the disk.
const UNSYNCED: Text = TableDefinition::new("image.unsynced");

/// What is known of an image beside its configuration.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ImageRecord {
    /// Its layers, bottom first.
    pub(crate) layers: Vec<Digest>,
    /// Its manifests in [`BLOBS`].
    #[serde(default)]
    pub(crate) manifests: Vec<Digest>,
    /// When it last got a name.
    #[serde(default)]
    pub(crate) last_tagged: Option<String>,
}

/// What is known of a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerRecord {
    /// Bytes of its regular files.
    pub(crate) size: u64,
    /// Bytes of its uncompressed tar.
    pub(crate) tar_size: u64,
    /// Entries in the tar.
    pub(crate) entries: u64,
}

pub(super) fn create_tables(db: &Database) -> Result<()> {
    let transaction = db.begin_write().map_err(failed)?;
    drop(Tables::open(&transaction)?);
    transaction.commit().map_err(failed)
}

pub(crate) fn failed(error: impl Into<redb::Error>) -> Error {
    Error::Database(error.into())
}

fn decode<T: for<'a> Deserialize<'a>>(key: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|source| Error::Record {
        key: key.to_owned(),
        source,
    })
}

fn encode<T: Serialize>(key: &str, record: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(record).map_err(|source| Error::Record {
        key: key.to_owned(),
        source,
    })
}

fn id(hex: &str) -> Result<ImageId> {
    Digest::from_hex(hex)
        .map(ImageId)
        .map_err(|_| not_found(hex))
}

/// The tables at one moment.
pub(crate) struct View {
    images: ReadOnlyTable<&'static str, &'static [u8]>,
    tags: ReadOnlyTable<&'static str, &'static str>,
    digests: ReadOnlyTable<&'static str, &'static str>,
    layers: ReadOnlyTable<&'static str, &'static [u8]>,
    blobs: ReadOnlyTable<&'static str, &'static [u8]>,
    builds: ReadOnlyTable<&'static str, &'static [u8]>,
}

impl View {
    pub(crate) fn of(inner: &Inner) -> Result<Self> {
        Self::open(&inner.db)
    }

    fn open(db: &Database) -> Result<Self> {
        let now: ReadTransaction = db.begin_read().map_err(failed)?;
        Ok(Self {
            images: now.open_table(IMAGES).map_err(failed)?,
            tags: now.open_table(TAGS).map_err(failed)?,
            digests: now.open_table(DIGESTS).map_err(failed)?,
            layers: now.open_table(LAYERS).map_err(failed)?,
            blobs: now.open_table(BLOBS).map_err(failed)?,
            builds: now.open_table(BUILDS).map_err(failed)?,
        })
    }

    /// What a build step made, if it is still known.
    pub(crate) fn build(&self, key: &Digest) -> Result<Option<BuildRecord>> {
        let row = self.builds.get(key.hex()).map_err(failed)?;
        row.map(|row| decode(key.hex(), row.value())).transpose()
    }

    pub(crate) fn builds(&self) -> Result<Vec<(Digest, BuildRecord)>> {
        all_builds(&self.builds)
    }

    /// The layers of each image.
    pub(crate) fn image_layers(&self) -> Result<Vec<Vec<Digest>>> {
        let mut all = Vec::new();
        for row in self.images.iter().map_err(failed)? {
            let (key, value) = row.map_err(failed)?;
            all.push(decode::<ImageRecord>(key.value(), value.value())?.layers);
        }
        Ok(all)
    }

    pub(crate) fn has_image(&self, id: &ImageId) -> Result<bool> {
        Ok(self.images.get(id.0.hex()).map_err(failed)?.is_some())
    }

    /// The image a name means: by digest if it has one, else by tag.
    pub(crate) fn named(&self, name: &Reference) -> Result<Option<ImageId>> {
        let found = match name.digest() {
            Some(digest) => self.digests.get(&*name.with_digest(digest).canonical()),
            None => self.tags.get(&*name.canonical()),
        };
        found
            .map_err(failed)?
            .map(|hex| id(hex.value()))
            .transpose()
    }

    pub(super) fn ids_starting(&self, prefix: &str) -> Result<Vec<ImageId>> {
        let mut found = Vec::new();
        for row in self.images.range(prefix..).map_err(failed)? {
            let (key, _) = row.map_err(failed)?;
            if !key.value().starts_with(prefix) {
                break;
            }
            found.push(id(key.value())?);
        }
        Ok(found)
    }

    pub(crate) fn image(&self, id: &ImageId) -> Result<Image> {
        let names = |table: &ReadOnlyTable<&'static str, &'static str>| -> Result<Vec<_>> {
            let all = names_by_id(table)?;
            Ok(all.get(id.0.hex()).cloned().unwrap_or_default())
        };
        let (tags, digests) = (names(&self.tags)?, names(&self.digests)?);
        self.image_named(id, tags, digests)
    }

    pub(crate) fn all_images(&self) -> Result<Vec<Image>> {
        let mut tags = names_by_id(&self.tags)?;
        let mut digests = names_by_id(&self.digests)?;
        let mut images = Vec::new();
        for row in self.images.iter().map_err(failed)? {
            let (key, _) = row.map_err(failed)?;
            let hex = key.value();
            let names = |all: &mut HashMap<String, Vec<Reference>>| all.remove(hex);
            let tags = names(&mut tags).unwrap_or_default();
            let digests = names(&mut digests).unwrap_or_default();
            images.push(self.image_named(&id(hex)?, tags, digests)?);
        }
        Ok(images)
    }

    fn image_named(
        &self,
        id: &ImageId,
        tags: Vec<Reference>,
        digests: Vec<Reference>,
    ) -> Result<Image> {
        let record = self.record(id)?.ok_or_else(|| not_found(&id.to_string()))?;
        let file = parse_config(&self.blob(&id.0)?)?;
        let mut size = 0;
        for layer in &record.layers {
            size += self.layer_size(layer)?;
        }
        Ok(Image {
            id: id.clone(),
            tags,
            digests,
            size,
            created: file.created,
            last_tagged: record.last_tagged,
            author: file.author,
            comment: file.comment,
            os: file.os,
            architecture: file.architecture,
            variant: file.variant,
            config: file.config,
            diff_ids: record.layers,
            history: file.history,
        })
    }

    fn record(&self, id: &ImageId) -> Result<Option<ImageRecord>> {
        let row = self.images.get(id.0.hex()).map_err(failed)?;
        row.map(|row| decode(&id.to_string(), row.value()))
            .transpose()
    }

    /// The manifests an image came with, byte by byte.
    pub(crate) fn manifests(&self, id: &ImageId) -> Result<Vec<Vec<u8>>> {
        let record = self.record(id)?.unwrap_or_default();
        record
            .manifests
            .iter()
            .map(|digest| self.blob(digest))
            .collect()
    }

    pub(crate) fn layer(&self, layer: &Digest) -> Result<Option<LayerRecord>> {
        let row = self.layers.get(layer.hex()).map_err(failed)?;
        row.map(|row| decode(&layer.to_string(), row.value()))
            .transpose()
    }

    pub(crate) fn layer_size(&self, layer: &Digest) -> Result<u64> {
        Ok(self.layer(layer)?.map_or(0, |layer| layer.size))
    }

    pub(crate) fn layers_size(&self) -> Result<u64> {
        let mut size = 0;
        for row in self.layers.iter().map_err(failed)? {
            let (key, value) = row.map_err(failed)?;
            size += decode::<LayerRecord>(key.value(), value.value())?.size;
        }
        Ok(size)
    }

    pub(crate) fn images_with(&self, layer: &Digest) -> Result<usize> {
        let mut count = 0;
        for row in self.images.iter().map_err(failed)? {
            let (key, value) = row.map_err(failed)?;
            let record: ImageRecord = decode(key.value(), value.value())?;
            count += usize::from(record.layers.contains(layer));
        }
        Ok(count)
    }

    pub(crate) fn blob(&self, digest: &Digest) -> Result<Vec<u8>> {
        let row = self.blobs.get(digest.hex()).map_err(failed)?;
        row.map(|row| row.value().to_vec())
            .ok_or_else(|| not_found(&digest.to_string()))
    }
}

fn all_builds(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<Vec<(Digest, BuildRecord)>> {
    let mut all = Vec::new();
    for row in table.iter().map_err(failed)? {
        let (key, value) = row.map_err(failed)?;
        all.push((id(key.value())?.0, decode(key.value(), value.value())?));
    }
    Ok(all)
}

fn names_by_id(
    table: &impl ReadableTable<&'static str, &'static str>,
) -> Result<HashMap<String, Vec<Reference>>> {
    let mut names: HashMap<String, Vec<Reference>> = HashMap::new();
    for row in table.iter().map_err(failed)? {
        let (name, hex) = row.map_err(failed)?;
        names
            .entry(hex.value().to_owned())
            .or_default()
            .push(name.value().parse()?);
    }
    Ok(names)
}

/// The tables within a change.
pub(crate) struct Tables<'t> {
    images: Table<'t, &'static str, &'static [u8]>,
    tags: Table<'t, &'static str, &'static str>,
    digests: Table<'t, &'static str, &'static str>,
    layers: Table<'t, &'static str, &'static [u8]>,
    blobs: Table<'t, &'static str, &'static [u8]>,
    builds: Table<'t, &'static str, &'static [u8]>,
    unsynced: Table<'t, &'static str, &'static str>,
}

impl Inner {
    /// Changes the tables: all of it or, when `change` fails, nothing.
    pub(crate) fn write<T>(&self, change: impl FnOnce(&mut Tables<'_>) -> Result<T>) -> Result<T> {
        let transaction = self.db.begin_write().map_err(failed)?;
        let result = change(&mut Tables::open(&transaction)?)?;
        transaction.commit().map_err(failed)?;
        Ok(result)
    }
}

impl<'t> Tables<'t> {
    fn open(transaction: &'t WriteTransaction) -> Result<Self> {
        Ok(Self {
            images: transaction.open_table(IMAGES).map_err(failed)?,
            tags: transaction.open_table(TAGS).map_err(failed)?,
            digests: transaction.open_table(DIGESTS).map_err(failed)?,
            layers: transaction.open_table(LAYERS).map_err(failed)?,
            blobs: transaction.open_table(BLOBS).map_err(failed)?,
            builds: transaction.open_table(BUILDS).map_err(failed)?,
            unsynced: transaction.open_table(UNSYNCED).map_err(failed)?,
        })
    }

    pub(crate) fn build(&self, key: &Digest) -> Result<Option<BuildRecord>> {
        let row = self.builds.get(key.hex()).map_err(failed)?;
        row.map(|row| decode(key.hex(), row.value())).transpose()
    }

    pub(crate) fn builds(&self) -> Result<Vec<(Digest, BuildRecord)>> {
        all_builds(&self.builds)
    }

    pub(crate) fn put_build(&mut self, key: &Digest, record: &BuildRecord) -> Result<()> {
        let record = encode(key.hex(), record)?;
        self.builds.insert(key.hex(), &*record).map_err(failed)?;
        Ok(())
    }

    pub(crate) fn remove_build(&mut self, key: &Digest) -> Result<()> {
        self.builds.remove(key.hex()).map_err(failed)?;
        Ok(())
    }

    /// Notes that the files of a layer may still be in memory only.
    pub(crate) fn put_unsynced(&mut self, layer: &Digest, boot: &str) -> Result<()> {
        self.unsynced.insert(layer.hex(), boot).map_err(failed)?;
        Ok(())
    }

    pub(crate) fn remove_unsynced(&mut self, layer: &Digest) -> Result<()> {
        self.unsynced.remove(layer.hex()).map_err(failed)?;
        Ok(())
    }

    /// The layers whose files may not have reached the disk, with the machine's boot they were written in.
    pub(crate) fn unsynced(&self) -> Result<Vec<(Digest, String)>> {
        let mut all = Vec::new();
        for row in self.unsynced.iter().map_err(failed)? {
            let (key, boot) = row.map_err(failed)?;
            all.push((id(key.value())?.0, boot.value().to_owned()));
        }
        Ok(all)
    }

    pub(crate) fn image(&self, id: &ImageId) -> Result<Option<ImageRecord>> {
        let row = self.images.get(id.0.hex()).map_err(failed)?;
        row.map(|row| decode(&id.to_string(), row.value()))
            .transpose()
    }

    pub(crate) fn put_image(&mut self, id: &ImageId, record: &ImageRecord) -> Result<()> {
        let record = encode(&id.to_string(), record)?;
        self.images.insert(id.0.hex(), &*record).map_err(failed)?;
        Ok(())
    }

    pub(crate) fn put_tag(&mut self, name: &Reference, id: &ImageId) -> Result<()> {
        match name.digest() {
            Some(digest) => {
                let name = name.with_digest(digest).canonical();
                self.digests.insert(&*name, id.0.hex()).map_err(failed)?;
            }
            None => {
                self.tags
                    .insert(&*name.canonical(), id.0.hex())
                    .map_err(failed)?;
            }
        }
        Ok(())
    }

    pub(crate) fn put_layer(&mut self, layer: &Digest, record: &LayerRecord) -> Result<()> {
        let record = encode(&layer.to_string(), record)?;
        self.layers.insert(layer.hex(), &*record).map_err(failed)?;
        Ok(())
    }

    pub(crate) fn has_layer(&self, layer: &Digest) -> Result<bool> {
        Ok(self.layers.get(layer.hex()).map_err(failed)?.is_some())
    }

    pub(crate) fn put_blob(&mut self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        self.blobs.insert(digest.hex(), bytes).map_err(failed)?;
        Ok(digest)
    }

    pub(crate) fn remove_name(&mut self, name: &Reference) -> Result<()> {
        let table = if name.digest().is_some() {
            &mut self.digests
        } else {
            &mut self.tags
        };
        table.remove(&*name.canonical()).map_err(failed)?;
        Ok(())
    }

    /// All names of an image.
    pub(crate) fn names(&self, id: &ImageId) -> Result<Vec<Reference>> {
        let mut names = names_by_id(&self.tags)?
            .remove(id.0.hex())
            .unwrap_or_default();
        names.extend(
            names_by_id(&self.digests)?
                .remove(id.0.hex())
                .unwrap_or_default(),
        );
        Ok(names)
    }

    pub(crate) fn all_records(&self) -> Result<Vec<(ImageId, ImageRecord)>> {
        let mut all = Vec::new();
        for row in self.images.iter().map_err(failed)? {
            let (key, value) = row.map_err(failed)?;
            all.push((id(key.value())?, decode(key.value(), value.value())?));
        }
        Ok(all)
    }

    pub(crate) fn all_layers(&self) -> Result<Vec<Digest>> {
        let mut all = Vec::new();
        for row in self.layers.iter().map_err(failed)? {
            let (key, _) = row.map_err(failed)?;
            all.push(id(key.value())?.0);
        }
        Ok(all)
    }

    /// Removes the image with its names and documents. Its layers stay.
    pub(crate) fn remove_image(&mut self, id: &ImageId) -> Result<()> {
        for name in self.names(id)? {
            self.remove_name(&name)?;
        }
        let record = self.image(id)?.unwrap_or_default();
        self.images.remove(id.0.hex()).map_err(failed)?;
        let mut kept = Vec::new();
        for (_, record) in self.all_records()? {
            kept.extend(record.manifests);
        }
        for blob in record
            .manifests
            .iter()
            .filter(|blob| !kept.contains(blob))
            .chain([&id.0])
        {
            self.blobs.remove(blob.hex()).map_err(failed)?;
        }
        Ok(())
    }

    /// Removes the rows of all layers that neither an image nor a build step has, but those `pinned`; returns them.
    pub(crate) fn remove_unused_layers(
        &mut self,
        pinned: &HashMap<Digest, usize>,
    ) -> Result<Vec<Digest>> {
        let mut used = std::collections::HashSet::new();
        for (_, record) in self.all_records()? {
            used.extend(record.layers);
        }
        for (_, record) in self.builds()? {
            used.extend(record.layers);
        }
        let mut unused = self.all_layers()?;
        unused.retain(|layer| !used.contains(layer) && !pinned.contains_key(layer));
        for layer in &unused {
            self.forget_layer(layer)?;
        }
        Ok(unused)
    }

    pub(crate) fn forget_layer(&mut self, layer: &Digest) -> Result<()> {
        self.layers.remove(layer.hex()).map_err(failed)?;
        self.unsynced.remove(layer.hex()).map_err(failed)?;
        Ok(())
    }
}

/// Digests that must not be removed while a pull or load counts on them.
pub(crate) fn pinned(inner: &Inner) -> std::sync::MutexGuard<'_, HashMap<Digest, usize>> {
    lock(&inner.pins)
}
