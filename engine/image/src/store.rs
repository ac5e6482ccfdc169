//! The images of one engine.

use std::collections::HashMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::Database;

use crate::Result;
use crate::config::{HistoryRecord, ImageConfig, ImageFile};
use crate::digest::{Digest, ImageId, is_full_hex, is_hex};
use crate::error::{Context, Error};
use crate::platform::Platform;
use crate::pull::Pulls;
use crate::reference::Reference;
use crate::registry::Client;
use crate::settings::Settings;

mod commit;
mod records;
mod remove;
mod sweep;

pub(crate) use commit::{NewImage, Pins, StagedLayer, Staging};
pub(crate) use records::ImageRecord;
pub(crate) use records::{LayerRecord, Tables, View, pinned};
pub use remove::{InUse, Pruned, Removed};

/// All images of one engine. Clones are the same store.
#[derive(Clone, Debug)]
pub struct Store(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) root: PathBuf,
    pub(crate) settings: Settings,
    pub(crate) client: Client,
    pub(crate) pulls: Pulls,
    pub(crate) db: Arc<Database>,
    names: AtomicU64,
    /// Held while files move into place and the rows that name them are written.
    pub(crate) committing: Mutex<()>,
    /// Layers that are in place while no row names them yet: those of builds under way.
    pub(crate) placed: Mutex<HashMap<Digest, LayerRecord>>,
    /// Whether somebody is writing layers of builds out to the disk.
    pub(crate) syncing: AtomicBool,
    pins: Mutex<HashMap<Digest, usize>>,
}

/// An image, as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// The digest of its configuration.
    pub id: ImageId,
    /// Its names, sorted.
    pub tags: Vec<Reference>,
    /// The names by digest under which it was pulled, sorted.
    pub digests: Vec<Reference>,
    /// Bytes of all files in all its layers.
    pub size: u64,
    /// When it was made, RFC 3339.
    pub created: Option<String>,
    /// When it last got a name here, RFC 3339.
    pub last_tagged: Option<String>,
    /// Who made it.
    pub author: String,
    /// A remark.
    pub comment: String,
    /// Operating system in Go's words.
    pub os: String,
    /// Architecture in Go's words.
    pub architecture: String,
    /// Variant of the architecture, or empty.
    pub variant: String,
    /// What a container of it starts with.
    pub config: ImageConfig,
    /// Its layers, bottom first.
    pub diff_ids: Vec<Digest>,
    /// How it was built, bottom first.
    pub history: Vec<HistoryRecord>,
}

impl Image {
    /// The machine it is for.
    pub fn platform(&self) -> Platform {
        Platform::new(&self.os, &self.architecture, Some(&self.variant))
    }
}

/// A line of `docker history`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The image, on the newest line only.
    pub id: Option<ImageId>,
    /// When, RFC 3339.
    pub created: Option<String>,
    /// By which instruction.
    pub created_by: String,
    /// Names, on the newest line only.
    pub tags: Vec<Reference>,
    /// Bytes of the layer it made.
    pub size: u64,
    /// A remark.
    pub comment: String,
}

impl Store {
    /// Opens the store in the directory `root`, with its tables in `db`. Call [`Store::sweep`] next.
    pub fn open(root: &Path, db: Arc<Database>) -> Result<Self> {
        Self::open_with(root, db, Settings::default())
    }

    /// As [`Store::open`], with settings.
    pub fn open_with(root: &Path, db: Arc<Database>, settings: Settings) -> Result<Self> {
        for part in ["layers", "ingest", "trash", "empty/1", "empty/2"] {
            let path = root.join(part);
            std::fs::create_dir_all(&path).file("create", &path)?;
        }
        // The setuid programs of every image lie here, whatever holes they have: not for the host's users.
        std::fs::set_permissions(root, Permissions::from_mode(0o700)).file("protect", root)?;
        records::create_tables(&db)?;
        let client = Client::new(&settings);
        Ok(Self(Arc::new(Inner {
            root: root.to_owned(),
            client,
            pulls: Pulls::new(settings.parallel_layers),
            settings,
            db,
            names: AtomicU64::new(0),
            committing: Mutex::new(()),
            placed: Mutex::default(),
            syncing: AtomicBool::new(false),
            pins: Mutex::default(),
        })))
    }

    /// The image that `name` means: a name with or without tag, a name with a digest, an id, or the start of one.
    pub fn get(&self, name: &str) -> Result<Image> {
        let view = self.view()?;
        let id = self.find(&view, name)?;
        view.image(&id)
    }

    /// The id of the image that `name` means.
    pub fn resolve(&self, name: &str) -> Result<ImageId> {
        self.find(&self.view()?, name)
    }

