//! Results as trees and as layers: what is read, and what is mounted.

use std::path::Path;
use std::sync::Arc;

use bowline_image::Digest;
use bowline_sys::root::{Dir, FileKind};

use super::{Done, Solve};
use crate::copy::select::{self, Picked};
use crate::copy::{Canvas, Laying, lay};
use crate::failure::StepError;
use crate::graph::CopySource;
use crate::key::Key;
use crate::tree::Tree;

impl Solve {
    /// The files of a result: the folder itself, or its layers mounted.
    pub(super) fn tree(&self, done: &Done) -> Result<Arc<Tree>, StepError> {
        if let Some(tree) = &done.context {
            return Ok(Arc::clone(tree));
        }
        if let Some(tree) = done.tree.get() {
            return Ok(Arc::clone(tree));
        }
        let mount = self.builder.0.store.mount_layers(&done.layers);
        let mount = mount.map_err(|error| StepError::Mount(Box::new(error)))?;
        let tree = Arc::new(Tree::layers(mount));
        Ok(Arc::clone(done.tree.get_or_init(|| tree)))
    }

    /// The tree below a step to look names up in; none below a step that does not see it.
    pub(super) fn base_tree(&self, layers: &[Digest]) -> Result<Option<Tree>, StepError> {
        if layers.is_empty() {
            return Ok(None);
        }
        let mount = self.builder.0.store.mount_layers(layers);
        let mount = mount.map_err(|error| StepError::Mount(Box::new(error)))?;
        Ok(Some(Tree::layers(mount)))
    }

    /// A canvas over layers.
    pub(super) fn canvas(&self, upper: &Path, layers: &[Digest]) -> Result<Canvas, StepError> {
        let upper = Dir::open(upper).map_err(StepError::Tree)?;
        let lower = if layers.is_empty() {
            None
        } else {
            let mount = self.builder.0.store.mount_layers(layers);
            Some(Dir::from_fd(
                mount.map_err(|error| StepError::Mount(Box::new(error)))?,
            ))
        };
        Ok(Canvas::new(upper, lower))
    }

    /// What `source` means in a result, with the digest of all of it. In layers it never changes, so it is read once.
    pub(super) fn selected(
        &self,
        done: &Done,
        source: &CopySource,
        exclude: &[String],
        whole: bool,
    ) -> Result<Selected, StepError> {
        let tree = self.tree(done)?;
        let key = (done.context.is_none()).then(|| {
            let mut key = Key::new("selection");
            key.digests(&done.layers);
            key.text(&source.path);
            key.value(&(source.wildcard, &source.parents, exclude, whole));
            key.finish()
        });
        if let Some(known) = key.as_ref().and_then(|key| self.builder.0.recall(key)) {
            return Ok(Selected {
                tree,
                picked: None,
                digest: known,
            });
        }
        let mut picked = select::select(&tree, source, exclude)?;
        let digest = select::digest(&tree, &mut picked, whole)?;
        if let Some(key) = &key {
            self.builder.0.remember(key, &digest);
        }
        Ok(Selected {
            tree,
            picked: Some(picked),
            digest,
        })
    }

    /// The layers of a result. A folder becomes one that holds `path` of it, and what `path` is in.
    pub(super) fn as_layers(&self, done: &Done, path: &str) -> Result<Layered, StepError> {
        let Some(tree) = &done.context else {
            return Ok(Layered {
                layers: done.layers.clone(),
                hold: done.hold.clone(),
            });
        };
        let source = plain(path);
        for _ in 0..super::copying::TRIES {
            let mut picked = select::select(tree, &source, &[])?;
            let digest = match select::digest(tree, &mut picked, true) {
                Err(crate::copy::CopyError::Changed { .. }) => {
                    tree.look_again();
                    continue;
                }
                other => other?,
            };
            let mut key = Key::new("folder");
            key.text(path);
            key.text(digest.hex());
            let key = key.finish();
            if let Some((record, hold)) = self.builder.0.lookup(&key)? {
                return Ok(Layered {
                    layers: record.layers,
                    hold: Some(Arc::new(hold)),
                });
            }
            match self.materialize(tree, &picked, path, &key) {
                Err(StepError::Copy(crate::copy::CopyError::Changed { .. })) => tree.look_again(),
                other => return other,
            }
        }
        Err(crate::copy::CopyError::Changed {
            path: path.to_owned(),
        }
        .into())
    }

    fn materialize(
        &self,
        tree: &Tree,
        picked: &[Picked],
        path: &str,
        key: &Digest,
    ) -> Result<Layered, StepError> {
        let store = &self.builder.0.store;
        let scratch = store.scratch(&[])?;
        let mut canvas = self.canvas(scratch.upper(), &[])?;
        for picked in picked {
            let how = Laying {
                dest: path,
                owner: None,
                chmod: None,
                unpack: false,
            };
            lay(&mut canvas, tree, picked, &how, None)?;
            // A copy makes the top anew; what is shown is the folder as it is.
            let top = picked.files.first().map(|top| top.node.stat);
            let real = Path::new(path).strip_prefix("/").unwrap_or(Path::new(path));
            if let (Some(stat), Some(parent), Some(name)) = (top, real.parent(), real.file_name())
                && stat.kind == FileKind::Directory
            {
                let parent = canvas.folder(parent).map_err(StepError::Tree)?;
                let set = parent.upper.chmod(name, stat.mode);
                set.and_then(|()| parent.upper.chown(name, stat.uid, stat.gid))
                    .map_err(StepError::Tree)?;
            }
        }
        drop(canvas);
        let sealed = store.seal(scratch, &[])?;
        let layers = vec![sealed.diff_id.clone()];
        let now = self.builder.0.now();
        let record = bowline_image::BuildRecord {
            layers: layers.clone(),
            created: now,
            used: now,
            uses: 1,
            description: format!("context {path}"),
            parents: Vec::new(),
        };
        self.builder.0.publish(key, &record);
        crate::builder::guard(&self.leavings)
            .records
            .push((key.clone(), record));
        Ok(Layered {
            layers,
            hold: Some(Arc::new(sealed.hold)),
        })
    }
}

/// What a source means.
pub(super) struct Selected {
    pub(super) tree: Arc<Tree>,
    /// The files, where they had to be looked at.
    pub(super) picked: Option<Vec<Picked>>,
    /// Of all that can be seen of them.
    pub(super) digest: Digest,
}

/// Layers and what keeps them.
#[derive(Clone, Debug)]
pub(super) struct Layered {
    pub(super) layers: Vec<Digest>,
    pub(super) hold: Option<Arc<bowline_image::Hold>>,
}

/// A source without wildcards.
pub(super) fn plain(path: &str) -> CopySource {
    CopySource {
        from: crate::graph::VertexId(0),
        path: path.to_owned(),
        wildcard: false,
        parents: None,
        unpack: false,
    }
}
