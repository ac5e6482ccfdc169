//! Freezing a volume's files as they are at one moment.
//!
//! A frozen tree is never written to again, for other trees and volumes lie on it. So the files themselves can only be
//! frozen in place while nobody has them open; with writers at work they are copied, and those stand still meanwhile:
//! a copy of files that change would be of no moment at all.

use std::path::Path;
use std::sync::Arc;

use bowline_image::files::{Copied, Dir, Timestamp, Transfer, TreeError, copy_tree, space_used};
use tokio::sync::oneshot;
use tokio::task::block_in_place;

use super::trees;
use crate::container::Message;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::record::{TreeRecord, VolumeRecord};
use crate::store::{Change, Kind};
use crate::{clock, ids};

/// Trees on each other before they are copied into one: every lookup of a name passes them all.
const DEEPEST: usize = 32;

/// How a volume's files become a frozen tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// A copy that shares its blocks with the volume's own files.
    Share,
    /// The files themselves; the volume goes on in a new tree on top of them.
    InPlace,
    /// Nothing was written since the tree below was frozen.
    Unchanged,
    /// A copy of what the volume's own tree has, on the same trees as that one.
    Copy,
    /// A copy of everything, with what lies below.
    Flatten,
}

/// What the choice depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Situation {
    /// The file system can share blocks between files.
    pub(super) shares: bool,
    /// The volume lies on frozen trees.
    pub(super) stacked: bool,
    /// Containers run with it.
    pub(super) runs: bool,
    /// Its own tree is empty.
    pub(super) unchanged: bool,
    /// How many trees are below it.
    pub(super) depth: usize,
}

/// Chooses.
pub(super) fn method(situation: Situation) -> Method {
    match situation {
        Situation {
            stacked: true,
            unchanged: true,
            ..
        } => Method::Unchanged,
        Situation { depth, .. } if depth >= DEEPEST => Method::Flatten,
        Situation {
            shares: true,
            stacked: false,
            ..
        } => Method::Share,
        Situation { runs: true, .. } => Method::Copy,
        _ => Method::InPlace,
    }
}

/// A volume's files, frozen. Nothing of it is recorded yet.
#[derive(Debug)]
pub(super) struct Frozen {
    /// The tree they are.
    pub(super) tree: String,
    /// When they were so.
    pub(super) taken: String,
    /// What has to be recorded for it.
    pub(super) changes: Vec<Change>,
    /// The tree's record, where it is a new one.
    pub(super) record: Option<TreeRecord>,
    /// The volume's record, where that changes with it.
    pub(super) volume: Option<VolumeRecord>,
    /// Containers were running with it.
    pub(super) live: bool,
}

/// Containers that stand still until this is dropped.
#[derive(Debug)]
struct Still {
    _release: Vec<oneshot::Sender<()>>,
}

impl Engine {
    /// Stops every process of the containers, without any of them noticing.
    async fn still(&self, ids: &[String]) -> Result<Still> {
        let mut release = Vec::new();
        for id in ids {
            let Ok(handle) = self.containers().find(id) else {
                continue;
            };
            let (sender, until) = oneshot::channel();
            handle.ask(|reply| Message::Still { until, reply }).await?;
            release.push(sender);
        }
        Ok(Still { _release: release })
    }

