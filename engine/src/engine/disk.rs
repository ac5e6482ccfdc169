//! What everything takes on the disk.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use bowline_api::{BuildCacheEntry, DiskUsage, Filters};
use bowline_image::{BuildEntry, ImageId};
use tokio::task::block_in_place;

use super::Engine;
use crate::error::Result;

/// Which parts of [`DiskUsage`] are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Containers.
    pub containers: bool,
    /// Images.
    pub images: bool,
    /// Volumes.
    pub volumes: bool,
    /// The build cache.
    pub build_cache: bool,
}

impl Wanted {
    /// Everything.
    pub const ALL: Self = Self {
        containers: true,
        images: true,
        volumes: true,
        build_cache: true,
    };
}

impl Engine {
    /// `GET /system/df`.
    ///
    /// # Errors
    /// The image store cannot be read.
    pub async fn disk_usage(self: &Arc<Self>, wanted: Wanted) -> Result<DiskUsage> {
        let none = Filters::new();
        let mut usage = DiskUsage::default();
        if wanted.images {
            usage.images = self.images_list(true, &none).await?;
            usage.layers_size = block_in_place(|| {
                for image in &mut usage.images {
                    let id: Option<ImageId> = image.id.parse().ok();
                    let shared = id.map(|id| self.images().shared_size(&id)).transpose()?;
                    image.shared_size = signed(shared.unwrap_or(0));
                }
                self.images().disk_usage().map(signed)
            })?;
        }
        if wanted.containers {
            usage.containers = self.containers_list(true, None, true, &none).await?;
        }
        if wanted.volumes {
            usage.volumes = block_in_place(|| self.volumes_with_usage());
            usage.snapshots_size = block_in_place(|| signed(self.frozen_size()));
        }
        if wanted.build_cache {
            let entries = block_in_place(|| self.images().builds())?;
            usage.build_cache = entries.iter().map(build_entry).collect();
        }
        Ok(usage)
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn build_entry(entry: &BuildEntry) -> BuildCacheEntry {
    let time = |nanoseconds: u64| {
        let at = jiff::Timestamp::from_nanosecond(nanoseconds.into()).unwrap_or_default();
        crate::clock::text(at)
    };
    let record = &entry.record;
    BuildCacheEntry {
        id: entry.key.hex().to_owned(),
        parents: record
            .parents
            .iter()
            .map(|key| key.hex().to_owned())
            .collect(),
        kind: "regular".into(),
        description: record.description.clone(),
        in_use: entry.in_use,
        shared: entry.shared,
        size: signed(entry.size),
        created_at: time(record.created),
        last_used_at: Some(time(record.used)),
        usage_count: signed(record.uses),
    }
}

/// Bytes of the regular files below `folder`, one with several names counted once; what vanishes meanwhile counts as
/// nothing.
pub(super) fn size(folder: &Path) -> i64 {
    measure(folder, &mut HashSet::new())
}

fn measure(folder: &Path, seen: &mut HashSet<(u64, u64)>) -> i64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let mut sum = 0_i64;
    for entry in entries.flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        let more = match meta.is_dir() {
            true => measure(&entry.path(), seen),
            false if !meta.is_file() => 0,
            false if meta.nlink() > 1 && !seen.insert((meta.dev(), meta.ino())) => 0,
            false => signed(meta.size()),
        };
        sum = sum.saturating_add(more);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_two_names_counts_once() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        std::fs::write(folder.path().join("one"), [0; 1000]).unwrap();
        std::fs::hard_link(folder.path().join("one"), folder.path().join("sub/two")).unwrap();
        assert_eq!(size(folder.path()), 1000);
    }
}
