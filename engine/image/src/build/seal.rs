//! From an upper directory to a layer: its tar is hashed and never written, and the notes to write it again lie beside
//! the files.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bowline_sys::root::{Dir, Root, Stat};
use sha2::{Digest as _, Sha256};

use super::ordered;
use super::tree::{Entry, What, Xattrs, xattrs};
use super::write::{Header, letter, padding};
use crate::Result;
use crate::digest::Digest;
use crate::error::Context;
use crate::layer::{LayerError, RecipeWriter};
use crate::store::LayerRecord;

/// Files from this size on go from the disk into the hash, without a stay in memory.
const LARGE: u64 = 256 * 1024;
const BUFFER: usize = 256 * 1024;

/// A stretch of the tar.
enum Piece {
    /// As it is; which parts of it are the contents of which files.
    Bytes {
        bytes: Vec<u8>,
        contents: Vec<(usize, usize, PathBuf)>,
    },
    /// The contents of a large file, without what pads them.
    Large { path: PathBuf, size: u64 },
}

/// Hashes the tar of `entries` and writes its recipe into `staging`.
pub(super) fn write(
    staging: &Path,
    upper: &Dir,
    entries: &[Entry],
) -> Result<(Digest, LayerRecord)> {
    let recipe = staging.join("recipe");
    let file = File::create_new(&recipe).file("create", &recipe)?;
    let root = upper.try_clone().map(Root::from_dir);
    let root = root.and_then(|root| root.without_symlinks());
    let root = root.file("open", staging)?;
    let mut sink = Sink {
        hash: Sha256::new(),
        recipe: RecipeWriter::new(file).map_err(LayerError::RecipeFile)?,
        record: LayerRecord {
            entries: entries.len() as u64,
            ..LayerRecord::default()
        },
        root: &root,
        buffer: vec![0; BUFFER],
    };
    ordered::each(
        entries,
        |portion| pieces(&root, portion),
        |pieces| pieces.into_iter().try_for_each(|piece| sink.take(piece)),
    )?;
    sink.take(Piece::Bytes {
        bytes: vec![0; 1024],
        contents: Vec::new(),
    })?;
    sink.recipe.finish().map_err(LayerError::RecipeFile)?;
    Ok((Digest::from_sha256(sink.hash), sink.record))
}

struct Sink<'a> {
    hash: Sha256,
    recipe: RecipeWriter,
    record: LayerRecord,
    root: &'a Root,
    buffer: Vec<u8>,
}

impl Sink<'_> {
    fn take(&mut self, piece: Piece) -> Result<(), LayerError> {
        match piece {
            Piece::Bytes { bytes, contents } => {
                self.hash.update(&bytes);
                self.record.tar_size += bytes.len() as u64;
                let mut at = 0;
                for (start, length, path) in contents {
                    self.recipe.raw(&bytes[at..start])?;
                    self.recipe.contents(length as u64, &path)?;
                    self.record.size += length as u64;
                    at = start + length;
                }
                self.recipe.raw(&bytes[at..])
            }
            Piece::Large { path, size } => self.large(&path, size),
        }
    }

    fn large(&mut self, path: &Path, size: u64) -> Result<(), LayerError> {
        let failed = |source| failed(path, source);
        let mut file = self.root.open_file(path).map_err(failed)?.take(size);
        let mut left = size;
        while left > 0 {
            let read = file.read(&mut self.buffer).map_err(failed)?;
            if read == 0 {
                return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
            }
            self.hash.update(&self.buffer[..read]);
            left -= read as u64;
        }
        self.record.size += size;
        self.record.tar_size += size;
        self.recipe.contents(size, path)
    }
}

fn failed(path: &Path, source: std::io::Error) -> LayerError {
    LayerError::File {
        path: path.display().to_string(),
        source,
    }
}

fn pieces(root: &Root, entries: &[Entry]) -> Result<Vec<Piece>, LayerError> {
    let mut writer = Writer {
        root,
        parent: None,
        done: Vec::new(),
        bytes: Vec::new(),
        contents: Vec::new(),
    };
    for entry in entries {
        writer.entry(entry)?;
    }
    writer.cut();
    Ok(writer.done)
}

