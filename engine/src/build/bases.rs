//! The images that Dockerfiles are built on: here already, or pulled while people watch.

use std::collections::HashMap;
use std::sync::Arc;

use bowline_api::{BuildEventKind, BuildPlace};
use bowline_build::dispatch::Base;
use bowline_image::{Auth, Image, Platform, Progress, Reference};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio::task::block_in_place;

use super::job::Sink;
use crate::engine::Engine;
use crate::error::Result;

/// News of a pull that may wait for a slow reader.
const AHEAD: usize = 64;

/// Finds images.
#[derive(Debug)]
pub(super) struct Finder {
    pub(super) engine: Arc<Engine>,
    pub(super) auths: HashMap<String, Auth>,
    pub(super) sink: Sink,
}

impl Finder {
    /// The image that fits `platform`, pulled if it is not here, or in any case if `pull` says so.
    pub(super) async fn find(
        &self,
        reference: &Reference,
        platform: &Platform,
        pull: bool,
    ) -> Result<Base> {
        let name = reference.familiar();
        let here = block_in_place(|| self.engine.find_image(&name)).ok();
        let here = here.filter(|image| !pull && platform.rank(&image.platform()).is_some());
        let image = match here {
            Some(image) => image,
            None => self.pull(reference, platform).await?,
        };
        self.base(reference, &image)
    }

    fn base(&self, reference: &Reference, image: &Image) -> Result<Base> {
        let file = block_in_place(|| self.engine.images().image_file(&image.id))?;
        // What the name means today; tomorrow's build has to see the difference.
        let known = image.digests.iter().find_map(Reference::digest);
        let reference = match known {
            Some(digest) => reference.with_digest(digest).canonical(),
            None => format!("{}@{}", reference.canonical(), image.id),
        };
        Ok(Base {
            reference,
            image: file,
        })
    }

    async fn pull(&self, reference: &Reference, platform: &Platform) -> Result<Image> {
        let name = reference.familiar();
        let step = step_of(&format!("{}\n{platform}", reference.canonical()));
        self.sink.send(BuildEventKind::Planned {
            step: step.clone(),
            name: format!("[internal] pull {name}"),
            place: None,
            targets: Vec::new(),
        });
        self.sink
            .send(BuildEventKind::Started { step: step.clone() });
        let (sender, mut news) = mpsc::channel(AHEAD);
        let wanted = platform.to_string();
        let (repository, tag) = (reference.repository(), wanted_of(reference));
        let pull = self.engine.image_pull(
            &repository,
            &tag,
            Some(&wanted),
            self.auth(reference),
            sender,
        );
        let told = async {
            let mut layers = Layers::default();
            while let Some(one) = news.recv().await {
                layers.enter(&one);
                let (bytes, total) = layers.sum();
                self.sink.send(BuildEventKind::Transferred {
                    step: step.clone(),
                    what: name.clone(),
                    bytes,
                    total: Some(total),
                });
            }
        };
        let (pulled, ()) = tokio::join!(pull, told);
        match pulled {
            Ok(image) => {
                self.sink.send(BuildEventKind::Finished { step });
                Ok(image)
            }
            Err(error) => {
                let text = error.message.clone();
                self.sink.send(BuildEventKind::Failed { step, error: text });
                Err(error)
            }
        }
    }

    fn auth(&self, reference: &Reference) -> Option<Auth> {
        let host = reference.host();
        let of_host = |key: &&String| {
            let bare = key
                .trim_start_matches("https://")
                .trim_start_matches("http://");
            let bare = bare.split('/').next().unwrap_or_default();
            // The Hub's credentials are kept under the address of its first index.
            bare == host || host == "docker.io" && bare == "index.docker.io"
        };
        let key = self.auths.keys().find(of_host)?;
        self.auths.get(key).cloned()
    }

    /// Passes a remark on.
    pub(super) fn warn(&self, rule: &str, message: &str, place: Option<BuildPlace>) {
        self.sink.send(BuildEventKind::Warning {
            rule: rule.to_owned(),
            message: message.to_owned(),
            place,
        });
    }
}

fn wanted_of(reference: &Reference) -> String {
    match (reference.digest(), reference.tag()) {
        (Some(digest), _) => digest.to_string(),
        (None, Some(tag)) => tag.to_owned(),
        (None, None) => "latest".to_owned(),
    }
}

/// A name for what is no step of a Dockerfile, in the form of those that are.
fn step_of(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of layers on their way.
#[derive(Debug, Default)]
struct Layers(HashMap<String, (u64, u64)>);

impl Layers {
    fn enter(&mut self, news: &Progress) {
        if let (Some(id), Some(current), Some(total)) = (&news.id, news.current, news.total) {
            let layer = self.0.entry(id.clone()).or_default();
            // Unpacking counts from zero again; what was downloaded stays downloaded.
            *layer = (layer.0.max(current), layer.1.max(total));
        }
    }

    fn sum(&self) -> (u64, u64) {
        self.0
            .values()
            .fold((0, 0), |sum, layer| (sum.0 + layer.0, sum.1 + layer.1))
    }
}
