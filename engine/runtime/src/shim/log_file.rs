//! The files of a log: the newest, and up to `max_file - 1` older ones with numbers, compressed where that is asked.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};

/// How much is kept, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep {
    /// Bytes after which a new file begins.
    pub(super) max_size: Option<u64>,
    /// Files, the newest included.
    pub(super) max_file: u32,
    /// Whether all but the newest are compressed.
    pub(super) compress: bool,
}

/// The newest file, open.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    size: u64,
    keep: Keep,
}

impl LogFile {
    pub(super) fn open(path: PathBuf, keep: Keep) -> io::Result<Self> {
        let file = create(&path)?;
        let size = file.metadata()?.len();
        Ok(Self {
            path,
            file,
            size,
            keep,
        })
    }

    /// Appends whole lines, each to the file that is the newest when its turn comes.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let Some(max_size) = self.keep.max_size else {
            return self.write(lines);
        };
        let mut rest = lines;
        while !rest.is_empty() {
            if self.size >= max_size {
                self.rotate()?;
            }
            let room = usize::try_from(max_size - self.size).unwrap_or(usize::MAX);
            let (fitting, later) = rest.split_at(up_to(rest, room));
            self.write(fitting)?;
            rest = later;
        }
        Ok(())
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file.write_all(lines)?;
        self.size += lines.len() as u64;
        Ok(())
    }

    fn named(&self, end: &str) -> PathBuf {
        let mut name: OsString = self.path.clone().into_os_string();
        name.push(end);
        name.into()
    }

    /// Readers that have the old file open keep it; whoever opens the name gets the new one.
    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..self.keep.max_file.saturating_sub(1)).rev() {
            self.renumber(number)?;
        }
        if self.keep.max_file > 1 {
            // The place may still hold what an interrupted compression left beside its result.
            ignore_missing(std::fs::remove_file(self.named(".1.gz")))?;
            std::fs::rename(&self.path, self.named(".1"))?;
        } else {
            std::fs::remove_file(&self.path)?;
        }
        let old = std::mem::replace(&mut self.file, create(&self.path)?);
        self.size = 0;
        if self.keep.compress && self.keep.max_file > 1 {
            // A log that could not be compressed is still a log.
            let _kept_as_it_is = self.compress(old);
        }
        Ok(())
    }

    /// A number has its file plain or compressed; both only while, or after, a compression was interrupted, when the
    /// plain one counts.
    fn renumber(&self, number: u32) -> io::Result<()> {
        let next = number + 1;
        let plain = self.named(&format!(".{number}"));
        let packed = self.named(&format!(".{number}.gz"));
        let (next_plain, next_packed) = (
            self.named(&format!(".{next}")),
            self.named(&format!(".{next}.gz")),
        );
        if plain.exists() {
            ignore_missing(std::fs::remove_file(&packed))?;
            ignore_missing(std::fs::remove_file(&next_packed))?;
            return std::fs::rename(plain, next_plain);
        }
        if packed.exists() {
            ignore_missing(std::fs::remove_file(&next_plain))?;
            return std::fs::rename(packed, next_packed);
        }
        Ok(())
    }

    /// Turns `.1` into `.1.gz`. The header says which file it was, so that a reader that knows the plain one by device
    /// and inode does not take the other for news.
    fn compress(&self, old: File) -> io::Result<()> {
        let meta = old.metadata()?;
        drop(old);
        let (plain, packed) = (self.named(".1"), self.named(".1.gz"));
        let draft = self.named(".gz.draft");
        let output = File::create(&draft)?;
        let mut encoder = GzBuilder::new()
            .comment(format!("{}:{}", meta.dev(), meta.ino()))
            .write(output, Compression::fast());
        io::copy(&mut File::open(&plain)?, &mut encoder)?;
        encoder.finish()?;
        std::fs::rename(draft, packed)?;
        std::fs::remove_file(plain)
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The end of the line with which `room` is used up: as many lines as are begun before it is full.
fn up_to(lines: &[u8], room: usize) -> usize {
    let last = lines.get(room.saturating_sub(1)..).unwrap_or_default();
    last.iter()
        .position(|byte| *byte == b'\n')
        .map_or(lines.len(), |at| room.saturating_sub(1) + at + 1)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("bowline-log-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    fn keep(max_size: u64, max_file: u32) -> Keep {
        Keep {
            max_size: Some(max_size),
            max_file,
            compress: false,
        }
    }

    fn unpacked(path: &Path) -> String {
        let mut text = String::new();
        let mut decoder = flate2::read::GzDecoder::new(File::open(path).unwrap());
        decoder.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_full_file_gets_a_number_and_the_oldest_goes() {
        let base = directory("rotate");
        let path = base.join("x.log");
        let mut file = LogFile::open(path.clone(), keep(10, 3)).unwrap();
        for number in 0..8 {
            file.append(format!("line {number}\n").as_bytes()).unwrap();
        }
        let read = |name: &str| std::fs::read_to_string(base.join(name)).unwrap();
        assert_eq!(read("x.log"), "line 6\nline 7\n");
        assert_eq!(read("x.log.1"), "line 4\nline 5\n");
        assert_eq!(read("x.log.2"), "line 2\nline 3\n");
        assert!(!base.join("x.log.3").exists());
        std::fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn one_batch_is_spread_over_files_line_by_line() {
        let base = directory("batch");
        let path = base.join("x.log");
        let mut file = LogFile::open(path.clone(), keep(3, 2)).unwrap();
        file.append(b"aa\nbb\ncc\n").unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "cc\n");
        assert_eq!(
            std::fs::read_to_string(base.join("x.log.1")).unwrap(),
            "bb\n"
        );
        std::fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn what_is_put_aside_is_compressed_and_knows_which_file_it_was() {
        let base = directory("packed");
        let path = base.join("x.log");
        let compressed = Keep {
            compress: true,
            ..keep(10, 3)
        };
        let mut file = LogFile::open(path.clone(), compressed).unwrap();
        let first = std::fs::metadata(&path).unwrap();
        for number in 0..8 {
            file.append(format!("line {number}\n").as_bytes()).unwrap();
            if number == 2 {
                let decoder =
                    flate2::read::GzDecoder::new(File::open(base.join("x.log.1.gz")).unwrap());
                let said = decoder.header().unwrap().comment().unwrap().to_vec();
                let known = format!("{}:{}", first.dev(), first.ino());
                assert_eq!(said, known.into_bytes());
            }
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "line 6\nline 7\n");
        assert_eq!(unpacked(&base.join("x.log.1.gz")), "line 4\nline 5\n");
        assert_eq!(unpacked(&base.join("x.log.2.gz")), "line 2\nline 3\n");
        let names = std::fs::read_dir(&base).unwrap().count();
        assert_eq!(names, 3, "nothing else is left");
        std::fs::remove_dir_all(base).unwrap();
    }

    /// Killed between making the compressed file and removing the plain one, both are there: neither may come back as a
    /// second copy.
    #[test]
    fn an_interrupted_compression_leaves_one_copy() {
        let base = directory("halfway");
        let path = base.join("x.log");
        let compressed = Keep {
            compress: true,
            ..keep(3, 3)
        };
        let mut file = LogFile::open(path.clone(), compressed).unwrap();
        file.append(b"aa\nbb\n").unwrap();
        std::fs::write(base.join("x.log.1"), "aa\n").unwrap();
        file.append(b"cc\n").unwrap();
        assert_eq!(unpacked(&base.join("x.log.1.gz")), "bb\n");
        assert_eq!(
            std::fs::read_to_string(base.join("x.log.2")).unwrap(),
            "aa\n"
        );
        assert!(!base.join("x.log.2.gz").exists());
        std::fs::remove_dir_all(base).unwrap();
    }
}
