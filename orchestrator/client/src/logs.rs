//! Output of a container, told apart into stdout and stderr.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bowline_api::stdcopy::{Decoder, Stream as Kind};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::Stream;
use tokio::io::AsyncRead;

use crate::body::{ByteStream, poll_piece};
use crate::{Error, Result};

/// A piece of output. Pieces are as the transport cut them: neither lines nor frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogChunk {
    /// stdout, stderr, or the engine's own word about a failure.
    pub stream: Kind,
    /// What was printed.
    pub bytes: Bytes,
}

/// A container's output until it ends.
pub struct LogStream {
    source: Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>,
    /// `None` for a terminal, whose output has no frames.
    frames: Option<Decoder>,
    pending: Bytes,
}

impl fmt::Debug for LogStream {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("LogStream")
            .field("multiplexed", &self.frames.is_some())
            .finish_non_exhaustive()
    }
}

/// Chunks out of an answer's body.
pub(crate) fn from_body(body: ByteStream, multiplexed: bool) -> LogStream {
    new(Box::pin(body), multiplexed)
}

/// Chunks out of a hijacked connection.
pub(crate) fn from_reader<R>(reader: R, multiplexed: bool) -> LogStream
where
    R: AsyncRead + Send + Unpin + 'static,
{
    let mut reader = reader;
    let mut buffer = BytesMut::new();
    let pieces = futures_util::stream::poll_fn(move |context| {
        let piece = ready!(poll_piece(&mut reader, &mut buffer, context));
        Poll::Ready(piece.map_err(|source| Error::Stream { source }).transpose())
    });
    new(Box::pin(pieces), multiplexed)
}

fn new(source: Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>, multiplexed: bool) -> LogStream {
    LogStream {
        source,
        frames: multiplexed.then(Decoder::new),
        pending: Bytes::new(),
    }
}

impl LogStream {
    /// The next chunk of what has arrived already.
    fn take(&mut self) -> Result<Option<LogChunk>> {
        if !self.pending.has_remaining() {
            return Ok(None);
        }
        let Some(frames) = &mut self.frames else {
            let bytes = std::mem::take(&mut self.pending);
            return Ok(Some(LogChunk {
                stream: Kind::Stdout,
                bytes,
            }));
        };
        let mut rest: &[u8] = &self.pending;
        let piece = frames.next(&mut rest).map_err(Error::Frame)?;
        let chunk = piece.map(|(stream, piece)| LogChunk {
            stream,
            bytes: self.pending.slice_ref(piece),
        });
        let used = self.pending.len() - rest.len();
        self.pending.advance(used);
        Ok(chunk)
    }
}

impl Stream for LogStream {
    type Item = Result<LogChunk>;

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<LogChunk>>> {
        let this = self.get_mut();
        loop {
            if let Some(chunk) = this.take()? {
                return Poll::Ready(Some(Ok(chunk)));
            }
            match ready!(this.source.as_mut().poll_next(context)) {
                Some(piece) => this.pending = piece?,
                None => return Poll::Ready(None),
            }
        }
    }
}
