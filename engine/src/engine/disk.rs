//! What folders take on the disk.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Bytes of the regular files below `folder`; what vanishes meanwhile counts as nothing.
pub(super) fn size(folder: &Path) -> i64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let one = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => size(&entry.path()),
        Ok(meta) if meta.is_file() => i64::try_from(meta.size()).unwrap_or(i64::MAX),
        _ => 0,
    };
    entries.flatten().map(one).fold(0, i64::saturating_add)
}
