//! Filling an empty volume with what the image has at the volume's place.
//!
//! Docker's rule: only an empty volume is filled, and its own directory takes owner, mode and attributes of the image's;
//! what the image has elsewhere, or as something other than a directory, leaves the volume as it is.

use std::io;
use std::path::Path;

use bowline_sys::root::{Dir, Root};

use crate::Result;
use crate::digest::ImageId;
use crate::error::{Context, Error};
use crate::files::{Transfer, TreeError, copy_tree};
use crate::store::Store;

impl Store {
    /// Copies the image's directory `inside` into the directory `volume`, if that is empty. Says whether it copied.
    pub fn copy_up(&self, image: &ImageId, inside: &Path, volume: &Path) -> Result<bool> {
        self.copy_up_to(image, inside, &Dir::open(volume).file("open", volume)?)
    }

    /// As [`Store::copy_up`], to a directory that is open.
    pub fn copy_up_to(&self, image: &ImageId, inside: &Path, target: &Dir) -> Result<bool> {
        if !target.entries().file("list", inside)?.is_empty() {
            return Ok(false);
        }
        // Links on the way are followed as the container would, inside the image.
        let root = Root::from_fd(self.mount(image)?);
        let source = match root.open_dir(inside) {
            Ok(source) => source,
            Err(error) if absent(&error) => return Ok(false),
            Err(error) => return Err(error).file("open in the image", inside),
        };
        copy_tree(&source, target, Transfer::Bytes)?;
        target.sync_filesystem().file("write out", inside)?;
        Ok(true)
    }
}

impl Error {
    /// Whether a file could not be given to its owner, as on a file system whose server maps root away.
    pub fn is_refused_owner(&self) -> bool {
        matches!(self, Self::Tree(TreeError::Entry { source, .. })
            if source.kind() == io::ErrorKind::PermissionDenied)
    }
}

fn absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
