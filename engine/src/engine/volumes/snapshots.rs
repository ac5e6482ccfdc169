//! Snapshots of volumes: taken, restored, forked, listed, removed.
//!
//! A fork or a restored volume is a new, empty tree on the frozen one, so it takes the time of one record, however large
//! the files are; where the file system can share blocks it is a whole copy instead, which takes as little.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use bowline_api::{SnapshotCreate, SnapshotList, Volume, VolumeCreate, VolumeFork, VolumeSnapshot};
use bowline_image::files::{Dir, Transfer, can_share, clear_tree, copy_tree, space_used};
use tokio::task::block_in_place;

use super::freeze::Frozen;
use super::{no_such, trees};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::record::{Origin, SnapshotRecord, VolumeRecord};
use crate::store::{Change, Kind};
use crate::{clock, ids, view};

impl Engine {
    /// Freezes a volume's files under a name.
    ///
    /// # Errors
    /// 404, a name that is taken or cannot be one, or the files cannot be frozen.
    pub async fn snapshot_create(
        self: &Arc<Self>,
        name: &str,
        request: &SnapshotCreate,
    ) -> Result<VolumeSnapshot> {
        let _busy = self.busy();
        let tag = request.tag.as_str();
        if !is_tag(tag) {
            return Err(Error::invalid(format!(
                "\"{tag}\" includes invalid characters for a snapshot's name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed"
            )));
        }
        let gate = self.volumes.holds.gate(name);
        let _alone = gate.lock().await;
        let volume = self.volumes.get(name).ok_or_else(|| no_such(name))?;
        let taken = || Error::conflict(format!("volume {name} has a snapshot {tag} already"));
        if self.volumes.snapshot(name, tag).is_some() {
            return Err(taken());
        }
        let images = self.images_with(name);
        let frozen = self.freeze(&volume).await?;
        let snapshot = SnapshotRecord {
            volume: name.into(),
            tag: tag.into(),
            taken: frozen.taken.clone(),
            tree: frozen.tree.clone(),
            images,
            live: frozen.live,
        };
        block_in_place(|| self.record_frozen(&frozen, Some(&snapshot), None))?;
        self.volume_event("snapshot", name);
        Ok(self.snapshot_view(&snapshot))
    }

    /// The images of the containers that use a volume.
    fn images_with(&self, name: &str) -> Vec<String> {
        let records = self.records();
        let users = records
            .iter()
            .filter(|record| record.mounts.iter().any(|point| point.name == name));
        let images: BTreeSet<String> = users.map(|record| record.image_name.clone()).collect();
        images.into_iter().collect()
    }

    /// Makes what was frozen count, together with what it was frozen for.
    fn record_frozen(
        &self,
        frozen: &Frozen,
        snapshot: Option<&SnapshotRecord>,
        fork: Option<&VolumeRecord>,
    ) -> Result<()> {
        let failed = |error: &dyn std::error::Error| Error::failed("record the snapshot", error);
        let mut changes = frozen.changes.clone();
        if let Some(snapshot) = snapshot {
            let change = Change::put(Kind::Snapshot, &snapshot.key(), snapshot);
            changes.push(change.map_err(|error| failed(&error))?);
        }
        if let Some(fork) = fork {
            let change = Change::put(Kind::Volume, &fork.name, fork);
            changes.push(change.map_err(|error| failed(&error))?);
        }
        if frozen.record.is_some() {
            // The files are on the disk before anything says that they are.
            let folder = self.settings().roots.trees();
            let synced = Dir::open(&folder).and_then(|dir| dir.sync_filesystem());
            synced.map_err(|error| failed(&error))?;
        }
        let recorded = self.store().apply(&changes);
        recorded.map_err(|error| failed(&error))?;
        let old = frozen.volume.as_ref().and_then(|after| {
            let before = self.volumes.get(&after.name)?;
            (after.base != before.live && !before.live.is_empty()).then_some(before.live)
        });
        self.volumes.learn(frozen, snapshot, fork);
        if let Some(old) = old {
            self.clear_tree(&old);
        }
        Ok(())
    }

    /// Snapshots, of one volume or of all, oldest first.
    ///
    /// # Errors
    /// None so far.
    pub async fn snapshots_list(&self, volume: Option<&str>) -> Result<SnapshotList> {
        let snapshots = self.volumes.snapshots();
        let mut chosen: Vec<&SnapshotRecord> = snapshots
            .values()
            .filter(|snapshot| volume.is_none_or(|name| snapshot.volume == name))
            .collect();
        chosen.sort_by(|a, b| a.taken.cmp(&b.taken));
        Ok(SnapshotList {
            snapshots: chosen.into_iter().map(|s| self.snapshot_view(s)).collect(),
        })
    }

