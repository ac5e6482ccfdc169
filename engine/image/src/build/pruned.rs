//! Taking out of an upper directory what is the same below it.
//!
//! Opening a file for writing, or making something in a directory and removing it, copies it up. A layer that held such
//! copies would tell of changes where there are none, and a step that changed nothing would make a layer.

use std::ffi::OsStr;
use std::io;

use bowline_sys::root::{Dir, FileKind, Stat};

use super::tree::{is_opaque, xattrs};

/// Takes out of `upper` what `lower`, the tree below it, has just so.
pub(super) fn drop_unchanged(upper: &Dir, lower: &Dir) -> io::Result<()> {
    prune(upper, lower).map(drop)
}

/// Answers whether something is left.
fn prune(upper: &Dir, lower: &Dir) -> io::Result<bool> {
    let (mut left, mut dropped) = (false, false);
    let before = Stat::of(upper)?;
    for (name, _) in upper.entries()? {
        let own = upper.stat(&name)?;
        let keep = match lower.stat(&name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(error),
            Ok(below) if own.kind != below.kind => true,
            Ok(below) if own.kind == FileKind::Directory => {
                let (dir, below_dir) = (upper.open_dir(&name)?, lower.open_dir(&name)?);
                let apart = is_opaque(&dir)? || prune(&dir, &below_dir)?;
                apart || !same_attributes(&own, &below) || xattrs(&dir)? != xattrs(&below_dir)?
            }
            Ok(below) => !same_file(upper, lower, &name, &own, &below)?,
        };
        left |= keep;
        if !keep {
            dropped = true;
            if own.kind == FileKind::Directory {
                upper.remove_dir(&name)?;
            } else {
                upper.remove_file(&name)?;
            }
        }
    }
    if dropped {
        upper.set_own_times(before.modified)?;
    }
    Ok(left)
}

fn same_attributes(own: &Stat, below: &Stat) -> bool {
    (own.mode, own.uid, own.gid) == (below.mode, below.uid, below.gid)
}

/// By size and time, as the kernel's copies have them; only a program that sets a file's time back could hide a
/// change, as it could from every backup.
fn same_file(upper: &Dir, lower: &Dir, name: &OsStr, own: &Stat, below: &Stat) -> io::Result<bool> {
    if own.is_whiteout() || !same_attributes(own, below) || own.modified != below.modified {
        return Ok(false);
    }
    match own.kind {
        FileKind::Symlink => Ok(upper.read_link(name)? == lower.read_link(name)?),
        FileKind::File => Ok(own.size == below.size
            && own.links == 1
            && xattrs(upper.open_file(name)?)? == xattrs(lower.open_file(name)?)?),
        _ => Ok(own.device == below.device),
    }
}
