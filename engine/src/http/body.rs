//! Bodies of requests: one JSON object, or bytes that stream in.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body as _, Incoming};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, ReadBuf};

use crate::error::{Error, Result};

/// No configuration is larger; a body that is must be something else.
const LIMIT: usize = 16 << 20;

/// The whole body.
pub(super) async fn bytes(body: Incoming) -> Result<Bytes> {
    match Limited::new(body, LIMIT).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) => Err(Error::invalid(format!(
            "failed to read the request's body: {error}"
        ))),
    }
}

/// Reads the body to its end, or to where the client left, and keeps nothing of it.
pub(super) async fn discard(mut body: Incoming) {
    while let Some(Ok(_)) = body.frame().await {}
}

/// The body as JSON; an empty one is the default.
pub(super) async fn json<T: DeserializeOwned + Default>(
    headers: &HeaderMap,
    body: Incoming,
) -> Result<T> {
    let kind = headers
        .get(CONTENT_TYPE)
        .map(|kind| kind.to_str().unwrap_or("?").to_owned());
    parse(kind.as_deref(), &bytes(body).await?)
}

fn parse<T: DeserializeOwned + Default>(kind: Option<&str>, body: &[u8]) -> Result<T> {
    if body.is_empty() {
        return Ok(T::default());
    }
    let kind = kind.unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Error::invalid(format!(
            "unsupported Content-Type header ({kind}): must be 'application/json'"
        )));
    }
    let mut objects = serde_json::Deserializer::from_slice(body).into_iter::<Option<T>>();
    let first = objects
        .next()
        .transpose()
        .map_err(|error| Error::invalid(format!("invalid JSON: {error}")))?;
    if !body
        .get(objects.byte_offset()..)
        .unwrap_or_default()
        .trim_ascii()
        .is_empty()
    {
        return Err(Error::invalid("unexpected content after JSON"));
    }
    Ok(first.flatten().unwrap_or_default())
}

/// A body as a reader, for archives.
#[derive(Debug)]
pub(super) struct BodyReader {
    body: Incoming,
    pending: Bytes,
}

impl BodyReader {
    /// Reads `body` from its beginning.
    pub(super) fn new(body: Incoming) -> Self {
        Self {
            body,
            pending: Bytes::new(),
        }
    }
}

impl AsyncRead for BodyReader {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while !this.pending.has_remaining() {
            match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                // Trailers say nothing we need.
                Some(Ok(frame)) => this.pending = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let take = this.pending.len().min(buffer.remaining());
        buffer.put_slice(&this.pending.split_to(take));
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use bowline_api::ExecStart;

    use super::*;

    fn read(kind: Option<&str>, body: &str) -> Result<ExecStart> {
        parse(kind, body.as_bytes())
    }

    #[test]
    fn a_body_is_json_by_its_type_or_empty() {
        let json = Some("application/json; charset=utf-8");
        assert!(read(json, r#"{"Detach":true,"X":1}"#).unwrap().detach);
        assert!(!read(json, "null").unwrap().detach);
        assert!(!read(None, "").unwrap().detach);
        let message = |kind, body| read(kind, body).unwrap_err().message;
        assert_eq!(message(json, "{} {}"), "unexpected content after JSON");
        assert!(message(json, "{").starts_with("invalid JSON: "));
        assert!(message(json, r#"{"Detach":"x"}"#).starts_with("invalid JSON: "));
        assert_eq!(
            message(Some("text/plain"), "{}"),
            "unsupported Content-Type header (text/plain): must be 'application/json'"
        );
    }
}
