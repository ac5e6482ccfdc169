//! `/build`, `/session`, and our own `/bowline/build`.

use std::collections::HashMap;

use base64::Engine as _;
use bowline_api::{BuildEvent, BuildEventKind, BuildRequest, BuildsPruned, Progress};
use bowline_image::Auth;
use bytes::Bytes;
use futures_util::stream;
use http::HeaderMap;
use http::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::StatusCode;
use hyper::ext::ReasonPhrase;
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;

use super::build_lines::Lines;
use super::build_query::{self, Asked};
use super::call::Call;
use super::images::lenient_base64;
use super::reply::{self, Reply};
use super::{body, filters};
use crate::build::{Job, Running};
use crate::error::{Error, Result};

/// How many events are put into one piece of the answer.
const AT_ONCE: usize = 256;

/// `POST /bowline/build`: JSON in, a line of JSON for each event out.
pub(super) async fn ours(call: Call) -> Result<Reply> {
    let engine = call.engine.clone();
    let auths = registries(&call.headers);
    let request: BuildRequest = call.json().await?;
    let running = engine.build(Job {
        request,
        auths,
        received: None,
    })?;
    let pieces = stream::unfold(running, |mut running| async move {
        let events = next(&mut running.events).await;
        let lines: Vec<u8> = events.iter().flat_map(line).collect();
        (!events.is_empty()).then_some((Ok(Bytes::from(lines)), running))
    });
    Ok(reply::stream("application/x-ndjson", pieces))
}

/// `POST /build`: an archive in, the lines of Docker's own builder out.
pub(super) async fn docker(call: Call) -> Result<Reply> {
    let Asked { mut request, quiet } = match build_query::read(&call.query) {
        Ok(asked) => asked,
        Err(error) => {
            // A client that is still sending reads no answer.
            body::discard(call.body).await;
            return Err(error);
        }
    };
    let engine = call.engine.clone();
    let auths = registries(&call.headers);
    // All of it before the first line: Go's client reads nothing until it has sent everything.
    let received = engine.receive_context(call.reader()).await?;
    for target in &mut request.targets {
        target.context = received.path().to_string_lossy().into_owned();
    }
    let running = engine.build(Job {
        request,
        auths,
        received: Some(received),
    })?;
    answer(running, Lines::new(quiet)).await
}

/// What fails before its first line fails with a proper status; afterwards the error is the last line.
async fn answer(mut running: Running, mut lines: Lines) -> Result<Reply> {
    let mut first = Vec::new();
    while first.is_empty() {
        let events = next(&mut running.events).await;
        if events.is_empty() {
            return Err(Error::internal("the build ended without a word"));
        }
        for event in events {
            if let (false, BuildEventKind::End { error: Some(error) }) =
                (lines.have_begun(), &event.kind)
                && error.step.is_empty()
            {
                return Err(Error::invalid(error.message.clone()));
            }
            first.extend(lines.take(event.kind));
        }
    }
    let begun = (Some(first), running, lines);
    let pieces = stream::unfold(begun, |(first, mut running, mut lines)| async move {
        if let Some(first) = first {
            return Some((Ok(written(first)), (None, running, lines)));
        }
        let events = next(&mut running.events).await;
        if events.is_empty() {
            return None;
        }
        let said = events
            .into_iter()
            .flat_map(|event| lines.take(event.kind))
            .collect();
        Some((Ok(written(said)), (None, running, lines)))
    });
    Ok(reply::stream("application/json", pieces))
}

async fn next(events: &mut mpsc::UnboundedReceiver<BuildEvent>) -> Vec<BuildEvent> {
    let mut batch = Vec::new();
    events.recv_many(&mut batch, AT_ONCE).await;
    batch
}

fn line(event: &BuildEvent) -> Vec<u8> {
    // An object of strings and numbers cannot fail to be written, here and below.
    let mut text = serde_json::to_vec(event).unwrap_or_default();
    text.push(b'\n');
    text
}

fn written(lines: Vec<Progress>) -> Bytes {
    let one = |progress: Progress| {
        let mut text = serde_json::to_vec(&progress).unwrap_or_default();
        text.extend_from_slice(b"\r\n");
        text
    };
    Bytes::from(lines.into_iter().flat_map(one).collect::<Vec<u8>>())
}

/// `POST /build/prune`
pub(super) async fn prune(call: Call) -> Result<Reply> {
    let filters = call.filters(filters::PRUNE_BUILDS)?;
    let keep = ["reserved-space", "keep-storage"]
        .into_iter()
        .find_map(|key| call.query.number::<u64>(key).transpose())
        .transpose()?;
    let pruned: BuildsPruned = call
        .engine
        .builds_prune(call.query.flag("all"), keep, &filters)
        .await?;
    reply::ok(&pruned)
}

/// `POST /build/cancel`: of a build by the id that its client gave it. A client that leaves cancels as well.
pub(super) async fn cancel(call: Call) -> Result<Reply> {
    let id = call.query.text("id").unwrap_or_default();
    body::discard(call.body).await;
    if id.is_empty() {
        return Err(Error::invalid("build ID not provided"));
    }
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// `POST /session`: held open for as long as the client likes. Nothing is asked of it, since builds get their files
/// along with their request; clients that open one beside `POST /build?version=2` are content with that.
pub(super) async fn session(call: Call) -> Result<Reply> {
    let wants = call.headers.get(UPGRADE).map(HeaderValue::as_bytes);
    if wants != Some(b"h2c") {
        body::discard(call.body).await;
        return Err(Error::invalid("no upgrade to h2c was asked for"));
    }
    let engine = call.engine.clone();
    let upgrade = call.upgrade;
    drop(tokio::spawn(async move {
        let _busy = engine.busy();
        if let Ok(upgraded) = upgrade.await {
            let mut held = TokioIo::new(upgraded);
            let _left = tokio::io::copy(&mut held, &mut tokio::io::sink()).await;
        }
    }));
    let mut answer = reply::empty(StatusCode::SWITCHING_PROTOCOLS);
    answer
        .extensions_mut()
        .insert(ReasonPhrase::from_static(b"Switching Protocols"));
    let headers = answer.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("h2c"));
    Ok(answer)
}

/// Credentials by registry; what cannot be read counts as none, as in Docker.
fn registries(headers: &HeaderMap) -> HashMap<String, Auth> {
    let read = || {
        let text = headers.get("x-registry-config")?;
        let json = lenient_base64().decode(text.as_bytes()).ok()?;
        serde_json::from_slice(&json).ok()
    };
    read().unwrap_or_default()
}