    /// All images, newest first.
    pub fn list(&self) -> Result<Vec<Image>> {
        let mut images = self.view()?.all_images()?;
        images.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
        Ok(images)
    }

    /// Gives the image one more name. If another image had it, that one loses it.
    pub fn tag(&self, id: &ImageId, reference: &Reference) -> Result<()> {
        let now = self.0.now();
        self.0.write(|tables| {
            let mut record = tables
                .image(id)?
                .ok_or_else(|| not_found(&id.to_string()))?;
            record.last_tagged = Some(now);
            tables.put_image(id, &record)?;
            tables.put_tag(reference, id)
        })
    }

    /// How the image was built, newest step first.
    pub fn history(&self, name: &str) -> Result<Vec<HistoryEntry>> {
        let view = self.view()?;
        let image = view.image(&self.find(&view, name)?)?;
        let mut layers = image.diff_ids.iter();
        let mut lines = Vec::new();
        for step in &image.history {
            let layer = if step.empty_layer {
                None
            } else {
                layers.next()
            };
            lines.push(HistoryEntry {
                id: None,
                created: step.created.clone(),
                created_by: step.created_by.clone(),
                tags: Vec::new(),
                size: layer
                    .map(|layer| view.layer_size(layer))
                    .transpose()?
                    .unwrap_or(0),
                comment: step.comment.clone(),
            });
        }
        lines.reverse();
        if let Some(newest) = lines.first_mut() {
            newest.id = Some(image.id);
            newest.tags = image.tags;
        }
        Ok(lines)
    }

    /// Bytes of the files of all layers, each counted once.
    pub fn disk_usage(&self) -> Result<u64> {
        self.view()?.layers_size()
    }

    /// Bytes of the image's layers that other images have too.
    pub fn shared_size(&self, id: &ImageId) -> Result<u64> {
        let view = self.view()?;
        let mut shared = 0;
        for layer in view.image(id)?.diff_ids {
            if view.images_with(&layer)? > 1 {
                shared += view.layer_size(&layer)?;
            }
        }
        Ok(shared)
    }

    /// The configuration document itself, byte by byte.
    pub fn config_bytes(&self, id: &ImageId) -> Result<Vec<u8>> {
        self.view()?.blob(&id.0)
    }

    pub(crate) fn view(&self) -> Result<View> {
        View::of(&self.0)
    }

    fn find(&self, view: &View, name: &str) -> Result<ImageId> {
        let hex = name.strip_prefix("sha256:").unwrap_or(name);
        if is_full_hex(hex) {
            let id = ImageId(Digest::from_hex(hex).map_err(|_| not_found(name))?);
            return view
                .has_image(&id)?
                .then_some(id)
                .ok_or_else(|| not_found(name));
        }
        let reference = if name.starts_with("sha256:") {
            None
        } else {
            name.parse().ok()
        };
        if let Some(reference) = &reference
            && let Some(id) = view.named(reference)?
        {
            return Ok(id);
        }
        let missing = reference.map_or_else(|| name.to_owned(), |found| found.familiar());
        if hex.is_empty() || !is_hex(hex) {
            return Err(not_found(&missing));
        }
        match view.ids_starting(hex)?.as_slice() {
            [] => Err(not_found(&missing)),
            [id] => Ok(id.clone()),
            _ => Err(Error::Ambiguous {
                prefix: hex.to_owned(),
            }),
        }
    }
}

impl Inner {
    /// The directory with the files of a layer.
    pub(crate) fn layer_files(&self, layer: &Digest) -> PathBuf {
        self.layer_dir(layer).join("diff")
    }

    pub(crate) fn layer_dir(&self, layer: &Digest) -> PathBuf {
        self.root.join("layers").join(layer.hex())
    }

    pub(crate) fn ingest(&self) -> PathBuf {
        self.root.join("ingest")
    }

    /// A name nobody else uses in this run; what earlier runs left is swept before the first is given out.
    pub(crate) fn fresh_name(&self) -> String {
        format!("new-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    /// The time, RFC 3339.
    pub(crate) fn now(&self) -> String {
        jiff::Timestamp::try_from((self.settings.now)())
            .unwrap_or_default()
            .to_string()
    }
}

/// A poisoned lock only means that some thread panicked while it held it; what these protect stays consistent.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn not_found(name: &str) -> Error {
    Error::NotFound {
        name: name.to_owned(),
    }
}

pub(crate) fn parse_config(bytes: &[u8]) -> Result<ImageFile> {
    let id = Digest::of(bytes);
    serde_json::from_slice(bytes).map_err(|source| Error::Config { id, source })
}

#[cfg(test)]
mod tests;