struct Writer<'a> {
    root: &'a Root,
    /// The directory of the last file: the next one is mostly in it too.
    parent: Option<(PathBuf, Dir)>,
    done: Vec<Piece>,
    bytes: Vec<u8>,
    contents: Vec<(usize, usize, PathBuf)>,
}

impl Writer<'_> {
    fn entry(&mut self, entry: &Entry) -> Result<(), LayerError> {
        let none = Xattrs::new();
        match &entry.what {
            What::Directory { opaque, xattrs } => {
                self.header(&entry.path, b'5', None, &entry.stat, 0, xattrs);
                if *opaque {
                    let mark = entry.path.join(".wh..wh..opq");
                    self.header(&mark, b'0', None, &mark_of(&entry.stat), 0, &none);
                }
            }
            What::File => self.file(&entry.path, &entry.stat)?,
            What::HardLink(first) => {
                self.header(&entry.path, b'1', Some(first), &entry.stat, 0, &none);
            }
            What::Symlink(target) => {
                self.header(&entry.path, b'2', Some(target), &entry.stat, 0, &none);
            }
            What::Node => {
                let kind = letter(entry.stat.kind);
                self.header(&entry.path, kind, None, &entry.stat, 0, &none);
            }
            What::Whiteout => {
                let name = entry.path.file_name().unwrap_or_default();
                let mut hidden = OsString::from(".wh.");
                hidden.push(name);
                let path = entry.path.with_file_name(hidden);
                self.header(&path, b'0', None, &mark_of(&entry.stat), 0, &none);
            }
        }
        Ok(())
    }

    fn header(
        &mut self,
        path: &Path,
        kind: u8,
        link: Option<&Path>,
        stat: &Stat,
        size: u64,
        xattrs: &Xattrs,
    ) {
        let header = Header {
            path,
            kind,
            link,
            stat,
            size,
            xattrs,
        };
        header.write(&mut self.bytes);
    }

    fn file(&mut self, path: &Path, stat: &Stat) -> Result<(), LayerError> {
        let mut file = self.open(path).map_err(|source| failed(path, source))?;
        let attributes = xattrs(&file).map_err(|source| failed(path, source))?;
        self.header(path, b'0', None, stat, stat.size, &attributes);
        if stat.size >= LARGE {
            self.cut();
            let (path, size) = (path.to_owned(), stat.size);
            self.done.push(Piece::Large { path, size });
        } else if stat.size > 0 {
            let start = self.bytes.len();
            let length = usize::try_from(stat.size).unwrap_or(0);
            self.bytes.resize(start + length, 0);
            file.read_exact(&mut self.bytes[start..])
                .map_err(|source| failed(path, source))?;
            self.contents.push((start, length, path.to_owned()));
        }
        self.bytes.resize(self.bytes.len() + padding(stat.size), 0);
        Ok(())
    }

    fn open(&mut self, path: &Path) -> std::io::Result<File> {
        let parent = path.parent().unwrap_or(Path::new(""));
        let name = path.file_name().unwrap_or(OsStr::from_bytes(b"."));
        if self
            .parent
            .as_ref()
            .is_none_or(|(known, _)| known != parent)
        {
            self.parent = Some((parent.to_owned(), self.root.open_dir(parent)?));
        }
        match &self.parent {
            Some((_, dir)) => dir.open_file(name),
            None => self.root.open_file(path),
        }
    }

    fn cut(&mut self) {
        if !self.bytes.is_empty() {
            self.done.push(Piece::Bytes {
                bytes: std::mem::take(&mut self.bytes),
                contents: std::mem::take(&mut self.contents),
            });
        }
    }
}

/// The attributes of an entry that only says that something is gone: nobody's in particular, so that two layers that
/// remove the same are the same.
fn mark_of(stat: &Stat) -> Stat {
    Stat {
        mode: 0,
        uid: 0,
        gid: 0,
        modified: bowline_sys::root::Timestamp::default(),
        ..*stat
    }
}
