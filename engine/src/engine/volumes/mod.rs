//! Volumes: folders with a record. Who uses one is derived from the containers, never counted.

mod attach;
mod freeze;
mod mounted;
mod options;
mod snapshots;
mod trees;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::{OnceLock, PoisonError, RwLock, RwLockWriteGuard};

use bowline_api::{Filters, Volume, VolumeCreate, VolumeList, VolumeUsage, VolumesPruned};
use bowline_image::files::clear_tree;
use nix::mount::{MntFlags, umount2};
use tokio::task::block_in_place;

use super::Engine;
use crate::error::{Error, Result};
use crate::record::{SnapshotRecord, VolumeRecord};
use crate::store::Kind;
use crate::{clock, ids, view};

pub(crate) use mounted::Hold;
use mounted::Holds;
use options::Device;
pub(super) use trees::Known;
use trees::Trees;

/// All volumes by name, and what they and their snapshots consist of.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    state: RwLock<State>,
    holds: Holds,
    /// Whether blocks can be shared.
    shares: OnceLock<bool>,
}

#[derive(Debug, Default)]
struct State {
    volumes: BTreeMap<String, VolumeRecord>,
    trees: Trees,
    snapshots: BTreeMap<String, SnapshotRecord>,
}

impl Volumes {
    /// Those the store knows.
    pub(super) fn new(known: Known) -> Self {
        let volumes = known
            .volumes
            .into_iter()
            .map(|record| (record.name.clone(), record))
            .collect();
        Self {
            state: RwLock::new(State {
                volumes,
                trees: known.trees,
                snapshots: known.snapshots,
            }),
            ..Self::default()
        }
    }

    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// One by name.
    pub(super) fn get(&self, name: &str) -> Option<VolumeRecord> {
        self.read(|state| state.volumes.get(name).cloned())
    }

    /// All names.
    pub(super) fn names(&self) -> BTreeSet<String> {
        self.read(|state| state.volumes.keys().cloned().collect())
    }

    /// Ids of all trees, frozen and written to.
    pub(super) fn tree_ids(&self) -> BTreeSet<String> {
        self.read(|state| {
            let live = state.volumes.values().map(|volume| volume.live.clone());
            live.chain(state.trees.keys().cloned()).collect()
        })
    }

    fn all(&self) -> Vec<VolumeRecord> {
        self.read(|state| state.volumes.values().cloned().collect())
    }

    fn put(&self, record: VolumeRecord) {
        self.write().volumes.insert(record.name.clone(), record);
    }

    fn trees(&self) -> Trees {
        self.read(|state| state.trees.clone())
    }

    fn snapshots(&self) -> BTreeMap<String, SnapshotRecord> {
        self.read(|state| state.snapshots.clone())
    }

    fn snapshot(&self, volume: &str, tag: &str) -> Option<SnapshotRecord> {
        self.read(|state| state.snapshots.get(&format!("{volume}:{tag}")).cloned())
    }

    /// What was frozen and recorded.
    fn learn(
        &self,
        frozen: &freeze::Frozen,
        snapshot: Option<&SnapshotRecord>,
        fork: Option<&VolumeRecord>,
    ) {
        let mut state = self.write();
        if let Some(tree) = &frozen.record {
            state.trees.insert(tree.id.clone(), tree.clone());
        }
        for volume in [frozen.volume.as_ref(), fork].into_iter().flatten() {
            state.volumes.insert(volume.name.clone(), volume.clone());
        }
        if let Some(snapshot) = snapshot {
            state.snapshots.insert(snapshot.key(), snapshot.clone());
        }
    }

    fn forget_snapshot(&self, key: &str) {
        self.write().snapshots.remove(key);
    }

    fn forget_trees(&self, ids: &[String]) {
        let mut state = self.write();
        state.trees.retain(|id, _| !ids.contains(id));
    }
}

impl Engine {
    /// Creates a volume; the one of that name is returned where it exists. An empty name makes an anonymous one.
    ///
    /// # Errors
    /// Another driver, driver options, or a name outside the grammar.
    pub async fn volume_create(&self, request: VolumeCreate) -> Result<Volume> {
        let record = block_in_place(|| self.make_volume(request))?;
        Ok(view::volume(&record, &self.settings().roots))
    }

