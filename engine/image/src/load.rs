//! `load`: images from an archive, in one pass over it.
//!
//! Writers differ in the order of things: the list of images often comes last. So every layer is unpacked as it comes by,
//! keyed by the digest its contents turn out to have, and the list is read when all has been seen. What no image turned
//! out to need goes away again by itself.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

use serde::Deserialize;
use tokio::io::AsyncRead;
use tokio::sync::mpsc;

use crate::archive::ArchiveError;
use crate::compression::Unpacked;
use crate::digest::{Digest, Hashed, ImageId};
use crate::layer::{self, expect_digest};
use crate::progress::Progress;
use crate::reference::{Reference, has_tag_or_digest};
use crate::registry::manifest::{Index, Manifest};
use crate::store::{NewImage, Pins, StagedLayer, Store, parse_config};
use crate::tar::{Archive, Kind, looks_like_tar};
use crate::{Platform, Result, blocking};

/// Longest document kept; and all of them together.
const DOCUMENT_LIMIT: u64 = 16 * 1024 * 1024;
const DOCUMENTS_LIMIT: usize = 128 * 1024 * 1024;

/// An image that was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Its id.
    pub id: ImageId,
    /// The names it came with.
    pub names: Vec<Reference>,
}

impl Store {
    /// Takes in all images of an archive: `docker save`'s or an OCI layout, plain or packed.
    pub async fn load(
        &self,
        body: impl AsyncRead + Unpin,
        progress: mpsc::Sender<Progress>,
    ) -> Result<Vec<Loaded>> {
        let store = self.clone();
        let loaded =
            blocking::with_reader(body, move |body| Loader::new(store, progress).load(body));
        loaded
            .await
            .map_err(|error| error.telling_full(&self.0.root))
    }
}

/// A layer that came by.
struct Seen {
    diff_id: Digest,
    /// Not set when the store has it already.
    staged: Option<Arc<StagedLayer>>,
}

struct Loader {
    store: Store,
    progress: mpsc::Sender<Progress>,
    documents: HashMap<String, Vec<u8>>,
    layers: HashMap<String, Seen>,
    links: HashMap<String, String>,
    held: usize,
    /// The layers counted on stay in the store while this lives.
    pins: Vec<Pins>,
}

/// A line of `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

impl Loader {
    fn new(store: Store, progress: mpsc::Sender<Progress>) -> Self {
        Self {
            store,
            progress,
            documents: HashMap::new(),
            layers: HashMap::new(),
            links: HashMap::new(),
            held: 0,
            pins: Vec::new(),
        }
    }

    fn load(mut self, body: impl Read) -> Result<Vec<Loaded>> {
        let body = Unpacked::sniff(body).map_err(ArchiveError::from)?;
        let mut archive = Archive::new(body);
        while let Some(entry) = archive.next_entry().map_err(ArchiveError::from)? {
            let path = tidy(&entry.shown());
            match entry.kind {
                Kind::File => self.file(&mut archive, path, entry.size)?,
                Kind::Symlink => {
                    let target = String::from_utf8_lossy(&entry.link);
                    let beside = path.rsplit_once('/').map_or("", |(parent, _)| parent);
                    let target = tidy(&format!("{beside}/{target}"));
                    self.links.insert(path, target);
                }
                Kind::HardLink => {
                    let target = tidy(&String::from_utf8_lossy(&entry.link));
                    self.links.insert(path, target);
                }
                _ => {}
            }
        }
        if self.documents.contains_key("manifest.json") {
            return self.load_listed();
        }
        if self.documents.contains_key("index.json") {
            return self.load_layout();
        }
        Err(ArchiveError::NoImage.into())
    }

