//! Reading tar archives: ustar, PAX and GNU names, forwards only.
//!
//! The `tar` crate's reader splits PAX records at newlines, so that a binary attribute (`security.capability` with a byte
//! 0x0A) is lost or, worse, read as other records; records here are taken by their length. And this reader never reads
//! ahead, so whoever sits below it can tell an archive's payloads from the rest (see `layer/recipe.rs`). For writing the
//! crate does well.

use std::io::{self, Read};

use bowline_sys::root::Timestamp;

mod header;
mod pax;

use header::Header;
pub(crate) use header::looks_like_tar;
use pax::Overrides;

const BLOCK: usize = 512;
/// Longest extended header or long name.
const EXTENSION_LIMIT: u64 = 1024 * 1024;

/// An archive that is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The stream itself.
    #[error("read the archive")]
    Read(#[source] io::Error),
    /// It ends in the middle.
    #[error("the archive ends in the middle of an entry")]
    Truncated,
    /// A header is damaged, or it is no archive at all.
    #[error(
        "not a tar archive, or a damaged one: the checksum of the header at byte {at} is wrong"
    )]
    Checksum {
        /// Where.
        at: u64,
    },
    /// A field of a header is no number.
    #[error("the {field} of the entry at byte {at} is not a number")]
    Number {
        /// Which.
        field: &'static str,
        /// Where.
        at: u64,
    },
    /// An extended header is damaged.
    #[error("the extended header at byte {at} is damaged")]
    Pax {
        /// Where.
        at: u64,
    },
    /// An extended header is unreasonable.
    #[error("the extended header at byte {at} has {size} bytes; {EXTENSION_LIMIT} is the limit")]
    TooLong {
        /// Where.
        at: u64,
        /// How long.
        size: u64,
    },
    /// A sparse file.
    #[error(
        "sparse file `{path}`: archives with sparse files are not supported; pack it again without `--sparse`"
    )]
    Sparse {
        /// Which.
        path: String,
    },
    /// An entry of an unknown type.
    #[error("`{path}` has the unknown entry type {kind:?}")]
    Kind {
        /// Which.
        path: String,
        /// The type's letter.
        kind: char,
    },
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Regular file.
    File,
    /// Another name of an earlier entry.
    HardLink,
    /// Symbolic link.
    Symlink,
    /// Character device.
    Character,
    /// Block device.
    Block,
    /// Directory.
    Directory,
    /// Named pipe.
    Fifo,
}

/// One entry; its contents follow in the reader.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its path as it stands in the archive: nothing was checked.
    pub path: Vec<u8>,
    /// Where a link points, likewise.
    pub link: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes of its contents.
    pub size: u64,
    /// Time of last modification.
    pub modified: Timestamp,
    /// Major and minor number, of a device.
    pub device: (u32, u32),
    /// Extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entry {
    /// The path for messages.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }
}

/// A tar archive. Between two calls of [`Archive::next_entry`] it reads as the contents of the entry.
#[derive(Debug)]
pub struct Archive<R> {
    source: R,
    at: u64,
    left: u64,
    padding: u64,
    global: Overrides,
}

impl<R: Read> Archive<R> {
    /// Reads an archive that is not packed.
    pub fn new(source: R) -> Self {
        Self {
            source,
            at: 0,
            left: 0,
            padding: 0,
            global: Overrides::default(),
        }
    }

    pub(crate) fn source(&mut self) -> &mut R {
        &mut self.source
    }

    pub(crate) fn into_source(self) -> R {
        self.source
    }

