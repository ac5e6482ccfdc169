//! The folders that `RUN --mount=type=cache` shows: where they lie, who uses them, and what they hold at first.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use bowline_image::Digest;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;

use crate::builder::guard;
use crate::graph::Sharing;

/// All of them.
#[derive(Clone, Debug)]
pub(crate) struct Caches(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    now: fn() -> SystemTime,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How many use each folder.
    users: HashMap<PathBuf, usize>,
    locks: HashMap<String, Arc<tokio::sync::Mutex<()>>>,
}

/// A cache folder, as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheEntry {
    /// Its name on disk.
    pub key: String,
    /// Its id in the Dockerfile.
    pub id: String,
    /// Bytes in it.
    pub size: u64,
    /// When it was made, nanoseconds since 1970.
    pub created: u64,
    /// When it was last used, nanoseconds since 1970.
    pub used: u64,
    /// How many steps used it.
    pub uses: u64,
    /// Whether a step uses it now.
    pub in_use: bool,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    id: String,
    created: u64,
    used: u64,
    uses: u64,
}

/// A folder in use. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct CacheGuard {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Nobody has put anything into it yet.
    pub(crate) is_new: bool,
    folder: PathBuf,
    caches: Caches,
    sharing: Sharing,
    lock: Option<OwnedMutexGuard<()>>,
}

impl Drop for CacheGuard {
    fn drop(&mut self) {
        self.caches.note(&self.folder, |note, now| note.used = now);
        let mut state = guard(&self.caches.0.state);
        if let Some(users) = state.users.get_mut(&self.folder) {
            *users -= 1;
            if *users == 0 {
                state.users.remove(&self.folder);
            }
        }
        drop(self.lock.take());
    }
}

impl CacheGuard {
    /// It has what it starts with.
    pub(crate) fn is_ready(&self) -> io::Result<()> {
        std::fs::write(self.folder.join("ready"), "")
    }

    /// From here on others may use it too, unless it is locked.
    pub(crate) fn shared(mut self) -> Self {
        if self.sharing != Sharing::Locked {
            drop(self.lock.take());
        }
        self
    }
}

impl Caches {
    pub(crate) fn open(root: PathBuf, now: fn() -> SystemTime) -> io::Result<Self> {
        // A folder that was being filled when the engine died has half of what it should start with.
        for entry in std::fs::read_dir(&root)? {
            let path = entry?.path();
            if !path.join("ready").exists() {
                std::fs::remove_dir_all(&path)?;
            }
        }
        let state = Mutex::default();
        Ok(Self(Arc::new(Inner { root, now, state })))
    }

    /// A folder for `id`; `origin` tells apart those that start with different contents.
    pub(crate) async fn acquire(
        &self,
        id: &str,
        origin: &str,
        sharing: Sharing,
    ) -> io::Result<CacheGuard> {
        let name = Digest::of(format!("{}\0{id}\0{origin}", id.len()).as_bytes());
        let name = name.hex()[..32].to_owned();
        let lock = {
            let mut state = guard(&self.0.state);
            Arc::clone(state.locks.entry(name.clone()).or_default())
        };
        // Even where several share a folder, one of them fills it.
        let held = lock.lock_owned().await;
        let number = match sharing {
            Sharing::Private => self.free_number(&name),
            Sharing::Shared | Sharing::Locked => 0,
        };
        let folder = self.folder(&name, number);
        let path = folder.join("data");
        let is_new = !folder.join("ready").exists();
        if is_new && folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&path)?;
        *guard(&self.0.state)
            .users
            .entry(folder.clone())
            .or_default() += 1;
        self.note(&folder, |note, now| {
            if note.uses == 0 {
                note.created = now;
            }
            id.clone_into(&mut note.id);
            (note.used, note.uses) = (now, note.uses + 1);
        });
        let keep = is_new || sharing == Sharing::Locked;
        Ok(CacheGuard {
            path,
            is_new,
            folder,
            caches: self.clone(),
            sharing,
            lock: keep.then_some(held),
        })
    }

    fn folder(&self, name: &str, number: usize) -> PathBuf {
        self.0.root.join(format!("{name}-{number}"))
    }

    fn free_number(&self, name: &str) -> usize {
        let state = guard(&self.0.state);
        let busy: HashSet<&PathBuf> = state.users.keys().collect();
        (0..)
            .find(|number| !busy.contains(&self.folder(name, *number)))
            .unwrap_or(0)
    }

    fn note(&self, folder: &Path, change: impl FnOnce(&mut Note, u64)) {
        let path = folder.join("note.json");
        let mut note = read_note(&path);
        let since = (self.0.now)()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        change(
            &mut note,
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX),
        );
        let written = serde_json::to_vec(&note)
            .map_err(io::Error::other)
            .and_then(|bytes| crate::tree::write(&path, &bytes));
        if let Err(error) = written {
            tracing::debug!(%error, "the use of a cache could not be noted");
        }
    }

    /// All of them, with their sizes: reads every directory.
    pub(crate) fn list(&self) -> Vec<CacheEntry> {
        let Ok(entries) = std::fs::read_dir(&self.0.root) else {
            return Vec::new();
        };
        let mut found: Vec<CacheEntry> = entries
            .flatten()
            .map(|entry| {
                let folder = entry.path();
                let note = read_note(&folder.join("note.json"));
                CacheEntry {
                    key: entry.file_name().to_string_lossy().into_owned(),
                    id: note.id,
                    size: size(&folder.join("data")),
                    created: note.created,
                    used: note.used,
                    uses: note.uses,
                    in_use: guard(&self.0.state).users.contains_key(&folder),
                }
            })
            .collect();
        found.sort_by(|a, b| a.key.cmp(&b.key));
        found
    }

    pub(crate) fn prune(&self, matches: &dyn Fn(&CacheEntry) -> bool) -> (Vec<String>, u64) {
        let mut removed = (Vec::new(), 0);
        for entry in self.list() {
            if entry.in_use || !matches(&entry) {
                continue;
            }
            let folder = self.0.root.join(&entry.key);
            // Nobody may begin to use it while it goes.
            let state = guard(&self.0.state);
            if state.users.contains_key(&folder) {
                continue;
            }
            // Without this mark, what is left of it goes at the next start or use.
            let gone = std::fs::remove_file(folder.join("ready"))
                .and_then(|()| std::fs::remove_dir_all(&folder));
            drop(state);
            match gone {
                Ok(()) => {
                    removed.0.push(entry.key);
                    removed.1 += entry.size;
                }
                Err(error) => tracing::warn!(%error, "a cache could not be removed"),
            }
        }
        removed
    }
}

