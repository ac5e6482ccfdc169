//! `push`: an image to its registry.
//!
//! What the registry has already is not sent: a layer that was pulled is looked for as it was packed then, in this
//! repository and in those it came from. Layers are kept unpacked here, so one that has to be sent is packed anew; what
//! that gave is remembered beside the layer, since the same layer is pushed again and again.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::mpsc;

use crate::digest::{Digest, Hashed};
use crate::error::{Context, Error};
use crate::layer::{LayerError, write_tar};
use crate::progress::Progress;
use crate::reference::Reference;
use crate::registry::Session;
use crate::settings::Auth;
use crate::store::{Image, Staging, Store};
use crate::{Result, blocking};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// What a registry has now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The tag.
    pub tag: String,
    /// The manifest's digest.
    pub digest: Digest,
    /// The manifest's length.
    pub size: u64,
}

/// A layer as a registry keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Packed {
    media_type: String,
    digest: Digest,
    size: u64,
}

/// As much of a manifest as says how its layers are packed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Known {
    #[serde(default)]
    media_type: Option<String>,
    config: Packed,
    layers: Vec<Packed>,
}

impl Store {
    /// Sends the image called `reference`. Nothing is sent to `progress` before the registry was asked.
    pub async fn push(
        &self,
        reference: &Reference,
        auth: Option<Auth>,
        progress: mpsc::Sender<Progress>,
    ) -> Result<Pushed> {
        let image = self.get(&reference.canonical())?;
        let _pins = self.pin(&image.diff_ids);
        let session = self.0.client.session(reference, auth);
        let session = session.map_err(Error::from)?;
        let job = Arc::new(Job {
            store: self.clone(),
            known: self.known_manifests(&image)?,
            sources: sources(&image, reference),
            image,
            session,
            progress,
        });
        let repository = reference.repository();
        let line = format!("The push refers to repository [{repository}]");
        job.tell(Progress::line(line)).await;
        let count = job.image.diff_ids.len();
        let layers = stream::iter(0..count).map(|index| {
            let job = Arc::clone(&job);
            async move { job.layer(index).await }
        });
        let parallel = self.0.settings.parallel_layers.max(1);
        let layers: Vec<Packed> = layers.buffered(parallel).try_collect().await?;
        let config = job.config().await?;
        let (kind, manifest) = job.manifest(&config, &layers)?;
        let tag = reference.wanted();
        let sent = job.session.send_manifest(&tag, &kind, &manifest).await;
        sent.map_err(Error::from)?;
        let (digest, size) = (Digest::of(&manifest), manifest.len() as u64);
        let line = format!("{tag}: digest: {digest} size: {size}");
        job.tell(Progress::line(line)).await;
        Ok(Pushed { tag, digest, size })
    }

    /// The manifests an image came with, those of one image only.
    fn known_manifests(&self, image: &Image) -> Result<Vec<(Vec<u8>, Known)>> {
        let documents = self.view()?.manifests(&image.id)?;
        let read = documents.into_iter().filter_map(|bytes| {
            let known: Known = serde_json::from_slice(&bytes).ok()?;
            let fits =
                known.layers.len() == image.diff_ids.len() && known.config.digest == image.id.0;
            fits.then_some((bytes, known))
        });
        Ok(read.collect())
    }
}

/// Other repositories of the same registry that the image was in.
fn sources(image: &Image, reference: &Reference) -> Vec<String> {
    let names = image.digests.iter().chain(&image.tags);
    let same =
        names.filter(|name| name.host() == reference.host() && name.path() != reference.path());
    let mut paths: Vec<String> = same.map(|name| name.path().to_owned()).collect();
    paths.sort();
    paths.dedup();
    paths
}

struct Job {
    store: Store,
    image: Image,
    known: Vec<(Vec<u8>, Known)>,
    sources: Vec<String>,
    session: Session,
    progress: mpsc::Sender<Progress>,
}

impl Job {
    async fn tell(&self, line: Progress) {
        // Whoever does not listen may still want the image there.
        drop(self.progress.send(line).await);
    }

    async fn layer(&self, index: usize) -> Result<Packed> {
        let layer = &self.image.diff_ids[index];
        let id = layer.short();
        self.tell(Progress::of(id, "Preparing")).await;
        let mut forms: Vec<Packed> = self
            .known
            .iter()
            .map(|(_, known)| known.layers[index].clone())
            .collect();
        let folder = self.store.0.layer_dir(layer);
        forms.extend(remembered(&folder));
        for form in forms {
            if let Some(how) = self.is_there(&form.digest).await? {
                self.tell(Progress::of(id, how)).await;
                return Ok(form);
            }
        }
        let (store, of) = (self.store.clone(), layer.clone());
        let packed = blocking::run(move || pack(&store, &of)).await;
        let (form, file) = packed.map_err(|error| error.telling_full(&self.store.0.root))?;
        match self.is_there(&form.digest).await? {
            Some(how) => self.tell(Progress::of(id, how)).await,
            None => self.send(id, &form, &file).await?,
        }
        remember(&folder, &form);
        Ok(form)
    }

