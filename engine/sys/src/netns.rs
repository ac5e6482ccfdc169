//! Network namespaces: made on a thread that is thrown away, kept alive by a bind mount, entered on another such thread.
//!
//! A namespace belongs to a *thread*, and a thread that changed it must never serve anything else. So every function
//! here spends a fresh thread (tens of microseconds) instead of switching the caller there and back, where one early
//! return would leave a worker in a stranger's network.
#![expect(
    unsafe_code,
    reason = "unshare is unsafe for the flags that we do not use"
)]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread;

use rustix::fs::fstatfs;
use rustix::mount::{UnmountFlags, mount_bind, unmount};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

/// `NSFS_MAGIC` of linux/magic.h: the file system that namespace files live on.
const NSFS_MAGIC: u64 = 0x6e73_6673;

/// Which step failed.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// No thread to work on.
    #[error("start a thread for a network namespace")]
    Thread(#[source] io::Error),
    /// unshare(2).
    #[error("create a network namespace")]
    Create(#[source] io::Error),
    /// The namespace file of this thread, or a pinned one.
    #[error("open network namespace {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// The file is there, but no namespace is mounted on it.
    #[error("{0} is not a namespace")]
    NotPinned(PathBuf),
    /// setns(2).
    #[error("enter a network namespace")]
    Enter(#[source] io::Error),
    /// The file to mount upon.
    #[error("create {path}")]
    PinFile {
        /// The file.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// mount(2).
    #[error("mount a network namespace on {path}")]
    Pin {
        /// The file.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// unlink(2).
    #[error("remove {path}")]
    Unpin {
        /// The file.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// The work itself panicked.
    #[error("work inside a network namespace panicked")]
    Panicked,
}

/// The calling thread's own namespace.
pub fn current() -> Result<OwnedFd, NetnsError> {
    open_file(Path::new("/proc/thread-self/ns/net"))
}

/// Makes an empty namespace. It lives as long as the descriptor, a pin or a process in it does.
pub fn create() -> Result<OwnedFd, NetnsError> {
    create_with(|| ()).map(|(ns, ())| ns)
}

/// The same, and runs `work` inside before anybody else can be there.
pub fn create_with<T: Send>(work: impl FnOnce() -> T + Send) -> Result<(OwnedFd, T), NetnsError> {
    on_fresh_thread(|| {
        // SAFETY: the flag only replaces this thread's network namespace; it unshares no file table and no memory.
        unsafe { unshare_unsafe(UnshareFlags::NEWNET) }
            .map_err(|e| NetnsError::Create(e.into()))?;
        Ok((current()?, work()))
    })?
}

/// Keeps `ns` alive without any process, by mounting it on a file at `path`.
///
/// The mount lands in the caller's mount namespace, so the caller must still live in the host's.
pub fn pin(ns: impl AsFd, path: &Path) -> Result<(), NetnsError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(|source| NetnsError::PinFile {
            path: path.to_owned(),
            source,
        })?;
    let from = magic_link(ns.as_fd());
    mount_bind(&from, path).map_err(|e| {
        // An empty file left behind would look like a namespace that lost its mount.
        drop(std::fs::remove_file(path));
        NetnsError::Pin {
            path: path.to_owned(),
            source: e.into(),
        }
    })
}

/// Opens a pinned namespace, refusing the plain file that is left when the mount is gone (after a reboot, say).
pub fn open(path: &Path) -> Result<OwnedFd, NetnsError> {
    let file = open_file(path)?;
    let stat = fstatfs(&file).map_err(|e| NetnsError::Open {
        path: path.to_owned(),
        source: e.into(),
    })?;
    if u64::try_from(stat.f_type).is_ok_and(|magic| magic == NSFS_MAGIC) {
        Ok(file)
    } else {
        Err(NetnsError::NotPinned(path.to_owned()))
    }
}

/// Lets go of a pinned namespace; the kernel takes it apart once nobody uses it. Nothing there is no error.
pub fn unpin(path: &Path) -> Result<(), NetnsError> {
    // The mount may be gone already, and more than one may be stacked if a pin was interrupted.
    while unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).is_ok() {}
    // unlink also detaches the copies of the mount in other mount namespaces, which would keep this one alive.
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(NetnsError::Unpin {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

/// Runs `work` inside `ns` and hands back what it returns. Sockets made there stay there.
pub fn with_netns<T: Send>(
    ns: impl AsFd,
    work: impl FnOnce() -> T + Send,
) -> Result<T, NetnsError> {
    let ns = ns.as_fd();
    on_fresh_thread(move || {
        move_into_link_name_space(ns, Some(LinkNameSpaceType::Network))
            .map_err(|e| NetnsError::Enter(e.into()))?;
        Ok(work())
    })?
}

fn on_fresh_thread<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, NetnsError> {
    thread::scope(|scope| {
        let builder = thread::Builder::new().name("netns".to_owned());
        let worker = builder
            .spawn_scoped(scope, work)
            .map_err(NetnsError::Thread)?;
        worker.join().map_err(|_| NetnsError::Panicked)
    })
}

fn open_file(path: &Path) -> Result<OwnedFd, NetnsError> {
    File::open(path)
        .map(OwnedFd::from)
        .map_err(|source| NetnsError::Open {
            path: path.to_owned(),
            source,
        })
}

/// Mounting by path is the only way to pin: a namespace file has no other name than this link.
fn magic_link(ns: BorrowedFd<'_>) -> String {
    use std::os::fd::AsRawFd;
    format!("/proc/thread-self/fd/{}", ns.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::fstat;

    fn identity(ns: &OwnedFd) -> u64 {
        fstat(ns).unwrap().st_ino
    }

    #[test]
    fn a_pinned_namespace_is_the_same_until_unpinned() {
        let path = std::env::temp_dir().join(format!("bowline-netns-{}", std::process::id()));
        let made = create().unwrap();
        pin(&made, &path).unwrap();
        let opened = open(&path).unwrap();
        assert_eq!(identity(&made), identity(&opened));
        assert!(matches!(pin(&made, &path), Err(NetnsError::PinFile { .. })));

        unpin(&path).unwrap();
        unpin(&path).unwrap();
        assert!(matches!(open(&path), Err(NetnsError::Open { .. })));
    }

    #[test]
    fn a_plain_file_is_no_namespace() {
        let path = std::env::temp_dir().join(format!("bowline-no-netns-{}", std::process::id()));
        std::fs::write(&path, "").unwrap();
        assert!(matches!(open(&path), Err(NetnsError::NotPinned(_))));
        unpin(&path).unwrap();
    }

    #[test]
    fn work_runs_inside_and_the_caller_stays_outside() {
        let before = identity(&current().unwrap());
        let other = create().unwrap();
        let inside = with_netns(&other, || identity(&current().unwrap())).unwrap();
        assert_eq!(inside, identity(&other));
        assert_ne!(inside, before);
        assert_eq!(identity(&current().unwrap()), before);
    }

    #[test]
    fn a_panic_inside_is_an_error_outside() {
        let other = create().unwrap();
        let outcome = with_netns(&other, || panic!("as planned"));
        assert!(matches!(outcome, Err::<(), _>(NetnsError::Panicked)));
    }
}
