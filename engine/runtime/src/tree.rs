//! Overlays that are shown at a path of the host for a while, so that parts of them can be bound elsewhere: a mount
//! that is attached nowhere cannot be bound before Linux 6.15.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use bowline_sys::mount;
use bowline_sys::overlay::Overlay;
use bowline_sys::root::Root;

/// Shows the layers `lowers` (topmost first) at the folder `at`; writable where there are an upper and a scratch
/// directory. Whoever asks for it unmounts it.
///
/// # Errors
/// The kernel's.
pub fn attach_tree(
    lowers: &[PathBuf],
    writable: Option<(&Path, &Path)>,
    at: &Path,
) -> io::Result<()> {
    let overlay = Overlay {
        lowers,
        upper: writable,
    };
    let tree = overlay.mount().map_err(io::Error::other)?;
    let on = File::open(at)?;
    mount::attach(tree.as_fd(), on.as_fd())
}

/// The path, free of links, that `path` leads to inside of the folder `root`. What it names exists.
///
/// # Errors
/// `NotFound`, and the kernel's.
pub fn locate_inside(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let tree = Root::open(root)?;
    let found = tree.locate(path)?;
    if found.as_os_str().is_empty() {
        return Ok(root.to_owned());
    }
    tree.stat_nofollow(&found)?;
    Ok(root.join(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_stays_inside_and_a_missing_path_is_not_found() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("usr/share")).unwrap();
        std::os::unix::fs::symlink("/usr", dir.path().join("link")).unwrap();
        let found = locate_inside(dir.path(), Path::new("/link/share")).unwrap();
        assert_eq!(found, dir.path().join("usr/share"));
        assert_eq!(
            locate_inside(dir.path(), Path::new("")).unwrap(),
            dir.path()
        );
        let missing = locate_inside(dir.path(), Path::new("link/none")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
