//! The socket: one task per connection, and the headers every answer has.

use std::future::Future;
use std::time::Duration;

use http::header::{self, HeaderValue};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{UnixListener, UnixStream};

use super::reply::Body;

/// How long the listener rests when the process has no descriptors left.
const REST: Duration = Duration::from_millis(50);

/// Accepts for ever. `present` gives something that is held while its connection is open.
pub(super) async fn accept<G, F, Fut>(listener: &UnixListener, present: impl Fn() -> G, respond: F)
where
    G: Send + 'static,
    F: Fn(Request<Incoming>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Response<Body>> + Send + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, _address)) => {
                let (guard, respond) = (present(), respond.clone());
                drop(tokio::spawn(async move {
                    connection(stream, respond).await;
                    drop(guard);
                }));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

async fn connection<F, Fut>(stream: UnixStream, respond: F)
where
    F: Fn(Request<Incoming>) -> Fut,
    Fut: Future<Output = Response<Body>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let answer = respond(request);
        async move { Ok::<_, std::convert::Infallible>(with_common_headers(answer.await)) }
    });
    // Several clients compare header names by case although they should not.
    let served = hyper::server::conn::http1::Builder::new()
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        // A client that leaves in the middle of an answer is no news.
        tracing::debug!(%error, "connection ended");
    }
}

fn with_common_headers(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(
        "api-version",
        HeaderValue::from_static(bowline_api::API_VERSION),
    );
    // `docker stats` chooses its columns by this header of the stream's answer.
    headers.insert("ostype", HeaderValue::from_static("linux"));
    headers.insert("docker-experimental", HeaderValue::from_static("false"));
    let server = concat!("Docker/", env!("CARGO_PKG_VERSION"), " (linux)");
    headers.insert(header::SERVER, HeaderValue::from_static(server));
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::http::reply;

    async fn exchange(request: &str) -> String {
        let (mut client, server) = UnixStream::pair().unwrap();
        drop(tokio::spawn(connection(server, |_request| async {
            reply::text(hyper::StatusCode::OK, "OK")
        })));
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn every_answer_names_the_api_and_the_system() {
        let answer = exchange("GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        for header in [
            "Api-Version: 1.51\r\n",
            "Ostype: linux\r\n",
            "Server: Docker/",
            "Docker-Experimental: false\r\n",
        ] {
            assert!(answer.contains(header), "{header} in {answer}");
        }
        assert!(answer.ends_with("\r\n\r\nOK"), "{answer}");
    }

    #[tokio::test]
    async fn a_head_request_has_a_length_and_no_body() {
        let answer = exchange("HEAD /_ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    }
}
