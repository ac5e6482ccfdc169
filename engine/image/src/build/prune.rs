//! Forgetting what builds made: what goes is chosen by a pure function, and nothing in use is.

use std::collections::HashSet;
use std::time::Duration;

use super::BuildRecord;
use crate::Result;
use crate::digest::Digest;
use crate::store::{Store, lock, pinned};

/// One remembered step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildEntry {
    /// Its key.
    pub key: Digest,
    /// What it made.
    pub record: BuildRecord,
    /// Bytes of its own layer.
    pub size: u64,
    /// Whether a build under way counts on it.
    pub in_use: bool,
    /// Whether an image has its layer.
    pub shared: bool,
}

/// What may go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneBuilds {
    /// What images have in common with it too: that frees nothing yet.
    pub all: bool,
    /// Only what was not used for so long.
    pub unused_for: Option<Duration>,
    /// Only as much as is needed to keep within so many bytes.
    pub keep: Option<u64>,
}

/// What went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrunedBuilds {
    /// Keys of the steps.
    pub removed: Vec<Digest>,
    /// Bytes freed.
    pub reclaimed: u64,
}

/// Which of `entries` go at the time `now` (nanoseconds since 1970): those used longest ago first, and of equals those
/// that others stand on last.
pub(super) fn choose(entries: &[BuildEntry], wish: &PruneBuilds, now: u64) -> Vec<Digest> {
    let age = |entry: &BuildEntry| Duration::from_nanos(now.saturating_sub(entry.record.used));
    let mut free: Vec<&BuildEntry> = entries
        .iter()
        .filter(|entry| !entry.in_use && (wish.all || !entry.shared))
        .filter(|entry| wish.unused_for.is_none_or(|least| age(entry) >= least))
        .collect();
    free.sort_by_key(|entry| (entry.record.used, usize::MAX - entry.record.layers.len()));
    let Some(keep) = wish.keep else {
        return free.into_iter().map(|entry| entry.key.clone()).collect();
    };
    let mut total = occupied(entries);
    let mut chosen = Vec::new();
    for entry in free {
        if total <= keep {
            break;
        }
        total = total.saturating_sub(entry.size);
        chosen.push(entry.key.clone());
    }
    chosen
}

/// Bytes of the layers that only builds have, each counted once.
fn occupied(entries: &[BuildEntry]) -> u64 {
    let mut seen = HashSet::new();
    let own = entries.iter().filter(|entry| !entry.shared);
    own.filter(|entry| seen.insert(entry.record.layers.last()))
        .map(|entry| entry.size)
        .sum()
}

impl Store {
    /// All remembered steps.
    pub fn builds(&self) -> Result<Vec<BuildEntry>> {
        let view = self.view()?;
        let images: HashSet<Digest> = view.image_layers()?.into_iter().flatten().collect();
        let mut entries = Vec::new();
        for (key, record) in view.builds()? {
            let own = record.layers.last();
            entries.push(BuildEntry {
                key,
                size: own.map_or(Ok(0), |layer| view.layer_size(layer))?,
                in_use: own.is_some_and(|layer| pinned(&self.0).contains_key(layer)),
                shared: own.is_some_and(|layer| images.contains(layer)),
                record,
            });
        }
        Ok(entries)
    }

    /// Forgets steps and removes the layers that nothing else has. `matches` narrows down what is considered.
    pub fn prune_builds(
        &self,
        wish: &PruneBuilds,
        now: u64,
        matches: &dyn Fn(&BuildEntry) -> bool,
    ) -> Result<PrunedBuilds> {
        let entries = self.builds()?;
        let considered: Vec<BuildEntry> =
            entries.into_iter().filter(|entry| matches(entry)).collect();
        self.forget_builds(choose(&considered, wish, now))
    }

    fn forget_builds(&self, keys: Vec<Digest>) -> Result<PrunedBuilds> {
        if keys.is_empty() {
            return Ok(PrunedBuilds::default());
        }
        let before = self.disk_usage()?;
        let _one_at_a_time = lock(&self.0.committing);
        let unused = self.0.write(|tables| {
            keys.iter().try_for_each(|key| tables.remove_build(key))?;
            tables.remove_unused_layers(&pinned(&self.0))
        })?;
        for layer in unused {
            // The rows are gone, so a directory that cannot be removed now is swept at the next start.
            if let Err(error) = self.0.discard(&self.0.layer_dir(&layer)) {
                tracing::warn!(%layer, %error, "the files of a forgotten layer stay for now");
            }
        }
        Ok(PrunedBuilds {
            removed: keys,
            reclaimed: before.saturating_sub(self.disk_usage()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60 * 1_000_000_000;

    fn entry(name: &str, used: u64, size: u64) -> BuildEntry {
        let layer = Digest::of(name.as_bytes());
        BuildEntry {
            key: layer.clone(),
            record: BuildRecord {
                layers: vec![layer],
                created: 0,
                used,
                uses: 1,
                description: name.to_owned(),
                parents: Vec::new(),
            },
            size,
            in_use: false,
            shared: false,
        }
    }

    fn chosen(entries: &[BuildEntry], wish: &PruneBuilds) -> Vec<String> {
        let chosen = choose(entries, wish, 10 * DAY);
        let name = |key: &Digest| {
            let entry = entries.iter().find(|entry| entry.key == *key).unwrap();
            entry.record.description.clone()
        };
        chosen.iter().map(name).collect()
    }

    #[test]
    fn the_longest_unused_go_first_and_only_as_many_as_needed() {
        let entries = [
            entry("new", 9 * DAY, 100),
            entry("old", DAY, 100),
            entry("middle", 5 * DAY, 100),
        ];
        let keep = |keep| PruneBuilds {
            keep: Some(keep),
            ..PruneBuilds::default()
        };
        assert_eq!(chosen(&entries, &keep(300)), [""; 0]);
        assert_eq!(chosen(&entries, &keep(299)), ["old"]);
        assert_eq!(chosen(&entries, &keep(150)), ["old", "middle"]);
        assert_eq!(chosen(&entries, &keep(0)), ["old", "middle", "new"]);
        let aged = PruneBuilds {
            unused_for: Some(Duration::from_secs(4 * 24 * 60 * 60)),
            ..PruneBuilds::default()
        };
        assert_eq!(chosen(&entries, &aged), ["old", "middle"]);
    }

    #[test]
    fn what_is_in_use_stays_whatever_was_asked() {
        let mut used = entry("used", DAY, 100);
        used.in_use = true;
        let mut shared = entry("shared", DAY, 100);
        shared.shared = true;
        let entries = [used, shared, entry("free", DAY, 100)];
        assert_eq!(chosen(&entries, &PruneBuilds::default()), ["free"]);
        let all = PruneBuilds {
            all: true,
            keep: Some(0),
            ..PruneBuilds::default()
        };
        let mut gone = chosen(&entries, &all);
        gone.sort();
        assert_eq!(gone, ["free", "shared"]);
    }

    #[test]
    fn a_step_goes_before_the_one_it_stands_on() {
        let below = entry("below", DAY, 1);
        let mut above = entry("above", DAY, 1);
        above.record.layers.insert(0, below.key.clone());
        let entries = [below, above];
        assert_eq!(
            chosen(&entries, &PruneBuilds::default()),
            ["above", "below"]
        );
    }
}
