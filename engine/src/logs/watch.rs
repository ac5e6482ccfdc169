//! Being told that a log grew: one inotify instance for all readers.
//!
//! The kernel grants a user 128 instances, which fifty containers with three readers each would exceed; watches are
//! plenty. A watch lies on the folder, so that it also tells of the file that follows a rotation.

use std::collections::HashMap;
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

/// How often a reader looks when the kernel refuses a watch.
const BLIND: Duration = Duration::from_millis(200);

/// Tells readers that something in a folder changed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Watcher {
    shared: Option<Arc<Shared>>,
}

#[derive(Debug)]
struct Shared {
    inotify: AsyncFd<Descriptor>,
    folders: Mutex<HashMap<WatchDescriptor, Folder>>,
}

#[derive(Debug)]
struct Folder {
    readers: usize,
    news: watch::Sender<()>,
}

#[derive(Debug)]
struct Descriptor(Inotify);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// News of one folder.
#[derive(Debug)]
pub(super) struct News {
    watch: Option<(Arc<Shared>, WatchDescriptor, watch::Receiver<()>)>,
}

impl Watcher {
    /// A watcher; its task ends with the runtime. Where the kernel grants no instance, readers look now and then instead.
    pub fn new() -> Self {
        let flags = InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC;
        let inotify = Inotify::init(flags)
            .map_err(std::io::Error::from)
            .and_then(register);
        let shared = match inotify {
            Ok(inotify) => Arc::new(Shared {
                inotify,
                folders: Mutex::default(),
            }),
            Err(error) => {
                tracing::warn!(%error, "no inotify instance: followed logs lag a little");
                return Self { shared: None };
            }
        };
        drop(tokio::spawn(Arc::clone(&shared).run()));
        Self {
            shared: Some(shared),
        }
    }

    /// Begins to listen to what happens in `folder`.
    pub(super) fn folder(&self, folder: &Path) -> News {
        let watch = self.shared.as_ref().and_then(|shared| {
            let flags =
                AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
            let mut folders = shared.folders();
            // The same folder gives the same descriptor again.
            let descriptor = shared.inotify.get_ref().0.add_watch(folder, flags).ok()?;
            let entry = folders.entry(descriptor).or_insert_with(|| Folder {
                readers: 0,
                news: watch::Sender::new(()),
            });
            entry.readers += 1;
            Some((Arc::clone(shared), descriptor, entry.news.subscribe()))
        });
        News { watch }
    }
}

impl Default for Watcher {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(
    deprecated,
    reason = "its replacement asks unsafely for what holds here: the descriptor stays the same while it is owned"
)]
fn register(inotify: Inotify) -> std::io::Result<AsyncFd<Descriptor>> {
    AsyncFd::with_interest(Descriptor(inotify), Interest::READABLE)
}

impl Shared {
    fn folders(&self) -> MutexGuard<'_, HashMap<WatchDescriptor, Folder>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(self: Arc<Self>) {
        while let Ok(mut ready) = self.inotify.readable().await {
            match self.inotify.get_ref().0.read_events() {
                Ok(events) => {
                    let folders = self.folders();
                    // An overflow of the kernel's queue comes without a folder and means all of them.
                    let lost = events
                        .iter()
                        .any(|event| event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW));
                    for (descriptor, folder) in folders.iter() {
                        if lost || events.iter().any(|event| event.wd == *descriptor) {
                            folder.news.send_replace(());
                        }
                    }
                }
                Err(Errno::EAGAIN) => ready.clear_ready(),
                Err(Errno::EINTR) => {}
                Err(error) => {
                    tracing::error!(%error, "inotify failed: followed logs stand still");
                    return;
                }
            }
        }
    }
}

impl News {
    /// Forgets what happened so far; called before looking.
    pub(super) fn forget(&mut self) {
        if let Some((_, _, news)) = &mut self.watch {
            news.mark_unchanged();
        }
    }

    /// Returns when something happened since [`Self::forget`].
    pub(super) async fn wait(&mut self) {
        match &mut self.watch {
            // The sender lives as long as we do, so this cannot fail.
            Some((_, _, news)) => drop(news.changed().await),
            None => tokio::time::sleep(BLIND).await,
        }
    }
}

impl Drop for News {
    fn drop(&mut self) {
        let Some((shared, descriptor, _)) = self.watch.take() else {
            return;
        };
        let mut folders = shared.folders();
        let Some(folder) = folders.get_mut(&descriptor) else {
            return;
        };
        folder.readers -= 1;
        if folder.readers == 0 {
            folders.remove(&descriptor);
            // Fails when the folder is gone, and the watch with it.
            let _ = shared.inotify.get_ref().0.rm_watch(descriptor);
        }
    }
}
