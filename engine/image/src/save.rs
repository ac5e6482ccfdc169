//! `save`: images as one archive that is both an OCI layout and what `docker load` reads.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use serde::Serialize;
use serde_json::json;
use tokio::io::AsyncWrite;

use crate::blocking::PieceWriter;
use crate::digest::{Digest, Hashed};
use crate::layer::{LayerError, expect_digest, write_tar};
use crate::reference::{Reference, has_tag_or_digest};
use crate::store::{Image, Store, View};
use crate::{Error, Result, blocking};

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// An image to save, and the names it is to have in the archive.
struct Saved {
    image: Image,
    names: BTreeSet<Reference>,
}

impl Store {
    /// Writes the named images to `out`. A name without tag means all tags of that repository; an id, no name at all.
    pub async fn save(&self, names: &[String], out: impl AsyncWrite + Unpin) -> Result<()> {
        let store = self.clone();
        let names = names.to_vec();
        blocking::with_writer(out, move |out| {
            let images = store.chosen(&names)?;
            // What is being written must not be removed meanwhile.
            let layers: Vec<_> = images
                .iter()
                .flat_map(|saved| saved.image.diff_ids.clone())
                .collect();
            let _pins = store.pin(&layers);
            store.write_images(&images, out)
        })
        .await
    }

    fn chosen(&self, names: &[String]) -> Result<Vec<Saved>> {
        let mut chosen: Vec<Saved> = Vec::new();
        for name in names {
            let (images, tags) = self.meant(name)?;
            for image in images {
                let tags = image.tags.iter().filter(|tag| tags.contains(tag)).cloned();
                let names: BTreeSet<_> = tags.collect();
                match chosen.iter_mut().find(|saved| saved.image.id == image.id) {
                    Some(saved) => saved.names.extend(names),
                    None => chosen.push(Saved { image, names }),
                }
            }
        }
        Ok(chosen)
    }

    fn meant(&self, name: &str) -> Result<(Vec<Image>, Vec<Reference>)> {
        if let Ok(reference) = name.parse::<Reference>() {
            if !has_tag_or_digest(name) {
                let same = |tag: &&Reference| tag.repository() == reference.repository();
                let mut images = self.list()?;
                images.retain(|image| image.tags.iter().any(|tag| same(&tag)));
                let tags = images
                    .iter()
                    .flat_map(|image| image.tags.iter().filter(same).cloned());
                let tags = tags.collect();
                if !images.is_empty() {
                    return Ok((images, tags));
                }
            }
            return Ok((vec![self.get(name)?], vec![reference]));
        }
        Ok((vec![self.get(name)?], Vec::new()))
    }

    fn write_images(&self, images: &[Saved], out: &mut PieceWriter) -> Result<()> {
        let view = self.view()?;
        let mut archive = Archive {
            out,
            written: BTreeSet::new(),
        };
        archive.directory("blobs/")?;
        archive.directory("blobs/sha256/")?;
        let mut index = Vec::new();
        let mut list = Vec::new();
        let mut repositories: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for Saved { image, names } in images {
            let manifest = self.write_image(&view, image, &mut archive)?;
            index.extend(descriptors(&manifest, names));
            let tags: Vec<_> = names.iter().map(Reference::familiar).collect();
            list.push(json!({
                "Config": blob_path(&image.id.0),
                "RepoTags": if tags.is_empty() { None } else { Some(tags) },
                "Layers": image.diff_ids.iter().map(blob_path).collect::<Vec<_>>(),
            }));
            let top = image.diff_ids.last().map(Digest::hex).unwrap_or_default();
            for name in names {
                let tags = repositories.entry(name.familiar_repository()).or_default();
                tags.insert(name.tag().unwrap_or_default().to_owned(), top.to_owned());
            }
        }
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": index});
        archive.document("index.json", &index)?;
        archive.document("manifest.json", &list)?;
        archive.document("oci-layout", &json!({"imageLayoutVersion": "1.0.0"}))?;
        archive.document("repositories", &repositories)?;
        archive.end()
    }

