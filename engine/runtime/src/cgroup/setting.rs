//! What is to be written where: the outcome of the two tables (`v1.rs`, `v2.rs`), and its application to a directory.

use std::path::Path;

use nix::errno::Errno;

use super::{CgroupError, Warning, files};

/// One limit. Of several candidate files the first that exists is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    /// The limit in the API's words, for warnings.
    pub(super) wish: &'static str,
    /// File and value.
    pub(super) candidates: Vec<(String, String)>,
    /// What becomes of a wish that this kernel has no file for.
    pub(super) missing: Missing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// The container runs without, and its owner is told.
    Warn,
    /// Nobody asked for it by name.
    Ignore,
}

impl Setting {
    pub(super) fn new(wish: &'static str, file: impl Into<String>, value: impl ToString) -> Self {
        Self {
            wish,
            candidates: vec![(file.into(), value.to_string())],
            missing: Missing::Warn,
        }
    }

    pub(super) fn or(mut self, file: &str, value: impl ToString) -> Self {
        self.candidates.push((file.to_owned(), value.to_string()));
        self
    }

    /// Was it asked for by name?
    pub(super) fn is_a_wish(&self) -> bool {
        self.missing == Missing::Warn
    }

    pub(super) fn ignored_if_missing(mut self) -> Self {
        self.missing = Missing::Ignore;
        self
    }
}

/// Writes the settings in order.
pub(super) fn apply(dir: &Path, settings: &[Setting]) -> Result<Vec<Warning>, CgroupError> {
    let mut warnings = Vec::new();
    let mut late = Vec::new();
    for setting in settings {
        match write(dir, setting) {
            // A period that does not fit the old quota fits the new one, which is written after it.
            Err(CgroupError::Write { source, .. })
                if setting.candidates[0].0 == "cpu.cfs_period_us"
                    && source.raw_os_error() == Some(Errno::EINVAL as i32) =>
            {
                late.push(setting);
            }
            result => warnings.extend(result?),
        }
    }
    for setting in late {
        warnings.extend(write(dir, setting)?);
    }
    Ok(warnings)
}

fn write(dir: &Path, setting: &Setting) -> Result<Option<Warning>, CgroupError> {
    for (file, value) in &setting.candidates {
        match files::write(&dir.join(file), value) {
            Err(CgroupError::Write { source, .. }) if files::is_gone(&source) => {}
            // A file of another scheduler that is present but not in charge.
            Err(CgroupError::Write { source, .. })
                if source.raw_os_error() == Some(Errno::EOPNOTSUPP as i32) => {}
            result => return result.map(|()| None),
        }
    }
    let file = setting
        .candidates
        .first()
        .map_or("", |(file, _)| file.as_str());
    Ok(setting.is_a_wish().then(|| Warning {
        wish: setting.wish,
        reason: format!("this kernel has no {file}"),
    }))
}
