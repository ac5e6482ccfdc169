//! The trees of files below volumes: which ones are stacked, which are needed, what a crash left.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bowline_image::files::{Stack, clear_tree};
use nix::mount::{MntFlags, umount2};

use super::mounted::points;
use crate::config::Settings;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::record::{ContainerRecord, SnapshotRecord, TreeRecord, VolumeRecord};
use crate::roots::Roots;
use crate::store::{Change, Kind, Store, StoreError};

/// Trees by id.
pub(super) type Trees = BTreeMap<String, TreeRecord>;

/// Where a tree's files lie.
pub(super) fn data(roots: &Roots, id: &str) -> PathBuf {
    roots.trees().join(id).join("data")
}

/// A tree and those below it, top first. Stops at one that is not there.
pub(super) fn chain<'t>(trees: &'t Trees, top: &str) -> Vec<&'t TreeRecord> {
    let mut chain = Vec::new();
    let mut next = trees.get(top);
    while let Some(tree) = next {
        chain.push(tree);
        // A record that names itself below itself would be walked for ever.
        next = trees
            .get(&tree.parent)
            .filter(|_| chain.len() <= trees.len());
    }
    chain
}

/// Ids of the trees that some volume or snapshot stands on.
pub(super) fn needed<'t>(
    trees: &'t Trees,
    tops: impl IntoIterator<Item = &'t str>,
) -> BTreeSet<&'t str> {
    tops.into_iter()
        .flat_map(|top| chain(trees, top))
        .map(|tree| tree.id.as_str())
        .collect()
}

impl Engine {
    /// The directories a volume on frozen trees is mounted from.
    pub(super) fn stack(&self, record: &VolumeRecord) -> Result<Stack> {
        let roots = &self.settings().roots;
        let trees = self.volumes.trees();
        let lowers: Vec<PathBuf> = chain(&trees, &record.base)
            .into_iter()
            .map(|tree| data(roots, &tree.id))
            .collect();
        if lowers.is_empty() {
            return Err(Error::internal(format!(
                "the frozen files that volume {} stands on are gone",
                record.name
            )));
        }
        Ok(Stack {
            lowers,
            upper: data(roots, &record.live),
            work: roots.trees().join(&record.live).join("work"),
        })
    }

    /// Removes trees that nothing stands on any more: the records first, since files without one are swept.
    pub(super) fn clear_trees(&self) {
        let gone = {
            let trees = self.volumes.trees();
            let volumes = self.volumes.all();
            let snapshots = self.volumes.snapshots();
            let tops = volumes
                .iter()
                .map(|record| record.base.as_str())
                .chain(snapshots.values().map(|record| record.tree.as_str()));
            let needed = needed(&trees, tops);
            let gone = trees.keys().filter(|id| !needed.contains(id.as_str()));
            gone.cloned().collect::<Vec<String>>()
        };
        if gone.is_empty() {
            return;
        }
        let changes: Vec<Change> = gone
            .iter()
            .map(|id| Change::Remove(Kind::Tree, id.clone()))
            .collect();
        if let Err(error) = self.store().apply(&changes) {
            tracing::warn!(%error, "trees that nothing needs are kept");
            return;
        }
        self.volumes.forget_trees(&gone);
        for id in gone {
            self.clear_tree(&id);
        }
    }

    /// Removes a tree's files. What is left of them after a failure has no record, and is swept.
    pub(super) fn clear_tree(&self, id: &str) {
        let path = self.settings().roots.trees().join(id);
        if let Err(error) = clear_tree(&path) {
            tracing::warn!(%error, path = %path.display(), "not removed");
        }
    }
}

/// What the store knows about volumes.
#[derive(Debug)]
pub(in crate::engine) struct Known {
    pub(in crate::engine) volumes: Vec<VolumeRecord>,
    pub(super) trees: Trees,
    pub(super) snapshots: BTreeMap<String, SnapshotRecord>,
}