    /// Writes layers, configuration and a manifest; returns the manifest's bytes.
    fn write_image(
        &self,
        view: &View,
        image: &Image,
        archive: &mut Archive<'_>,
    ) -> Result<Vec<u8>> {
        let config = view.blob(&image.id.0)?;
        let mut layers = Vec::new();
        for layer in &image.diff_ids {
            let missing = || LayerError::Missing {
                layer: layer.clone(),
            };
            let size = view.layer(layer)?.ok_or_else(missing)?.tar_size;
            layers.push(json!({"mediaType": OCI_LAYER, "digest": layer, "size": size}));
            archive.blob(layer, size, |out| {
                let mut out = Hashed::new(out);
                write_tar(&self.0.layer_dir(layer), &mut out)?;
                Ok(expect_digest(&out.finish().0, layer)?)
            })?;
        }
        archive.blob(&image.id.0, config.len() as u64, |out| {
            out.write_all(&config).map_err(Error::Stream)
        })?;
        let manifest = encode(&json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": image.id, "size": config.len()},
            "layers": layers,
        }))?;
        archive.blob(&Digest::of(&manifest), manifest.len() as u64, |out| {
            out.write_all(&manifest).map_err(Error::Stream)
        })?;
        Ok(manifest)
    }
}

/// One line of the index for each name, or one without a name.
fn descriptors(manifest: &[u8], names: &BTreeSet<Reference>) -> Vec<serde_json::Value> {
    let plain = json!({
        "mediaType": OCI_MANIFEST,
        "digest": Digest::of(manifest),
        "size": manifest.len(),
    });
    if names.is_empty() {
        return vec![plain];
    }
    let named = |name: &Reference| {
        let mut line = plain.clone();
        line["annotations"] = json!({
            "io.containerd.image.name": name.canonical(),
            "org.opencontainers.image.ref.name": name.tag(),
        });
        line
    };
    names.iter().map(named).collect()
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn encode(document: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(document).map_err(|source| Error::Record {
        key: "the archive's index".to_owned(),
        source,
    })
}

/// The archive being written. Blobs that images share go in once.
struct Archive<'a> {
    out: &'a mut PieceWriter,
    written: BTreeSet<Digest>,
}

impl Archive<'_> {
    fn directory(&mut self, path: &str) -> Result<()> {
        self.header(path, tar::EntryType::Directory, 0o755, 0)
    }

    fn document(&mut self, path: &str, document: &impl Serialize) -> Result<()> {
        let bytes = encode(document)?;
        self.file(path, bytes.len() as u64, |out| {
            out.write_all(&bytes).map_err(Error::Stream)
        })
    }

    fn blob(
        &mut self,
        digest: &Digest,
        size: u64,
        write: impl FnOnce(&mut PieceWriter) -> Result<()>,
    ) -> Result<()> {
        if !self.written.insert(digest.clone()) {
            return Ok(());
        }
        self.file(&blob_path(digest), size, write)
    }

    fn file(
        &mut self,
        path: &str,
        size: u64,
        write: impl FnOnce(&mut PieceWriter) -> Result<()>,
    ) -> Result<()> {
        self.header(path, tar::EntryType::Regular, 0o444, size)?;
        write(self.out)?;
        let padding = size.wrapping_neg() % 512;
        self.zeros(padding)
    }

    fn header(&mut self, path: &str, kind: tar::EntryType, mode: u32, size: u64) -> Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_path(path).map_err(Error::Stream)?;
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(size);
        header.set_cksum();
        self.out.write_all(header.as_bytes()).map_err(Error::Stream)
    }

    fn zeros(&mut self, count: u64) -> Result<()> {
        std::io::copy(
            &mut std::io::Read::take(std::io::repeat(0), count),
            self.out,
        )
        .map_err(Error::Stream)?;
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.zeros(1024)
    }
}
