//! Files in and out of containers as archives, images of containers, and what everything takes.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bowline_api::{CommitCreated, Config};
use bytes::Bytes;
use futures_util::stream;
use http::HeaderValue;
use hyper::StatusCode;
use tokio::io::AsyncReadExt as _;

use super::call::Call;
use super::path::ApiVersion;
use super::reply::{self, Reply};
use crate::engine::{CommitOptions, CopyIn, Outgoing, PathStat, Wanted};
use crate::error::{Error, Result};

/// The header that tells what is at a path.
const STAT: &str = "x-docker-container-path-stat";
/// How much of an archive is sent at once.
const PIECE: usize = 64 * 1024;

/// `HEAD /containers/{id}/archive`
pub(super) async fn look_at(call: Call, id: &str) -> Result<Reply> {
    let stat = call.engine.container_look_at(id, &path(&call)?).await?;
    let mut answer = reply::empty(StatusCode::OK);
    answer.headers_mut().insert(STAT, header(&stat)?);
    Ok(answer)
}

/// `GET /containers/{id}/archive`
pub(super) async fn copy_out(call: Call, id: &str) -> Result<Reply> {
    let path = path(&call)?;
    let (stat, archive) = call.engine.container_copy_out(id, &path).await?;
    let mut answer = outgoing(archive).await?;
    answer.headers_mut().insert(STAT, header(&stat)?);
    Ok(answer)
}

/// `PUT /containers/{id}/archive`
pub(super) async fn copy_in(call: Call, id: &str) -> Result<Reply> {
    let path = path(&call)?;
    let how = CopyIn {
        keep_kinds: call.query.flag("noOverwriteDirNonDir"),
        to_user: call.query.flag("copyUIDGID"),
    };
    let engine = call.engine.clone();
    engine
        .container_copy_in(id, &path, how, call.reader())
        .await?;
    Ok(reply::empty(StatusCode::OK))
}

/// `GET /containers/{id}/export`
pub(super) async fn export(call: Call, id: &str) -> Result<Reply> {
    outgoing(call.engine.container_export(id).await?).await
}

/// `POST /commit`
pub(super) async fn commit(call: Call) -> Result<Reply> {
    let engine = call.engine.clone();
    let text = |key: &str| call.query.text(key).unwrap_or_default();
    let container = text("container");
    if container.is_empty() {
        return Err(Error::invalid("bad parameter: container"));
    }
    // Until API 1.13 there was no way to say it, and no pause.
    let pause = call.query.get("pause").is_none() || call.query.flag("pause");
    let mut options = CommitOptions {
        repository: text("repo"),
        tag: text("tag"),
        author: text("author"),
        comment: text("comment"),
        changes: changes(call.query.all("changes")),
        pause: pause && call.version >= ApiVersion::one(13),
        config: None,
    };
    let config: Option<Config> = call.json().await?;
    options.config = config.filter(|config| *config != Config::default());
    let id = engine.container_commit(&container, options).await?;
    reply::json(StatusCode::CREATED, &CommitCreated { id })
}

/// Several instructions come in one value, or in several.
fn changes<'t>(values: impl Iterator<Item = &'t str>) -> Vec<String> {
    let lines = values.flat_map(str::lines).map(str::trim);
    lines
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// `GET /system/df`
pub(super) async fn disk_usage(call: Call) -> Result<Reply> {
    let mut wanted = Wanted::default();
    for kind in call.query.all("type") {
        match kind {
            "container" => wanted.containers = true,
            "image" => wanted.images = true,
            "volume" => wanted.volumes = true,
            "build-cache" => wanted.build_cache = true,
            other => {
                return Err(Error::invalid(format!("unknown object type: {other}")));
            }
        }
    }
    if wanted == Wanted::default() {
        wanted = Wanted::ALL;
    }
    reply::ok(&call.engine.disk_usage(wanted).await?)
}

fn path(call: &Call) -> Result<String> {
    let path = call.query.text("path").filter(|path| !path.is_empty());
    path.ok_or_else(|| Error::invalid("bad parameter: path"))
}

fn header(stat: &PathStat) -> Result<HeaderValue> {
    let json = serde_json::to_vec(stat).map_err(|error| Error::failed("write a header", &error))?;
    HeaderValue::try_from(STANDARD.encode(json))
        .map_err(|error| Error::failed("write a header", &error))
}

/// An archive as it is made. What fails before the first byte has a status; a failure in the middle breaks the
/// connection, so that nobody takes half of an archive for a whole.
async fn outgoing(mut archive: Outgoing) -> Result<Reply> {
    let first = piece(&mut archive).await;
    let first = first.map_err(|error| Error::failed("read the archive", &error))?;
    if first.is_empty() {
        let made = archive.made.await;
        made.map_err(|error| Error::failed("make the archive", &error))??;
        return Err(Error::internal("the archive is empty"));
    }
    let pieces = stream::try_unfold((first, archive), |(ready, mut archive)| async move {
        if ready.is_empty() {
            archive.made.await?.map_err(io::Error::other)?;
            return Ok(None);
        }
        let next = piece(&mut archive).await?;
        Ok::<_, io::Error>(Some((ready, (next, archive))))
    });
    Ok(reply::stream("application/x-tar", pieces))
}

async fn piece(archive: &mut Outgoing) -> io::Result<Bytes> {
    let mut piece = Vec::with_capacity(PIECE);
    archive.tar.read_buf(&mut piece).await?;
    Ok(Bytes::from(piece))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_come_together_and_apart() {
        let all = changes(["CMD a\nENV x=1", " USER me "].into_iter());
        assert_eq!(all, ["CMD a", "ENV x=1", "USER me"]);
    }
}
