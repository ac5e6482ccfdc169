//! Writing a layer's exact tar again without keeping it.
//!
//! `save` must give out the very bytes the layer's digest was made from, and no writer could guess the padding, order and
//! headers somebody else chose. So while a layer is unpacked everything but the files' contents is noted down, packed,
//! beside a note which file goes in between. A file that a later entry of the same archive replaces is moved aside and
//! that is noted too.
//!
//! A note is a tag byte, a number (8 bytes), a length (4 bytes), and as many bytes; all little-endian.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bowline_sys::root::Root;

use super::LayerError;
use super::path::bytes;

/// Bytes of the archive as they are.
const RAW: u8 = 0;
/// The contents of a file: its length and path.
const CONTENTS: u8 = 1;
/// From here on, what was at this path is at `replaced/<number>`.
const REPLACED: u8 = 2;

/// Raw bytes held back before they become a note.
const HOLD: usize = 32 * 1024;
/// Longest note this version writes; more means damage.
const NOTE_LIMIT: u32 = 1024 * 1024;

/// Notes down an archive that was never there as a whole: one that somebody makes of files.
pub(crate) struct RecipeWriter(Recorder<()>);

impl RecipeWriter {
    pub(crate) fn new(notes: File) -> io::Result<Self> {
        Recorder::new((), notes).map(Self)
    }

    /// Bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<(), LayerError> {
        self.0.hold(bytes).map_err(LayerError::RecipeFile)
    }

    /// The contents of the file at `path`, relative to the layer's top.
    pub(crate) fn contents(&mut self, size: u64, path: &Path) -> Result<(), LayerError> {
        self.0
            .end_contents(size, path)
            .map_err(LayerError::RecipeFile)
    }

    pub(crate) fn finish(self) -> io::Result<()> {
        self.0.finish()
    }
}

/// Passes an archive through and notes down what is not a file's contents.
pub(super) struct Recorder<R> {
    source: R,
    notes: zstd::Encoder<'static, BufWriter<File>>,
    held: Vec<u8>,
    contents: bool,
}

impl<R> Recorder<R> {
    pub(super) fn new(source: R, notes: File) -> io::Result<Self> {
        let notes = zstd::Encoder::new(BufWriter::new(notes), 1)?;
        Ok(Self {
            source,
            notes,
            held: Vec::new(),
            contents: false,
        })
    }

    /// What is read now is a file's contents, which the caller keeps.
    pub(super) fn begin_contents(&mut self) {
        self.contents = true;
    }

    /// The contents were `size` bytes and lie at `path`.
    pub(super) fn end_contents(&mut self, size: u64, path: &Path) -> io::Result<()> {
        self.contents = false;
        self.flush_held()?;
        self.note(CONTENTS, size, bytes(path))
    }

    /// What was at `path` is at `replaced/<number>` now.
    pub(super) fn replaced(&mut self, path: &Path, number: u64) -> io::Result<()> {
        self.flush_held()?;
        self.note(REPLACED, number, bytes(path))
    }

    pub(super) fn finish(mut self) -> io::Result<R> {
        self.flush_held()?;
        self.notes.finish()?.flush()?;
        Ok(self.source)
    }

    fn hold(&mut self, bytes: &[u8]) -> io::Result<()> {
        for bytes in bytes.chunks(HOLD) {
            self.held.extend_from_slice(bytes);
            if self.held.len() >= HOLD {
                self.flush_held()?;
            }
        }
        Ok(())
    }

    fn flush_held(&mut self) -> io::Result<()> {
        let held = std::mem::take(&mut self.held);
        if held.is_empty() {
            Ok(())
        } else {
            self.note(RAW, 0, &held)
        }
    }

    fn note(&mut self, tag: u8, number: u64, bytes: &[u8]) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        self.notes.write_all(&[tag])?;
        self.notes.write_all(&number.to_le_bytes())?;
        self.notes.write_all(&length.to_le_bytes())?;
        self.notes.write_all(bytes)
    }
}

impl<R: Read> Read for Recorder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        if !self.contents {
            self.hold(&buffer[..read])?;
        }
        Ok(read)
    }
}

struct Note {
    tag: u8,
    number: u64,
    bytes: Vec<u8>,
}

