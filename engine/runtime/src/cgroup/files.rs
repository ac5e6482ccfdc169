//! Reading and writing the small files of cgroupfs, with the path in every error.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use super::CgroupError;

/// Writes in one call, as cgroupfs wants it, and never creates a file.
pub(super) fn write(path: &Path, value: &str) -> Result<(), CgroupError> {
    OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut file| file.write_all(value.as_bytes()))
        .map_err(|source| CgroupError::Write {
            path: path.into(),
            value: value.to_owned(),
            source,
        })
}

pub(super) fn read(path: &Path) -> Result<String, CgroupError> {
    fs::read_to_string(path).map_err(|source| CgroupError::Read {
        path: path.into(),
        source,
    })
}

/// `None` when there is no such file, or its group went away while it was read.
pub(super) fn read_if_there(path: &Path) -> Result<Option<String>, CgroupError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(source) => Err(CgroupError::Read {
            path: path.into(),
            source,
        }),
    }
}

/// No such file, or (ENODEV) one whose group was removed after it was opened.
pub(super) fn is_gone(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(nix::libc::ENODEV)
}

/// A file that holds one number. `max` and what else is no number give `None`.
pub(super) fn number(path: &Path) -> Result<Option<u64>, CgroupError> {
    Ok(read_if_there(path)?.and_then(|text| text.trim().parse().ok()))
}

/// The value of `key` in a file of `key value` lines.
pub(super) fn value(text: &str, key: &str) -> Option<u64> {
    pairs(text)
        .find(|(name, _)| *name == key)
        .map(|(_, value)| value)
}

/// All `key value` lines with a number.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().filter_map(|line| {
        let (key, value) = line.split_once(' ')?;
        Some((key, value.trim().parse().ok()?))
    })
}
