//! Attach and exec: the connection stops being HTTP and becomes the process's own.
//!
//! After the 101 the client's descriptor leaves our hands, so that the session goes on when the engine does not.

use std::io::Write as _;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::time::{Duration, Instant};

use bowline_api::ExecStart;
use bowline_api::stdcopy::{Stream as Kind, frame};
use bowline_runtime::{AttachedStreams, unread_by_peer};
use http::HeaderMap;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderValue, UPGRADE};
use hyper::StatusCode;
use hyper::ext::ReasonPhrase;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::call::Call;
use super::path::ApiVersion;
use super::reply::{self, Reply};
use super::{body, logs};
use crate::error::{Error, Result};
use crate::logs::Watcher;
use crate::{AttachOptions, LogSource, Stream};

/// How output is written behind the 101.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// A terminal: as it is.
    Raw,
    /// stdout and stderr told apart.
    Multiplexed,
}

/// `POST /containers/{id}/attach`
pub(super) async fn attach(call: Call, id: &str) -> Result<Reply> {
    let [stdin, stdout, stderr, logs, stream] =
        ["stdin", "stdout", "stderr", "logs", "stream"].map(|key| call.query.flag(key));
    let detach_keys = call.query.text("detachKeys").unwrap_or_default();
    demand_upgrade(&call.headers)?;
    let streams = AttachedStreams {
        stdin,
        stdout,
        stderr,
    };
    let options = AttachOptions {
        streams,
        logs,
        stream,
        detach_keys,
    };
    let ticket = call.engine.container_attach(id, options).await?;
    let past = if logs {
        Some(call.engine.container_log_source(id).await?)
    } else {
        None
    };
    let framing = framing(ticket.tty());
    let reply = switching(framing, call.version);
    drop(tokio::spawn(async move {
        let Some((client, spare)) = take_over(call.upgrade).await else {
            return;
        };
        if let Some(past) = past
            && let Err(error) = replay(past, (stdout, stderr), &call.watcher, &spare).await
        {
            tracing::debug!(%error, "a client left during the replay of a log");
            return;
        }
        if stream && let Err(error) = ticket.attach(client).await {
            tell(&spare, framing, &error);
        }
    }));
    Ok(reply)
}

async fn replay(
    past: LogSource,
    streams: (bool, bool),
    watcher: &Watcher,
    client: &StdStream,
) -> std::io::Result<()> {
    let mut client = UnixStream::from_std(client.try_clone()?)?;
    logs::replay(past, streams, watcher, &mut client).await
}

/// `POST /exec/{id}/start`
pub(super) async fn exec(call: Call, id: &str) -> Result<Reply> {
    let Call {
        engine,
        version,
        headers,
        body,
        upgrade,
        ..
    } = call;
    let start: ExecStart = body::json(&headers, body).await?;
    let detach = start.detach;
    if !detach {
        demand_upgrade(&headers)?;
    }
    let ticket = engine.exec_start(id, &start).await?;
    if detach {
        ticket.start(None).await?;
        return Ok(reply::empty(StatusCode::OK));
    }
    let framing = framing(ticket.tty());
    drop(tokio::spawn(async move {
        let Some((stream, spare)) = take_over(upgrade).await else {
            return;
        };
        until_read(&spare).await;
        if let Err(error) = ticket.start(Some(stream)).await {
            tell(&spare, framing, &error);
        }
    }));
    Ok(switching(framing, version))
}

/// `POST /bowline/build/shell`
pub(super) async fn build_shell(call: Call) -> Result<Reply> {
    demand_upgrade(&call.headers)?;
    let id = call.query.text("id").unwrap_or_default();
    let shell = call.engine.build_shell(&id)?;
    let reply = switching(Framing::Raw, call.version);
    drop(tokio::spawn(async move {
        let Some((client, spare)) = take_over(call.upgrade).await else {
            return;
        };
        if let Err(error) = shell.run(client).await {
            tell(&spare, Framing::Raw, &error);
        }
    }));
    Ok(reply)
}

fn framing(tty: bool) -> Framing {
    if tty {
        Framing::Raw
    } else {
        Framing::Multiplexed
    }
}

/// Docker also gives the connection away behind a plain 200. That cannot be told from an answer by a proxy, and every
/// client in use sends the header.
fn demand_upgrade(headers: &HeaderMap) -> Result<()> {
    if headers.contains_key(UPGRADE) {
        return Ok(());
    }
    Err(Error::invalid(
        "this request takes the connection over: send the headers `Connection: Upgrade` and `Upgrade: tcp`",
    ))
}

fn switching(framing: Framing, version: ApiVersion) -> Reply {
    let mut answer = reply::empty(StatusCode::SWITCHING_PROTOCOLS);
    answer
        .extensions_mut()
        .insert(ReasonPhrase::from_static(b"UPGRADED"));
    let headers = answer.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(content_type(framing, version)),
    );
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("tcp"));
    answer
}

