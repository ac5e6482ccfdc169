//! What a crash left behind goes at the next start, before anything else happens.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use super::Store;
use super::records::pinned;
use crate::Result;
use crate::build::boot_id;
use crate::digest::Digest;
use crate::error::Context;

/// How long a partial download waits to be resumed.
const PARTIAL_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl Store {
    /// Removes what is not committed: half-unpacked layers, layers no image has, old partial downloads. An image whose
    /// files were taken away from outside loses its record, so that the next pull brings it back whole.
    pub fn sweep(&self) -> Result<()> {
        self.empty(&self.0.root.join("trash"))?;
        self.sweep_ingest()?;
        let known = self.sweep_rows()?;
        self.sweep_layers(&known)?;
        if !self.0.write(|tables| tables.unsynced())?.is_empty() {
            self.sync_later();
        }
        Ok(())
    }

    fn empty(&self, directory: &Path) -> Result<()> {
        for entry in std::fs::read_dir(directory).file("read", directory)? {
            let path = entry.file("read", directory)?.path();
            remove_any(&path)?;
        }
        Ok(())
    }

    fn sweep_ingest(&self) -> Result<()> {
        let directory = self.0.ingest();
        let now = (self.0.settings.now)();
        for entry in std::fs::read_dir(&directory).file("read", &directory)? {
            let entry = entry.file("read", &directory)?;
            let path = entry.path();
            let modified = entry
                .metadata()
                .and_then(|found| found.modified())
                .unwrap_or(now);
            let young = now
                .duration_since(modified)
                .is_ok_and(|age| age < PARTIAL_AGE);
            let resumable = path
                .extension()
                .is_some_and(|extension| extension == "part");
            if !(resumable && young) {
                remove_any(&path)?;
            }
        }
        Ok(())
    }

    /// Makes the rows agree with each other and with the directories; returns the layers that remain.
    fn sweep_rows(&self) -> Result<HashSet<Digest>> {
        self.0.write(|tables| {
            let boot = boot_id();
            let mut lost: HashSet<Digest> = tables
                .all_layers()?
                .into_iter()
                .filter(|layer| !self.0.layer_files(layer).is_dir())
                .collect();
            // What a build made shortly before the machine stopped may have names and no contents.
            let unsynced = tables.unsynced()?;
            lost.extend(
                unsynced
                    .into_iter()
                    .filter(|(_, written)| boot.is_empty() || *written != boot)
                    .map(|(layer, _)| layer),
            );
            for (id, record) in tables.all_records()? {
                if record.layers.iter().any(|layer| lost.contains(layer)) {
                    tracing::warn!(%id, "an image has lost files of its layers and is forgotten");
                    tables.remove_image(&id)?;
                }
            }
            for (key, record) in tables.builds()? {
                if record.layers.iter().any(|layer| lost.contains(layer)) {
                    tables.remove_build(&key)?;
                }
            }
            lost.iter()
                .try_for_each(|layer| tables.forget_layer(layer))?;
            tables.remove_unused_layers(&pinned(&self.0))?;
            Ok(tables.all_layers()?.into_iter().collect())
        })
    }

    fn sweep_layers(&self, known: &HashSet<Digest>) -> Result<()> {
        let directory = self.0.root.join("layers");
        for entry in std::fs::read_dir(&directory).file("read", &directory)? {
            let entry = entry.file("read", &directory)?;
            let name = entry.file_name();
            let digest = name.to_str().and_then(|name| Digest::from_hex(name).ok());
            if digest.is_none_or(|digest| !known.contains(&digest)) {
                self.0.discard(&entry.path())?;
            }
        }
        Ok(())
    }
}

fn remove_any(path: &Path) -> Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(path).file("remove", path),
        _ => std::fs::remove_file(path).file("remove", path),
    }
}