    /// Takes a file in, as a layer if it looks like one, else as a document.
    fn file(&mut self, contents: &mut impl Read, path: String, size: u64) -> Result<()> {
        if let Some(diff_id) = promised(&path)
            && self.keep_known(&diff_id)?
        {
            // Its name says it is a layer we have. Whether that is true does not matter: ours counts.
            self.layers.insert(
                path,
                Seen {
                    diff_id,
                    staged: None,
                },
            );
            return Ok(());
        }
        let mut start = Vec::new();
        contents
            .take(512)
            .read_to_end(&mut start)
            .map_err(read_failed)?;
        let mut rest = start.chain(contents);
        let packed = is_packed(&start);
        if packed || looks_like_tar(&start) {
            return self.layer(rest, packed, path, size);
        }
        if size > DOCUMENT_LIMIT {
            return Ok(());
        }
        let mut document = Vec::new();
        rest.read_to_end(&mut document).map_err(read_failed)?;
        self.held += document.len();
        if self.held > DOCUMENTS_LIMIT {
            return Err(ArchiveError::TooLarge.into());
        }
        self.documents.insert(path, document);
        Ok(())
    }

    fn layer(&mut self, contents: impl Read, packed: bool, path: String, size: u64) -> Result<()> {
        let (staged, found) = if packed {
            let (staged, mut contents) = layer::stage(&self.store.0, Hashed::new(contents))?;
            std::io::copy(&mut contents, &mut std::io::sink()).map_err(read_failed)?;
            (staged, contents.finish().0)
        } else {
            // A plain layer is its own blob, and hashing it once is enough.
            let (staged, _) = layer::stage(&self.store.0, contents)?;
            let digest = staged.diff_id.clone();
            (staged, digest)
        };
        if let Some(expected) = promised(&path)
            && expected != found
        {
            return Err(ArchiveError::Digest { path, found }.into());
        }
        let diff_id = staged.diff_id.clone();
        let known = self.keep_known(&diff_id)?;
        // Nobody may be listening, and news are not worth waiting for.
        let news = Progress::of(diff_id.short(), "Loading layer").at(size, size);
        drop(self.progress.try_send(news));
        let staged = (!known).then(|| Arc::new(staged));
        self.layers.insert(path, Seen { diff_id, staged });
        Ok(())
    }

    /// Whether the store has the layer; it will go on having it until the loading is done.
    fn keep_known(&mut self, layer: &Digest) -> Result<bool> {
        let pin = self.store.pin(std::slice::from_ref(layer));
        let known = self.store.view()?.layer(layer)?.is_some();
        self.pins.push(pin);
        Ok(known)
    }

    fn load_listed(&self) -> Result<Vec<Loaded>> {
        let list: Vec<Listed> = self.parse("manifest.json", "the archive")?;
        if list.is_empty() {
            return Err(ArchiveError::NoImage.into());
        }
        list.iter()
            .map(|listed| self.load_one_listed(listed))
            .collect()
    }

    fn load_one_listed(&self, listed: &Listed) -> Result<Loaded> {
        let config = self.document(&listed.config, "manifest.json")?;
        let names = listed.repo_tags.iter().flatten().map(|name| name.parse());
        let names = names.collect::<Result<Vec<Reference>, _>>()?;
        let paths = listed.layers.as_deref().unwrap_or_default();
        self.commit(config, paths, names, Vec::new())
    }

    fn load_layout(&self) -> Result<Vec<Loaded>> {
        let index: Index = self.parse("index.json", "the archive")?;
        let mut loaded: Vec<Loaded> = Vec::new();
        for line in index.manifests.iter().filter(|line| !line.is_attestation()) {
            let name = line
                .name()
                .filter(|name| has_tag_or_digest(name) || name.contains('/'));
            let names = name.map(str::parse).transpose()?.into_iter().collect();
            let image =
                self.load_manifest(&line.digest().map_err(ArchiveError::from)?, names, 0)?;
            match loaded.iter_mut().find(|known| known.id == image.id) {
                Some(known) => known.names.extend(image.names),
                None => loaded.push(image),
            }
        }
        if loaded.is_empty() {
            Err(ArchiveError::NoImage.into())
        } else {
            Ok(loaded)
        }
    }

