//! The files of a build that a client sent: an archive, unpacked into a folder of ours.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::ids;

/// How much is handed from the connection to the unpacking at once, and how many such pieces may wait.
const PIECE: usize = 64 * 1024;
const AHEAD: usize = 16;
/// Two blocks, which end an archive, and what may be missing of the one before.
const END: u64 = 3 * 512;

/// A folder that goes with this.
#[derive(Debug)]
pub(crate) struct Received(PathBuf);

impl Received {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %self.0.display(), "a build context is left behind");
        }
    }
}

impl Engine {
    /// Unpacks the archive `body`, compressed or not. Files belong to root, as they do for every context.
    ///
    /// # Errors
    /// It is no archive, or cannot be stored.
    pub(crate) async fn receive_context(
        self: &Arc<Self>,
        mut body: impl AsyncRead + Unpin,
    ) -> Result<Received> {
        let id = ids::fresh().map_err(|error| Error::failed("make an id", &error))?;
        let received = Received(self.settings().roots.builds().join(id));
        std::fs::create_dir(received.path())
            .map_err(|error| Error::failed("make a folder for the build context", &error))?;
        let (pieces, source) = mpsc::channel(AHEAD);
        let folder = received.path().to_owned();
        let unpacking = spawn_blocking(move || unpack(Pieces::new(source), &folder));
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            let read = body.read_buf(&mut piece).await;
            let read =
                read.map_err(|error| Error::invalid(format!("the build context ends: {error}")))?;
            if read == 0 {
                break;
            }
            // An archive may end before the connection does; what comes after it is read all the same.
            let _unpacked = pieces.send(Bytes::from(piece)).await;
        }
        drop(pieces);
        let unpacked = unpacking
            .await
            .map_err(|error| Error::failed("unpack the build context", &error))?;
        unpacked.map_err(|error| {
            let why = crate::error::chain(&error);
            Error::invalid(format!("cannot unpack the context: {why}"))
        })?;
        Ok(received)
    }
}

/// Pieces as a reader, for a thread that may wait.
struct Pieces {
    source: mpsc::Receiver<Bytes>,
    current: Bytes,
}

impl Pieces {
    fn new(source: mpsc::Receiver<Bytes>) -> Self {
        Self {
            source,
            current: Bytes::new(),
        }
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.current.is_empty() {
            match self.source.blocking_recv() {
                Some(piece) => self.current = piece,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.current.len());
        buffer[..length].copy_from_slice(&self.current.split_to(length));
        Ok(length)
    }
}

fn unpack(mut source: impl Read, folder: &Path) -> io::Result<()> {
    let mut start = [0; 6];
    let mut filled = 0;
    while filled < start.len() {
        match source.read(&mut start[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    let whole = Read::chain(io::Cursor::new(start[..filled].to_vec()), source);
    match &start[..filled] {
        [0x1f, 0x8b, ..] => entries(flate2::read::MultiGzDecoder::new(whole), folder),
        [b'B', b'Z', b'h', ..]
        | [0xfd, b'7', b'z', b'X', b'Z', 0]
        | [0x28, 0xb5, 0x2f, 0xfd, ..] => Err(io::Error::other(
            "contexts compressed by bzip2, xz or zstd are not supported yet: send it as it is or by gzip",
        )),
        // Go's client sends nothing at all for a context without files.
        [] => Ok(()),
        _ => entries(whole, folder),
    }
}

fn entries(source: impl Read, folder: &Path) -> io::Result<()> {
    // The stock client ends an archive that it changed with the last file, without filling up the block: zeros are what
    // belongs there, and harmless after a proper end.
    let source = Read::chain(source, Read::take(io::repeat(0), END));
    let mut archive = tar::Archive::new(source);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(false);
    archive.set_preserve_mtime(true);
    archive.set_overwrite(true);
    archive.unpack(folder)?;
    // What follows the archive's end belongs to the request.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn archive() -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(4);
        header.set_mode(0o755);
        header.set_uid(1000);
        header.set_cksum();
        builder
            .append_data(&mut header, "a/run.sh", &b"true"[..])
            .unwrap();
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_size(0);
        builder
            .append_link(&mut link, "out", "/etc/passwd")
            .unwrap();
        builder.into_inner().unwrap()
    }

    #[test]
    fn an_archive_is_unpacked_plain_and_compressed() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&archive()).unwrap();
        for bytes in [archive(), gzip.finish().unwrap()] {
            let folder = tempfile::tempdir().unwrap();
            unpack(&bytes[..], folder.path()).unwrap();
            let file = folder.path().join("a/run.sh");
            assert_eq!(std::fs::read_to_string(&file).unwrap(), "true");
            let mode = file.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o755);
            let link = std::fs::read_link(folder.path().join("out")).unwrap();
            assert_eq!(link, Path::new("/etc/passwd"));
        }
    }

    #[test]
    fn a_path_through_a_link_does_not_leave_the_folder() {
        let mut builder = tar::Builder::new(Vec::new());
        let outside = tempfile::tempdir().unwrap();
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_size(0);
        builder
            .append_link(&mut link, "out", outside.path())
            .unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.set_mode(0o644);
        header.set_cksum();
        builder
            .append_data(&mut header, "out/planted", &b"x"[..])
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let _refused = unpack(&builder.into_inner().unwrap()[..], folder.path());
        assert_eq!(outside.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn an_archive_without_its_end_is_whole() {
        let whole = archive();
        let end = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        let folder = tempfile::tempdir().unwrap();
        unpack(&whole[..end], folder.path()).unwrap();
        assert!(folder.path().join("a/run.sh").exists());
    }

    #[test]
    fn nothing_and_nonsense_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        assert!(unpack(&b""[..], folder.path()).is_ok());
        assert!(unpack(&[b'x'; 2000][..], folder.path()).is_err());
    }
}
