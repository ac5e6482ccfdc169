//! Removing what builds keep, by the words of Docker's API.

use std::time::Duration;

use bowline_api::{BuildsPruned, Filters};
use bowline_build::CacheEntry;
use bowline_image::{BuildEntry, PruneBuilds};
use tokio::task::block_in_place;

use crate::engine::Engine;
use crate::error::{Error, Result};

/// What Docker's filters mean for us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Chosen {
    ids: Vec<String>,
    /// Kinds: steps are `regular`, folders of `--mount=type=cache` are `exec.cachemount`.
    kinds: Vec<String>,
    in_use: bool,
    unused_for: Option<Duration>,
}

impl Engine {
    /// `POST /build/prune`: steps, then folders of `RUN --mount=type=cache`.
    ///
    /// # Errors
    /// A filter that cannot be right.
    pub(crate) async fn builds_prune(
        &self,
        all: bool,
        keep: Option<u64>,
        filters: &Filters,
    ) -> Result<BuildsPruned> {
        let chosen = chosen(filters)?;
        let wish = PruneBuilds {
            all,
            unused_for: chosen.unused_for,
            keep,
        };
        block_in_place(|| {
            let builder = self.builder();
            let steps = builder.prune(&wish, &|entry| chosen.has_step(entry))?;
            let mut pruned = BuildsPruned {
                caches_deleted: steps
                    .removed
                    .iter()
                    .map(|key| key.hex().to_owned())
                    .collect(),
                space_reclaimed: steps.reclaimed,
            };
            // Folders that a person's builds fill are worth more than steps: they go when all is to go.
            if all || chosen.names_folders() {
                let (ids, bytes) = builder.prune_cache_mounts(&|entry| chosen.has_folder(entry));
                pruned.caches_deleted.extend(ids);
                pruned.space_reclaimed += bytes;
            }
            Ok(pruned)
        })
    }
}

fn chosen(filters: &Filters) -> Result<Chosen> {
    let list = |key: &str| filters.values(key).map(str::to_owned).collect();
    let mut chosen = Chosen {
        ids: list("id"),
        kinds: list("type"),
        in_use: filters.has("inuse"),
        unused_for: None,
    };
    for key in ["unused-for", "until"] {
        for text in filters.values(key) {
            let Some(age) = duration(text) else {
                return Err(Error::invalid(format!(
                    "invalid filter '{key}={text}': it is no duration such as 24h"
                )));
            };
            chosen.unused_for = chosen.unused_for.max(Some(age));
        }
    }
    Ok(chosen)
}

impl Chosen {
    fn has_step(&self, entry: &BuildEntry) -> bool {
        self.is_meant("regular", entry.key.hex())
    }

    fn has_folder(&self, entry: &CacheEntry) -> bool {
        self.is_meant("exec.cachemount", &entry.key)
    }

    fn names_folders(&self) -> bool {
        self.kinds.iter().any(|kind| kind == "exec.cachemount")
    }

    fn is_meant(&self, kind: &str, id: &str) -> bool {
        // What is in use never goes, so whoever asks for that asks for nothing.
        !self.in_use
            && (self.kinds.is_empty() || self.kinds.iter().any(|known| known == kind))
            && (self.ids.is_empty() || self.ids.iter().any(|known| id.starts_with(known.as_str())))
    }
}

/// `24h`, `1h30m`, `90s`: Go's durations of whole units.
fn duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let count: u64 = rest[..digits].parse().ok()?;
        let tail = &rest[digits..];
        let (unit, length) = match tail.as_bytes() {
            [b'm', b's', ..] => (Duration::from_millis(1), 2),
            [b'h', ..] => (Duration::from_secs(3600), 1),
            [b'm', ..] => (Duration::from_secs(60), 1),
            [b's', ..] => (Duration::from_secs(1), 1),
            _ => return None,
        };
        total = total.checked_add(unit.checked_mul(u32::try_from(count).ok()?)?)?;
        rest = &tail[length..];
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        assert_eq!(duration("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("0s"), Some(Duration::ZERO));
        assert_eq!(
            (duration(""), duration("7"), duration("x")),
            (None, None, None)
        );
    }

    #[test]
    fn filters_narrow_down_what_goes() {
        let filters = Filters::parse(r#"{"until":["24h"],"type":["exec.cachemount"]}"#).unwrap();
        let chosen = chosen(&filters).unwrap();
        assert_eq!(chosen.unused_for, Some(Duration::from_secs(86_400)));
        assert!(chosen.names_folders() && !chosen.is_meant("regular", "a"));
        assert!(super::chosen(&Filters::parse(r#"{"until":["soon"]}"#).unwrap()).is_err());
    }
}