    /// The registry has the blob, or can take it over from where it has it.
    async fn is_there(&self, digest: &Digest) -> Result<Option<String>> {
        let has = self.session.has_blob(digest).await;
        if has.map_err(Error::from)? {
            return Ok(Some("Layer already exists".to_owned()));
        }
        for source in &self.sources {
            let mounted = self.session.mount_blob(digest, source).await;
            if mounted.map_err(Error::from)? {
                return Ok(Some(format!("Mounted from {source}")));
            }
        }
        Ok(None)
    }

    async fn send(&self, id: &str, form: &Packed, file: &Scratch) -> Result<()> {
        self.tell(Progress::of(id, "Pushing").at(0, form.size))
            .await;
        let blob = tokio::fs::File::open(&file.path).await;
        let blob = blob.file("open", &file.path)?;
        let told = |sent| {
            let line = Progress::of(id, "Pushing").at(sent, form.size);
            // One line of many: a listener that is slow misses it.
            drop(self.progress.try_send(line));
        };
        let sent = self.session.send_blob(&form.digest, form.size, blob, told);
        sent.await.map_err(Error::from)?;
        self.tell(Progress::of(id, "Pushed")).await;
        Ok(())
    }

    async fn config(&self) -> Result<Packed> {
        let bytes = self.store.config_bytes(&self.image.id)?;
        let form = Packed {
            media_type: CONFIG.to_owned(),
            digest: self.image.id.0.clone(),
            size: bytes.len() as u64,
        };
        let has = self.session.has_blob(&form.digest).await;
        if !has.map_err(Error::from)? {
            let sent = self
                .session
                .send_blob(&form.digest, form.size, bytes.as_slice(), |_| {});
            sent.await.map_err(Error::from)?;
        }
        Ok(form)
    }

    /// The manifest the image came with, if it is still true to the byte, so that its digest stays; else a new one.
    fn manifest(&self, config: &Packed, layers: &[Packed]) -> Result<(String, Vec<u8>)> {
        let same = self.known.iter().find(|(_, known)| known.layers == layers);
        if let Some((bytes, known)) = same {
            let kind = known.media_type.clone();
            return Ok((kind.unwrap_or_else(|| MANIFEST.to_owned()), bytes.clone()));
        }
        // One manifest must not mix OCI's types with Docker's, which name the same formats.
        let layers: Vec<Packed> = layers
            .iter()
            .map(|layer| Packed {
                media_type: oci(&layer.media_type).to_owned(),
                ..layer.clone()
            })
            .collect();
        let document = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers,
        });
        let bytes = serde_json::to_vec(&document).map_err(|source| Error::Config {
            id: self.image.id.0.clone(),
            source,
        })?;
        Ok((MANIFEST.to_owned(), bytes))
    }
}

fn oci(media_type: &str) -> &str {
    match media_type {
        "application/vnd.docker.image.rootfs.diff.tar.gzip" => LAYER,
        "application/vnd.docker.image.rootfs.diff.tar" => "application/vnd.oci.image.layer.v1.tar",
        other => other,
    }
}

/// A packed layer on the disk; it goes with this.
struct Scratch {
    path: PathBuf,
    _folder: Staging,
}

fn pack(store: &Store, layer: &Digest) -> Result<(Packed, Scratch)> {
    let folder = Staging::new(&store.0)?;
    let path = folder.path().join("blob");
    let file = File::create_new(&path).file("create", &path)?;
    let mut out = GzEncoder::new(Hashed::new(BufWriter::new(file)), Compression::default());
    write_tar(&store.0.layer_dir(layer), &mut out)?;
    let packed = out.finish().and_then(|mut out| {
        out.flush()?;
        Ok(out)
    });
    let (digest, size) = packed.map_err(LayerError::Write)?.finish();
    let form = Packed {
        media_type: LAYER.to_owned(),
        digest,
        size,
    };
    let scratch = Scratch {
        path,
        _folder: folder,
    };
    Ok((form, scratch))
}

/// How a layer was packed the last time. Only a hint: the registry is asked whether it has that.
fn remembered(folder: &Path) -> Option<Packed> {
    let text = std::fs::read(folder.join("packed")).ok()?;
    serde_json::from_slice(&text).ok()
}

fn remember(folder: &Path, form: &Packed) {
    let Ok(text) = serde_json::to_vec(form) else {
        return;
    };
    if let Err(error) = std::fs::write(folder.join("packed"), text) {
        tracing::debug!(%error, "the layer will be packed again next time");
    }
}
