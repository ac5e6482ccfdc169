//! Whether there is work: what an auto-started engine looks at before it leaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::Engine;
use crate::record::Phase;

/// How long whoever started the engine may take to come and use it.
const ARRIVAL: Duration = Duration::from_millis(200);

/// How long a clean leave waits for what runs in the background.
const SETTLE: Duration = Duration::from_secs(10);

/// Work that is under way, counted.
#[derive(Debug, Default)]
pub(super) struct Activity {
    held: Arc<AtomicUsize>,
    background: Arc<AtomicUsize>,
    changed: Arc<Notify>,
}

/// While one exists the engine does not leave.
#[derive(Debug)]
pub struct Busy {
    held: Arc<AtomicUsize>,
    changed: Arc<Notify>,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.held.fetch_sub(1, Ordering::AcqRel);
        self.changed.notify_waiters();
    }
}

impl Engine {
    /// Marks work: a request, an open stream, a pull.
    pub fn busy(&self) -> Busy {
        self.activity.held.fetch_add(1, Ordering::AcqRel);
        Busy {
            held: Arc::clone(&self.activity.held),
            changed: Arc::clone(&self.activity.changed),
        }
    }

    /// Something changed that may make the engine idle.
    pub(crate) fn touch(&self) {
        self.activity.changed.notify_waiters();
    }

    /// Whether anything is under way, runs, or waits for its restart.
    pub(crate) fn is_busy(&self) -> bool {
        let held = self.activity.held.load(Ordering::Acquire) > 0
            || self.activity.background.load(Ordering::Acquire) > 0;
        held || self.execs().any_running()
            || self.records().iter().any(|record| {
                record.starting || record.phase.is_alive() || record.phase == Phase::Restarting
            })
    }

    /// Returns once there was nothing to do for the idle time; never for an engine that a person started.
    pub async fn idle(&self) {
        if !self.auto {
            std::future::pending::<()>().await;
        }
        loop {
            // Registered before the look, so that no change falls between the two.
            let changed = self.activity.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.is_busy() {
                changed.await;
                continue;
            }
            let patience = self.settings.idle_timeout.max(ARRIVAL);
            let waited = tokio::time::timeout(patience, changed).await;
            if waited.is_err() && !self.is_busy() {
                return;
            }
        }
    }

    /// Blocking work that nobody waits for, but that a clean leave and a check do.
    pub(crate) fn background(&self, work: impl FnOnce() + Send + 'static) {
        let (count, changed) = (
            Arc::clone(&self.activity.background),
            Arc::clone(&self.activity.changed),
        );
        count.fetch_add(1, Ordering::AcqRel);
        tokio::task::spawn_blocking(move || {
            work();
            count.fetch_sub(1, Ordering::AcqRel);
            changed.notify_waiters();
        });
    }

    /// Waits for background work.
    pub(crate) async fn settle(&self) {
        let settled = async {
            loop {
                let changed = self.activity.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if self.activity.background.load(Ordering::Acquire) == 0 {
                    return;
                }
                changed.await;
            }
        };
        if tokio::time::timeout(SETTLE, settled).await.is_err() {
            tracing::warn!("background work takes longer than {SETTLE:?}");
        }
    }

    /// The orderly end: containers stay, and where none runs nothing of ours stays in the kernel.
    pub async fn leave(&self) {
        self.settle().await;
        let running = self
            .records()
            .iter()
            .any(|record| record.phase.is_alive() || record.phase == Phase::Restarting);
        if running {
            return;
        }
        let parent = self.settings.cgroup_parent.clone();
        match self.net().drain().await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "networks not drained"),
            Err(error) => tracing::warn!(%error, "networks not drained"),
        }
        for folder in ["shims", "engine"] {
            let path = format!("{parent}/{folder}");
            if folder == "engine"
                && let Err(error) = self.hierarchies.leave_with_all_threads("/")
            {
                tracing::warn!(%error, "still in the engine's cgroup");
            }
            if let Err(error) = self.hierarchies.remove_path(&path) {
                tracing::debug!(%error, path, "cgroup kept");
            }
        }
        if let Err(error) = self.hierarchies.remove_path(&parent) {
            tracing::debug!(%error, parent, "cgroup kept");
        }
    }
}