    /// Goes on to the next entry, over what is left of this one's contents.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        let mut own = Overrides::default();
        loop {
            self.skip()?;
            let at = self.at;
            let Some(header) = self.header()? else {
                return Ok(None);
            };
            match header.kind() {
                b'x' => own
                    .read_pax(&self.extension(&header, at)?)
                    .ok_or(TarError::Pax { at })?,
                b'g' => {
                    let records = self.extension(&header, at)?;
                    self.global.read_pax(&records).ok_or(TarError::Pax { at })?;
                }
                b'L' => own.path = Some(until_nul(self.extension(&header, at)?)),
                b'K' => own.link = Some(until_nul(self.extension(&header, at)?)),
                // A volume's label is no file.
                b'V' => self.left = header.size(at)?,
                _ => return self.entry(&header, own, at).map(Some),
            }
        }
    }

    /// Reads what is left of the stream: the end marker's padding, and whatever a writer put after it.
    pub(crate) fn drain(&mut self) -> Result<(), TarError> {
        io::copy(&mut self.source, &mut io::sink()).map_err(TarError::Read)?;
        Ok(())
    }

    fn entry(&mut self, header: &Header, own: Overrides, at: u64) -> Result<Entry, TarError> {
        let all = own.over(&self.global);
        let path = all.path.unwrap_or_else(|| header.path());
        let shown = || String::from_utf8_lossy(&path).into_owned();
        if all.sparse {
            return Err(TarError::Sparse { path: shown() });
        }
        let kind = match header.kind() {
            b'0' | 0 | b'7' if path.ends_with(b"/") => Kind::Directory,
            b'0' | 0 | b'7' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::Character,
            b'4' => Kind::Block,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            b'S' => return Err(TarError::Sparse { path: shown() }),
            kind => {
                return Err(TarError::Kind {
                    path: shown(),
                    kind: kind.into(),
                });
            }
        };
        // Only files have contents, whatever size some writers put beside other types.
        let size = all.size.map_or_else(|| header.size(at), Ok)?;
        let size = if kind == Kind::File { size } else { 0 };
        self.left = size;
        self.padding = padding(size);
        Ok(Entry {
            link: all.link.unwrap_or_else(|| header.link()),
            kind,
            mode: header.mode(at)?,
            uid: all.uid.map_or_else(|| header.uid(at), Ok)?,
            gid: all.gid.map_or_else(|| header.gid(at), Ok)?,
            size,
            modified: all.modified.map_or_else(|| header.modified(at), Ok)?,
            device: header.device(at)?,
            xattrs: all.xattrs,
            path,
        })
    }

    fn header(&mut self) -> Result<Option<Header>, TarError> {
        let mut block = [0; BLOCK];
        let at = self.at;
        match self.fill(&mut block)? {
            0 => return Ok(None),
            BLOCK => {}
            _ => return Err(TarError::Truncated),
        }
        Header::parse(block).ok_or(TarError::Checksum { at })
    }

    fn extension(&mut self, header: &Header, at: u64) -> Result<Vec<u8>, TarError> {
        let size = header.size(at)?;
        let length = usize::try_from(size)
            .ok()
            .filter(|_| size <= EXTENSION_LIMIT);
        let mut bytes = vec![0; length.ok_or(TarError::TooLong { at, size })?];
        self.padding = padding(size);
        if self.fill(&mut bytes)? < bytes.len() {
            return Err(TarError::Truncated);
        }
        Ok(bytes)
    }

    /// Reads until the buffer is full or the stream ends.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.source.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(TarError::Read(error)),
            }
        }
        self.at += filled as u64;
        Ok(filled)
    }

    fn skip(&mut self) -> Result<(), TarError> {
        let wanted = self
            .left
            .checked_add(self.padding)
            .ok_or(TarError::Truncated)?;
        let skipped = io::copy(&mut (&mut self.source).take(wanted), &mut io::sink());
        let skipped = skipped.map_err(TarError::Read)?;
        self.at += skipped;
        (self.left, self.padding) = (0, 0);
        if skipped < wanted {
            Err(TarError::Truncated)
        } else {
            Ok(())
        }
    }
}

impl<R: Read> Read for Archive<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.source.read(&mut buffer[..wanted])?;
        if read == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                TarError::Truncated,
            ));
        }
        self.left -= read as u64;
        self.at += read as u64;
        Ok(read)
    }
}

fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    bytes.truncate(end);
    bytes
}

#[cfg(test)]
mod tests;