/// Before API 1.42 clients had to know from elsewhere whether there is a terminal.
fn content_type(framing: Framing, version: ApiVersion) -> &'static str {
    if framing == Framing::Multiplexed && version >= ApiVersion::one(42) {
        "application/vnd.docker.multiplexed-stream"
    } else {
        "application/vnd.docker.raw-stream"
    }
}

/// The content type of a log; the same rule.
pub(super) fn log_type(tty: bool, version: ApiVersion) -> &'static str {
    content_type(framing(tty), version)
}

/// The client's socket after the 101, and a second handle on it for what goes wrong at the last moment. `None` when the
/// client left.
async fn take_over(upgrade: OnUpgrade) -> Option<(Stream, StdStream)> {
    let taken = match upgrade.await {
        Ok(upgraded) => into_stream(upgraded),
        Err(error) => {
            tracing::debug!(%error, "a client left before its connection was taken over");
            return None;
        }
    };
    taken
        .inspect_err(|error| tracing::error!(%error, "a connection cannot be taken over"))
        .ok()
}

/// How long a client gets to read the head before output follows it.
const PATIENCE: Duration = Duration::from_millis(100);

/// Waits until the client has read the head. Some clients read it through a buffer, and what comes after it from the
/// socket below that buffer: output that came together with the head would be lost to them. Whoever attaches is not
/// waited for: its next request may be the start, which has to find it attached.
async fn until_read(client: &StdStream) {
    let is_read = || unread_by_peer(client).map_or(true, |unread| unread == 0);
    for _ in 0..8 {
        if is_read() {
            return;
        }
        tokio::task::yield_now().await;
    }
    let end = Instant::now() + PATIENCE;
    while !is_read() && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn into_stream(upgraded: Upgraded) -> std::io::Result<(Stream, StdStream)> {
    let parts = upgraded
        .downcast::<TokioIo<UnixStream>>()
        .map_err(|_| std::io::Error::other("it is not a Unix socket"))?;
    let socket = parts.io.into_inner().into_std()?;
    let spare = socket.try_clone()?;
    Ok((
        Stream {
            fd: OwnedFd::from(socket),
            leftover: parts.read_buf.to_vec(),
        },
        spare,
    ))
}

/// The status has been sent, so the error can only be part of the output.
fn tell(mut client: &StdStream, framing: Framing, error: &Error) {
    let text = format!("{}\r\n", error.message);
    let bytes = match framing {
        Framing::Raw => text.into_bytes(),
        Framing::Multiplexed => frame(Kind::Stderr, text.as_bytes()),
    };
    // A client that left does not read it.
    drop(client.write_all(&bytes));
    drop(client.shutdown(Shutdown::Both));
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use hyper::service::service_fn;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn the_connection_is_given_away_with_what_came_too_early() {
        let (client, server) = UnixStream::pair().unwrap();
        let (sender, taken) = oneshot::channel();
        let sender = std::sync::Mutex::new(Some(sender));
        let service = service_fn(move |mut request| {
            let upgrade = hyper::upgrade::on(&mut request);
            let sender = sender.lock().unwrap().take().unwrap();
            drop(tokio::spawn(async move {
                sender.send(take_over(upgrade).await.unwrap())
            }));
            async { Ok::<_, std::convert::Infallible>(switching(Framing::Raw, ApiVersion::NEWEST)) }
        });
        drop(tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .title_case_headers(true)
                .serve_connection(TokioIo::new(server), service)
                .with_upgrades(),
        ));
        let mut client = client.into_std().unwrap();
        client.set_nonblocking(false).unwrap();
        let head = "POST /exec/1/start HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n";
        client.write_all(format!("{head}early").as_bytes()).unwrap();
        let (stream, spare) = taken.await.unwrap();
        assert_eq!(stream.leftover, b"early");
        tell(&spare, Framing::Raw, &Error::internal("oh"));
        drop((stream, spare));
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        let (head, output) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 101 UPGRADED\r\n"), "{head}");
        assert!(
            head.contains("Connection: Upgrade\r\nUpgrade: tcp"),
            "{head}"
        );
        assert!(
            !head.contains("Content-Length") && !head.contains("Transfer-Encoding"),
            "{head}"
        );
        assert_eq!(output, "oh\r\n");
    }

    #[test]
    fn older_clients_are_told_nothing_about_frames() {
        assert!(content_type(Framing::Multiplexed, ApiVersion::one(42)).contains("multiplexed"));
        assert!(content_type(Framing::Multiplexed, ApiVersion::one(41)).contains("raw"));
        assert!(content_type(Framing::Raw, ApiVersion::one(51)).contains("raw"));
    }
}