    /// Removes a snapshot; volumes made of it keep their files.
    ///
    /// # Errors
    /// 404.
    pub async fn snapshot_remove(&self, name: &str, tag: &str) -> Result<()> {
        let _busy = self.busy();
        let snapshot = self.find_snapshot(name, tag)?;
        block_in_place(|| {
            let removed = self.store().remove(Kind::Snapshot, &snapshot.key());
            removed.map_err(|error| Error::failed("forget the snapshot", &error))?;
            self.volumes.forget_snapshot(&snapshot.key());
            self.clear_trees();
            Ok(())
        })
    }

    /// Gives a volume the files of one of its snapshots; a volume that was removed meanwhile comes back.
    ///
    /// # Errors
    /// 404, or 409 while containers run with the volume.
    pub async fn volume_restore(self: &Arc<Self>, name: &str, tag: &str) -> Result<Volume> {
        let _busy = self.busy();
        let snapshot = self.find_snapshot(name, tag)?;
        let gate = self.volumes.holds.gate(name);
        let _alone = gate.lock().await;
        let origin = origin(&snapshot);
        let Some(volume) = self.volumes.get(name) else {
            let request = VolumeCreate {
                name: name.into(),
                ..VolumeCreate::default()
            };
            let made = block_in_place(|| self.make_fork(&snapshot.tree, &request, origin))?;
            return Ok(view::volume(&made, &self.settings().roots));
        };
        self.volumes.holds.quiet(name).await?;
        let runners = self.volume_runners(name);
        if !runners.is_empty() {
            let names = runners.iter().map(|id| self.name_of(id));
            return Err(Error::conflict(format!(
                "volume {name} is in use by running containers ({}): stop them first",
                names.collect::<Vec<_>>().join(", ")
            )));
        }
        let restored = block_in_place(|| self.put_back(&volume, &snapshot.tree, origin))?;
        self.volume_event("restore", name);
        Ok(view::volume(&restored, &self.settings().roots))
    }

    fn put_back(&self, volume: &VolumeRecord, tree: &str, origin: Origin) -> Result<VolumeRecord> {
        let failed = |error: &dyn std::error::Error| Error::failed("restore the volume", error);
        let roots = &self.settings().roots;
        let fresh = ids::fresh().map_err(|error| failed(&error))?;
        let mut after = VolumeRecord {
            origin: Some(origin),
            ..volume.clone()
        };
        let shared = volume.live.is_empty() && self.copy_shared(tree, &trees::data(roots, &fresh));
        let gone = if shared {
            // One step from the old files to the new ones; a crash leaves a tree that nobody knows.
            let home = self.volume_data(&volume.name);
            exchange(&trees::data(roots, &fresh), &home).map_err(|error| failed(&error))?;
            Some(roots.trees().join(&fresh))
        } else {
            after.live = fresh;
            after.base = tree.into();
            match volume.live.as_str() {
                "" => None,
                live => Some(roots.trees().join(live)),
            }
        };
        let recorded = self.store().put(Kind::Volume, &after.name, &after);
        recorded.map_err(|error| failed(&error))?;
        self.volumes.put(after.clone());
        if volume.live.is_empty() && !shared {
            // The folder is only what is mounted on from now on.
            let home = self.volume_data(&volume.name);
            empty(&home).map_err(|error| failed(&error))?;
        }
        if let Some(gone) = gone
            && let Err(error) = clear_tree(&gone)
        {
            tracing::warn!(%error, path = %gone.display(), "not removed");
        }
        self.clear_trees();
        Ok(after)
    }

    /// Makes a volume with the files of another one, or of one of its snapshots.
    ///
    /// # Errors
    /// 404, 409 where the name is taken, or the files cannot be frozen.
    pub async fn volume_fork(self: &Arc<Self>, name: &str, request: VolumeFork) -> Result<Volume> {
        let _busy = self.busy();
        let asked = VolumeCreate {
            name: request.name,
            labels: request.labels,
            ..VolumeCreate::default()
        };
        super::check_name(&asked.name)?;
        if self.volumes.get(&asked.name).is_some() {
            return Err(Error::conflict(format!(
                "a volume {} exists already",
                asked.name
            )));
        }
        let made = if request.tag.is_empty() {
            let gate = self.volumes.holds.gate(name);
            let _alone = gate.lock().await;
            let volume = self.volumes.get(name).ok_or_else(|| no_such(name))?;
            let frozen = self.freeze(&volume).await?;
            let origin = Origin {
                volume: name.into(),
                tag: String::new(),
                taken: frozen.taken.clone(),
            };
            block_in_place(|| {
                let fork = self.plan_fork(&frozen.tree, &asked, origin)?;
                self.record_frozen(&frozen, None, Some(&fork))?;
                Ok::<_, Error>(fork)
            })?
        } else {
            let snapshot = self.find_snapshot(name, &request.tag)?;
            block_in_place(|| self.make_fork(&snapshot.tree, &asked, origin(&snapshot)))?
        };
        self.volume_event("create", &made.name);
        Ok(view::volume(&made, &self.settings().roots))
    }