    fn load_manifest(&self, digest: &Digest, names: Vec<Reference>, depth: u32) -> Result<Loaded> {
        let path = blob_path(digest);
        let bytes = self.document(&path, "index.json")?;
        let invalid = |source| ArchiveError::Document {
            path: path.clone(),
            source,
        };
        let index: Index = serde_json::from_slice(bytes).map_err(invalid)?;
        if !index.manifests.is_empty() && depth < 4 {
            let host = Platform::host();
            let best = index.best(&host);
            let best = best.ok_or_else(|| ArchiveError::NoPlatform(host.to_string()))?;
            return self.load_manifest(
                &best.digest().map_err(ArchiveError::from)?,
                names,
                depth + 1,
            );
        }
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(invalid)?;
        let config = manifest.config.digest().map_err(ArchiveError::from)?;
        let config = self.document(&blob_path(&config), &path)?;
        let paths = manifest
            .layers
            .iter()
            .map(|layer| Ok(blob_path(&layer.digest()?)));
        let paths = paths.collect::<Result<Vec<_>, ArchiveError>>()?;
        self.commit(config, &paths, names, vec![bytes.to_vec()])
    }

    fn commit(
        &self,
        config: &[u8],
        paths: &[String],
        names: Vec<Reference>,
        manifests: Vec<Vec<u8>>,
    ) -> Result<Loaded> {
        let id = ImageId(Digest::of(config));
        let diff_ids = parse_config(config)?.rootfs.diff_ids;
        if paths.len() != diff_ids.len() {
            let (image, layers, diff_ids) = (id.0, paths.len(), diff_ids.len());
            return Err(ArchiveError::Layers {
                image,
                layers,
                diff_ids,
            }
            .into());
        }
        let mut layers = Vec::new();
        for (path, diff_id) in paths.iter().zip(&diff_ids) {
            let Some(seen) = self.layers.get(self.follow(path)) else {
                if self.store.view()?.layer(diff_id)?.is_some() {
                    continue;
                }
                let by = format!("image {id}");
                return Err(ArchiveError::Lacks {
                    path: path.clone(),
                    by,
                }
                .into());
            };
            expect_digest(&seen.diff_id, diff_id)?;
            layers.extend(seen.staged.clone());
        }
        let _pins = self.store.pin(&diff_ids);
        let new = NewImage {
            config: config.to_vec(),
            layers,
            names: names.clone(),
            manifests,
        };
        self.store.commit(&new)?;
        Ok(Loaded { id, names })
    }

    fn parse<T: for<'a> Deserialize<'a>>(&self, path: &str, by: &str) -> Result<T> {
        let bytes = self.document(path, by)?;
        let invalid = |source| ArchiveError::Document {
            path: path.to_owned(),
            source,
        };
        Ok(serde_json::from_slice(bytes).map_err(invalid)?)
    }

    /// A document of the archive; one that is named by its digest must have it.
    fn document(&self, path: &str, by: &str) -> Result<&[u8]> {
        let real = self.follow(path);
        let lacks = || ArchiveError::Lacks {
            path: path.to_owned(),
            by: by.to_owned(),
        };
        let bytes = self.documents.get(real).ok_or_else(lacks)?;
        if let Some(expected) = promised(real) {
            let found = Digest::of(bytes);
            if found != expected {
                return Err(ArchiveError::Digest {
                    path: path.to_owned(),
                    found,
                }
                .into());
            }
        }
        Ok(bytes)
    }

    /// Where the archive's own links lead from `path`.
    fn follow<'s>(&'s self, path: &'s str) -> &'s str {
        let mut path = path;
        for _ in 0..8 {
            match self.links.get(path) {
                Some(target) => path = target,
                None => break,
            }
        }
        path
    }
}

fn read_failed(source: std::io::Error) -> ArchiveError {
    crate::tar::TarError::Read(source).into()
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// The digest that a path promises.
fn promised(path: &str) -> Option<Digest> {
    Digest::from_hex(path.strip_prefix("blobs/sha256/")?).ok()
}

/// Documents are never packed, so what is packed is a layer.
fn is_packed(start: &[u8]) -> bool {
    matches!(start, [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..])
        || matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// A path in the archive without `.` and `..`. These are names in a map and never paths of a file system.
fn tidy(path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    names.join("/")
}