impl Known {
    /// Reads all records, and undoes what a crash left in the middle: mounts that nobody needs go, a folder that was
    /// on its way to become a tree comes back, files without a record are removed.
    ///
    /// # Errors
    /// The store's.
    pub(in crate::engine) fn read(
        store: &Store,
        settings: &Settings,
        containers: &[ContainerRecord],
        boot_id: &str,
    ) -> std::result::Result<Self, StoreError> {
        let trees: Vec<TreeRecord> = store.all(Kind::Tree)?;
        let snapshots: Vec<SnapshotRecord> = store.all(Kind::Snapshot)?;
        let mut known = Self {
            volumes: store.all(Kind::Volume)?,
            trees: trees
                .into_iter()
                .map(|tree| (tree.id.clone(), tree))
                .collect(),
            snapshots: snapshots
                .into_iter()
                .map(|snapshot| (snapshot.key(), snapshot))
                .collect(),
        };
        unmount_unused(&settings.roots, containers, boot_id);
        for volume in &mut known.volumes {
            if !volume.freezing.is_empty() {
                take_back(&settings.roots, volume);
                volume.freezing.clear();
                store.put(Kind::Volume, &volume.name, volume)?;
            }
        }
        known.sweep(&settings.roots);
        Ok(known)
    }

    fn sweep(&self, roots: &Roots) {
        let Ok(entries) = std::fs::read_dir(roots.trees()) else {
            return;
        };
        for entry in entries.flatten() {
            let id = entry.file_name().to_string_lossy().into_owned();
            let live = self.volumes.iter().any(|volume| volume.live == id);
            if !live
                && !self.trees.contains_key(&id)
                && let Err(error) = clear_tree(&entry.path())
            {
                tracing::warn!(%error, path = %entry.path().display(), "not swept");
            }
        }
    }
}

/// Volumes stay mounted when an engine dies; those whose containers are gone too are unmounted before anybody looks
/// into their folders.
fn unmount_unused(roots: &Roots, containers: &[ContainerRecord], boot_id: &str) {
    let used = |place: &Path| {
        containers.iter().any(|record| {
            let runs = record.phase.is_alive() || record.starting;
            runs && record.boot == boot_id
                && record.mounts.iter().any(|point| {
                    !point.name.is_empty() && roots.volume(&point.name).join("_data") == place
                })
        })
    };
    let volumes = roots.data().join("volumes");
    for place in points() {
        if place.starts_with(&volumes)
            && place != volumes
            && !used(&place)
            && let Err(error) = umount2(&place, MntFlags::MNT_DETACH)
        {
            tracing::warn!(%error, path = %place.display(), "not unmounted");
        }
    }
}

/// The folder's move was recorded and not what should follow, so it moves back where it got that far.
fn take_back(roots: &Roots, volume: &VolumeRecord) {
    let moved = data(roots, &volume.freezing);
    let home = roots.volume(&volume.name).join("_data");
    if !moved.is_dir() {
        return;
    }
    // Only an empty one can lie there: whatever is not empty is the files themselves.
    let _not_there = std::fs::remove_dir(&home);
    if let Err(error) = std::fs::rename(&moved, &home) {
        tracing::error!(%error, volume = volume.name, path = %moved.display(), "a volume's files are here");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trees(pairs: &[(&str, &str)]) -> Trees {
        let one = |(id, parent): &(&str, &str)| {
            let tree = TreeRecord {
                id: (*id).into(),
                parent: (*parent).into(),
                ..TreeRecord::default()
            };
            ((*id).to_owned(), tree)
        };
        pairs.iter().map(one).collect()
    }

    #[test]
    fn what_lies_below_something_needed_is_needed() {
        let trees = trees(&[("a", ""), ("b", "a"), ("c", "b"), ("other", "a")]);
        let ids: Vec<&str> = chain(&trees, "c").iter().map(|t| t.id.as_str()).collect();
        assert_eq!(ids, ["c", "b", "a"]);
        assert_eq!(
            needed(&trees, ["b", "gone"]),
            ["a", "b"].into_iter().collect()
        );
        assert!(chain(&trees, "").is_empty());
    }

    #[test]
    fn a_circle_of_records_ends() {
        let trees = trees(&[("a", "b"), ("b", "a")]);
        assert!(chain(&trees, "a").len() <= 3);
    }

    #[test]
    fn a_folder_that_was_being_moved_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let roots = Roots::new(folder.path().join("data"), folder.path().join("run"));
        let volume = VolumeRecord {
            name: "v".into(),
            freezing: "t".into(),
            ..VolumeRecord::default()
        };
        let home = roots.volume("v").join("_data");
        std::fs::create_dir_all(&home).unwrap();
        std::fs::create_dir_all(data(&roots, "t")).unwrap();
        std::fs::write(data(&roots, "t").join("file"), "text").unwrap();
        take_back(&roots, &volume);
        assert_eq!(std::fs::read_to_string(home.join("file")).unwrap(), "text");
        // Not moved yet, it stays.
        take_back(&roots, &volume);
        assert!(home.join("file").exists());
    }
}
