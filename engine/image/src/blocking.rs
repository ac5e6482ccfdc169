//! The border between the asynchronous edges and the blocking middle: unpacking reads and writes plainly on a thread of
//! its own, fed and emptied through short channels of chunks.

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::Result;
use crate::error::Error;

/// Chunks under way: enough to keep both sides busy, little enough that a slow side holds the fast one back.
const DEPTH: usize = 16;
const CHUNK: usize = 64 * 1024;

/// What goes through the channel: a chunk, or the end. A channel that closes without the end was cut off.
#[derive(Debug)]
pub(crate) enum Piece {
    Chunk(Bytes),
    Failed(io::Error),
    End,
}

/// The reading end, for a blocking thread.
#[derive(Debug)]
pub(crate) struct PieceReader {
    pieces: mpsc::Receiver<Piece>,
    current: Bytes,
    ended: bool,
}

/// A channel whose far end reads as a stream.
pub(crate) fn pieces() -> (mpsc::Sender<Piece>, PieceReader) {
    let (sender, pieces) = mpsc::channel(DEPTH);
    (
        sender,
        PieceReader {
            pieces,
            current: Bytes::new(),
            ended: false,
        },
    )
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.pieces.blocking_recv() {
                Some(Piece::Chunk(chunk)) => self.current = chunk,
                Some(Piece::End) => self.ended = true,
                Some(Piece::Failed(error)) => return Err(error),
                None => return Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
        let read = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..read]);
        Ok(read)
    }
}

/// Runs `work` on a blocking thread.
pub(crate) async fn run<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Error::Cancelled),
        },
    }
}

/// Runs `work` on a blocking thread, where `body` reads as a plain stream. If the caller leaves, the stream breaks off
/// and `work` cleans up.
pub(crate) async fn with_reader<T: Send + 'static>(
    mut body: impl AsyncRead + Unpin,
    work: impl FnOnce(PieceReader) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (sender, reader) = pieces();
    let feed = async move {
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            let piece = match body.read_buf(&mut chunk).await {
                Ok(0) => Piece::End,
                Ok(_) => Piece::Chunk(chunk.into()),
                Err(error) => Piece::Failed(error),
            };
            let last = !matches!(piece, Piece::Chunk(_));
            // A closed channel means that `work` has seen enough.
            if sender.send(piece).await.is_err() || last {
                return;
            }
        }
    };
    let (result, ()) = tokio::join!(run(move || work(reader)), feed);
    result
}

/// The writing end, for a blocking thread.
#[derive(Debug)]
pub(crate) struct PieceWriter {
    chunks: mpsc::Sender<Vec<u8>>,
    current: Vec<u8>,
}

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.current.extend_from_slice(bytes);
        if self.current.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.current.is_empty() {
            return Ok(());
        }
        let full = std::mem::replace(&mut self.current, Vec::with_capacity(CHUNK));
        self.chunks
            .blocking_send(full)
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Runs `work` on a blocking thread, where writing plainly ends up in `out`.
pub(crate) async fn with_writer<T: Send + 'static>(
    mut out: impl AsyncWrite + Unpin,
    work: impl FnOnce(&mut PieceWriter) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (chunks, mut pieces) = mpsc::channel::<Vec<u8>>(DEPTH);
    let drain = async move {
        while let Some(chunk) = pieces.recv().await {
            out.write_all(&chunk).await.map_err(Error::Stream)?;
        }
        out.flush().await.map_err(Error::Stream)
    };
    let work = run(move || {
        let mut writer = PieceWriter {
            chunks,
            current: Vec::new(),
        };
        let result = work(&mut writer)?;
        writer.flush().map_err(Error::Stream)?;
        Ok(result)
    });
    let (result, drained) = tokio::join!(work, drain);
    drained.and(result)
}
