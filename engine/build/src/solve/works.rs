//! Mount points that a process needed and its image must not keep.

use std::io;
use std::path::{Path, PathBuf};

use bowline_sys::root::{Dir, FileKind, Root, Stat};

use crate::copy::Canvas;

/// What every process gets beside its own mounts.
const ALWAYS: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// The paths that mounting on `targets` will make, deepest first, in the tree as it is now.
pub(super) fn stubs<'a>(
    canvas: &Canvas,
    targets: impl Iterator<Item = &'a str>,
) -> io::Result<Vec<PathBuf>> {
    let mut stubs: Vec<PathBuf> = Vec::new();
    for target in ALWAYS.into_iter().chain(targets) {
        let mut path = canvas.locate(Path::new(target))?;
        while !path.as_os_str().is_empty() && canvas.stat(&path)?.is_none() {
            if !stubs.contains(&path) {
                stubs.push(path.clone());
            }
            path.pop();
        }
    }
    stubs.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
    Ok(stubs)
}

/// Takes them away again, but those that something was put into. What they were in keeps its time.
pub(super) fn remove_stubs(upper: &Path, stubs: &[PathBuf]) -> io::Result<()> {
    let root = Root::open(upper)?.without_symlinks()?;
    for stub in stubs {
        let (Some(parent), Some(name)) = (stub.parent(), stub.file_name()) else {
            continue;
        };
        let Ok(parent) = root.open_dir(parent) else {
            continue;
        };
        let before = Stat::of(&parent)?;
        let removed = match parent.stat(name) {
            Ok(stat) if stat.kind == FileKind::Directory => {
                is_empty(&parent.open_dir(name)?)? && parent.remove_dir(name).is_ok()
            }
            Ok(stat) if stat.size == 0 && !stat.is_whiteout() => parent.remove_file(name).is_ok(),
            _ => false,
        };
        if removed {
            parent.set_own_times(before.modified)?;
        }
    }
    Ok(())
}

fn is_empty(dir: &Dir) -> io::Result<bool> {
    Ok(dir.entries()?.is_empty())
}
