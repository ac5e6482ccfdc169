//! Docker's multiplexing of output streams: frames of eight bytes of header and a payload.
//!
//! The header is `[stream, 0, 0, 0, length as big-endian u32]`. A frame may be cut anywhere by the transport and may be
//! empty; the reader hands payload on as it comes and never waits for the whole of a frame.

use std::fmt;

/// Length of a frame's header.
pub const HEADER: usize = 8;

/// Which stream a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Sent by the server only when it echoes input.
    Stdin,
    /// Standard output; also everything of a terminal.
    Stdout,
    /// Standard error.
    Stderr,
    /// The engine's own word about a failure in the middle of the stream.
    SystemError,
}

impl Stream {
    /// The number on the wire.
    pub fn number(self) -> u8 {
        match self {
            Self::Stdin => 0,
            Self::Stdout => 1,
            Self::Stderr => 2,
            Self::SystemError => 3,
        }
    }

    /// The stream of that number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Stdin, Self::Stdout, Self::Stderr, Self::SystemError]
            .get(usize::from(number))
            .copied()
    }

    /// `stdout` or `stderr`, as log records spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdin => "stdin",
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::SystemError => "systemerr",
        }
    }
}

/// The header in front of `length` bytes of `stream`.
pub fn header(stream: Stream, length: u32) -> [u8; HEADER] {
    let [a, b, c, d] = length.to_be_bytes();
    [stream.number(), 0, 0, 0, a, b, c, d]
}

/// A whole frame (or several, if `payload` is longer than a header can say).
pub fn frame(stream: Stream, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + HEADER);
    for part in payload.chunks(MAX_FRAME) {
        // A part is at most MAX_FRAME long, which fits.
        out.extend_from_slice(&header(
            stream,
            u32::try_from(part.len()).unwrap_or(u32::MAX),
        ));
        out.extend_from_slice(part);
    }
    out
}

/// The longest payload we put into one frame.
const MAX_FRAME: usize = 1 << 30;

/// A header that cannot be one: the stream is not multiplexed, or its beginning was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadHeader(pub [u8; HEADER]);

impl fmt::Display for BadHeader {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "not a stdcopy frame header: {:02x?}", self.0)
    }
}

impl std::error::Error for BadHeader {}

/// Reads frames out of pieces of any size.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    header: [u8; HEADER],
    have: usize,
    current: Option<(Stream, usize)>,
}

impl Decoder {
    /// A reader at the beginning of a frame.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece of payload from the front of `input`, which is advanced. `None` when `input` is used up.
    pub fn next<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<(Stream, &'a [u8])>, BadHeader> {
        loop {
            if let Some((stream, left)) = self.current {
                let take = left.min(input.len());
                let (piece, rest) = input.split_at(take);
                *input = rest;
                self.current = (take < left).then_some((stream, left - take));
                if take > 0 {
                    return Ok(Some((stream, piece)));
                }
                if left > 0 {
                    return Ok(None);
                }
            }
            if !self.read_header(input)? {
                return Ok(None);
            }
        }
    }

    /// Whether the stream may end here: between two frames.
    pub fn at_boundary(&self) -> bool {
        self.have == 0 && self.current.is_none()
    }

    fn read_header(&mut self, input: &mut &[u8]) -> Result<bool, BadHeader> {
        let take = (HEADER - self.have).min(input.len());
        let (part, rest) = input.split_at(take);
        self.header[self.have..self.have + take].copy_from_slice(part);
        *input = rest;
        self.have += take;
        if self.have < HEADER {
            return Ok(false);
        }
        self.have = 0;
        let [number, 0, 0, 0, a, b, c, d] = self.header else {
            return Err(BadHeader(self.header));
        };
        let stream = Stream::from_number(number).ok_or(BadHeader(self.header))?;
        let length = u32::from_be_bytes([a, b, c, d]);
        self.current =
            (length > 0).then_some((stream, usize::try_from(length).unwrap_or(usize::MAX)));
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(pieces: &[&[u8]]) -> Vec<(Stream, u8)> {
        let mut decoder = Decoder::new();
        let mut out = Vec::new();
        for piece in pieces {
            let mut input = *piece;
            while let Some((stream, payload)) = decoder.next(&mut input).unwrap() {
                out.extend(payload.iter().map(|byte| (stream, *byte)));
            }
        }
        assert!(decoder.at_boundary());
        out
    }

    #[test]
    fn an_empty_frame_is_skipped() {
        let mut bytes = header(Stream::Stdout, 0).to_vec();
        bytes.extend(frame(Stream::Stderr, b"x"));
        assert_eq!(decode(&[&bytes]), [(Stream::Stderr, b'x')]);
    }

    #[test]
    fn text_that_is_not_multiplexed_is_told_apart() {
        let mut input: &[u8] = b"hello world";
        assert!(Decoder::new().next(&mut input).is_err());
    }

    proptest! {
        #[test]
        fn frames_may_be_cut_anywhere(
            frames in proptest::collection::vec((0u8..4, proptest::collection::vec(any::<u8>(), 0..40)), 0..8),
            cuts in proptest::collection::vec(0usize..400, 0..8),
        ) {
            let mut bytes = Vec::new();
            let mut expected = Vec::new();
            for (number, payload) in &frames {
                let stream = Stream::from_number(*number).unwrap();
                bytes.extend(header(stream, u32::try_from(payload.len()).unwrap()));
                bytes.extend(payload);
                expected.extend(payload.iter().map(|byte| (stream, *byte)));
            }
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(decode(&pieces), expected);
        }
    }
}
