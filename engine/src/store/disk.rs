//! The store's file, on a disk that may be full.
//!
//! The database gives up for good after one failed write, so a full disk must never be the reason for one: the file's
//! blocks are allocated when it grows, and what then still finds no room gets the reserve, a file kept beside it for
//! nothing else. [`Room`] says whether there is a reserve; who is about to record something new asks it first.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

/// Bytes held back so that a full disk can still record ends and removals.
const RESERVE: u64 = 4 << 20;

/// The reserve file.
#[derive(Clone, Debug)]
pub(super) struct Room(Arc<PathBuf>);

impl Room {
    pub(super) fn at(reserve: &Path) -> Self {
        Self(Arc::new(reserve.to_owned()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Sets the reserve aside, unless it is there. False when the disk has no room for it.
    ///
    /// # Errors
    /// The kernel's, but for a full disk or quota.
    pub(super) fn set_aside(&self) -> io::Result<bool> {
        if fs::metadata(&*self.0).is_ok_and(|file| file.len() >= RESERVE) {
            return Ok(true);
        }
        let made = File::create(&*self.0).and_then(|file| allocate(&file, 0, RESERVE));
        match made {
            Err(error) if is_full(&error) => {
                self.release();
                Ok(false)
            }
            other => other.map(|()| true),
        }
    }

    fn release(&self) -> bool {
        fs::remove_file(&*self.0).is_ok()
    }

    /// Does `work`, once more with the reserve given back when there was no room.
    fn with<T>(&self, work: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match work() {
            Err(error) if is_full(&error) && self.release() => work(),
            other => other,
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

fn allocate(file: &File, from: u64, to: u64) -> io::Result<()> {
    let offset = |bytes: u64| i64::try_from(bytes).map_err(io::Error::other);
    let length = to.saturating_sub(from);
    if length == 0 {
        return Ok(());
    }
    nix::fcntl::posix_fallocate(file, offset(from)?, offset(length)?).map_err(io::Error::from)
}

/// The database's file.
#[derive(Debug)]
pub(super) struct Disk {
    file: File,
    inner: FileBackend,
    room: Room,
}

impl Disk {
    /// Opens or creates the file.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn open(path: &Path, room: Room) -> Result<Self, redb::DatabaseError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(path)?;
        let inner = FileBackend::new(file.try_clone()?)?;
        Ok(Self { file, inner, room })
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let now = self.inner.len()?;
        if len > now {
            return self.room.with(|| allocate(&self.file, now, len));
        }
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.room.with(|| self.inner.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.room.with(|| self.inner.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}
