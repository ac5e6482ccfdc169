//! A volume's files as an overlay: a writable directory on frozen ones.

use std::collections::HashSet;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bowline_sys::mount;
use bowline_sys::overlay::{Options, Overlay, OverlayError};
use bowline_sys::root::{Dir, Stat, share_blocks};

/// What overlayfs is to do, whatever the kernel's own defaults are. A directory of a frozen tree can be renamed
/// (otherwise programs get EXDEV); everything else would bind the writable directory to these very lower ones.
const OPTIONS: Options<'static> = &[
    ("redirect_dir", "on"),
    ("index", "off"),
    ("metacopy", "off"),
];

/// The directories of a volume's overlay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// The frozen ones, top first.
    pub lowers: Vec<PathBuf>,
    /// Where is written.
    pub upper: PathBuf,
    /// The overlay's scratch directory.
    pub work: PathBuf,
}

/// An overlay for a volume could not be made.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// The directories.
    #[error("prepare `{}`", path.display())]
    Prepare {
        /// Which.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// The mount.
    #[error("mount the volume's layers")]
    Mount(#[from] OverlayError),
    /// Its place.
    #[error("mount on `{}`", path.display())]
    Place {
        /// Which.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
}

impl Stack {
    /// Makes the writable directories where they are missing; the top gets owner and mode of the frozen one's.
    ///
    /// # Errors
    /// See [`StackError`].
    pub fn prepare(&self) -> Result<(), StackError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| StackError::Prepare { path, source }
        };
        let fresh = !self.upper.is_dir();
        for path in [&self.upper, &self.work] {
            std::fs::create_dir_all(path).map_err(failed(path))?;
        }
        let (true, Some(below)) = (fresh, self.lowers.first()) else {
            return Ok(());
        };
        let like = Dir::open(below).and_then(Stat::of).map_err(failed(below))?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(like.mode);
        std::os::unix::fs::chown(&self.upper, Some(like.uid), Some(like.gid))
            .and_then(|()| std::fs::set_permissions(&self.upper, mode))
            .map_err(failed(&self.upper))
    }

    /// Mounts it on the directory `place`, for everybody to see.
    ///
    /// # Errors
    /// See [`StackError`].
    pub fn mount_on(&self, place: &Path) -> Result<(), StackError> {
        self.prepare()?;
        let overlay = Overlay {
            lowers: &self.lowers,
            upper: Some((&self.upper, &self.work)),
        };
        let tree = overlay.mount_with(OPTIONS)?;
        let placed = Dir::open(place).and_then(|on| mount::attach(tree.as_fd(), on.as_fd()));
        placed.map_err(|source| StackError::Place {
            path: place.to_owned(),
            source,
        })
    }
}

/// Whether files in `folder` can share their blocks.
pub fn can_share(folder: &Path) -> bool {
    let names = ["probe-from", "probe-to"];
    let try_it = || -> io::Result<()> {
        let dir = Dir::open(folder)?;
        let [mut from, to] = [
            dir.create_file(names[0], 0o600)?,
            dir.create_file(names[1], 0o600)?,
        ];
        io::Write::write_all(&mut from, &[1; 4096])?;
        share_blocks(&from, &to)
    };
    let shares = try_it().is_ok();
    for name in names {
        // One that was not made has nothing to remove.
        drop(std::fs::remove_file(folder.join(name)));
    }
    shares
}

/// Removes a tree; nothing there is success.
///
/// # Errors
/// The kernel's.
pub fn clear_tree(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Bytes that a tree occupies on the disk, a file with several names counted once. What vanishes meanwhile counts as
/// nothing.
pub fn space_used(path: &Path) -> u64 {
    let mut seen = HashSet::new();
    measure(path, &mut seen)
}

fn measure(path: &Path, seen: &mut HashSet<(u64, u64)>) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else {
        return 0;
    };
    let mut sum = 0_u64;
    for entry in entries.flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        if meta.nlink() > 1 && !meta.is_dir() && !seen.insert((meta.dev(), meta.ino())) {
            continue;
        }
        sum = sum.saturating_add(meta.blocks().saturating_mul(512));
        if meta.is_dir() {
            sum = sum.saturating_add(measure(&entry.path(), seen));
        }
    }
    sum
}
