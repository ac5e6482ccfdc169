//! Telling how a stream is packed from its first bytes, whatever its name or media type claims.

use std::io::{self, BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

const CHUNK: usize = 128 * 1024;

/// The start of a stream, put back in front of it.
type Rewound<R> = BufReader<io::Chain<Cursor<Vec<u8>>, R>>;

/// A stream, unpacked.
pub(crate) enum Unpacked<R: Read> {
    Plain(Rewound<R>),
    Gzip(Box<MultiGzDecoder<Rewound<R>>>),
    Zstd(zstd::Decoder<'static, Rewound<R>>),
}

/// How a stream cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum CompressionError {
    /// The stream itself.
    #[error("read the stream")]
    Read(#[source] io::Error),
    /// A format nobody uses for layers any more.
    #[error("the stream is packed with {0}; only gzip, zstd and plain streams are supported")]
    Unsupported(&'static str),
    /// The decoder could not be made.
    #[error("start the zstd decoder")]
    Zstd(#[source] io::Error),
}

impl<R: Read> Unpacked<R> {
    pub(crate) fn sniff(mut source: R) -> Result<Self, CompressionError> {
        let mut start = Vec::new();
        (&mut source)
            .take(6)
            .read_to_end(&mut start)
            .map_err(CompressionError::Read)?;
        let kind = Kind::of(&start)?;
        let rewound = BufReader::with_capacity(CHUNK, Cursor::new(start).chain(source));
        Ok(match kind {
            Kind::Plain => Self::Plain(rewound),
            Kind::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(rewound))),
            Kind::Zstd => {
                let decoder = zstd::Decoder::with_buffer(rewound);
                Self::Zstd(decoder.map_err(CompressionError::Zstd)?)
            }
        })
    }

    /// The packed stream, at the place the decoder read up to.
    pub(crate) fn into_source(self) -> R {
        let rewound = match self {
            Self::Plain(source) => source,
            Self::Gzip(decoder) => decoder.into_inner(),
            Self::Zstd(decoder) => decoder.finish(),
        };
        rewound.into_inner().into_inner().1
    }
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(source) => source.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    Gzip,
    Zstd,
}

impl Kind {
    fn of(start: &[u8]) -> Result<Self, CompressionError> {
        // A zstd stream may begin with a skippable frame, whose magic has sixteen forms.
        let skippable = matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]);
        match start {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Self::Zstd),
            _ if skippable => Ok(Self::Zstd),
            [b'B', b'Z', b'h', ..] => Err(CompressionError::Unsupported("bzip2")),
            [0xfd, b'7', b'z', b'X', b'Z', ..] => Err(CompressionError::Unsupported("xz")),
            _ => Ok(Self::Plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn unpacked(packed: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Unpacked::sniff(packed)
            .unwrap()
            .read_to_end(&mut out)
            .unwrap();
        out
    }

    #[test]
    fn all_forms_of_one_text_are_that_text() {
        let text = b"bowline ".repeat(10_000);
        let gzip = |part: &[u8]| {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(part).unwrap();
            encoder.finish().unwrap()
        };
        let zstd = |part: &[u8]| zstd::encode_all(part, 3).unwrap();
        let (start, end) = text.split_at(12_345);
        assert_eq!(unpacked(&text), text);
        assert_eq!(unpacked(&gzip(&text)), text);
        assert_eq!(
            unpacked(&[gzip(start), gzip(end)].concat()),
            text,
            "several gzip members"
        );
        assert_eq!(unpacked(&zstd(&text)), text);
        let skippable = [
            &[0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 7, 7][..],
            &zstd(&text),
        ]
        .concat();
        assert_eq!(unpacked(&skippable), text);
        assert_eq!(unpacked(b""), b"");
    }

    #[test]
    fn what_is_not_supported_is_named() {
        let error = Unpacked::sniff(&b"BZh91AY"[..]).err().unwrap();
        assert!(error.to_string().contains("bzip2"));
    }
}
