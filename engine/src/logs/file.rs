//! A log as one sequence of records, however often it is rotated meanwhile. Blocking; nothing here waits for news.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use super::Record;

/// How much is read at once.
const BLOCK: usize = 64 * 1024;

/// Reads records in the order they were written.
#[derive(Debug)]
pub(super) struct Reader {
    path: PathBuf,
    current: Option<Open>,
    /// Files after the current one, oldest first.
    newer: VecDeque<Open>,
    /// The beginning of a record whose end is not there yet.
    fragment: Vec<u8>,
    /// Reused between reads.
    block: Vec<u8>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Device and inode: what a file is, whatever it is called, and whatever it was compressed to.
    identity: (u64, u64),
}

impl Reader {
    /// A reader of the log at `path`, at its beginning or before its last `tail` records.
    pub(super) fn open(path: &Path, tail: Option<u64>) -> io::Result<Self> {
        let mut files = VecDeque::from(newer_than(path, None)?);
        if let Some(tail) = tail {
            seek_to_tail(&mut files, tail)?;
        }
        let current = files.pop_front();
        let (fragment, block) = (Vec::new(), vec![0; BLOCK]);
        Ok(Self {
            path: path.to_owned(),
            current,
            newer: files,
            fragment,
            block,
        })
    }

    /// Reads on. An empty result means that nothing more is written yet.
    pub(super) fn read(&mut self) -> io::Result<Vec<Record>> {
        let mut records = Vec::new();
        while records.is_empty() {
            let count = match &mut self.current {
                Some(open) => open.file.read(&mut self.block)?,
                None => 0,
            };
            if count > 0 {
                self.take(count, &mut records);
            } else if !self.advance()? {
                break;
            }
        }
        Ok(records)
    }

    /// Splits what was read into records; the last piece waits for its end.
    fn take(&mut self, count: usize, records: &mut Vec<Record>) {
        let mut rest = &self.block[..count];
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(end);
            rest = &after[1..];
            if self.fragment.is_empty() {
                records.extend(Record::parse(line));
            } else {
                self.fragment.extend_from_slice(line);
                records.extend(Record::parse(&self.fragment));
                self.fragment.clear();
            }
        }
        self.fragment.extend_from_slice(rest);
    }

    /// Goes to the next file, if there is more to read anywhere.
    fn advance(&mut self) -> io::Result<bool> {
        if self.newer.is_empty() {
            let identity = self.current.as_ref().map(|open| open.identity);
            self.newer = newer_than(&self.path, identity)?.into();
            // The writer rotates before it writes, so the old file is complete by now, but was perhaps not when we
            // met its end: it is read once more before it is left.
            return Ok(!self.newer.is_empty());
        }
        self.fragment.clear();
        self.current = self.newer.pop_front();
        Ok(true)
    }
}

/// The files of a log after the one that is `known`, oldest first.
///
/// They are opened from the newest to the oldest: a rotation in between then shows one file twice, which is noticed, and
/// hides none. Between two of its steps a rotation leaves one number without a file, so the search ends at the second.
fn newer_than(path: &Path, known: Option<(u64, u64)>) -> io::Result<Vec<Open>> {
    let mut found: Vec<Open> = Vec::new();
    let mut missing = 0;
    for number in 0.. {
        let Some(open) = open_numbered(path, number, known)? else {
            missing += 1;
            if missing == 2 {
                break;
            }
            continue;
        };
        missing = 0;
        if Some(open.identity) == known {
            break;
        }
        if found.iter().all(|other| other.identity != open.identity) {
            found.push(open);
        }
    }
    found.reverse();
    Ok(found)
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// While a file is being compressed, or after that was interrupted, both forms are there, and the plain one counts.
fn open_numbered(path: &Path, number: u32, known: Option<(u64, u64)>) -> io::Result<Option<Open>> {
    let plain = numbered(path, number);
    match open(&plain)? {
        None if number > 0 => {
            let mut packed = plain.into_os_string();
            packed.push(".gz");
            unpack(Path::new(&packed), known)
        }
        found => Ok(found),
    }
}

/// A compressed file as one without a name that can be read and searched as any; one that is `known` is not unpacked.
fn unpack(path: &Path, known: Option<(u64, u64)>) -> io::Result<Option<Open>> {
    let Some(Open { file, identity }) = open(path)? else {
        return Ok(None);
    };
    let mut decoder = GzDecoder::new(file);
    let said = decoder.header().and_then(|header| header.comment());
    let identity = said.and_then(plain_identity).unwrap_or(identity);
    let mut plain = OpenOptions::new()
        .read(true)
        .write(true)
        .mode(0o600)
        .custom_flags(nix::fcntl::OFlag::O_TMPFILE.bits())
        .open(path.parent().unwrap_or(path))?;
    if Some(identity) != known {
        io::copy(&mut decoder, &mut plain)?;
        plain.rewind()?;
    }
    Ok(Some(Open {
        file: plain,
        identity,
    }))
}

/// The shim writes `device:inode` of the plain file into the header.
fn plain_identity(comment: &[u8]) -> Option<(u64, u64)> {
    let (device, inode) = std::str::from_utf8(comment).ok()?.split_once(':')?;
    Some((device.parse().ok()?, inode.parse().ok()?))
}

fn open(path: &Path) -> io::Result<Option<Open>> {
    match File::open(path) {
        Ok(file) => {
            let meta = file.metadata()?;
            Ok(Some(Open {
                file,
                identity: (meta.dev(), meta.ino()),
            }))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Leaves the files that hold the last `tail` records, the first of them positioned before the first of these.
fn seek_to_tail(files: &mut VecDeque<Open>, tail: u64) -> io::Result<()> {
    let mut left = tail;
    let mut first = 0;
    for (index, open) in files.iter_mut().enumerate().rev() {
        if let Some(start) = start_of_tail(&open.file, &mut left)? {
            open.file.seek(SeekFrom::Start(start))?;
            first = index;
            break;
        }
    }
    files.drain(..first);
    Ok(())
}

/// Where the last `left` lines of a file begin; `None` when it has fewer, which are then subtracted.
fn start_of_tail(file: &File, left: &mut u64) -> io::Result<Option<u64>> {
    let mut end = file.metadata()?.len();
    let mut block = vec![0; BLOCK];
    while end > 0 {
        let start = end.saturating_sub(u64::try_from(BLOCK).unwrap_or(u64::MAX));
        let length = usize::try_from(end - start).unwrap_or(BLOCK);
        let piece = &mut block[..length];
        file.read_exact_at(piece, start)?;
        for (at, _) in piece
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, byte)| **byte == b'\n')
        {
            if *left == 0 {
                return Ok(Some(start + u64::try_from(at).unwrap_or(u64::MAX) + 1));
            }
            *left -= 1;
        }
        end = start;
    }
    Ok(None)
}
