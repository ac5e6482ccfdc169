//! `commit`: what a container changed becomes a layer on top of its image.

use std::path::PathBuf;
use std::sync::Arc;

use bowline_sys::root::{Dir, Root};

use crate::config::{HistoryRecord, ImageConfig};
use crate::digest::{Digest, ImageId};
use crate::error::{Context, Error};
use crate::files::{Change, TreeError, changes, pack_changes};
use crate::reference::Reference;
use crate::store::{Image, NewImage, StagedLayer, Store, parse_config};
use crate::{Result, layer};

/// A container to be made an image of.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The image it was made from.
    pub parent: ImageId,
    /// Where it wrote.
    pub upper: PathBuf,
    /// What the new image starts containers with, before `changes`.
    pub config: ImageConfig,
    /// Dockerfile instructions for the configuration.
    pub changes: Vec<String>,
    /// Who made it.
    pub author: String,
    /// A remark.
    pub comment: String,
    /// The command that made the difference.
    pub created_by: String,
    /// The new image's name.
    pub name: Option<Reference>,
}

/// Writing ends with the reader's word where both fail: a reader that stopped breaks the writer's pipe.
type Written = std::result::Result<(), TreeError>;

impl Store {
    /// What a container that writes to `upper` changed of its image.
    pub fn container_changes(
        &self,
        parent: &ImageId,
        upper: &std::path::Path,
    ) -> Result<Vec<Change>> {
        let dir = Dir::open(upper).file("open", upper)?;
        Ok(changes(&dir, &Root::from_fd(self.mount(parent)?))?)
    }

    /// Makes an image of a container. Blocks while it writes.
    pub fn commit_container(&self, commit: &Commit) -> Result<Image> {
        let made = self.try_commit(commit);
        made.map_err(|error| error.telling_full(&self.0.root))
    }

    fn try_commit(&self, commit: &Commit) -> Result<Image> {
        // Before anything is read, for a slip in an instruction should not cost minutes.
        let mut config = commit.config.clone();
        for change in &commit.changes {
            crate::changes::apply(&mut config, change)?;
        }
        let mut file = parse_config(&self.config_bytes(&commit.parent)?)?;
        let mut pinned = file.rootfs.diff_ids.clone();
        let _below = self.pin(&pinned);
        let layer = self.stage_changes(commit)?;
        pinned.push(layer.diff_id.clone());
        let _all = self.pin(&pinned);
        let now = Some(self.0.now());
        file.created.clone_from(&now);
        file.author.clone_from(&commit.author);
        file.comment.clone_from(&commit.comment);
        file.config = config;
        file.rootfs.diff_ids = pinned;
        file.history.push(HistoryRecord {
            created: now,
            created_by: commit.created_by.clone(),
            author: commit.author.clone(),
            comment: commit.comment.clone(),
            empty_layer: false,
        });
        let config = serde_json::to_vec(&file).map_err(|source| Error::Config {
            id: Digest::of(b""),
            source,
        })?;
        self.commit(&NewImage {
            config,
            layers: vec![Arc::new(layer)],
            names: commit.name.clone().into_iter().collect(),
            manifests: Vec::new(),
        })
    }

    fn stage_changes(&self, commit: &Commit) -> Result<StagedLayer> {
        let upper = Dir::open(&commit.upper).file("open", &commit.upper)?;
        let found = changes(&upper, &Root::from_fd(self.mount(&commit.parent)?))?;
        let (reader, writer) = std::io::pipe().file("open", std::path::Path::new("(pipe)"))?;
        std::thread::scope(|scope| {
            let written = scope.spawn(|| -> Written {
                let writer = writer;
                pack_changes(&upper, &found, writer)
            });
            let staged = layer::stage(&self.0, reader);
            match written.join() {
                Ok(Err(written)) if !matches!(written, TreeError::Write(_)) => Err(written.into()),
                Ok(_) => staged.map(|(layer, _)| layer),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }
}
