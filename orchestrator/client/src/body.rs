//! Bodies: those we send, and those we hand on as they come.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use tokio::io::{AsyncRead, ReadBuf};

use crate::{Error, Result};

/// What a request carries.
pub(crate) type RequestBody = BoxBody<Bytes, io::Error>;

/// How much is read at once from a file that is sent.
const PIECE: usize = 64 * 1024;

/// Nothing.
pub(crate) fn empty() -> RequestBody {
    full(Bytes::new())
}

/// All of it, with its length.
pub(crate) fn full(bytes: Bytes) -> RequestBody {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

/// Chunks, as `reader` gives them.
pub(crate) fn reader(reader: impl AsyncRead + Send + Sync + Unpin + 'static) -> RequestBody {
    ReaderBody {
        reader,
        buffer: BytesMut::new(),
    }
    .boxed()
}

struct ReaderBody<R> {
    reader: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> Body for ReaderBody<R> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let piece = ready!(poll_piece(&mut this.reader, &mut this.buffer, context))?;
        Poll::Ready(piece.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// Reads the next piece; `None` at the end.
pub(crate) fn poll_piece<R: AsyncRead + Unpin>(
    reader: &mut R,
    buffer: &mut BytesMut,
    context: &mut Context<'_>,
) -> Poll<io::Result<Option<Bytes>>> {
    buffer.resize(PIECE, 0);
    let mut window = ReadBuf::new(buffer);
    ready!(Pin::new(reader).poll_read(context, &mut window))?;
    let filled = window.filled().len();
    if filled == 0 {
        return Poll::Ready(Ok(None));
    }
    Poll::Ready(Ok(Some(buffer.split_to(filled).freeze())))
}

/// The bytes of an answer, as they come.
#[derive(Debug)]
pub struct ByteStream {
    body: Incoming,
}

impl ByteStream {
    pub(crate) fn new(body: Incoming) -> Self {
        Self { body }
    }
}

impl Stream for ByteStream {
    type Item = Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let this = self.get_mut();
        loop {
            let Some(frame) = ready!(Pin::new(&mut this.body).poll_frame(context)) else {
                return Poll::Ready(None);
            };
            match frame
                .map_err(|source| Error::Receive { source })?
                .into_data()
            {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => return Poll::Ready(Some(Ok(bytes))),
                // Trailers say nothing we need.
                Err(_trailers) => {}
            }
        }
    }
}
