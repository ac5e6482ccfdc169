//! The one transactional store: records of containers, networks and volumes as JSON by id.
//!
//! A record is written before the effect it announces; whatever can be derived (reference counts,
//! addresses and ports in use) is never stored. The image crate keeps its own tables in the same
//! database, so one commit order holds for all.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Layout version of the tables; a newer engine upgrades, an older one refuses.
const VERSION: u64 = 1;
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// Bytes held back so that a full disk can still record removals.
const RESERVE: u64 = 4 << 20;

/// The kinds of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// By container id.
    Container,
    /// By network id.
    Network,
    /// By volume name.
    Volume,
}

impl Kind {
    fn table(self) -> TableDefinition<'static, &'static str, &'static [u8]> {
        TableDefinition::new(match self {
            Self::Container => "containers",
            Self::Network => "networks",
            Self::Volume => "volumes",
        })
    }
}

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database file cannot be opened.
    #[error("cannot open the state store {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The database's word.
        source: Box<redb::DatabaseError>,
    },
    /// The reserve file cannot be made.
    #[error("cannot set aside the reserve {}", path.display())]
    Reserve {
        /// The file.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// Written by a newer Bowline.
    #[error(
        "the state store has version {found}, this bowline knows up to {VERSION}; use the newer bowline that wrote it"
    )]
    Newer {
        /// The version found.
        found: u64,
    },
    /// A transaction failed; the store is as before it.
    #[error("state store transaction failed")]
    Transaction(#[source] Box<redb::Error>),
    /// A record does not parse.
    #[error("record `{key}` in the state store is damaged")]
    Record {
        /// Its key.
        key: String,
        /// Where.
        source: serde_json::Error,
    },
}

/// Result of store operations.
pub(crate) type StoreResult<T> = Result<T, StoreError>;

fn transaction(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Transaction(Box::new(error.into()))
}

/// A handle; clones share the database.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    database: Arc<Database>,
    reserve: PathBuf,
}

impl Store {
    /// Opens or creates the store at `path` with its reserve file beside it.
    ///
    /// # Errors
    /// See [`StoreError`]; a store of a newer version is refused untouched.
    pub(crate) fn open(path: &Path, reserve: &Path) -> StoreResult<Self> {
        let database = Database::create(path).map_err(|source| StoreError::Open {
            path: path.into(),
            source: Box::new(source),
        })?;
        let store = Self {
            database: Arc::new(database),
            reserve: reserve.into(),
        };
        store.check_version()?;
        store.set_aside()?;
        Ok(store)
    }

    /// The database itself, for the image crate's own tables.
    pub(crate) fn database(&self) -> Arc<Database> {
        Arc::clone(&self.database)
    }

    /// All records of a kind.
    ///
    /// # Errors
    /// A damaged record fails the call and is named.
    pub(crate) fn all<T: DeserializeOwned>(&self, kind: Kind) -> StoreResult<Vec<T>> {
        let read = self.database.begin_read().map_err(transaction)?;
        let table = read.open_table(kind.table()).map_err(transaction)?;
        let mut records = Vec::new();
        for entry in table.iter().map_err(transaction)? {
            let (key, value) = entry.map_err(transaction)?;
            let parsed = serde_json::from_slice(value.value());
            records.push(parsed.map_err(|source| StoreError::Record {
                key: key.value().into(),
                source,
            })?);
        }
        Ok(records)
    }

    /// Writes one record durably.
    ///
    /// # Errors
    /// The transaction's.
    pub(crate) fn put<T: Serialize>(&self, kind: Kind, key: &str, record: &T) -> StoreResult<()> {
        let bytes = serde_json::to_vec(record).map_err(|source| StoreError::Record {
            key: key.into(),
            source,
        })?;
        let write = self.database.begin_write().map_err(transaction)?;
        {
            let mut table = write.open_table(kind.table()).map_err(transaction)?;
            table.insert(key, bytes.as_slice()).map_err(transaction)?;
        }
        write.commit().map_err(transaction)
    }

    /// Removes one record; an absent one is no error. On a full disk the reserve is given back first.
    ///
    /// # Errors
    /// The transaction's.
    pub(crate) fn remove(&self, kind: Kind, key: &str) -> StoreResult<()> {
        if self.try_remove(kind, key).is_ok() {
            return Ok(());
        }
        // The likeliest reason is a full disk, and a removal is the way out of it.
        drop(std::fs::remove_file(&self.reserve));
        self.try_remove(kind, key)
    }

    fn try_remove(&self, kind: Kind, key: &str) -> StoreResult<()> {
        let write = self.database.begin_write().map_err(transaction)?;
        {
            let mut table = write.open_table(kind.table()).map_err(transaction)?;
            table.remove(key).map_err(transaction)?;
        }
        write.commit().map_err(transaction)
    }

    fn check_version(&self) -> StoreResult<()> {
        let write = self.database.begin_write().map_err(transaction)?;
        let found = {
            let mut meta = write.open_table(META).map_err(transaction)?;
            let found = meta
                .get("version")
                .map_err(transaction)?
                .map(|value| value.value());
            if found.is_none() {
                meta.insert("version", VERSION).map_err(transaction)?;
            }
            for kind in [Kind::Container, Kind::Network, Kind::Volume] {
                drop(write.open_table(kind.table()).map_err(transaction)?);
            }
            found
        };
        match found {
            Some(found) if found > VERSION => {
                write.abort().map_err(transaction)?;
                Err(StoreError::Newer { found })
            }
            _ => write.commit().map_err(transaction),
        }
    }

    /// A disk that is full already simply has no reserve until the next start.
    fn set_aside(&self) -> StoreResult<()> {
        if self
            .reserve
            .metadata()
            .is_ok_and(|file| file.len() >= RESERVE)
        {
            return Ok(());
        }
        let made = File::create(&self.reserve).and_then(|file| {
            let length = i64::try_from(RESERVE).unwrap_or(i64::MAX);
            nix::fcntl::posix_fallocate(&file, 0, length).map_err(io::Error::from)
        });
        match made {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                drop(std::fs::remove_file(&self.reserve));
                Ok(())
            }
            other => other.map_err(|source| StoreError::Reserve {
                path: self.reserve.clone(),
                source,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Path) -> StoreResult<Store> {
        Store::open(&folder.join("state.redb"), &folder.join("reserve"))
    }

    #[test]
    fn records_survive_reopening() {
        let folder = tempfile::tempdir().unwrap();
        {
            let store = open(folder.path()).unwrap();
            store.put(Kind::Volume, "a", &"one").unwrap();
            store.put(Kind::Volume, "b", &"two").unwrap();
            store.remove(Kind::Volume, "a").unwrap();
            store.remove(Kind::Volume, "never").unwrap();
        }
        let store = open(folder.path()).unwrap();
        assert_eq!(store.all::<String>(Kind::Volume).unwrap(), ["two"]);
        assert!(store.all::<String>(Kind::Container).unwrap().is_empty());
    }

    #[test]
    fn a_newer_store_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        {
            let store = open(folder.path()).unwrap();
            let write = store.database.begin_write().unwrap();
            write
                .open_table(META)
                .unwrap()
                .insert("version", VERSION + 1)
                .unwrap();
            write.commit().unwrap();
        }
        assert!(matches!(
            open(folder.path()),
            Err(StoreError::Newer { found: 2 })
        ));
    }
}
