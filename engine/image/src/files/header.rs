//! Headers of tar archives as they are written: ustar, with a PAX header before what does not fit into one.

use std::io::{self, Write};

use bowline_sys::root::{FileKind, Stat};

pub(super) const BLOCK: usize = 512;
/// The largest value that seven octal digits hold: owner and group.
const SMALL: u64 = 0o7_777_777;
/// The largest that eleven hold: size and time.
const LARGE: u64 = 0o77_777_777_777;

/// What a header says.
#[derive(Clone, Debug)]
pub(super) struct Header<'a> {
    pub(super) name: &'a [u8],
    pub(super) stat: Stat,
    /// Bytes that follow.
    pub(super) size: u64,
    /// The target of a link, symbolic or hard.
    pub(super) link: &'a [u8],
    /// Another name of a file that came before.
    pub(super) hard: bool,
    pub(super) attributes: &'a [(Vec<u8>, Vec<u8>)],
}

impl Header<'_> {
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let records = self.records();
        if !records.is_empty() {
            let length = u64::try_from(records.len()).unwrap_or(0);
            out.write_all(&self.block(b"PaxHeader", &[], b'x', length, 0))?;
            out.write_all(&records)?;
            pad(out, length)?;
        }
        let seconds = u64::try_from(self.stat.modified.seconds).unwrap_or(0);
        out.write_all(&self.block(self.name, self.link, self.kind(), self.size, seconds))
    }

    fn kind(&self) -> u8 {
        match self.stat.kind {
            _ if self.hard => b'1',
            FileKind::Symlink => b'2',
            FileKind::Character => b'3',
            FileKind::Block => b'4',
            FileKind::Directory => b'5',
            FileKind::Fifo => b'6',
            _ => b'0',
        }
    }

    /// PAX records for everything that the fixed fields cannot say.
    fn records(&self) -> Vec<u8> {
        let mut records = Vec::new();
        let mut number = |key: &str, value: u64, limit: u64| {
            if value > limit {
                record(&mut records, key.as_bytes(), value.to_string().as_bytes());
            }
        };
        number("uid", self.stat.uid.into(), SMALL);
        number("gid", self.stat.gid.into(), SMALL);
        number("size", self.size, LARGE);
        if self.stat.modified.seconds < 0 {
            let time = self.stat.modified.seconds.to_string();
            record(&mut records, b"mtime", time.as_bytes());
        }
        for (key, text, room) in [("path", self.name, 100), ("linkpath", self.link, 100)] {
            if text.len() > room {
                record(&mut records, key.as_bytes(), text);
            }
        }
        for (key, value) in self.attributes {
            record(&mut records, &[b"SCHILY.xattr.", &key[..]].concat(), value);
        }
        records
    }

    fn block(&self, name: &[u8], link: &[u8], kind: u8, size: u64, time: u64) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        put(&mut block, 0, 100, name);
        octal(&mut block, 100, 8, self.stat.mode.into());
        octal(&mut block, 108, 8, u64::from(self.stat.uid).min(SMALL));
        octal(&mut block, 116, 8, u64::from(self.stat.gid).min(SMALL));
        octal(&mut block, 124, 12, size.min(LARGE));
        octal(&mut block, 136, 12, time.min(LARGE));
        block[156] = kind;
        put(&mut block, 157, 100, link);
        put(&mut block, 257, 8, b"ustar\x0000");
        let (major, minor) = match self.stat.kind {
            FileKind::Character | FileKind::Block => self.stat.device,
            _ => (0, 0),
        };
        octal(&mut block, 329, 8, major.into());
        octal(&mut block, 337, 8, minor.into());
        // The sum is taken as if its own field were blanks.
        block[148..156].fill(b' ');
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        octal(&mut block, 148, 7, sum);
        block
    }
}

/// Fills up to the next whole block.
pub(super) fn pad(out: &mut impl Write, size: u64) -> io::Result<()> {
    let rest = usize::try_from(size % BLOCK as u64).unwrap_or(0);
    match rest {
        0 => Ok(()),
        rest => out.write_all(&[0; BLOCK][rest..]),
    }
}

/// `length key=value\n`, where the length counts itself.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let bare = key.len() + value.len() + 3;
    let digits = |length: usize| length.to_string().len();
    let mut length = bare + digits(bare);
    if bare + digits(length) != length {
        length = bare + digits(length);
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

fn put(block: &mut [u8; BLOCK], at: usize, room: usize, text: &[u8]) {
    let length = text.len().min(room);
    block[at..at + length].copy_from_slice(&text[..length]);
}

/// Octal digits, ended by a zero byte.
fn octal(block: &mut [u8; BLOCK], at: usize, room: usize, value: u64) {
    let text = format!("{value:0width$o}", width = room - 1);
    put(block, at, room - 1, text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_length() {
        for value in [
            "",
            "x",
            &"x".repeat(85),
            &"x".repeat(86),
            &"x".repeat(87),
            &"x".repeat(990),
        ] {
            let mut records = Vec::new();
            record(&mut records, b"path", value.as_bytes());
            let text = String::from_utf8(records).unwrap();
            let length: usize = text.split(' ').next().unwrap().parse().unwrap();
            assert_eq!(length, text.len(), "{text}");
        }
    }
}
