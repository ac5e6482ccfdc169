//! `/images`.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bowline_api::RegistryAuth;
use bytes::Bytes;
use futures_util::stream;
use http::HeaderMap;
use hyper::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::call::Call;
use super::path::ApiVersion;
use super::reply::{self, Reply};
use super::route::ImageVerb;
use super::{filters, progress};
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
    let query = &call.query;
    let tag = query.text("tag");
    if let Some(name) = query.text("fromImage") {
        let auth = registry_auth(&call.headers);
        let lines = call
            .engine
            .image_pull(name, tag, query.text("platform"), auth)
            .await?;
        return progress::reply(lines).await;
    }
    match query.get("fromSrc") {
        None | Some("") => Err(Error::invalid("either fromImage or fromSrc is needed")),
        Some("-") => {
            let engine = call.engine.clone();
            let changes = query.all("changes").map(str::to_owned).collect();
            let (name, message) = (query.text("repo"), query.text("message"));
            let lines = engine
                .image_import(call.reader(), name, tag, changes, message)
                .await?;
            progress::reply(lines).await
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
    progress::reply(engine.image_load(call.reader()).await?).await
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
    Ok(archive(call.engine.image_save(names).await?))
}

/// One image.
pub(super) async fn handle(call: Call, name: &str, verb: ImageVerb) -> Result<Reply> {
    let (engine, query) = (&call.engine, &call.query);
    match verb {
        ImageVerb::Inspect => reply::ok(&engine.image_inspect(name).await?),
        ImageVerb::History => reply::ok(&engine.image_history(name).await?),
        ImageVerb::Save => Ok(archive(engine.image_save(vec![name.to_owned()]).await?)),
        ImageVerb::Tag => {
            let target = query
                .text("repo")
                .ok_or_else(|| Error::invalid("repo is needed"))?;
            engine.image_tag(name, target, query.text("tag")).await?;
            Ok(reply::empty(StatusCode::CREATED))
        }
        ImageVerb::Remove => {
            let [force, noprune] = ["force", "noprune"].map(|key| query.flag(key));
            reply::ok(&engine.image_remove(name, force, noprune).await?)
        }
    }
}

/// An archive as it is made. A failure in the middle breaks the connection, so that nobody takes half of it for a whole.
fn archive(tar: impl AsyncRead + Send + Unpin + 'static) -> Reply {
    let pieces = stream::try_unfold(tar, |mut tar| async move {
        let mut piece = Vec::with_capacity(PIECE);
        let count = tar.read_buf(&mut piece).await?;
        Ok((count > 0).then(|| (Bytes::from(piece), tar)))
    });
    reply::stream("application/x-tar", pieces)
}

/// Credentials of the header, padded or not; what cannot be read counts as none, as in Docker.
fn registry_auth(headers: &HeaderMap) -> Option<RegistryAuth> {
    let lenient =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let text = headers.get("x-registry-auth")?;
    let json = GeneralPurpose::new(&URL_SAFE, lenient)
        .decode(text.as_bytes())
        .ok()?;
    let auth = serde_json::from_slice(&json).ok()?;
    Some(auth).filter(|auth| *auth != RegistryAuth::default())
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
