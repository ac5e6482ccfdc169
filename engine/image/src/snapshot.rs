//! What a container's root file system is mounted from.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use bowline_sys::overlay::Overlay;
use bowline_sys::root::{Dir, FileKind, Root, Stat};
use bowline_sys::xattr;

use crate::Result;
use crate::digest::ImageId;
use crate::error::{Context, Error, FilesystemError};
use crate::store::Store;

/// The directories of one container's overlay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The image's layers, top first.
    pub lowers: Vec<PathBuf>,
    /// Where the container writes.
    pub upper: PathBuf,
    /// The overlay's scratch directory.
    pub work: PathBuf,
}

impl Store {
    /// Makes the writable directories of a container in `container_dir`, or finds those made before.
    pub fn snapshot(&self, image: &ImageId, container_dir: &Path) -> Result<Snapshot> {
        let lowers = self.lowers(image)?;
        let (upper, work) = (container_dir.join("upper"), container_dir.join("work"));
        for path in [&upper, &work] {
            match std::fs::create_dir(path) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                other => other.file("create", path)?,
            }
        }
        // The root directory of an overlay has the attributes of its upper one, so those must be the image's.
        if let Some(top) = lowers.first() {
            let root = Root::open(top).file("open", top)?;
            let stat = Stat::of(&root).file("stat", top)?;
            adopt(&upper, &stat).file("set owner and mode of", &upper)?;
        }
        Ok(Snapshot {
            lowers,
            upper,
            work,
        })
    }

    /// The whole image as a read-only file system that is mounted nowhere: reach into it through the descriptor. It
    /// goes when that closes.
    pub fn mount(&self, image: &ImageId) -> Result<OwnedFd> {
        let mut lowers = self.lowers(image)?;
        // An overlay without an upper wants two lowers at least.
        let missing = 2_usize.saturating_sub(lowers.len());
        lowers.extend((1..=missing).map(|n| self.0.root.join("empty").join(n.to_string())));
        let mount = Overlay {
            lowers: &lowers,
            upper: None,
        }
        .mount();
        mount.map_err(|source| Error::Mount {
            image: image.clone(),
            source,
        })
    }

    /// The directories of all layers of an image, top first; two of them at least, as an overlay without a writable
    /// directory needs.
    pub fn layer_folders(&self, image: &ImageId) -> Result<Vec<PathBuf>> {
        let mut lowers = self.lowers(image)?;
        let missing = 2_usize.saturating_sub(lowers.len());
        lowers.extend((1..=missing).map(|n| self.0.root.join("empty").join(n.to_string())));
        Ok(lowers)
    }

    /// Top first. Overlayfs refuses one directory twice, and some builders do stack the same layer twice: the upper
    /// one of the two hides the lower one entirely.
    fn lowers(&self, image: &ImageId) -> Result<Vec<PathBuf>> {
        let image = self.view()?.image(image)?;
        let mut seen = HashSet::new();
        let layers = image
            .diff_ids
            .iter()
            .rev()
            .filter(|layer| seen.insert(*layer));
        Ok(layers.map(|layer| self.0.layer_files(layer)).collect())
    }

    /// Whether the store's file system can hold containers.
    pub fn verify_filesystem(&self) -> Result<()> {
        Ok(verify_filesystem(&self.0.root)?)
    }
}

fn adopt(path: &Path, stat: &Stat) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::os::unix::fs::lchown(path, Some(stat.uid), Some(stat.gid))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(stat.mode))
}

/// Tries whether the file system of the directory `root` can hold the upper directory of an overlay, by making one.
pub fn verify_filesystem(root: &Path) -> Result<(), FilesystemError> {
    let write = |source| FilesystemError::Write {
        root: root.to_owned(),
        source,
    };
    let probe = root.join(format!(".overlay-probe-{}", std::process::id()));
    std::fs::create_dir_all(&probe).map_err(write)?;
    let verdict = try_overlay(root, &probe);
    std::fs::remove_dir_all(&probe).map_err(write)?;
    verdict
}

fn try_overlay(root: &Path, probe: &Path) -> Result<(), FilesystemError> {
    let write = |source| FilesystemError::Write {
        root: root.to_owned(),
        source,
    };
    let names = ["lower", "upper", "work"].map(|name| probe.join(name));
    for path in &names {
        std::fs::create_dir(path).map_err(write)?;
    }
    let [lower, upper, work] = &names;
    std::fs::write(lower.join("gone"), "").map_err(write)?;
    let dir = Dir::open(lower).map_err(write)?;
    xattr::set(&dir, "trusted.overlay.opaque".as_ref(), b"y").map_err(|source| {
        FilesystemError::Attributes {
            root: root.to_owned(),
            source,
        }
    })?;
    if dir
        .entries()
        .map_err(write)?
        .iter()
        .any(|(_, kind)| *kind == FileKind::Unknown)
    {
        return Err(FilesystemError::FileTypes {
            root: root.to_owned(),
        });
    }
    let overlay = Overlay {
        lowers: std::slice::from_ref(lower),
        upper: Some((upper, work)),
    };
    let mount = overlay.mount().map_err(|source| FilesystemError::Overlay {
        root: root.to_owned(),
        source,
    })?;
    // A whiteout must be possible too: some file systems mount and then refuse device nodes.
    Dir::from_fd(mount).remove_file("gone").map_err(write)
}