    /// Freezes a volume's files. The caller holds the volume's gate, records what it is told, and then moves on.
    pub(super) async fn freeze(self: &Arc<Self>, volume: &VolumeRecord) -> Result<Frozen> {
        if !volume.options.is_empty() {
            return Err(Error::invalid(format!(
                "volume {} is mounted from elsewhere by its driver options: only volumes whose files lie with the engine can be frozen",
                volume.name
            )));
        }
        let stored = self.store().has_room();
        stored.map_err(|error| Error::failed("freeze the volume", &error))?;
        self.volumes.holds.quiet(&volume.name).await?;
        let runners = self.volume_runners(&volume.name);
        let situation = block_in_place(|| self.situation(volume, !runners.is_empty()));
        let method = method(situation);
        let taken = clock::now();
        if method == Method::Unchanged {
            return Ok(Frozen {
                tree: volume.base.clone(),
                taken,
                changes: Vec::new(),
                record: None,
                volume: None,
                live: situation.runs,
            });
        }
        let id = ids::fresh().map_err(|error| Error::failed("make an id", &error))?;
        // Whole before anything stands still: mounting may take its time.
        let mounted = match method {
            Method::Flatten => Some(self.hold_gated(&volume.name).await?),
            _ => None,
        };
        let still = self.still(&runners).await?;
        let taken = if situation.runs { clock::now() } else { taken };
        let frozen = block_in_place(|| match method {
            Method::InPlace => self.freeze_in_place(volume, &id, &taken),
            other => self.freeze_copy(volume, &id, &taken, other),
        });
        drop(still);
        drop(mounted);
        let mut frozen = frozen.inspect_err(|_| self.clear_tree(&id))?;
        frozen.live = situation.runs;
        Ok(frozen)
    }

    fn situation(&self, volume: &VolumeRecord, runs: bool) -> Situation {
        let roots = &self.settings().roots;
        let stacked = !volume.live.is_empty();
        let own = trees::data(roots, &volume.live);
        let unchanged = stacked
            && std::fs::read_dir(&own).map_or(true, |mut entries| entries.next().is_none())
            && same_top(&own, &trees::data(roots, &volume.base));
        Situation {
            shares: self.shares_blocks(),
            stacked,
            runs,
            unchanged,
            depth: trees::chain(&self.volumes.trees(), &volume.base).len(),
        }
    }

    /// The volume's folder becomes the tree (or its own tree becomes a frozen one), and a new one goes on top.
    fn freeze_in_place(&self, volume: &VolumeRecord, id: &str, taken: &str) -> Result<Frozen> {
        let roots = &self.settings().roots;
        let failed = |error: &dyn std::error::Error| Error::failed("freeze the volume", error);
        let live = ids::fresh().map_err(|error| failed(&error))?;
        let mut after = volume.clone();
        let frozen_id = match volume.live.is_empty() {
            true => {
                let mut intent = volume.clone();
                id.clone_into(&mut intent.freezing);
                let written = self.store().put(Kind::Volume, &volume.name, &intent);
                written.map_err(|error| failed(&error))?;
                let moved = move_home(&self.volume_data(&volume.name), &roots.trees().join(id));
                if let Err(error) = moved {
                    let undone = self.store().put(Kind::Volume, &volume.name, volume);
                    undone.map_err(|error| failed(&error))?;
                    return Err(failed(&error));
                }
                id.to_owned()
            }
            // Its own tree is where it will stay.
            false => volume.live.clone(),
        };
        let tree = TreeRecord {
            size: space_used(&trees::data(roots, &frozen_id)),
            id: frozen_id.clone(),
            parent: volume.base.clone(),
            taken: taken.into(),
            volume: volume.name.clone(),
            copied: false,
        };
        after.live = live;
        after.base.clone_from(&frozen_id);
        let changes = [
            Change::put(Kind::Tree, &frozen_id, &tree),
            Change::put(Kind::Volume, &after.name, &after),
        ];
        let changes: std::result::Result<Vec<_>, _> = changes.into_iter().collect();
        Ok(Frozen {
            tree: frozen_id,
            taken: taken.into(),
            changes: changes.map_err(|error| failed(&error))?,
            record: Some(tree),
            volume: Some(after),
            live: false,
        })
    }

