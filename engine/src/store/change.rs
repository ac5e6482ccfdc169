//! Several changes that become true together, or not at all.

use serde::Serialize;

use super::{Kind, META, Store, StoreError, StoreResult, VERSION, transaction};

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Writes a record.
    Put(Kind, String, Vec<u8>),
    /// Removes a record; an absent one is no error.
    Remove(Kind, String),
}

impl Change {
    /// Writes `record`.
    ///
    /// # Errors
    /// A record that JSON cannot hold.
    pub(crate) fn put<T: Serialize>(kind: Kind, key: &str, record: &T) -> StoreResult<Self> {
        let bytes = serde_json::to_vec(record).map_err(|source| StoreError::Record {
            key: key.into(),
            source,
        })?;
        Ok(Self::Put(kind, key.into(), bytes))
    }
}

impl Store {
    /// Makes all of the changes durable.
    ///
    /// # Errors
    /// The transaction's; nothing changed then.
    pub(crate) fn apply(&self, changes: &[Change]) -> StoreResult<()> {
        let write = self.database.begin_write().map_err(transaction)?;
        for change in changes {
            let (Change::Put(kind, key, _) | Change::Remove(kind, key)) = change;
            let mut table = write.open_table(kind.table()).map_err(transaction)?;
            let key = key.as_str();
            match change {
                Change::Put(_, _, bytes) => {
                    drop(table.insert(key, bytes.as_slice()).map_err(transaction)?);
                    if *kind == Kind::Tree {
                        let mut meta = write.open_table(META).map_err(transaction)?;
                        meta.insert("version", VERSION).map_err(transaction)?;
                    }
                }
                Change::Remove(..) => drop(table.remove(key).map_err(transaction)?),
            }
        }
        write.commit().map_err(transaction)
    }

    /// Whether there is room for something new; see [`Store::add`].
    ///
    /// # Errors
    /// [`StoreError::Full`].
    pub(crate) fn has_room(&self) -> StoreResult<()> {
        if self.set_aside()? {
            return Ok(());
        }
        let reserve = self.room.path();
        Err(StoreError::Full {
            folder: reserve.parent().unwrap_or(reserve).to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use redb::ReadableDatabase as _;

    use super::super::PLAIN;
    use super::*;

    #[test]
    fn a_store_with_frozen_trees_is_not_for_engines_that_know_none() {
        let folder = tempfile::tempdir().unwrap();
        let reserve = folder.path().join("reserve");
        let store = Store::open(&folder.path().join("state.redb"), &reserve).unwrap();
        let version = || {
            let read = store.database.begin_read().unwrap();
            let meta = read.open_table(META).unwrap();
            meta.get("version").unwrap().unwrap().value()
        };
        store.put(Kind::Volume, "a", &"one").unwrap();
        assert_eq!(version(), PLAIN);
        let changes = [
            Change::put(Kind::Tree, "t", &"tree").unwrap(),
            Change::Remove(Kind::Volume, "a".into()),
        ];
        store.apply(&changes).unwrap();
        assert_eq!(version(), VERSION);
        assert!(store.all::<String>(Kind::Volume).unwrap().is_empty());
        assert_eq!(store.all::<String>(Kind::Tree).unwrap(), ["tree"]);
    }
}
