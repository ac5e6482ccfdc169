//! The pipes between a process and its shim.
//!
//! A container writes into FIFOs that lie in its run directory and that it has open for reading too. So no death of the
//! shim ever breaks them: writing goes on until the pipe is full, and what is in it can be read by whoever opens the
//! FIFO by its name.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::{mkfifo, pipe2};

use super::hub::{Streams, never_wait};

/// Our ends, and the process's.
pub(super) type Ends = (Streams, [OwnedFd; 3]);

/// A container's streams in `run_dir`.
pub(super) fn container(run_dir: &Path, stdin: bool) -> io::Result<Ends> {
    let (our_out, out) = fifo(&run_dir.join("stdout"))?;
    let (our_err, err) = fifo(&run_dir.join("stderr"))?;
    let (input, stdin) = input(stdin)?;
    Ok((
        Streams {
            input,
            outputs: [Some(our_out), Some(our_err)],
        },
        [stdin, out, err],
    ))
}

/// The outputs of a container whose shim has died; its input died with it.
pub(super) fn survivor(run_dir: &Path) -> io::Result<Streams> {
    let reader = |name: &str| reader(&run_dir.join(name));
    Ok(Streams {
        input: None,
        outputs: [Some(reader("stdout")?), Some(reader("stderr")?)],
    })
}

/// An exec's streams, each only if somebody wants it.
pub(super) fn exec(wanted: crate::AttachedStreams) -> io::Result<Ends> {
    let (our_out, out) = output(wanted.stdout)?;
    let (our_err, err) = output(wanted.stderr)?;
    let (input, stdin) = input(wanted.stdin)?;
    Ok((
        Streams {
            input,
            outputs: [our_out, our_err],
        },
        [stdin, out, err],
    ))
}

/// Streams of which both outputs are one given descriptor.
pub(super) fn captured(output: OwnedFd) -> io::Result<Ends> {
    let copy = output.try_clone()?;
    Ok((Streams::default(), [null()?, output, copy]))
}

fn fifo(path: &Path) -> io::Result<(OwnedFd, OwnedFd)> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)?;
    // The reader first, for opening it without a writer must not wait.
    let reader = reader(path)?;
    let writer = OpenOptions::new().read(true).write(true).open(path)?;
    Ok((reader, writer.into()))
}

fn reader(path: &Path) -> io::Result<OwnedFd> {
    OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)
        .map(OwnedFd::from)
}

fn output(wanted: bool) -> io::Result<(Option<OwnedFd>, OwnedFd)> {
    if !wanted {
        return Ok((None, null()?));
    }
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    never_wait(reader.as_fd())?;
    Ok((Some(reader), writer))
}

fn input(wanted: bool) -> io::Result<(Option<OwnedFd>, OwnedFd)> {
    if !wanted {
        return Ok((None, null()?));
    }
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    never_wait(writer.as_fd())?;
    Ok((Some(writer), reader))
}

fn null() -> io::Result<OwnedFd> {
    File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map(OwnedFd::from)
}
