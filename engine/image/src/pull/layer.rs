//! One layer of a pull: download and unpack at once.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc};
use tokio::time::Instant;

use super::LayerSlot;
use super::partial::Partial;
use crate::blocking::{self, Piece};
use crate::digest::{Digest, Hashed};
use crate::layer::{self, LayerError, expect_digest};
use crate::progress::Progress;
use crate::registry::{BlobStream, RegistryError, Session};
use crate::store::{Inner, StagedLayer, Store};
use crate::{Error, Result};

/// Between two lines of news about one layer.
const NEWS_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct LayerPull {
    pub(super) store: Store,
    pub(super) session: Arc<Session>,
    pub(super) news: broadcast::Sender<Progress>,
    pub(super) slot: Arc<LayerSlot>,
    /// Of what the registry sends.
    pub(super) digest: Digest,
    /// Of what is inside.
    pub(super) diff_id: Digest,
    pub(super) size: u64,
}

impl LayerPull {
    /// Gets the layer; `None` if the store has it already.
    pub(super) async fn run(&self) -> Result<Option<Arc<StagedLayer>>> {
        let mut slot = self.slot.lock().await;
        if let Some(staged) = &*slot {
            // Another pull has just fetched it. It may be in place by now; committing it again does no harm.
            self.tell("Download complete");
            return Ok(Some(Arc::clone(staged)));
        }
        if self.store.view()?.layer(&self.diff_id)?.is_some() {
            self.tell("Already exists");
            return Ok(None);
        }
        self.tell("Waiting");
        let permit = self
            .store
            .0
            .pulls
            .permits
            .acquire()
            .await
            .map_err(|_| Error::Cancelled)?;
        let staged = Arc::new(self.fetch().await?);
        drop(permit);
        *slot = Some(Arc::clone(&staged));
        Ok(Some(staged))
    }

    /// The image is visible, so what was kept for resuming is not needed any more.
    pub(super) fn finish(&self) {
        self.forget_partial();
        self.tell("Pull complete");
    }

    pub(super) fn forget_partial(&self) {
        // It may never have been made.
        drop(std::fs::remove_file(self.partial_path()));
    }

    pub(super) fn tell(&self, status: &'static str) {
        self.send(Progress::of(self.digest.short(), status));
    }

    fn send(&self, news: Progress) {
        // Nobody listening is fine.
        drop(self.news.send(news));
    }

    /// Named by both digests: nobody who claims another content for the same blob shares the file.
    fn partial_path(&self) -> PathBuf {
        let name = format!("{}-{}.part", self.digest.hex(), self.diff_id.short());
        self.store.0.ingest().join(name)
    }

    async fn fetch(&self) -> Result<StagedLayer> {
        match self.try_fetch().await {
            // The start of the file may be what was wrong, from an earlier run; so once more without.
            Err((error, true)) if is_mismatch(&error) => {
                tracing::warn!(digest = %self.digest, "a resumed download was damaged and starts anew");
                self.try_fetch().await.map_err(|(error, _)| error)
            }
            other => other.map_err(|(error, _)| error),
        }
    }

    /// Downloads and unpacks; a failure comes with whether an earlier run's file was part of it.
    async fn try_fetch(&self) -> Result<StagedLayer, (Error, bool)> {
        let path = self.partial_path();
        let partial = Partial::open(&path, self.size).map_err(|error| (error, false))?;
        let start = partial.length();
        let (pieces, reader) = blocking::pieces();
        let unpack = {
            let (inner, diff_id) = (Arc::clone(&self.store.0), self.diff_id.clone());
            let (digest, size) = (self.digest.clone(), self.size);
            let source = partial.followed_by(reader);
            blocking::run(move || unpack(&inner, source, &digest, size, &diff_id))
        };
        let (unpacked, downloaded) = tokio::join!(unpack, self.download(start, pieces));
        // A broken download also breaks the unpacking, and is the cause to tell.
        let result = match (unpacked, downloaded) {
            (Ok(staged), _) => Ok(staged),
            (Err(_), Err(error)) => Err(error.into()),
            (Err(error), Ok(())) => Err(error),
        };
        result.map_err(|error| {
            if is_mismatch(&error) {
                self.forget_partial();
            }
            (error, start > 0)
        })
    }

    async fn download(&self, start: u64, to: mpsc::Sender<Piece>) -> Result<(), RegistryError> {
        let mut at = start;
        let mut attempt = 0;
        let mut news = Instant::now();
        while at < self.size {
            let before = at;
            match self.download_some(&mut at, &to, &mut news).await {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => {
                    // A try that got somewhere was no failure to speak of.
                    attempt = if at > before { 1 } else { attempt + 1 };
                    if !error.is_passing() || attempt > self.session.client().retries() {
                        return Err(error);
                    }
                    tracing::debug!(%error, attempt, at, "a download goes on after a break");
                    self.session
                        .client()
                        .back_off(attempt, error.retry_after())
                        .await;
                }
            }
        }
        self.tell("Verifying Checksum");
        self.tell("Download complete");
        self.send(Progress::of(self.digest.short(), "Extracting").at(self.size, self.size));
        // If the reader has gone it knows why.
        drop(to.send(Piece::End).await);
        Ok(())
    }

    /// One request's worth; `false` if nobody wants more.
    async fn download_some(
        &self,
        at: &mut u64,
        to: &mpsc::Sender<Piece>,
        news: &mut Instant,
    ) -> Result<bool, RegistryError> {
        let mut blob = self.session.blob(&self.digest, *at).await?;
        skip_to(&mut blob, *at).await?;
        while let Some(chunk) = blob.next().await? {
            *at += chunk.len() as u64;
            if *at > self.size {
                return Err(RegistryError::TooLong {
                    digest: self.digest.clone(),
                    size: self.size,
                });
            }
            if to.send(Piece::Chunk(chunk)).await.is_err() {
                return Ok(false);
            }
            if news.elapsed() >= NEWS_PAUSE {
                *news = Instant::now();
                let line = Progress::of(self.digest.short(), "Downloading");
                self.send(line.at(*at, self.size));
            }
        }
        if *at < self.size {
            let (digest, received, size) = (self.digest.clone(), *at, self.size);
            return Err(RegistryError::Truncated {
                digest,
                received,
                size,
            });
        }
        Ok(true)
    }
}

/// Some registries answer a request for the rest with the whole: what we have of it is skipped.
async fn skip_to(blob: &mut BlobStream, at: u64) -> Result<(), RegistryError> {
    if blob.from > at {
        return Err(RegistryError::Range);
    }
    blob.skip(at - blob.from).await
}

/// Unpacks, then holds both digests against what was promised.
fn unpack(
    inner: &Inner,
    source: impl Read,
    digest: &Digest,
    size: u64,
    diff_id: &Digest,
) -> Result<StagedLayer> {
    let staged = layer::stage(inner, Hashed::new(source.take(size)));
    let (staged, mut source) = staged.map_err(|error| error.telling_full(&inner.root))?;
    io::copy(&mut source, &mut io::sink())
        .map_err(|error| LayerError::from(crate::tar::TarError::Read(error)))?;
    let (found, _) = source.finish();
    expect_digest(&found, digest)?;
    expect_digest(&staged.diff_id, diff_id)?;
    Ok(staged)
}

/// Whether the contents themselves are wrong, so that keeping them for another try is of no use.
fn is_mismatch(error: &Error) -> bool {
    matches!(
        error,
        Error::Layer(LayerError::Digest { .. } | LayerError::Tar(_) | LayerError::Compression(_))
            | Error::Registry(RegistryError::TooLong { .. } | RegistryError::Range)
    )
}
