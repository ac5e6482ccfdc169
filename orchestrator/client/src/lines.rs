//! Streams of JSON objects, one a line.

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use futures_util::Stream;
use serde::de::DeserializeOwned;

use crate::body::ByteStream;
use crate::{Error, Result};

/// Objects as they come; the last may lack its line's end.
#[derive(Debug)]
pub struct JsonLines<T> {
    body: ByteStream,
    path: &'static str,
    buffer: BytesMut,
    /// How much of the buffer is known to hold no line's end.
    searched: usize,
    ended: bool,
    kind: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> JsonLines<T> {
    pub(crate) fn new(body: ByteStream, path: &'static str) -> Self {
        let buffer = BytesMut::new();
        Self {
            body,
            path,
            buffer,
            searched: 0,
            ended: false,
            kind: PhantomData,
        }
    }

    fn next_line(&mut self) -> Option<BytesMut> {
        let fresh = &self.buffer[self.searched..];
        if let Some(end) = fresh.iter().position(|byte| *byte == b'\n') {
            let line = self.buffer.split_to(self.searched + end + 1);
            self.searched = 0;
            return Some(line);
        }
        self.searched = self.buffer.len();
        (self.ended && !self.buffer.is_empty()).then(|| {
            self.searched = 0;
            self.buffer.split()
        })
    }
}

impl<T: DeserializeOwned> Stream for JsonLines<T> {
    type Item = Result<T>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        let this = self.get_mut();
        loop {
            while let Some(line) = this.next_line() {
                if line.trim_ascii().is_empty() {
                    continue;
                }
                let object = serde_json::from_slice(&line).map_err(|source| Error::Decode {
                    path: this.path.to_owned(),
                    source,
                });
                return Poll::Ready(Some(object));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            match ready!(Pin::new(&mut this.body).poll_next(context)) {
                Some(piece) => this.buffer.extend_from_slice(&piece?),
                None => this.ended = true,
            }
        }
    }
}
