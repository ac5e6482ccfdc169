//! The 512 bytes before each entry.

use bowline_sys::root::Timestamp;

use super::{BLOCK, TarError};

/// A header whose checksum is right.
pub(super) struct Header([u8; BLOCK]);

/// Whether a stream that begins with `start` (a block, if it has as many) can be a tar archive.
pub(crate) fn looks_like_tar(start: &[u8]) -> bool {
    match <[u8; BLOCK]>::try_from(start) {
        Ok(block) => Header::parse(block).is_some(),
        Err(_) => false,
    }
}

impl Header {
    /// `None` for damage, `Some(None)` for the block of zeros that ends an archive.
    #[expect(
        clippy::option_option,
        reason = "damage, the end, and a header are three things"
    )]
    pub(super) fn parse(block: [u8; BLOCK]) -> Option<Option<Self>> {
        if block == [0; BLOCK] {
            return Some(None);
        }
        let stated = octal(&block[148..156])?;
        let sum = |byte: fn(u8) -> i64| -> i64 {
            let bytes = block.iter().enumerate();
            bytes
                .map(|(i, b)| {
                    if (148..156).contains(&i) {
                        32
                    } else {
                        byte(*b)
                    }
                })
                .sum()
        };
        // Some old writers added the bytes up as signed ones.
        let fits = sum(i64::from) == stated || sum(|b| i64::from(b.cast_signed())) == stated;
        fits.then_some(Some(Self(block)))
    }

    pub(super) fn kind(&self) -> u8 {
        self.0[156]
    }

    pub(super) fn path(&self) -> Vec<u8> {
        let name = text(&self.0[..100]);
        // GNU's format uses the prefix's place for other things.
        let prefix = if &self.0[257..263] == b"ustar\0" {
            text(&self.0[345..500])
        } else {
            &[]
        };
        if prefix.is_empty() {
            name.to_vec()
        } else {
            [prefix, b"/", name].concat()
        }
    }

    pub(super) fn link(&self) -> Vec<u8> {
        text(&self.0[157..257]).to_vec()
    }

    pub(super) fn mode(&self, at: u64) -> Result<u32, TarError> {
        Ok(self.number::<u32>(100..108, "mode", at)? & 0o7777)
    }

    pub(super) fn uid(&self, at: u64) -> Result<u32, TarError> {
        self.number(108..116, "owner", at)
    }

    pub(super) fn gid(&self, at: u64) -> Result<u32, TarError> {
        self.number(116..124, "group", at)
    }

    pub(super) fn size(&self, at: u64) -> Result<u64, TarError> {
        self.number(124..136, "size", at)
    }

    pub(super) fn modified(&self, at: u64) -> Result<Timestamp, TarError> {
        Ok(Timestamp {
            seconds: self.number(136..148, "time", at)?,
            nanoseconds: 0,
        })
    }

    pub(super) fn device(&self, at: u64) -> Result<(u32, u32), TarError> {
        if !matches!(self.kind(), b'3' | b'4') {
            return Ok((0, 0));
        }
        let major = self.number(329..337, "device number", at)?;
        Ok((major, self.number(337..345, "device number", at)?))
    }

    fn number<T: TryFrom<i64>>(
        &self,
        range: std::ops::Range<usize>,
        field: &'static str,
        at: u64,
    ) -> Result<T, TarError> {
        let value = number(&self.0[range]).and_then(|value| T::try_from(value).ok());
        value.ok_or(TarError::Number { field, at })
    }
}

fn text(bytes: &[u8]) -> &[u8] {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    &bytes[..end]
}

/// Octal digits, or with the highest bit set a big-endian two's complement number.
fn number(bytes: &[u8]) -> Option<i64> {
    if bytes[0] & 0x80 == 0 {
        return octal(bytes);
    }
    let negative = bytes[0] & 0x40 != 0;
    let first = if negative {
        i128::from(bytes[0]) - 0x100
    } else {
        i128::from(bytes[0] & 0x7f)
    };
    let mut value = first;
    for byte in &bytes[1..] {
        value = value.checked_mul(256)? + i128::from(*byte);
        // Numbers that long are nonsense, and stopping here keeps them from overflowing.
        i64::try_from(value).ok()?;
    }
    i64::try_from(value).ok()
}

fn octal(bytes: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text(bytes)).ok()?.trim_matches(' ');
    if text.is_empty() {
        return Some(0);
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    i64::from_str_radix(text, 8).ok()
}