struct Notes(zstd::Decoder<'static, BufReader<File>>);

impl Notes {
    fn open(layer: &Root) -> Result<Self, LayerError> {
        let file = layer.open_file("recipe").map_err(LayerError::RecipeFile)?;
        Ok(Self(
            zstd::Decoder::new(file).map_err(LayerError::RecipeFile)?,
        ))
    }

    fn next(&mut self) -> Result<Option<Note>, LayerError> {
        let mut head = [0; 13];
        match self
            .0
            .read(&mut head[..1])
            .map_err(LayerError::RecipeFile)?
        {
            0 => return Ok(None),
            _ => self
                .0
                .read_exact(&mut head[1..])
                .map_err(LayerError::RecipeFile)?,
        }
        let damaged = || LayerError::Recipe("a note is cut short");
        let number = head[1..9].try_into().map_err(|_| damaged())?;
        let length = u32::from_le_bytes(head[9..].try_into().map_err(|_| damaged())?);
        if length > NOTE_LIMIT {
            return Err(LayerError::Recipe("a note is too long"));
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| damaged())?];
        self.0
            .read_exact(&mut bytes)
            .map_err(LayerError::RecipeFile)?;
        Ok(Some(Note {
            tag: head[0],
            number: u64::from_le_bytes(number),
            bytes,
        }))
    }
}

/// A path whose file was moved aside, and after which note.
struct Move {
    after: usize,
    path: PathBuf,
    number: u64,
}

/// Writes the tar of the layer in `layer` (the directory that holds `diff` and `recipe`) to `out`.
pub(crate) fn write_tar(layer: &Path, out: &mut impl Write) -> Result<(), LayerError> {
    let root = Root::open(layer).and_then(|root| root.without_symlinks());
    let root = root.map_err(LayerError::RecipeFile)?;
    let moves = read_moves(&root)?;
    let mut notes = Notes::open(&root)?;
    let mut count = 0;
    while let Some(note) = notes.next()? {
        match note.tag {
            RAW => out.write_all(&note.bytes).map_err(LayerError::Write)?,
            CONTENTS => {
                let path = locate(&path_of(&note), count, &moves);
                copy_contents(&root, &path, note.number, out)?;
            }
            REPLACED => {}
            _ => return Err(LayerError::Recipe("a note has an unknown tag")),
        }
        count += 1;
    }
    Ok(())
}

fn read_moves(root: &Root) -> Result<Vec<Move>, LayerError> {
    let mut notes = Notes::open(root)?;
    let mut moves = Vec::new();
    let mut count = 0;
    while let Some(note) = notes.next()? {
        if note.tag == REPLACED {
            moves.push(Move {
                after: count,
                path: path_of(&note),
                number: note.number,
            });
        }
        count += 1;
    }
    Ok(moves)
}

fn path_of(note: &Note) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(&note.bytes))
}

/// Where a file is now that note `count` put at `path`: where the first later move took it, else where it was.
fn locate(path: &Path, count: usize, moves: &[Move]) -> PathBuf {
    let moved = moves
        .iter()
        .filter(|moved| moved.after > count)
        .find_map(|moved| {
            let rest = path.strip_prefix(&moved.path).ok()?;
            let aside = Path::new("replaced").join(moved.number.to_string());
            // Joining an empty rest would add a slash, and files do not take one.
            Some(if rest.as_os_str().is_empty() {
                aside
            } else {
                aside.join(rest)
            })
        });
    moved.unwrap_or_else(|| Path::new("diff").join(path))
}

fn copy_contents(
    root: &Root,
    path: &Path,
    size: u64,
    out: &mut impl Write,
) -> Result<(), LayerError> {
    let failed = |source| LayerError::File {
        path: path.display().to_string(),
        source,
    };
    let mut file = root.open_file(path).map_err(failed)?.take(size);
    let mut buffer = vec![0; 64 * 1024];
    let mut copied = 0;
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => break,
            read => {
                out.write_all(&buffer[..read]).map_err(LayerError::Write)?;
                copied += read as u64;
            }
        }
    }
    if copied == size {
        Ok(())
    } else {
        Err(LayerError::Recipe("a file has become shorter"))
    }
}
