//! Reading and copying the contents of many files by several threads.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bowline_image::Digest;
use bowline_sys::root::{Dir, FileKind, Stat, set_times};
use bowline_sys::xattr;

use super::canvas::Folder;
use super::select::{Picked, Picking};
use super::{At, CopyError, shown};
use crate::tree::{Content, Tree, attributes, same};

/// Files up to this size are copied through memory, larger ones by the kernel, which may share their blocks.
const SMALL: u64 = 128 * 1024;
/// Files a thread takes at once.
const PORTION: usize = 32;

/// One file to be copied.
#[derive(Debug)]
pub(super) struct Job<'a> {
    pub(super) file: &'a Picking,
    /// The directory it comes from.
    pub(super) from: Arc<Dir>,
    /// The directory it goes to.
    pub(super) to: Arc<Folder>,
    /// Its name there.
    pub(super) name: std::ffi::OsString,
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    /// The same file in another layer.
    pub(super) twin: Option<(Arc<Dir>, std::ffi::OsString)>,
}

/// Does `work` for each item by several threads; the first error ends it.
fn each<T: Sync>(
    items: &[T],
    work: impl Fn(&T) -> Result<(), CopyError> + Sync,
) -> Result<(), CopyError> {
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(4);
    if items.len() <= PORTION || threads == 1 {
        return items.iter().try_for_each(work);
    }
    let next = AtomicUsize::new(0);
    let run = || {
        loop {
            let start = next.fetch_add(PORTION, Ordering::Relaxed);
            let Some(rest) = items.get(start..).filter(|rest| !rest.is_empty()) else {
                return Ok(());
            };
            if let Err(error) = rest.iter().take(PORTION).try_for_each(&work) {
                next.store(items.len(), Ordering::Relaxed);
                return Err(error);
            }
        }
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mut result = run();
        for other in others {
            match other.join() {
                Ok(done) => result = result.and(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        result
    })
}

/// Fills in the contents of all files that are not known yet.
pub(super) fn contents(tree: &Tree, picked: &mut [Picked]) -> Result<(), CopyError> {
    let unknown: Vec<(usize, usize)> = picked
        .iter()
        .enumerate()
        .flat_map(|(source, one)| {
            one.files
                .iter()
                .enumerate()
                .map(move |(at, file)| (source, at, file))
        })
        .filter(|(_, _, file)| file.node.stat.kind == FileKind::File && file.content.is_none())
        .map(|(source, at, _)| (source, at))
        .collect();
    let found: Vec<std::sync::OnceLock<Content>> =
        unknown.iter().map(|_| Default::default()).collect();
    let numbers: Vec<usize> = (0..unknown.len()).collect();
    let view = &*picked;
    each(&numbers, |number| {
        let (source, at) = unknown[*number];
        let node = &view[source].files[at].node;
        let content = match tree.content(node) {
            Err(error) if is_moving(&error) && tree.is_live() => {
                return Err(changed(node.path.clone()));
            }
            other => other.at("read", &node.path)?,
        };
        // Each number is done once.
        drop(found[*number].set(content));
        Ok(())
    })?;
    for ((source, at), content) in unknown.into_iter().zip(found) {
        picked[source].files[at].content = content.into_inner();
    }
    Ok(())
}

/// Copies files.
pub(super) fn copy(tree: &Tree, jobs: &[Job<'_>]) -> Result<(), CopyError> {
    each(jobs, |job| one(tree, job))
}

fn one(tree: &Tree, job: &Job<'_>) -> Result<(), CopyError> {
    let node = &job.file.node;
    let source_name = node.path.file_name().unwrap_or(&job.name);
    if let Some((dir, name)) = &job.twin {
        let now = job.from.stat(source_name);
        if !now.is_ok_and(|now| same(&node.stat, &now)) {
            return Err(changed(node.path.clone()));
        }
        // A file has room for so many names only; then it is copied after all.
        if job.to.upper.hard_link(&job.name, dir, name).is_ok() {
            return Ok(());
        }
    }
    let mut from = match job.from.open_file(source_name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && tree.is_live() => {
            return Err(changed(node.path.clone()));
        }
        other => other.at("open", &node.path)?,
    };
    let target = || job.to.path.join(&job.name);
    let mut to = job
        .to
        .upper
        .create_file(&job.name, 0o600)
        .at("create", &target())?;
    let digest = contents_of(&mut from, &mut to, job.file).at("copy", &node.path)?;
    if tree.is_live() {
        let after = Stat::of(&from).at("look at", &node.path)?;
        let content = job.file.content.as_ref();
        let differs =
            digest.is_some_and(|found| content.is_some_and(|known| known.digest != found));
        if !same(&node.stat, &after) || differs {
            return Err(changed(node.path.clone()));
        }
    }
    // Owner before mode, for changing the owner clears the setuid bit; attributes after both, times last.
    // It is set even to root, since a directory with the setgid bit gives its files its own group.
    std::os::unix::fs::fchown(&to, Some(job.owner.0), Some(job.owner.1))
        .at("set the owner of", &target())?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(job.mode);
    to.set_permissions(mode).at("set the mode of", &target())?;
    if job
        .file
        .content
        .as_ref()
        .is_none_or(|content| content.attributes.is_some())
    {
        let attributes = attributes(&from).at("read the attributes of", &node.path)?;
        for (key, value) in attributes {
            best_effort(xattr::set(&to, &key, &value)).at("set an attribute of", &target())?;
        }
    }
    set_times(&to, node.stat.modified).at("set the time of", &target())
}

/// File systems differ in what they can carry.
pub(super) fn best_effort(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}

/// Whether somebody is at work on the file right now.
fn is_moving(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ResourceBusy | io::ErrorKind::NotFound
    )
}

fn changed(path: PathBuf) -> CopyError {
    CopyError::Changed { path: shown(&path) }
}

/// Copies the bytes. Their digest is taken again where the clock's grain could hide a change since the first time.
fn contents_of(from: &mut File, to: &mut File, file: &Picking) -> io::Result<Option<Digest>> {
    let doubtful = file
        .content
        .as_ref()
        .is_some_and(|content| !content.settled);
    if file.node.stat.size <= SMALL {
        let mut bytes = Vec::with_capacity(usize::try_from(file.node.stat.size).unwrap_or(0) + 1);
        from.read_to_end(&mut bytes)?;
        to.write_all(&bytes)?;
        return Ok(doubtful.then(|| Digest::of(&bytes)));
    }
    io::copy(from, to)?;
    if !doubtful {
        return Ok(None);
    }
    io::Seek::rewind(to)?;
    crate::tree::read(to).map(|content| Some(content.digest))
}
