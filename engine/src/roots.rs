//! The two folders an engine owns, what lies where in them, and the tag that keeps engines apart.

use std::fmt;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// Data root and run root of one engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roots {
    data: PathBuf,
    run: PathBuf,
}

/// Four letters derived from both roots; in the name of everything the kernel holds for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(String);

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Roots {
    /// The two roots as they were given.
    pub fn new(data: PathBuf, run: PathBuf) -> Self {
        Self { data, run }
    }

    /// The data root.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The run root.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// See [`Tag`].
    pub fn tag(&self) -> Tag {
        const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let mut hash = Sha256::new();
        hash.update(self.data.as_os_str().as_encoded_bytes());
        hash.update([0]);
        hash.update(self.run.as_os_str().as_encoded_bytes());
        let digest = hash.finalize();
        Tag(digest[..4]
            .iter()
            .map(|byte| char::from(LETTERS[usize::from(byte & 31)]))
            .collect())
    }

    /// The API socket.
    pub fn socket(&self) -> PathBuf {
        self.run.join("bowline.sock")
    }

    /// Held exclusively by the one engine of these roots.
    pub fn lock(&self) -> PathBuf {
        self.run.join("engine.lock")
    }

    /// The engine's life as shims read it.
    pub fn life(&self) -> PathBuf {
        self.run.join("engine.json")
    }

    /// The state store.
    pub fn store(&self) -> PathBuf {
        self.data.join("state.redb")
    }

    /// Space given back when the disk is full, so that removing things works.
    pub fn reserve(&self) -> PathBuf {
        self.data.join("reserve")
    }

    /// Blobs, layers.
    pub fn images(&self) -> PathBuf {
        self.data.join("images")
    }

    /// Log, generated files and writable layer of a container.
    pub fn container(&self, id: &str) -> PathBuf {
        self.data.join("containers").join(id)
    }

    /// Shim socket, exit record and FIFOs of a container.
    pub fn container_run(&self, id: &str) -> PathBuf {
        self.run.join("containers").join(id)
    }

    /// What running steps of builds have, a folder each.
    pub fn builds_run(&self) -> PathBuf {
        self.run.join("builds")
    }

    /// What the builder knows beside the images.
    pub fn builder(&self) -> PathBuf {
        self.data.join("builder")
    }

    /// Files that clients sent for builds, a folder each.
    pub fn builds(&self) -> PathBuf {
        self.data.join("builds")
    }

    /// As [`Roots::container_run`], for a step of a build.
    pub fn build_run(&self, id: &str) -> PathBuf {
        self.builds_run().join(id)
    }

    /// Named and anonymous volumes.
    pub fn volume(&self, name: &str) -> PathBuf {
        self.data.join("volumes").join(name)
    }

    /// Trees of files that volumes and snapshots are made of, each a folder with `data` in it.
    pub fn trees(&self) -> PathBuf {
        self.data.join("trees")
    }

    /// Pinned network namespaces.
    pub fn netns(&self) -> PathBuf {
        self.run.join("netns")
    }

    /// Makes the folders; the data root may be entered by anybody (volumes are), listed by root only.
    ///
    /// # Errors
    /// The folder that could not be made, with the kernel's word.
    pub fn create(&self) -> Result<(), (PathBuf, std::io::Error)> {
        let folders = [
            (self.data.clone(), 0o711),
            (self.data.join("containers"), 0o711),
            (self.data.join("volumes"), 0o711),
            (self.trees(), 0o700),
            (self.images(), 0o711),
            (self.run.clone(), 0o711),
            (self.run.join("containers"), 0o700),
            (self.builds_run(), 0o700),
            (self.builds(), 0o700),
            (self.netns(), 0o700),
        ];
        for (folder, mode) in folders {
            let made = std::fs::DirBuilder::new()
                .recursive(true)
                .mode(mode)
                .create(&folder);
            made.map_err(|error| (folder, error))?;
        }
        Ok(())
    }
}
