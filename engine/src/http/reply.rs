//! Answers.

use std::io;

use bowline_api::ErrorBody;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::header::{self, HeaderValue};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::Frame;
use hyper::{Response, StatusCode};
use serde::Serialize;

use crate::error::{Error, ErrorKind};

/// What an answer carries: bytes, a stream, or nothing.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// An answer.
pub(super) type Reply = Response<Body>;

/// Compared with `==` by Go's client: a charset behind it would have the raw JSON printed to people.
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An object, ended by a line break as Docker ends it.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Result<Reply, Error> {
    let mut text =
        serde_json::to_vec(value).map_err(|error| Error::failed("write the answer", &error))?;
    text.push(b'\n');
    Ok(with(status, JSON, Bytes::from(text)))
}

/// An object with status 200.
pub(super) fn ok(value: &impl Serialize) -> Result<Reply, Error> {
    json(StatusCode::OK, value)
}

/// Plain text.
pub(super) fn text(status: StatusCode, text: impl Into<Bytes>) -> Reply {
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    with(status, kind, text.into())
}

/// Nothing but a status.
pub(super) fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *reply.status_mut() = status;
    reply
}

/// 204, or 304 when nothing had to be done.
pub(super) fn changed(changed: bool) -> Reply {
    empty(if changed {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::NOT_MODIFIED
    })
}

/// A body that grows; the headers leave at once.
pub(super) fn stream(
    kind: &'static str,
    pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> Reply {
    let frames = pieces.map(|piece| piece.map(Frame::data));
    let mut reply = Response::new(StreamBody::new(frames).boxed_unsync());
    reply
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}

/// The error's message under the status of its kind.
pub(super) fn error(error: &Error) -> Reply {
    let status = status(error.kind);
    if status == StatusCode::NOT_MODIFIED {
        return empty(status);
    }
    // An object of one string cannot fail to be written.
    json(status, &ErrorBody::new(&error.message)).unwrap_or_else(|_| empty(status))
}

fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::NotModified => StatusCode::NOT_MODIFIED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::NotImplemented => StatusCode::NOT_IMPLEMENTED,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn with(status: StatusCode, kind: HeaderValue, bytes: Bytes) -> Reply {
    let body = Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync();
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, kind);
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_error_is_a_message_with_the_exact_content_type() {
        let reply = error(&Error::not_found("No such container: <x>"));
        assert_eq!(reply.status(), 404);
        assert_eq!(reply.headers()["content-type"], "application/json");
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "{\"message\":\"No such container: <x>\"}\n");
    }
}
