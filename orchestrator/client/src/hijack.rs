//! Connections that stop being HTTP: attach and exec.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use hyper::body::Incoming;
use hyper::{Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::logs::{self, LogStream};
use crate::transport::{Call, Transport};
use crate::{Client, Error, Result};

/// The raw connection after a 101: what is written is the process's input, what is read its output. Shutting it down
/// ends the input only.
#[derive(Debug)]
pub struct Hijacked {
    transport: Transport,
    /// What the engine had sent behind the 101 by the time we stopped reading HTTP.
    early: Bytes,
    multiplexed: bool,
}

impl Client {
    /// Sends `call` with the wish to take the connection over. `tty` helps with engines older than API 1.42, whose
    /// content type does not tell a terminal from a multiplexed stream.
    pub(crate) async fn hijack(&self, call: Call, tty: Option<bool>) -> Result<Hijacked> {
        let call = call
            .header("connection", "Upgrade")
            .header("upgrade", "tcp");
        let response = self.send(call).await?;
        let status = response.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::NotUpgraded {
                status: status.as_u16(),
            });
        }
        let multiplexed = is_multiplexed(&response, tty);
        let upgraded = hyper::upgrade::on(response)
            .await
            .map_err(|source| Error::Upgrade { source })?;
        let Ok(parts) = upgraded.downcast::<TokioIo<Transport>>() else {
            return Err(Error::NotUpgraded {
                status: status.as_u16(),
            });
        };
        Ok(Hijacked {
            transport: parts.io.into_inner(),
            early: parts.read_buf,
            multiplexed,
        })
    }
}

/// Whether an answer's stream has stdcopy frames.
pub(crate) fn is_multiplexed(response: &Response<Incoming>, tty: Option<bool>) -> bool {
    let kind = response
        .headers()
        .get(header::CONTENT_TYPE)
        .map(|kind| kind.as_bytes());
    match kind {
        Some(b"application/vnd.docker.multiplexed-stream") => true,
        _ => tty == Some(false),
    }
}

impl Hijacked {
    /// Whether the output has stdcopy frames; without them it is a terminal's.
    pub fn is_multiplexed(&self) -> bool {
        self.multiplexed
    }

    /// Output as a stream of chunks that know whether they are stdout or stderr, and the input's end of the connection.
    pub fn split(self) -> (LogStream, tokio::io::WriteHalf<Self>) {
        let multiplexed = self.multiplexed;
        let (output, input) = tokio::io::split(self);
        (logs::from_reader(output, multiplexed), input)
    }
}

impl AsyncRead for Hijacked {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.early.has_remaining() {
            let take = this.early.len().min(buffer.remaining());
            buffer.put_slice(&this.early.split_to(take));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.transport).poll_read(context, buffer)
    }
}

impl AsyncWrite for Hijacked {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().transport).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_shutdown(context)
    }
}
