//! `pull`: from a name to an image in the store.
//!
//! Each layer goes through in one pass, several at a time: download, hash, unpack, hash, write. Nothing is visible before
//! all of it is verified. What was downloaded stays in a partial file until then, so that a pull that was cut off, by
//! whatever, goes on where it was.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::{Semaphore, broadcast, mpsc, watch};

use crate::digest::{Digest, ImageId};
use crate::platform::Platform;
use crate::progress::Progress;
use crate::reference::Reference;
use crate::settings::Auth;
use crate::store::{Image, StagedLayer, Store, lock};
use crate::{Error, Result};

mod fetch;
mod job;
mod layer;
mod partial;

use job::Job;

/// News held for a subscriber that is slow to take them; older ones are dropped.
const NEWS: usize = 4096;

/// Pulls under way, and what they share.
#[derive(Debug)]
pub(crate) struct Pulls {
    /// By name, platform and user: a second pull of the same joins the first.
    jobs: Mutex<HashMap<String, Weak<Running>>>,
    /// Layers under way by diff_id: images that share one fetch it once.
    layers: Mutex<HashMap<Digest, Weak<LayerSlot>>>,
    permits: Semaphore,
}

/// One layer that some pulls want: who comes first fetches it while the others wait for the lock.
type LayerSlot = tokio::sync::Mutex<Option<Arc<StagedLayer>>>;

/// A pull and all who wait for it. When the last of them leaves, it stops.
#[derive(Debug)]
struct Running {
    news: broadcast::Sender<Progress>,
    done: watch::Receiver<Option<Result<ImageId, Arc<Error>>>>,
    task: tokio::task::AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Pulls {
    pub(crate) fn new(parallel_layers: usize) -> Self {
        Self {
            jobs: Mutex::default(),
            layers: Mutex::default(),
            permits: Semaphore::new(parallel_layers.max(1)),
        }
    }

    fn slot(&self, layer: &Digest) -> Arc<LayerSlot> {
        let mut layers = lock(&self.layers);
        layers.retain(|_, slot| slot.strong_count() > 0);
        if let Some(slot) = layers.get(layer).and_then(Weak::upgrade) {
            return slot;
        }
        let slot = Arc::default();
        layers.insert(layer.clone(), Arc::downgrade(&slot));
        slot
    }
}

impl Store {
    /// Fetches an image from its registry, for `platform` or else this machine. Nothing is sent to `progress` before
    /// the registry has shown that the image exists. Dropping the future stops the pull, unless others wait for the
    /// same; the next one resumes it.
    pub async fn pull(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
        auth: Option<Auth>,
        progress: mpsc::Sender<Progress>,
    ) -> Result<Image> {
        let (running, mut news) = self.join_or_start(reference, platform, auth);
        let mut done = running.done.clone();
        let result = loop {
            tokio::select! {
                // News first, so that all of them are through before the result is.
                biased;
                line = news.recv() => match line {
                    // Whoever does not listen may still want the image.
                    Ok(line) => drop(progress.send(line).await),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => {
                        if done.changed().await.is_err() && done.borrow().is_none() {
                            break Err(Error::Cancelled);
                        }
                        if let Some(result) = done.borrow_and_update().clone() {
                            break result.map_err(Error::Shared);
                        }
                    }
                },
                changed = done.changed() => {
                    while let Ok(line) = news.try_recv() {
                        drop(progress.send(line).await);
                    }
                    match done.borrow_and_update().clone() {
                        Some(result) => break result.map_err(Error::Shared),
                        None if changed.is_err() => break Err(Error::Cancelled),
                        None => {}
                    }
                }
            }
        };
        self.view()?.image(&result?)
    }

    fn join_or_start(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
        auth: Option<Auth>,
    ) -> (Arc<Running>, broadcast::Receiver<Progress>) {
        let user = auth
            .as_ref()
            .map(|auth| auth.username.clone())
            .unwrap_or_default();
        let platform_name = platform.map(ToString::to_string).unwrap_or_default();
        let key = format!("{} {platform_name} {user}", reference.canonical());
        let mut jobs = lock(&self.0.pulls.jobs);
        jobs.retain(|_, running| running.strong_count() > 0);
        if let Some(running) = jobs.get(&key).and_then(Weak::upgrade)
            && running.done.borrow().is_none()
        {
            let news = running.news.subscribe();
            return (running, news);
        }
        let (news, subscription) = broadcast::channel(NEWS);
        let (finish, done) = watch::channel(None);
        let job = Job {
            store: self.clone(),
            reference: reference.clone(),
            platform: platform.cloned(),
            news: news.clone(),
        };
        let task = tokio::spawn(async move {
            let result = job.run(auth).await.map_err(Arc::new);
            // Nobody waiting any more is fine.
            drop(finish.send(Some(result)));
        });
        let running = Arc::new(Running {
            news,
            done,
            task: task.abort_handle(),
        });
        jobs.insert(key, Arc::downgrade(&running));
        (running, subscription)
    }
}

#[cfg(test)]
mod tests;
