//! Tar headers: ustar where it has room, PAX where it does not. What is written depends on the files alone, so that the
//! same files give the same layer.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bowline_sys::root::{FileKind, Stat};

use super::tree::Xattrs;

/// Size of a header, and what contents are padded to.
const BLOCK: usize = 512;
/// The largest number that fits a field of eight bytes.
const SHORT_LIMIT: u64 = 0o777_7777;
/// The largest number that fits a field of twelve bytes.
const LONG_LIMIT: u64 = 0o777_7777_7777;

/// One entry's header.
#[derive(Debug)]
pub(super) struct Header<'a> {
    pub(super) path: &'a Path,
    /// What comes before the last name: a whiteout's mark.
    pub(super) kind: u8,
    pub(super) link: Option<&'a Path>,
    pub(super) stat: &'a Stat,
    pub(super) size: u64,
    pub(super) xattrs: &'a Xattrs,
}

/// The type letter of a file that is neither directory nor link.
pub(super) fn letter(kind: FileKind) -> u8 {
    match kind {
        FileKind::Character => b'3',
        FileKind::Block => b'4',
        FileKind::Fifo => b'6',
        FileKind::Symlink => b'2',
        FileKind::Directory => b'5',
        _ => b'0',
    }
}

impl Header<'_> {
    /// Appends the header, with an extended one before it where needed.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut path = self.path.as_os_str().as_bytes().to_vec();
        if self.kind == b'5' {
            path.push(b'/');
        }
        let link = self
            .link
            .map_or(&b""[..], |link| link.as_os_str().as_bytes());
        let seconds = u64::try_from(self.stat.modified.seconds).ok();
        let mut records = Vec::new();
        let mut record = |fits: bool, key: &str, value: &[u8]| {
            if !fits {
                pax(&mut records, key.as_bytes(), value);
            }
        };
        let number = |value: u64| value.to_string().into_bytes();
        record(path.len() <= 100, "path", &path);
        record(link.len() <= 100, "linkpath", link);
        let (uid, gid) = (u64::from(self.stat.uid), u64::from(self.stat.gid));
        record(uid <= SHORT_LIMIT, "uid", &number(uid));
        record(gid <= SHORT_LIMIT, "gid", &number(gid));
        record(self.size <= LONG_LIMIT, "size", &number(self.size));
        let time = self.stat.modified.seconds.to_string().into_bytes();
        record(
            seconds.is_some_and(|time| time <= LONG_LIMIT),
            "mtime",
            &time,
        );
        for (key, value) in self.xattrs {
            let key = [b"SCHILY.xattr.", key.as_bytes()].concat();
            pax(&mut records, &key, value);
        }
        if !records.is_empty() {
            let head = Block::new(b"PaxHeaders.0/x", b'x', records.len() as u64, 0o644);
            out.extend_from_slice(&head.finish());
            out.extend_from_slice(&records);
            pad(out, records.len() as u64);
        }
        let mut head = Block::new(&path, self.kind, self.size, self.stat.mode);
        head.text(157, 100, link);
        head.number(108, 8, uid);
        head.number(116, 8, gid);
        head.number(136, 12, seconds.unwrap_or(0));
        if matches!(self.kind, b'3' | b'4') {
            head.number(329, 8, self.stat.device.0.into());
            head.number(337, 8, self.stat.device.1.into());
        }
        out.extend_from_slice(&head.finish());
    }
}

/// Fills up with zeros what follows `size` bytes of contents.
pub(super) fn pad(out: &mut Vec<u8>, size: u64) {
    out.resize(out.len() + padding(size), 0);
}

/// Zeros after contents of this size.
pub(super) fn padding(size: u64) -> usize {
    usize::try_from(size.wrapping_neg() % BLOCK as u64).unwrap_or(0)
}

/// One record: its length (with the digits that say it), key and value.
fn pax(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = 1 + key.len() + 1 + value.len() + 1;
    let mut length = rest + 1;
    while length.to_string().len() + rest != length {
        length = length.to_string().len() + rest;
    }
    // Writing to a vector cannot fail.
    let _infallible = write!(out, "{length} ");
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

struct Block([u8; BLOCK]);

impl Block {
    fn new(path: &[u8], kind: u8, size: u64, mode: u32) -> Self {
        let mut block = Self([0; BLOCK]);
        block.text(0, 100, path);
        block.number(100, 8, mode.into());
        block.number(108, 8, 0);
        block.number(116, 8, 0);
        block.number(124, 12, size);
        block.number(136, 12, 0);
        block.0[156] = kind;
        block.text(257, 8, b"ustar\x0000");
        block.number(329, 8, 0);
        block.number(337, 8, 0);
        block
    }

    fn text(&mut self, at: usize, room: usize, text: &[u8]) {
        let length = text.len().min(room);
        self.0[at..at + length].copy_from_slice(&text[..length]);
    }

    /// Octal digits and a null. What does not fit stands in an extended header, and here as zero.
    fn number(&mut self, at: usize, room: usize, value: u64) {
        let limit = if room == 8 { SHORT_LIMIT } else { LONG_LIMIT };
        let mut left = if value > limit { 0 } else { value };
        for place in (at..at + room - 1).rev() {
            self.0[place] = b'0' + u8::try_from(left % 8).unwrap_or(0);
            left /= 8;
        }
        self.0[at + room - 1] = 0;
    }

    fn finish(mut self) -> [u8; BLOCK] {
        self.0[148..156].fill(b' ');
        let sum: u64 = self.0.iter().map(|byte| u64::from(*byte)).sum();
        self.number(148, 7, sum);
        self.0[155] = b' ';
        self.0
    }
}
