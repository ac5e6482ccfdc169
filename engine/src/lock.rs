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

/// What the two locks said.
#[derive(Debug)]
pub(crate) enum Claim {
    /// This process is the engine; it drops `starting` when it is ready.
    Won {
        /// Held until ready.
        starting: Flock<File>,
        /// Held for life.
        life: Flock<File>,
    },
    /// Another engine is running, and ready.
    Taken,
}

/// Claims the roots whose life lock is at `path`. Blocks while another engine is starting, or leaving: one that holds
/// the lock and no longer answers at `socket` is on its way out, and its successor is needed.
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
    let starting = lock(
        open(&starting_path)?,
        &starting_path,
        FlockArg::LockExclusive,
    )?;
    let file = match inherited {
        // The lock belongs to the open file, so asking again on it is granted at once.
        Some(fd) => File::from(fd),
        None => open(path)?,
    };
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(life) => Ok(Claim::Won { starting, life }),
        Err((_, Errno::EWOULDBLOCK)) if UnixStream::connect(socket).is_ok() => Ok(Claim::Taken),
        Err((file, Errno::EWOULDBLOCK)) => {
            let life = lock(file, path, FlockArg::LockExclusive)?;
            Ok(Claim::Won { starting, life })
        }
        Err((_, source)) => Err(LockError::Lock {
            path: path.into(),
            source,
        }),
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
}