    /// A volume on a tree that is recorded already.
    fn make_fork(
        &self,
        tree: &str,
        request: &VolumeCreate,
        origin: Origin,
    ) -> Result<VolumeRecord> {
        let fork = self.plan_fork(tree, request, origin)?;
        let stored = self.store().add(Kind::Volume, &fork.name, &fork);
        stored.map_err(|error| Error::failed("record the volume", &error))?;
        self.volumes.put(fork.clone());
        Ok(fork)
    }

    /// Makes the folders of a volume on a tree, and says what is to be recorded. Folders without a record are swept.
    fn plan_fork(
        &self,
        tree: &str,
        request: &VolumeCreate,
        origin: Origin,
    ) -> Result<VolumeRecord> {
        let failed = |error: &dyn std::error::Error| Error::failed("fork the volume", error);
        let home = self.volume_data(&request.name);
        std::fs::create_dir_all(&home).map_err(|error| failed(&error))?;
        let mut fork = VolumeRecord {
            name: request.name.clone(),
            created: clock::now(),
            labels: request.labels.clone(),
            origin: Some(origin),
            ..VolumeRecord::default()
        };
        if !self.copy_shared(tree, &home) {
            fork.live = ids::fresh().map_err(|error| failed(&error))?;
            fork.base = tree.into();
        }
        Ok(fork)
    }

    /// Copies a tree by sharing its blocks; false where that cannot be, and nothing is left of the attempt.
    fn copy_shared(&self, tree: &str, target: &Path) -> bool {
        let known = self.volumes.trees();
        let whole = known.get(tree).is_none_or(|tree| tree.parent.is_empty());
        if !whole || !self.shares_blocks() {
            return false;
        }
        let source = trees::data(&self.settings().roots, tree);
        let copied = std::fs::create_dir_all(target)
            .and_then(|()| Ok((Dir::open(&source)?, Dir::open(target)?)))
            .map(|(from, to)| copy_tree(&from, &to, Transfer::Share));
        match copied {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => {
                tracing::debug!(%error, "not shared");
                drop(empty(target));
                false
            }
            Err(error) => {
                tracing::debug!(%error, "not shared");
                false
            }
        }
    }

    /// Whether the data root's file system can share blocks between files; asked once.
    pub(super) fn shares_blocks(&self) -> bool {
        let folder = self.settings().roots.trees();
        *self.volumes.shares.get_or_init(|| can_share(&folder))
    }

    fn find_snapshot(&self, name: &str, tag: &str) -> Result<SnapshotRecord> {
        self.volumes
            .snapshot(name, tag)
            .ok_or_else(|| Error::not_found(format!("volume {name} has no snapshot {tag}")))
    }

    fn name_of(&self, id: &str) -> String {
        let found = self.containers().find(id);
        found.map_or_else(|_| id.to_owned(), |handle| handle.record().name.clone())
    }

    fn snapshot_view(&self, snapshot: &SnapshotRecord) -> VolumeSnapshot {
        let known = self.volumes.trees();
        let forks = self.volumes.all().into_iter().filter(|volume| {
            let origin = volume.origin.as_ref();
            origin.is_some_and(|from| from.volume == snapshot.volume && from.tag == snapshot.tag)
        });
        VolumeSnapshot {
            volume: snapshot.volume.clone(),
            tag: snapshot.tag.clone(),
            created_at: snapshot.taken.clone(),
            size: known.get(&snapshot.tree).map_or(0, |tree| tree.size),
            images: snapshot.images.clone(),
            running: snapshot.live,
            volumes: forks.map(|volume| volume.name).collect(),
        }
    }

    /// Bytes of all frozen trees together.
    pub(in crate::engine) fn frozen_size(&self) -> u64 {
        space_used(&self.settings().roots.trees())
    }
}

/// A tag may be a single letter, other than a volume's name.
fn is_tag(tag: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    tag.bytes().all(letter)
        && tag
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric())
}

fn origin(snapshot: &SnapshotRecord) -> Origin {
    Origin {
        volume: snapshot.volume.clone(),
        tag: snapshot.tag.clone(),
        taken: snapshot.taken.clone(),
    }
}

fn exchange(a: &Path, b: &Path) -> std::io::Result<()> {
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    Ok(renameat2(
        AT_FDCWD,
        a,
        AT_FDCWD,
        b,
        RenameFlags::RENAME_EXCHANGE,
    )?)
}

fn empty(folder: &Path) -> std::io::Result<()> {
    clear_tree(folder)?;
    std::fs::create_dir(folder)
}