    /// As [`Engine::volume_create`], blocking. The folder comes before the record: a folder without one is swept at the
    /// next start, a record without its folder would be a broken volume.
    pub(crate) fn make_volume(&self, request: VolumeCreate) -> Result<VolumeRecord> {
        if !["", "local"].contains(&request.driver.as_str()) {
            return Err(Error::not_found(format!(
                "error looking up volume plugin {0}: plugin \"{0}\" not found",
                request.driver
            )));
        }
        let device = Device::parse(&request.driver_opts);
        device.map_err(|error| Error::invalid(error.to_string()))?;
        let anonymous = request.name.is_empty();
        let name = match request.name {
            name if anonymous => {
                drop(name);
                ids::fresh().map_err(|error| Error::failed("make a name", &error))?
            }
            name => name,
        };
        check_name(&name)?;
        let mut state = self.volumes.write();
        if let Some(record) = state.volumes.get(&name) {
            return Ok(record.clone());
        }
        let record = VolumeRecord {
            name: name.clone(),
            created: clock::now(),
            labels: request.labels,
            options: request.driver_opts,
            anonymous,
            ..VolumeRecord::default()
        };
        let data = self.volume_data(&name);
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&data);
        made.map_err(|error| Error::failed("make the volume's folder", &error))?;
        let stored = self.store().add(Kind::Volume, &name, &record);
        stored.map_err(|error| Error::failed("record the volume", &error))?;
        state.volumes.insert(name.clone(), record.clone());
        drop(state);
        self.volume_event("create", &name);
        Ok(record)
    }

    /// Where a volume's files lie.
    pub(crate) fn volume_data(&self, name: &str) -> PathBuf {
        self.settings().roots.volume(name).join("_data")
    }

    fn volume_event(&self, action: &str, name: &str) {
        let attributes = BTreeMap::from([("driver".to_owned(), "local".to_owned())]);
        self.events().publish("volume", action, name, attributes);
    }

    /// Whether a volume was made for one container, without a name.
    pub(crate) fn volume_is_anonymous(&self, name: &str) -> bool {
        self.volumes
            .get(name)
            .is_some_and(|record| record.anonymous)
    }

    /// Names of the containers that mount a volume.
    pub(crate) fn volume_users(&self, name: &str) -> Vec<String> {
        let records = self.records();
        let users = records
            .iter()
            .filter(|record| record.mounts.iter().any(|m| m.name == name));
        users.map(|record| record.id.clone()).collect()
    }

    /// `GET /volumes`.
    ///
    /// # Errors
    /// A filter that cannot be right.
    pub async fn volumes_list(&self, filters: &Filters) -> Result<VolumeList> {
        let allowed = filters.allow_only(&["dangling", "driver", "label", "label!", "name"]);
        allowed.map_err(|error| Error::invalid(error.to_string()))?;
        let dangling = filters
            .truth("dangling")
            .map_err(|error| Error::invalid(error.to_string()))?;
        let volumes = self.volumes.all().into_iter().filter(|record| {
            filters.matches_labels(&record.labels)
                && filters.any("name", |value| record.name.contains(value))
                && filters.matches("driver", "local")
                && dangling
                    .is_none_or(|wanted| self.volume_users(&record.name).is_empty() == wanted)
        });
        let volumes = volumes.map(|record| view::volume(&record, &self.settings().roots));
        Ok(VolumeList {
            volumes: volumes.collect(),
            warnings: Vec::new(),
        })
    }

    /// `GET /volumes/{name}`.
    ///
    /// # Errors
    /// 404.
    pub async fn volume_inspect(&self, name: &str) -> Result<Volume> {
        let record = self.volumes.get(name).ok_or_else(|| no_such(name))?;
        Ok(view::volume(&record, &self.settings().roots))
    }

    /// Removes a volume; `force` only hides that there is none. Its snapshots stay, and what was made of it.
    ///
    /// # Errors
    /// 404, or 409 while a container mounts it.
    pub async fn volume_remove(&self, name: &str, force: bool) -> Result<()> {
        let gate = self.volumes.holds.gate(name);
        let _alone = gate.lock().await;
        if self.volumes.get(name).is_none() {
            return if force { Ok(()) } else { Err(no_such(name)) };
        }
        let users = self.volume_users(name);
        if !users.is_empty() {
            return Err(Error::conflict(format!(
                "remove {name}: volume is in use - [{}]",
                users.join(", ")
            )));
        }
        // A container that is being made with it has no record yet.
        self.volumes.holds.quiet(name).await?;
        block_in_place(|| self.erase_volume(name))?;
        self.volume_event("destroy", name);
        self.touch();
        Ok(())
    }

    /// The record goes first: a folder without one is swept, a record without its folder would be a broken volume.
    fn erase_volume(&self, name: &str) -> Result<()> {
        let failed = |error: &dyn std::error::Error| Error::failed("remove the volume", error);
        let data = self.volume_data(name);
        // What is mounted there is not the volume's to remove.
        if mounted::mounted_on(&data) {
            umount2(&data, MntFlags::MNT_DETACH).map_err(|error| failed(&error))?;
        }
        let live = self.volumes.get(name).map(|record| record.live);
        let forgotten = self.store().remove(Kind::Volume, name);
        forgotten.map_err(|error| failed(&error))?;
        self.volumes.write().volumes.remove(name);
        let removed = clear_tree(&self.settings().roots.volume(name));
        removed.map_err(|error| Error::failed("remove the volume's files", &error))?;
        if let Some(live) = live.filter(|live| !live.is_empty()) {
            self.clear_tree(&live);
            self.clear_trees();
        }
        Ok(())
    }

    /// Bytes of a volume's own files: of one on frozen trees, what was written since. Negative where they lie
    /// elsewhere, which is not walked, since a server may not answer.
    fn volume_size(&self, record: &VolumeRecord) -> i64 {
        match (record.live.as_str(), record.options.contains_key("device")) {
            (_, true) => -1,
            ("", _) => super::disk::size(&self.volume_data(&record.name)),
            (live, _) => super::disk::size(&trees::data(&self.settings().roots, live)),
        }
    }

    /// All volumes with what they take.
    pub(in crate::engine) fn volumes_with_usage(&self) -> Vec<Volume> {
        let one = |record: VolumeRecord| {
            let users = self.volume_users(&record.name).len();
            let usage = VolumeUsage {
                ref_count: i64::try_from(users).unwrap_or(i64::MAX),
                size: self.volume_size(&record),
            };
            let mut volume = view::volume(&record, &self.settings().roots);
            volume.usage_data = Some(usage);
            volume
        };
        self.volumes.all().into_iter().map(one).collect()
    }

    /// Removes volumes that nothing mounts: anonymous ones, or with the filter `all` named ones too.
    ///
    /// # Errors
    /// A filter that cannot be right.
    pub async fn volumes_prune(&self, filters: &Filters) -> Result<VolumesPruned> {
        let allowed = filters.allow_only(&["all", "label", "label!"]);
        allowed.map_err(|error| Error::invalid(error.to_string()))?;
        let all = filters
            .truth("all")
            .map_err(|error| Error::invalid(error.to_string()))?;
        let mut pruned = VolumesPruned::default();
        for record in self.volumes.all() {
            let meant = all == Some(true) || record.anonymous;
            if !meant || !filters.matches_labels(&record.labels) {
                continue;
            }
            let size = self.volume_size(&record).max(0);
            if self.volume_remove(&record.name, false).await.is_ok() {
                pruned.space_reclaimed += u64::try_from(size).unwrap_or_default();
                pruned.volumes_deleted.push(record.name);
            }
        }
        Ok(pruned)
    }
}

fn check_name(name: &str) -> Result<()> {
    if bowline_api::ids::is_name(name) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "create {name}: \"{name}\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )))
}

fn no_such(name: &str) -> Error {
    Error::not_found(format!("get {name}: no such volume"))
}
