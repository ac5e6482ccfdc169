//! `/images`.

use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bowline_api::Progress;
use bowline_image::Auth;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::HeaderMap;
use hyper::StatusCode;
use tokio::io::{AsyncReadExt as _, DuplexStream};

use super::call::Call;
use super::path::ApiVersion;
use super::reply::{self, Reply};
use super::route::ImageVerb;
use super::{filters, progress};
use crate::engine::Engine;
use crate::error::{Error, Result};

/// How much of an archive is sent at once.
const PIECE: usize = 64 * 1024;

pub(super) async fn list(call: Call) -> Result<Reply> {
    let filters = call.filters(filters::IMAGES)?;
    let mut images = call
        .engine
        .images_list(call.query.flag("all"), &filters)
        .await?;
    if call.version < ApiVersion::one(51) {
        for image in &mut images {
            image.containers = -1;
        }
    }
    reply::ok(&images)
}

/// Pull or import.
pub(super) async fn create(call: Call) -> Result<Reply> {
    let (engine, query) = (call.engine.clone(), call.query.clone());
    let tag = query.text("tag").unwrap_or_default();
    if let Some(name) = query.text("fromImage") {
        let (auth, platform) = (registry_auth(&call.headers), query.text("platform"));
        let pull = |news| async move {
            engine
                .image_pull(&name, &tag, platform.as_deref(), auth, news)
                .await?;
            Ok(Vec::new())
        };
        return progress::reply(pull).await;
    }
    match query.get("fromSrc") {
        None | Some("") => Err(Error::invalid("either fromImage or fromSrc is needed")),
        Some("-") => {
            let changes: Vec<String> = query.all("changes").map(str::to_owned).collect();
            let [name, message] =
                ["repo", "message"].map(|key| query.text(key).unwrap_or_default());
            let tar = call.reader();
            let import = |_news| async move {
                let id = engine
                    .image_import(tar, &name, &tag, &changes, &message)
                    .await?;
                Ok(vec![Progress::status(id)])
            };
            progress::reply(import).await
        }
        Some(_) => Err(Error::unsupported(
            "importing from a URL is not supported yet",
        )),
    }
}

pub(super) async fn prune(call: Call) -> Result<Reply> {
    let filters = call.filters(filters::PRUNE_IMAGES)?;
    reply::ok(&call.engine.images_prune(&filters).await?)
}

pub(super) async fn load(call: Call) -> Result<Reply> {
    let engine = call.engine.clone();
    let tar = call.reader();
    let load = |news| async move {
        let lines = engine.image_load(tar, news).await?;
        Ok(lines.into_iter().map(Progress::stream).collect())
    };
    progress::reply(load).await
}

pub(super) async fn save(call: Call) -> Result<Reply> {
    // Go's client repeats the key, others join names by commas.
    let names: Vec<String> = call
        .query
        .all("names")
        .flat_map(|names| names.split(','))
        .map(str::to_owned)
        .collect();
    if names.is_empty() {
        return Err(Error::invalid("no image named in `names`"));
    }
    archive(call.engine, names).await
}

/// One image.
pub(super) async fn handle(call: Call, name: &str, verb: ImageVerb) -> Result<Reply> {
    let (engine, query) = (&call.engine, &call.query);
    match verb {
        ImageVerb::Inspect => reply::ok(&engine.image_inspect(name).await?),
        ImageVerb::History => reply::ok(&engine.image_history(name).await?),
        ImageVerb::Save => archive(call.engine, vec![name.to_owned()]).await,
        ImageVerb::Tag => {
            let target = query
                .text("repo")
                .ok_or_else(|| Error::invalid("repo is needed"))?;
            let tag = query.text("tag").unwrap_or_else(|| "latest".into());
            engine.image_tag(name, &target, &tag).await?;
            Ok(reply::empty(StatusCode::CREATED))
        }
        ImageVerb::Push => push(call, name).await,
        ImageVerb::Remove => {
            let [force, noprune] = ["force", "noprune"].map(|key| query.flag(key));
            reply::ok(&engine.image_remove(name, force, noprune).await?)
        }
    }
}

/// Sends an image under one of its tags, or under all of them.
async fn push(call: Call, name: &str) -> Result<Reply> {
    let (engine, auth) = (call.engine.clone(), registry_auth(&call.headers));
    let tag = call.query.text("tag").unwrap_or_default();
    let name = name.to_owned();
    let push = |news| async move {
        let pushed = engine.image_push(&name, &tag, auth, news).await?;
        let line = |one: bowline_image::Pushed| Progress {
            aux: Some(serde_json::json!({
                "Tag": one.tag, "Digest": one.digest, "Size": one.size,
            })),
            progress_detail: Some(bowline_api::ProgressDetail::default()),
            ..Progress::default()
        };
        Ok(pushed.into_iter().map(line).collect())
    };
    progress::reply(push).await
}

/// An archive as it is made. What fails before the first byte has a status; a failure in the middle breaks the
/// connection, so that nobody takes half of an archive for a whole.
async fn archive(engine: Arc<Engine>, names: Vec<String>) -> Result<Reply> {
    let (mut tar, writer) = tokio::io::duplex(PIECE);
    // Ends by itself when the client leaves: its next write then fails.
    let made = tokio::spawn(async move { engine.image_save(&names, writer).await });
    let first = piece(&mut tar)
        .await
        .map_err(|error| Error::failed("read the archive", &error))?;
    if first.is_empty() {
        made.await
            .map_err(|error| Error::failed("make the archive", &error))??;
        return Err(Error::internal("the archive is empty"));
    }
    let rest = stream::try_unfold((tar, made), |(mut tar, made)| async move {
        let bytes = piece(&mut tar).await?;
        if bytes.is_empty() {
            made.await?.map_err(io::Error::other)?;
            return Ok(None);
        }
        Ok::<_, io::Error>(Some((bytes, (tar, made))))
    });
    let all = stream::once(std::future::ready(Ok(first))).chain(rest);
    Ok(reply::stream("application/x-tar", all))
}

async fn piece(tar: &mut DuplexStream) -> io::Result<Bytes> {
    let mut piece = Vec::with_capacity(PIECE);
    tar.read_buf(&mut piece).await?;
    Ok(Bytes::from(piece))
}

/// How headers carry JSON.
pub(super) fn lenient_base64() -> GeneralPurpose {
    let lenient =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&URL_SAFE, lenient)
}

/// Credentials of the header, padded or not; what cannot be read counts as none, as in Docker.
fn registry_auth(headers: &HeaderMap) -> Option<Auth> {
    let text = headers.get("x-registry-auth")?;
    let json = lenient_base64().decode(text.as_bytes()).ok()?;
    serde_json::from_slice(&json)
        .ok()
        .filter(|auth: &Auth| !auth.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(text: &'static str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert("x-registry-auth", http::HeaderValue::from_static(text));
        registry_auth(&headers).map(|auth| auth.username)
    }

    #[test]
    fn credentials_are_read_with_padding_and_without() {
        assert_eq!(auth("eyJ1c2VybmFtZSI6ImEifQ=="), Some("a".into()));
        assert_eq!(auth("eyJ1c2VybmFtZSI6ImEifQ"), Some("a".into()));
        assert_eq!(auth("e30="), None);
        assert_eq!(auth("!"), None);
    }
}
