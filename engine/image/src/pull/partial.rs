//! The part of a blob that an earlier try got, and the file it grows in.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use crate::Result;
use crate::error::Context;

/// A partial download. It is read from its start, for the digest must be made of all of it.
#[derive(Debug)]
pub(super) struct Partial {
    file: File,
    length: u64,
}

/// The part that is there, then the rest from elsewhere, which is appended as it is read.
#[derive(Debug)]
pub(super) struct Growing<R> {
    partial: Partial,
    left: u64,
    rest: R,
}

impl Partial {
    /// Opens the file, or makes it. One longer than the blob is none of ours and begins anew.
    pub(super) fn open(path: &Path, limit: u64) -> Result<Self> {
        let mut options = File::options();
        let file = options
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .file("open", path)?;
        let mut length = file.metadata().file("stat", path)?.len();
        if length > limit {
            file.set_len(0).file("truncate", path)?;
            length = 0;
        }
        Ok(Self { file, length })
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn followed_by<R: Read>(self, rest: R) -> Growing<R> {
        Growing {
            left: self.length,
            partial: self,
            rest,
        }
    }
}

impl<R: Read> Read for Growing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left > 0 {
            let wanted = buffer
                .len()
                .min(usize::try_from(self.left).unwrap_or(usize::MAX));
            let read = self.partial.file.read(&mut buffer[..wanted])?;
            self.left -= read as u64;
            return if read == 0 {
                Err(io::ErrorKind::UnexpectedEof.into())
            } else {
                Ok(read)
            };
        }
        let read = self.rest.read(buffer)?;
        self.partial.file.write_all(&buffer[..read])?;
        Ok(read)
    }
}
