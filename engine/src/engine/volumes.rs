//! Volumes: folders with a record. Who uses one is derived from the containers, never counted.

use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};

use bowline_api::{Filters, Volume, VolumeCreate, VolumeList, VolumesPruned};
use tokio::task::block_in_place;

use super::Engine;
use crate::error::{Error, Result};
use crate::record::VolumeRecord;
use crate::store::Kind;
use crate::{clock, ids, view};

/// All volumes by name.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    map: RwLock<BTreeMap<String, VolumeRecord>>,
}

impl Volumes {
    /// Those the store knows.
    pub(super) fn new(records: Vec<VolumeRecord>) -> Self {
        let map = records
            .into_iter()
            .map(|record| (record.name.clone(), record))
            .collect();
        Self {
            map: RwLock::new(map),
        }
    }

    /// One by name.
    pub(super) fn get(&self, name: &str) -> Option<VolumeRecord> {
        self.map
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    /// All names.
    pub(super) fn names(&self) -> std::collections::BTreeSet<String> {
        self.map
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .keys()
            .cloned()
            .collect()
    }

    fn all(&self) -> Vec<VolumeRecord> {
        self.map
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
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
        if let Some(option) = request.driver_opts.keys().next() {
            return Err(Error::unsupported(format!(
                "volume driver option `{option}` is not supported yet"
            )));
        }
        let anonymous = request.name.is_empty();
        let name = match request.name {
            name if anonymous => {
                drop(name);
                ids::fresh().map_err(|error| Error::failed("make a name", &error))?
            }
            name => name,
        };
        if !bowline_api::ids::is_name(&name) {
            return Err(Error::invalid(format!(
                "create {name}: \"{name}\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
            )));
        }
        let mut map = self
            .volumes
            .map
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = map.get(&name) {
            return Ok(record.clone());
        }
        let record = VolumeRecord {
            name: name.clone(),
            created: clock::now(),
            labels: request.labels,
            options: request.driver_opts,
            anonymous,
        };
        let data = self.volume_data(&name);
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&data);
        made.map_err(|error| Error::failed("make the volume's folder", &error))?;
        let stored = self.store().put(Kind::Volume, &name, &record);
        stored.map_err(|error| Error::failed("record the volume", &error))?;
        map.insert(name.clone(), record.clone());
        drop(map);
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

    /// Removes a volume; `force` only hides that there is none.
    ///
    /// # Errors
    /// 404, or 409 while a container mounts it.
    pub async fn volume_remove(&self, name: &str, force: bool) -> Result<()> {
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
        block_in_place(|| self.erase_volume(name))?;
        self.volume_event("destroy", name);
        self.touch();
        Ok(())
    }

    /// The record goes first: a folder without one is swept, a record without its folder would be a broken volume.
    fn erase_volume(&self, name: &str) -> Result<()> {
        let forgotten = self.store().remove(Kind::Volume, name);
        forgotten.map_err(|error| Error::failed("forget the volume", &error))?;
        self.volumes
            .map
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
        std::fs::remove_dir_all(self.settings().roots.volume(name))
            .or_else(|error| match error.kind() {
                std::io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            })
            .map_err(|error| Error::failed("remove the volume's files", &error))
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
            let size = super::disk::size(&self.volume_data(&record.name));
            if self.volume_remove(&record.name, false).await.is_ok() {
                pruned.space_reclaimed += u64::try_from(size).unwrap_or_default();
                pruned.volumes_deleted.push(record.name);
            }
        }
        Ok(pruned)
    }
}

fn no_such(name: &str) -> Error {
    Error::not_found(format!("get {name}: no such volume"))
}