    fn freeze_copy(
        &self,
        volume: &VolumeRecord,
        id: &str,
        taken: &str,
        method: Method,
    ) -> Result<Frozen> {
        let roots = &self.settings().roots;
        let whole = method == Method::Flatten || volume.live.is_empty();
        let source = match whole {
            true => self.volume_data(&volume.name),
            false => trees::data(roots, &volume.live),
        };
        let target = trees::data(roots, id);
        let parent = if whole { "" } else { &volume.base };
        let earlier = self.earlier(&volume.name, parent);
        let copied = copy(&source, &target, method, roots, earlier.as_ref());
        let failed =
            |error: &dyn std::error::Error| Error::failed("copy the volume's files", error);
        let copied = copied.map_err(|error| failed(&error))?;
        tracing::debug!(volume = volume.name, ?method, ?copied, "frozen");
        let tree = TreeRecord {
            id: id.into(),
            parent: parent.into(),
            taken: taken.into(),
            volume: volume.name.clone(),
            copied: true,
            size: space_used(&target),
        };
        let mut changes = vec![Change::put(Kind::Tree, id, &tree)];
        // A volume that nobody has open goes on where it is shorter.
        let moves = method == Method::Flatten && !self.volume_runs(&volume.name);
        let after = moves.then(|| -> std::io::Result<VolumeRecord> {
            Ok(VolumeRecord {
                base: id.into(),
                live: ids::fresh()?,
                ..volume.clone()
            })
        });
        let after = after.transpose().map_err(|error| failed(&error))?;
        if let Some(after) = &after {
            changes.push(Change::put(Kind::Volume, &after.name, after));
        }
        let changes: std::result::Result<Vec<_>, _> = changes.into_iter().collect();
        Ok(Frozen {
            tree: id.into(),
            taken: taken.into(),
            changes: changes.map_err(|error| failed(&error))?,
            record: Some(tree),
            volume: after,
            live: true,
        })
    }

    /// The newest copy of a volume's files on the same trees: what was not touched since is not copied again.
    fn earlier(&self, volume: &str, parent: &str) -> Option<TreeRecord> {
        let trees = self.volumes.trees();
        let fits = trees
            .values()
            .filter(|tree| tree.copied && tree.volume == volume && tree.parent == parent);
        fits.max_by(|a, b| a.taken.cmp(&b.taken)).cloned()
    }
}

fn copy(
    source: &Path,
    target: &Path,
    method: Method,
    roots: &crate::roots::Roots,
    earlier: Option<&TreeRecord>,
) -> std::result::Result<Copied, TreeError> {
    let at = |path: &Path, step| {
        let path = path.to_owned();
        move |source| TreeError::Entry { step, path, source }
    };
    std::fs::create_dir_all(target).map_err(at(target, "make"))?;
    let open = |path: &Path| Dir::open(path).map_err(at(path, "open"));
    let (from, to) = (open(source)?, open(target)?);
    let known = earlier.and_then(|tree| {
        let begun = Timestamp {
            seconds: clock::seconds(&tree.taken),
            nanoseconds: 0,
        };
        Some((Dir::open(&trees::data(roots, &tree.id)).ok()?, begun))
    });
    let transfer = match (method, &known) {
        (Method::Share, _) => Transfer::Share,
        (_, Some((copy, begun))) => Transfer::Since {
            copy,
            begun: *begun,
        },
        _ => Transfer::Bytes,
    };
    copy_tree(&from, &to, transfer)
}

/// The folder moves to the tree and leaves an empty one to mount on; both directories are on disk afterwards.
fn move_home(home: &Path, tree: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(tree)?;
    std::fs::rename(home, tree.join("data"))?;
    std::fs::create_dir(home)?;
    for path in [Some(tree), tree.parent(), home.parent()]
        .into_iter()
        .flatten()
    {
        std::fs::File::open(path)?.sync_all()?;
    }
    Ok(())
}

fn same_top(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let top = |path: &Path| {
        let meta = path.metadata().ok()?;
        Some((meta.mode(), meta.uid(), meta.gid()))
    };
    // A tree that was not made yet will be like the one below.
    !a.exists() || top(a) == top(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_in_use_are_never_frozen_in_place() {
        let idle = Situation::default();
        assert_eq!(method(idle), Method::InPlace);
        let runs = Situation { runs: true, ..idle };
        assert_eq!(method(runs), Method::Copy);
        for runs in [true, false] {
            let shares = Situation {
                shares: true,
                runs,
                ..idle
            };
            assert_eq!(method(shares), Method::Share);
            let deep = Situation {
                depth: DEEPEST,
                stacked: true,
                runs,
                ..idle
            };
            assert_eq!(method(deep), Method::Flatten);
            let unchanged = Situation {
                unchanged: true,
                ..deep
            };
            assert_eq!(method(unchanged), Method::Unchanged);
        }
    }
}
