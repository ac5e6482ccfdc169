//! Finding and making places inside a root file system whose contents are not ours.
//!
//! The kernel resolves every path (`openat2`) as if the root were `/`, so that no symlink and no race leads outside;
//! what is then done, is done to the descriptor.

use core::ffi::CStr;

use crate::sys::{
    self, EEXIST, ELOOP, ENAMETOOLONG, ENOENT, Fd, IN_ROOT, NO_MAGICLINKS, O_PATH,
    O_PATH_DIRECTORY, Result,
};

/// Symlinks followed by hand, which happens only for the last part of a path and only when it dangles.
const MOST_LINKS: usize = 8;
const LONGEST: usize = 4096;
/// The type of a plain file among the bits of a mode.
const REGULAR: u32 = 0o100_000;

/// Follows symlinks, but never out of the root and never through `/proc/PID/fd`.
pub(crate) const FOLLOW: u64 = IN_ROOT | NO_MAGICLINKS;

/// A path cut to a part of itself.
struct Part {
    bytes: [u8; LONGEST],
}

impl Part {
    const fn new() -> Self {
        Self {
            bytes: [0; LONGEST],
        }
    }

    fn set(&mut self, pieces: [&[u8]; 3]) -> Result<&CStr> {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        if length >= LONGEST {
            return Err(ENAMETOOLONG);
        }
        let text = pieces.into_iter().flatten().chain(&[0]);
        for (place, byte) in self.bytes.iter_mut().zip(text) {
            *place = *byte;
        }
        CStr::from_bytes_until_nul(&self.bytes).map_err(|_| ENAMETOOLONG)
    }
}

/// The directory at `path` in `root`, made with all its parents where it is missing.
pub(crate) fn directory(root: Fd, path: &CStr, mode: u32, resolve: u64) -> Result<Fd> {
    if path.is_empty() {
        return Ok(root);
    }
    match sys::openat2(root, path, O_PATH_DIRECTORY, resolve) {
        Err(ENOENT) => make_directories(root, path.to_bytes(), mode, resolve),
        other => other,
    }
}

fn make_directories(root: Fd, path: &[u8], mode: u32, resolve: u64) -> Result<Fd> {
    let (mut prefix, mut name) = (Part::new(), Part::new());
    let mut parent = root;
    let mut start = 0;
    while start < path.len() {
        let end = path[start..]
            .iter()
            .position(|byte| *byte == b'/')
            .map_or(path.len(), |at| start + at);
        if end > start {
            // Always from the root again, not from the parent: a symlink may have led elsewhere.
            let here = prefix.set([&path[..end], b"", b""])?;
            parent = match sys::openat2(root, here, O_PATH_DIRECTORY, resolve) {
                Err(ENOENT) => make_one(
                    root,
                    parent,
                    name.set([&path[start..end], b"", b""])?,
                    here,
                    mode,
                    resolve,
                )?,
                other => other?,
            };
        }
        start = end + 1;
    }
    Ok(parent)
}

fn make_one(
    root: Fd,
    parent: Fd,
    name: &CStr,
    whole: &CStr,
    mode: u32,
    resolve: u64,
) -> Result<Fd> {
    match sys::mkdirat(parent, name, mode) {
        // Somebody else made it meanwhile, or a symlink points to nothing: the second look tells.
        Ok(()) | Err(EEXIST) => sys::openat2(root, whole, O_PATH_DIRECTORY, resolve),
        Err(errno) => Err(errno),
    }
}

/// The file at `path` in `root`, made empty with all its parents where it is missing. A symlink that points to nothing
/// is followed to where it points, for images leave such ones for files that are to be mounted.
pub(crate) fn file(root: Fd, path: &CStr, resolve: u64) -> Result<Fd> {
    let (mut current, mut next, mut link) = (Part::new(), Part::new(), Part::new());
    current.set([path.to_bytes(), b"", b""])?;
    for _ in 0..MOST_LINKS {
        let here = CStr::from_bytes_until_nul(&current.bytes).map_err(|_| ENAMETOOLONG)?;
        match sys::openat2(root, here, O_PATH, resolve) {
            Err(ENOENT) => {}
            other => return other,
        }
        let (parents, last) = split(here.to_bytes());
        let parent = directory(root, next.set([parents, b"", b""])?, 0o755, resolve)?;
        let name = link.set([last, b"", b""])?;
        // Made without opening it: a file open for writing keeps its mount from turning read-only.
        match sys::mknodat(parent, name, REGULAR | 0o644, 0) {
            Err(EEXIST) => {}
            other => return other.and_then(|()| sys::openat2(root, here, O_PATH, resolve)),
        }
        let mut target = [0; LONGEST];
        let length = sys::readlinkat(parent, name, &mut target)?;
        let target = target.get(..length).ok_or(ENAMETOOLONG)?;
        let base: &[u8] = if target.starts_with(b"/") {
            b""
        } else {
            parents
        };
        let followed = next.set([base, b"/", target])?;
        current.bytes[..=followed.count_bytes()].copy_from_slice(followed.to_bytes_with_nul());
    }
    Err(ELOOP)
}

/// A path's parents and its last part.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

/// The parent of `path`, made where it is missing, with `path`'s last part.
pub(crate) fn parent(root: Fd, path: &CStr, resolve: u64) -> Result<(Fd, &CStr)> {
    let bytes = path.to_bytes_with_nul();
    let (parents, last) = split(bytes);
    let mut part = Part::new();
    let parent = directory(root, part.set([parents, b"", b""])?, 0o755, resolve)?;
    Ok((parent, CStr::from_bytes_with_nul(last).map_err(|_| ENOENT)?))
}
