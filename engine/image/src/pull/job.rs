//! One pull, from the first question to the last line of news.

use std::sync::Arc;

use tokio::sync::broadcast;
use tokio::task::JoinSet;

use super::fetch;
use super::layer::LayerPull;
use crate::config::ImageFile;
use crate::digest::{Digest, ImageId};
use crate::error::ErrorKind;
use crate::platform::Platform;
use crate::progress::Progress;
use crate::reference::Reference;
use crate::registry::RegistryError;
use crate::registry::manifest::Manifest;
use crate::settings::Auth;
use crate::store::{Image, NewImage, Store, parse_config};
use crate::{Error, Result, blocking};

pub(super) struct Job {
    pub(super) store: Store,
    pub(super) reference: Reference,
    pub(super) platform: Option<Platform>,
    pub(super) news: broadcast::Sender<Progress>,
}

/// What the registry told about an image.
pub(super) struct Told {
    /// The digest of what the name leads to: index or manifest.
    pub(super) digest: Digest,
    /// Index, if any, and manifest, byte by byte.
    pub(super) documents: Vec<Vec<u8>>,
    pub(super) manifest: Manifest,
    pub(super) config: Vec<u8>,
}

impl Job {
    pub(super) async fn run(&self, auth: Option<Auth>) -> Result<ImageId> {
        let session = Arc::new(self.store.0.client.session(&self.reference, auth)?);
        let told = fetch::image(&session, &self.reference, self.platform.as_ref()).await?;
        let file = parse_config(&told.config)?;
        self.check(&told, &file)?;
        let tag = self
            .reference
            .tag()
            .unwrap_or(told.digest.short())
            .to_owned();
        let from = format!("Pulling from {}", self.reference.path());
        self.tell(Progress::of(tag, from));
        let diff_ids = file.rootfs.diff_ids;
        // From here on nobody removes what we find there and count on.
        let _pins = self.store.pin(&diff_ids);
        let before = self.store.view()?.named(&self.reference)?;
        let image = self.fetch_and_commit(session, &told, diff_ids).await?;
        self.tell(Progress::line(format!("Digest: {}", told.digest)));
        let outcome = if before.as_ref() == Some(&image.id) {
            "Image is up to date for"
        } else {
            "Downloaded newer image for"
        };
        self.tell(Progress::line(format!(
            "Status: {outcome} {}",
            self.reference
        )));
        Ok(image.id)
    }

    fn check(&self, told: &Told, file: &ImageFile) -> Result<()> {
        let (layers, diff_ids) = (told.manifest.layers.len(), file.rootfs.diff_ids.len());
        if layers != diff_ids {
            let name = self.reference.familiar();
            return Err(RegistryError::Layers {
                name,
                layers,
                diff_ids,
            }
            .into());
        }
        let actual = file.platform();
        match &self.platform {
            Some(wanted) if wanted.rank(&actual).is_none() => Err(Error::Platform {
                name: self.reference.familiar(),
                wanted: wanted.to_string(),
                actual: actual.to_string(),
            }),
            _ => Ok(()),
        }
    }

    async fn fetch_and_commit(
        &self,
        session: Arc<crate::registry::Session>,
        told: &Told,
        diff_ids: Vec<Digest>,
    ) -> Result<Image> {
        let mut tasks = JoinSet::new();
        let mut pulls = Vec::new();
        for (descriptor, diff_id) in told.manifest.layers.iter().zip(diff_ids) {
            let digest = descriptor.digest().map_err(RegistryError::from)?;
            let pull = Arc::new(LayerPull {
                store: self.store.clone(),
                session: Arc::clone(&session),
                news: self.news.clone(),
                slot: self.store.0.pulls.slot(&diff_id),
                digest,
                diff_id,
                size: descriptor.size,
            });
            pull.tell("Pulling fs layer");
            pulls.push(Arc::clone(&pull));
            tasks.spawn(async move { pull.run().await });
        }
        let mut layers = Vec::new();
        while let Some(done) = tasks.join_next().await {
            match done {
                Ok(Ok(staged)) => layers.extend(staged),
                Ok(Err(error)) => return Err(self.failed(error, &pulls)),
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => return Err(Error::Cancelled),
                },
            }
        }
        let image = self.commit(told, layers).await?;
        for pull in &pulls {
            pull.finish();
        }
        Ok(image)
    }

    async fn commit(
        &self,
        told: &Told,
        layers: Vec<Arc<crate::store::StagedLayer>>,
    ) -> Result<Image> {
        let mut names = vec![self.reference.with_digest(&told.digest)];
        if self.reference.digest().is_none() {
            names.push(self.reference.clone());
        }
        let (config, manifests) = (told.config.clone(), told.documents.clone());
        let store = self.store.clone();
        let new = NewImage {
            config,
            layers,
            names,
            manifests,
        };
        blocking::run(move || store.commit(&new)).await
    }

    /// On a full disk what was downloaded so far goes: it would keep the disk full, and the machine needs room more than
    /// the next try needs a head start.
    fn failed(&self, error: Error, pulls: &[Arc<LayerPull>]) -> Error {
        let error = error.telling_full(&self.store.0.root);
        if error.kind() == ErrorKind::Full {
            pulls.iter().for_each(|pull| pull.forget_partial());
        }
        error
    }

    fn tell(&self, news: Progress) {
        // Nobody listening is fine.
        drop(self.news.send(news));
    }
}
