//! What outlives a single build: the cache, the caches that `RUN --mount=type=cache` shows, and what is known of the
//! files in contexts.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bowline_image::{
    BuildCommit, BuildEntry, BuildRecord, Digest, Hold, ImageError, ImageId, NewBuild, PruneBuilds,
    PrunedBuilds, Store,
};
use tokio::sync::Semaphore;

use crate::caches::{CacheEntry, Caches};
use crate::copy::twins::Twins;
use crate::run::Runner;
use crate::tree::StatCache;

/// A use that was noted less than this ago is not noted again, so that a build that does nothing writes nothing.
const NOTED: Duration = Duration::from_secs(60);
/// Selections in results that are remembered.
const MEMO_LIMIT: usize = 20_000;

/// The builder of one engine. Clones are the same.
#[derive(Clone, Debug)]
pub struct Builder(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) runner: Arc<dyn Runner>,
    pub(crate) settings: BuilderSettings,
    pub(crate) caches: Caches,
    /// How many steps work at once, over all builds.
    pub(crate) places: Arc<Semaphore>,
    root: PathBuf,
    /// What builds under way have made and not committed.
    fresh: Mutex<HashMap<Digest, BuildRecord>>,
    /// One lock a key, so that equal steps of builds at the same time are done once.
    locks: Mutex<HashMap<Digest, Weak<tokio::sync::Mutex<()>>>>,
    stats: Mutex<HashMap<PathBuf, Arc<StatCache>>>,
    memo: Mutex<Memo>,
    /// Files of contexts in layers.
    pub(crate) twins: Twins,
}

#[derive(Debug, Default)]
struct Memo {
    known: HashMap<String, String>,
    changed: bool,
}

/// How the builder works.
#[derive(Clone, Copy, Debug)]
pub struct BuilderSettings {
    /// Steps at the same time.
    pub parallel: usize,
    /// The clock.
    pub now: fn() -> SystemTime,
}

impl Default for BuilderSettings {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            parallel: cores.max(4),
            now: SystemTime::now,
        }
    }
}

/// The builder's own directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("set up `{}`", path.display())]
pub struct OpenError {
    path: PathBuf,
    source: io::Error,
}

/// What a build left to be committed.
#[derive(Debug, Default)]
pub(crate) struct Leavings {
    pub(crate) records: Vec<(Digest, BuildRecord)>,
    pub(crate) used: Vec<Digest>,
}

impl Builder {
    /// A builder over `store` that keeps what it knows in the directory `root`. What an earlier run left half done there
    /// goes.
    pub fn open(
        store: Store,
        root: &Path,
        runner: Arc<dyn Runner>,
        settings: BuilderSettings,
    ) -> Result<Self, OpenError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError { path, source }
        };
        for part in ["stat", "steps", "caches"] {
            let path = root.join(part);
            std::fs::create_dir_all(&path).map_err(failed(&path))?;
        }
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(root, mode).map_err(failed(root))?;
        let path = root.join("caches");
        let caches = Caches::open(path.clone(), settings.now).map_err(failed(&path))?;
        let known = std::fs::read(root.join("memo")).ok();
        let known = known.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let memo = Memo {
            known: known.unwrap_or_default(),
            changed: false,
        };
        Ok(Self(Arc::new(Inner {
            store,
            runner,
            caches,
            places: Arc::new(Semaphore::new(settings.parallel.max(1))),
            settings,
            root: root.to_owned(),
            fresh: Mutex::default(),
            locks: Mutex::default(),
            stats: Mutex::default(),
            memo: Mutex::new(memo),
            twins: Twins::default(),
        })))
    }

    /// The store it builds into.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// All steps that are remembered.
    pub fn records(&self) -> Result<Vec<BuildEntry>, ImageError> {
        self.0.store.builds()
    }

    /// All folders of `RUN --mount=type=cache`.
    pub fn cache_mounts(&self) -> Vec<CacheEntry> {
        self.0.caches.list()
    }

    /// Forgets steps, by `wish`; `matches` narrows down what is considered.
    pub fn prune(
        &self,
        wish: &PruneBuilds,
        matches: &dyn Fn(&BuildEntry) -> bool,
    ) -> Result<PrunedBuilds, ImageError> {
        self.0.store.prune_builds(wish, self.0.now(), matches)
    }

    /// Removes folders of `RUN --mount=type=cache` that nobody uses and `matches` fits; answers their ids and the bytes
    /// freed.
    pub fn prune_cache_mounts(&self, matches: &dyn Fn(&CacheEntry) -> bool) -> (Vec<String>, u64) {
        self.0.caches.prune(matches)
    }
}

