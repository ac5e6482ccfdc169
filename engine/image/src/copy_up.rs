//! Filling an empty volume with what the image has at the volume's place.
//!
//! Docker's rule: only an empty volume is filled, and its own directory takes owner and mode of the image's; what the
//! image has elsewhere, or as something other than a directory, leaves the volume as it is.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use bowline_sys::root::{Dir, FileKind, Node, Root, Stat};
use bowline_sys::xattr;

use crate::Result;
use crate::digest::ImageId;
use crate::error::Context;
use crate::store::Store;

impl Store {
    /// Copies the image's directory `inside` into the directory `volume`, if that is empty. Says whether it copied.
    pub fn copy_up(&self, image: &ImageId, inside: &Path, volume: &Path) -> Result<bool> {
        let target = Dir::open(volume).file("open", volume)?;
        if !target.entries().file("list", volume)?.is_empty() {
            return Ok(false);
        }
        // Links on the way are followed as the container would, inside the image.
        let root = Root::from_fd(self.mount(image)?);
        let source = match root.open_dir(inside) {
            Ok(source) => source,
            Err(error) if absent(&error) => return Ok(false),
            Err(error) => return Err(error).file("open in the image", inside),
        };
        let stat = Stat::of(&source).file("stat in the image", inside)?;
        copy_entries(&source, &target).file("copy the image's files to", volume)?;
        adopt(volume, &stat).file("set owner and mode of", volume)?;
        target.sync_filesystem().file("write out", volume)?;
        Ok(true)
    }
}

fn absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn adopt(path: &Path, stat: &Stat) -> io::Result<()> {
    std::os::unix::fs::chown(path, Some(stat.uid), Some(stat.gid))?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(stat.mode);
    std::fs::set_permissions(path, mode)
}

fn copy_entries(source: &Dir, target: &Dir) -> io::Result<()> {
    for (name, _) in source.entries()? {
        copy_one(source, target, &name)?;
    }
    Ok(())
}

fn copy_one(source: &Dir, target: &Dir, name: &OsStr) -> io::Result<()> {
    let stat = source.stat(name)?;
    match stat.kind {
        FileKind::Directory => {
            target.mkdir(name, 0o700)?;
            let (from, to) = (source.open_dir(name)?, target.open_dir(name)?);
            copy_entries(&from, &to)?;
            copy_attributes(&from, target, name)?;
        }
        FileKind::File => {
            let (mut from, mut to) = (source.open_file(name)?, target.create_file(name, 0o600)?);
            io::copy(&mut from, &mut to)?;
            copy_attributes(&from, target, name)?;
        }
        FileKind::Symlink => target.symlink(source.read_link(name)?, name)?,
        FileKind::Character => node(target, name, Node::Character(stat.device.0, stat.device.1))?,
        FileKind::Block => node(target, name, Node::Block(stat.device.0, stat.device.1))?,
        FileKind::Fifo => node(target, name, Node::Fifo)?,
        // A socket without its listener is nothing to copy.
        FileKind::Socket | FileKind::Unknown => return Ok(()),
    }
    // Owner before mode: a change of owner takes setuid bits away.
    target.chown(name, stat.uid, stat.gid)?;
    if stat.kind != FileKind::Symlink {
        target.chmod(name, stat.mode)?;
    }
    target.set_times(name, stat.modified)
}

fn node(target: &Dir, name: &OsStr, node: Node) -> io::Result<()> {
    target.mknod(name, node, 0o600)
}

/// Extended attributes but overlay's own, which mean nothing outside it.
fn copy_attributes(from: impl std::os::fd::AsFd, target: &Dir, name: &OsStr) -> io::Result<()> {
    for key in xattr::list(&from)? {
        if key.as_encoded_bytes().starts_with(b"trusted.overlay.") {
            continue;
        }
        if let Some(value) = xattr::get(&from, &key)? {
            target.set_xattr(name, &key, &value)?;
        }
    }
    Ok(())
}