fn read_note(path: &Path) -> Note {
    let bytes = std::fs::read(path).ok();
    let note = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    note.unwrap_or_default()
}

fn size(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => size(&entry.path()),
            Ok(kind) if kind.is_file() => entry.metadata().map_or(0, |found| found.len()),
            _ => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caches(dir: &Path) -> Caches {
        Caches::open(dir.to_owned(), SystemTime::now).unwrap()
    }

    #[tokio::test]
    async fn sharing_says_who_waits_and_who_gets_a_folder_of_his_own() {
        let dir = tempfile::tempdir().unwrap();
        let caches = caches(dir.path());
        let first = caches.acquire("a", "", Sharing::Shared).await.unwrap();
        assert!(first.is_new);
        first.is_ready().unwrap();
        let first = first.shared();
        let path = first.path.clone();
        drop(first);
        let one = caches.acquire("a", "", Sharing::Shared).await.unwrap();
        let two = caches.acquire("a", "", Sharing::Shared).await.unwrap();
        assert_eq!((&one.path, &two.path), (&path, &path));
        let own = caches.acquire("a", "", Sharing::Private).await.unwrap();
        own.is_ready().unwrap();
        let own = own.shared();
        assert_ne!(own.path, path);
        let other = caches
            .acquire("a", "seeded", Sharing::Shared)
            .await
            .unwrap();
        assert_ne!(other.path, path);
        drop((one, two, own, other));
        let locked = caches.acquire("a", "", Sharing::Locked).await.unwrap();
        let waiting = tokio::spawn({
            let caches = caches.clone();
            async move { caches.acquire("a", "", Sharing::Locked).await.map(drop) }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(locked);
        waiting.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn what_is_in_use_stays_and_what_was_half_filled_goes() {
        let dir = tempfile::tempdir().unwrap();
        let caches = caches(dir.path());
        let used = caches.acquire("used", "", Sharing::Shared).await.unwrap();
        used.is_ready().unwrap();
        let free = caches.acquire("free", "", Sharing::Shared).await.unwrap();
        std::fs::write(free.path.join("x"), "12345").unwrap();
        free.is_ready().unwrap();
        drop(free);
        drop(caches.acquire("half", "", Sharing::Shared).await.unwrap());
        let (removed, bytes) = caches.prune(&|entry| entry.id != "half");
        assert_eq!((removed.len(), bytes), (1, 5));
        assert_eq!(caches.list().len(), 2);
        drop(used);
        let again = super::Caches::open(dir.path().to_owned(), SystemTime::now).unwrap();
        let ids: Vec<String> = again.list().into_iter().map(|entry| entry.id).collect();
        assert_eq!(ids, ["used"]);
    }
}