impl Inner {
    /// Nanoseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        let since = (self.settings.now)().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| {
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        })
    }

    /// What the step with this key made, if all of it is still there and may be used.
    pub(crate) fn lookup(&self, key: &Digest) -> Result<Option<(BuildRecord, Hold)>, ImageError> {
        let fresh = guard(&self.fresh).get(key).cloned();
        let found = match fresh {
            Some(record) => Some(record),
            None => self.store.build_record(key)?,
        };
        let Some(record) = found else { return Ok(None) };
        // Layers that have gone in the meantime make it no hit, and no error.
        Ok(self
            .store
            .hold(&record.layers)
            .ok()
            .map(|hold| (record, hold)))
    }

    /// Makes a result known to all builds.
    pub(crate) fn publish(&self, key: &Digest, record: &BuildRecord) {
        guard(&self.fresh).insert(key.clone(), record.clone());
    }

    /// The lock that whoever does the step with this key holds.
    pub(crate) fn lock_of(&self, key: &Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = guard(&self.locks);
        locks.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = locks.get(key).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        locks.insert(key.clone(), Arc::downgrade(&lock));
        lock
    }

    /// Whether a use has to be noted.
    pub(crate) fn is_news(&self, record: &BuildRecord) -> bool {
        let age = Duration::from_nanos(self.now().saturating_sub(record.used));
        age > NOTED
    }

    /// Makes what a build left visible, with its images.
    pub(crate) fn commit(
        &self,
        leavings: &Leavings,
        images: &[NewBuild],
    ) -> Result<Vec<ImageId>, ImageError> {
        let ids = self.store.commit_build(&BuildCommit {
            records: &leavings.records,
            used: &leavings.used,
            images,
            now: self.now(),
        })?;
        let mut fresh = guard(&self.fresh);
        for (key, _) in &leavings.records {
            fresh.remove(key);
        }
        drop(fresh);
        self.save_memo();
        Ok(ids)
    }

    /// What is known of the files in a folder.
    pub(crate) fn stats(&self, folder: &Path) -> Arc<StatCache> {
        let mut stats = guard(&self.stats);
        let known = stats.entry(folder.to_owned()).or_insert_with(|| {
            let name = Digest::of(folder.as_os_str().as_encoded_bytes());
            let path = self.root.join("stat").join(name.hex());
            Arc::new(StatCache::open(path, folder, self.settings.now))
        });
        Arc::clone(known)
    }

    /// Where the last look of a step is written down, for telling why it was done again.
    pub(crate) fn steps(&self) -> PathBuf {
        self.root.join("steps")
    }

    /// The digest of a selection in layers, which never changes.
    pub(crate) fn recall(&self, key: &Digest) -> Option<Digest> {
        let memo = guard(&self.memo);
        Digest::from_hex(memo.known.get(key.hex())?).ok()
    }

    pub(crate) fn remember(&self, key: &Digest, digest: &Digest) {
        let mut memo = guard(&self.memo);
        if memo.known.len() >= MEMO_LIMIT {
            memo.known.clear();
        }
        memo.known
            .insert(key.hex().to_owned(), digest.hex().to_owned());
        memo.changed = true;
    }

    fn save_memo(&self) {
        let mut memo = guard(&self.memo);
        if !std::mem::take(&mut memo.changed) {
            return;
        }
        let written = serde_json::to_vec(&memo.known)
            .map_err(io::Error::other)
            .and_then(|bytes| crate::tree::write(&self.root.join("memo"), &bytes));
        if let Err(error) = written {
            tracing::debug!(%error, "digests of selections could not be written");
        }
    }
}

/// A poisoned lock only means that some thread panicked while it held it; what these protect stays consistent.
pub(crate) fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
