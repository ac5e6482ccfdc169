//! One request on one connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::body::{self, RequestBody};
use crate::query::Query;
use crate::{Client, Endpoint, Error, Result};

/// The connection under a request.
#[derive(Debug)]
pub(crate) enum Transport {
    /// Over a Unix socket.
    Unix(UnixStream),
    /// Over TCP.
    Tcp(TcpStream),
}

/// A request without its connection.
#[derive(Debug)]
pub(crate) struct Call {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: RequestBody,
}

impl Call {
    pub(crate) fn new(method: Method, query: &Query) -> Self {
        let path = query.as_str().to_owned();
        Self {
            method,
            path,
            headers: Vec::new(),
            body: body::empty(),
        }
    }

    pub(crate) fn get(query: &Query) -> Self {
        Self::new(Method::GET, query)
    }

    pub(crate) fn post(query: &Query) -> Self {
        Self::new(Method::POST, query)
    }

    pub(crate) fn delete(query: &Query) -> Self {
        Self::new(Method::DELETE, query)
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn body(mut self, kind: &'static str, body: RequestBody) -> Self {
        self.body = body;
        self.header("content-type", kind)
    }

    pub(crate) fn json(self, value: &impl Serialize) -> Result<Self> {
        let text = serde_json::to_vec(value).map_err(|source| Error::Decode {
            path: self.path.clone(),
            source,
        })?;
        Ok(self.body("application/json", body::full(Bytes::from(text))))
    }
}

impl Client {
    /// Sends, and gives the answer if its status is a success, 101 or 304; any other is [`Error::Api`].
    pub(crate) async fn send(&self, call: Call) -> Result<Response<Incoming>> {
        let (method, path) = (call.method.to_string(), call.path.clone());
        let transport = self.connect().await?;
        let failed = |source| Error::Send {
            method: method.clone(),
            path: path.clone(),
            source,
        };
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(transport))
                .await
                .map_err(failed)?;
        // The task ends with the answer's body, or with the request when that is dropped. What goes wrong in it is
        // told to whoever waits for the answer.
        drop(tokio::spawn(connection.with_upgrades()));
        let response = sender
            .send_request(self.request(call)?)
            .await
            .map_err(failed)?;
        let status = response.status();
        let passed = status.is_success()
            || matches!(
                status,
                StatusCode::SWITCHING_PROTOCOLS | StatusCode::NOT_MODIFIED
            );
        if passed {
            Ok(response)
        } else {
            Err(api_error(response).await)
        }
    }

    /// Sends and reads the whole answer as JSON.
    pub(crate) async fn fetch<T: DeserializeOwned>(&self, call: Call) -> Result<T> {
        let path = call.path.clone();
        let bytes = collect(self.send(call).await?).await?;
        serde_json::from_slice(&bytes).map_err(|source| Error::Decode { path, source })
    }

    /// Sends and waits for the end of the answer. `false` when there was nothing to do (304).
    pub(crate) async fn perform(&self, call: Call) -> Result<bool> {
        let response = self.send(call).await?;
        let changed = response.status() != StatusCode::NOT_MODIFIED;
        collect(response).await?;
        Ok(changed)
    }

    async fn connect(&self) -> Result<Transport> {
        let opened = match &self.endpoint {
            Endpoint::Unix(path) => UnixStream::connect(path).await.map(Transport::Unix),
            Endpoint::Tcp(address) => TcpStream::connect(address).await.map(Transport::Tcp),
        };
        opened.map_err(|source| Error::Connect {
            endpoint: self.endpoint.clone(),
            source,
        })
    }

    fn request(&self, call: Call) -> Result<Request<RequestBody>> {
        let host = match &self.endpoint {
            Endpoint::Unix(_) => "bowline".to_owned(),
            Endpoint::Tcp(address) => address.to_string(),
        };
        let mut request = Request::builder()
            .method(call.method)
            .uri(&call.path)
            .header(header::HOST, host)
            .header(
                header::USER_AGENT,
                concat!("bowline/", env!("CARGO_PKG_VERSION")),
            );
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        request.body(call.body).map_err(|source| Error::Request {
            path: call.path,
            source,
        })
    }
}

/// The whole body of an answer.
pub(crate) async fn collect(response: Response<Incoming>) -> Result<Bytes> {
    let body = response.into_body().collect().await;
    body.map(|body| body.to_bytes())
        .map_err(|source| Error::Receive { source })
}

async fn api_error(response: Response<Incoming>) -> Error {
    let status = response.status();
    let body = match collect(response).await {
        Ok(body) => body,
        Err(error) => return error,
    };
    let message = serde_json::from_slice::<bowline_api::ErrorBody>(&body)
        .map(|body| body.message)
        .ok()
        .filter(|message| !message.is_empty())
        .unwrap_or_else(|| plain_message(status, &body));
    Error::Api {
        status: status.as_u16(),
        message,
    }
}

/// What an error without JSON says: its text, or else its status.
fn plain_message(status: StatusCode, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body).trim().to_owned();
    if text.is_empty() {
        format!("the engine answered {status}")
    } else {
        text
    }
}

macro_rules! either {
    ($self:ident, $inner:ident => $call:expr) => {
        match $self.get_mut() {
            Transport::Unix($inner) => $call,
            Transport::Tcp($inner) => $call,
        }
    };
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, inner => Pin::new(inner).poll_read(context, buffer))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, inner => Pin::new(inner).poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, inner => Pin::new(inner).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, inner => Pin::new(inner).poll_shutdown(context))
    }
}
