//! How this crate sees files: through a trait that the caller answers.

use std::collections::BTreeMap;

/// A file that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileError {
    /// It does not exist.
    NotFound,
    /// It is a directory.
    IsDirectory,
    /// Anything else, in the system's words.
    Other(String),
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotFound => "no such file",
            Self::IsDirectory => "it is a directory",
            Self::Other(reason) => reason,
        })
    }
}

impl std::error::Error for FileError {}

/// The files of the caller. All paths are absolute, except `-`, which is standard input.
pub trait Files {
    /// The whole text of a file, or of standard input for `-`.
    ///
    /// # Errors
    /// The file is missing, a directory, unreadable, or not UTF-8.
    fn read(&self, path: &str) -> Result<String, FileError>;

    /// Whether a path exists and is a regular file (or a link to one).
    fn is_file(&self, path: &str) -> bool;

    /// Whether a path exists and is a directory (or a link to one).
    fn is_dir(&self, path: &str) -> bool;
}

/// Files that live in memory: for tests, here and elsewhere.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles(BTreeMap<String, String>);

impl MemoryFiles {
    /// Adds a file under an absolute path.
    #[must_use]
    pub fn with(mut self, path: impl Into<String>, text: impl Into<String>) -> Self {
        self.0.insert(path.into(), text.into());
        self
    }
}

impl Files for MemoryFiles {
    fn read(&self, path: &str) -> Result<String, FileError> {
        match self.0.get(path) {
            Some(text) => Ok(text.clone()),
            None if self.is_dir(path) => Err(FileError::IsDirectory),
            None => Err(FileError::NotFound),
        }
    }

    fn is_file(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    fn is_dir(&self, path: &str) -> bool {
        let inside = format!("{}/", path.trim_end_matches('/'));
        self.0.keys().any(|file| file.starts_with(&inside))
    }
}
