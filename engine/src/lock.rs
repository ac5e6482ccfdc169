//! One engine per pair of roots: who starts, who waits, who learns that it is not needed.
//!
//! Two locks. `engine.starting` is held from the first step until the engine is ready, so that a
//! second starter waits for readiness without polling; `engine.lock` is held for life. Both are
//! `flock`s: they vanish with their holder however it ends.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// Why no lock could be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The lock file cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// The lock call failed.
    #[error("cannot lock {}", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// The kernel's word.
        source: Errno,
    },
}

/// How often a claim looks again at an engine that holds its lock and does not answer.
const LOOK: Duration = Duration::from_millis(10);

/// What the two locks said.
#[derive(Debug)]
pub(crate) enum Claim {
    /// This process is the engine; it drops `starting` when it is ready.
    Won {
        /// Held until ready; none where a starter holds it that waits for this very engine.
        starting: Option<Flock<File>>,
        /// Held for life.
        life: Flock<File>,
    },
    /// Another engine is running, and ready.
    Taken,
}

/// Claims the roots whose life lock is at `path`. Blocks while another engine is starting, or leaving: one that holds
/// the lock and does not answer at `socket` is either on its way out, and its successor is needed, or was brought
/// back by a shim, and will answer in a moment.
/// `inherited` is the life lock where a shim took it before it started this engine.
///
/// # Errors
/// See [`LockError`].
pub(crate) fn claim(
    path: &Path,
    socket: &Path,
    inherited: Option<OwnedFd>,
) -> Result<Claim, LockError> {
    let starting_path = path.with_extension("starting");
    let starting = open(&starting_path)?;
    if let Some(fd) = inherited {
        // The lock belongs to the open file, so asking again on it is granted at once. Whoever holds `starting` may be
        // waiting for the life lock, which is here: to wait for it in turn would be for ever.
        return Ok(Claim::Won {
            starting: Flock::lock(starting, FlockArg::LockExclusiveNonblock).ok(),
            life: lock(File::from(fd), path, FlockArg::LockExclusive)?,
        });
    }
    let starting = Some(lock(starting, &starting_path, FlockArg::LockExclusive)?);
    let mut file = open(path)?;
    loop {
        file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(life) => return Ok(Claim::Won { starting, life }),
            Err((_, Errno::EWOULDBLOCK)) if UnixStream::connect(socket).is_ok() => {
                return Ok(Claim::Taken);
            }
            Err((file, Errno::EWOULDBLOCK)) => file,
            Err((_, source)) => {
                return Err(LockError::Lock {
                    path: path.into(),
                    source,
                });
            }
        };
        // Two ends are possible and no call waits for both; neither is far.
        std::thread::sleep(LOOK);
    }
}

fn open(path: &Path) -> Result<File, LockError> {
    let opened = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path);
    opened.map_err(|source| LockError::Open {
        path: path.into(),
        source,
    })
}

fn lock(file: File, path: &Path, how: FlockArg) -> Result<Flock<File>, LockError> {
    Flock::lock(file, how).map_err(|(_, source)| LockError::Lock {
        path: path.into(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_claim_learns_that_the_roots_are_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.lock");
        let socket = folder.path().join("socket");
        let Claim::Won { starting, life } = claim(&path, &socket, None).unwrap() else {
            panic!("nobody else is here");
        };
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        drop(starting);
        assert!(matches!(claim(&path, &socket, None).unwrap(), Claim::Taken));
        drop(life);
        assert!(matches!(
            claim(&path, &socket, None).unwrap(),
            Claim::Won { .. }
        ));
    }

    #[test]
    fn a_claim_waits_for_an_engine_that_is_leaving() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.lock");
        let socket = folder.path().join("socket");
        let Claim::Won { starting, life } = claim(&path, &socket, None).unwrap() else {
            panic!("nobody else is here");
        };
        drop(starting);
        let next = std::thread::spawn(move || claim(&path, &socket, None).unwrap());
        drop(life);
        assert!(matches!(next.join().unwrap(), Claim::Won { .. }));
    }

    #[test]
    fn a_revived_engine_and_a_starter_do_not_wait_for_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.lock");
        let socket = folder.path().join("socket");
        let shims = lock(open(&path).unwrap(), &path, FlockArg::LockExclusive).unwrap();
        let shims: OwnedFd = shims.try_clone().unwrap().into();
        let starter = {
            let (path, socket) = (path.clone(), socket.clone());
            std::thread::spawn(move || claim(&path, &socket, None).unwrap())
        };
        while Flock::lock(
            open(&path.with_extension("starting")).unwrap(),
            FlockArg::LockExclusiveNonblock,
        )
        .is_ok()
        {
            std::thread::yield_now();
        }
        let revived = claim(&path, &socket, Some(shims)).unwrap();
        assert!(matches!(revived, Claim::Won { starting: None, .. }));
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(matches!(starter.join().unwrap(), Claim::Taken));
    }
}
