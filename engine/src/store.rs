//! The one transactional store: records of containers, networks and volumes as JSON by id.
//!
//! A record is written before the effect it announces; whatever can be derived (reference counts,
//! addresses and ports in use) is never stored. The image crate keeps its own tables in the same
//! database, so one commit order holds for all.

mod change;
mod disk;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use change::Change;
use disk::{Disk, Room};

/// Layout version of the tables; a newer engine upgrades, an older one refuses.
const VERSION: u64 = 2;
/// What a store begins with: one without snapshots can be read by engines that know nothing of them. One with them
/// cannot, since to those a volume on top of a frozen tree would look empty.
const PLAIN: u64 = 1;
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// Bytes of the database that stay in memory; the engine keeps what it needs often in its own form.
const CACHE: usize = 8 << 20;

/// The kinds of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// By container id.
    Container,
    /// By network id.
    Network,
    /// By volume name.
    Volume,
    /// Frozen trees of files below volumes, by id.
    Tree,
    /// Snapshots of volumes, by `volume:tag`.
    Snapshot,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Container,
        Self::Network,
        Self::Volume,
        Self::Tree,
        Self::Snapshot,
    ];

    fn table(self) -> TableDefinition<'static, &'static str, &'static [u8]> {
        TableDefinition::new(match self {
            Self::Container => "containers",
            Self::Network => "networks",
            Self::Volume => "volumes",
            Self::Tree => "trees",
            Self::Snapshot => "snapshots",
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
    /// Nothing new is recorded on a full disk, so that ends and removals still can be.
    #[error(
        "no space left on the disk of {}: make room there, or remove what is not needed (`bowline system prune`)",
        folder.display()
    )]
    Full {
        /// The data root.
        folder: PathBuf,
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
    room: Room,
}

impl Store {
    /// Opens or creates the store at `path` with its reserve file beside it.
    ///
    /// # Errors
    /// See [`StoreError`]; a store of a newer version is refused untouched.
    pub(crate) fn open(path: &Path, reserve: &Path) -> StoreResult<Self> {
        let failed = |source| StoreError::Open {
            path: path.into(),
            source: Box::new(source),
        };
        let room = Room::at(reserve);
        let disk = Disk::open(path, room.clone()).map_err(failed)?;
        let mut builder = Database::builder();
        let database = builder.set_cache_size(CACHE).create_with_backend(disk);
        let store = Self {
            database: Arc::new(database.map_err(failed)?),
            room,
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

    /// Writes the first record of something new durably.
    ///
    /// # Errors
    /// The transaction's, and [`StoreError::Full`].
    pub(crate) fn add<T: Serialize>(&self, kind: Kind, key: &str, record: &T) -> StoreResult<()> {
        self.has_room()?;
        self.put(kind, key, record)
    }

    /// Writes one record durably, on a full disk too.
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

    /// Removes one record, on a full disk too; an absent one is no error.
    ///
    /// # Errors
    /// The transaction's.
    pub(crate) fn remove(&self, kind: Kind, key: &str) -> StoreResult<()> {
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
                meta.insert("version", PLAIN).map_err(transaction)?;
            }
            for kind in Kind::ALL {
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

    fn set_aside(&self) -> StoreResult<bool> {
        self.room.set_aside().map_err(|source| StoreError::Reserve {
            path: self.room.path().into(),
            source,
        })
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

    /// A database on a full disk must take removals and changes, refuse what is new by name, and take that once there is
    /// room again.
    #[test]
    fn a_full_disk_takes_removals_and_nothing_new() {
        let folder = tempfile::tempdir().unwrap();
        let flags = nix::mount::MsFlags::empty();
        let mounted = nix::mount::mount(
            Some("tmpfs"),
            folder.path(),
            Some("tmpfs"),
            flags,
            Some("size=16m"),
        );
        mounted.expect("the tests run as root");
        let store = open(folder.path()).unwrap();
        for number in 0..100 {
            let key = number.to_string();
            store.add(Kind::Volume, &key, &"x".repeat(10_000)).unwrap();
        }
        let filler = folder.path().join("filler");
        let mut file = std::fs::File::create(&filler).unwrap();
        while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
        drop(file);

        let big = "z".repeat(100_000);
        let refused = (0..200)
            .find_map(|number| store.add(Kind::Volume, &format!("big{number}"), &big).err());
        let refused = refused.expect("the file cannot grow for ever");
        assert!(matches!(refused, StoreError::Full { .. }), "{refused}");
        store.put(Kind::Volume, "99", &"y".repeat(20_000)).unwrap();
        for number in 0..99 {
            store.remove(Kind::Volume, &number.to_string()).unwrap();
        }
        std::fs::remove_file(filler).unwrap();
        store.add(Kind::Volume, "new", &"z").unwrap();
        let left: Vec<String> = store.all(Kind::Volume).unwrap();
        let kept = left.iter().filter(|text| text.starts_with('y')).count();
        drop(store);
        nix::mount::umount2(folder.path(), nix::mount::MntFlags::MNT_DETACH).unwrap();
        assert_eq!(kept, 1);
        assert!(left.iter().all(|text| !text.starts_with('x')));
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
            Err(StoreError::Newer { found: 3 })
        ));
    }
}
