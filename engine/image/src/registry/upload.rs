//! Sending to a registry: blobs that it lacks, and manifests.

use http::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use http::{Method, StatusCode};
use hyper::Response;
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::auth::Challenge;
use super::url::Url;
use super::{RegistryError, Result, Session};
use crate::digest::Digest;

/// How much of a blob goes with one request. All of a smaller one goes with the last.
const PIECE: usize = 16 * 1024 * 1024;

/// Where a blob is being sent to.
enum Begun {
    /// The registry had it in another repository.
    Mounted,
    /// It wants it here.
    At(Url),
}

impl Session {
    /// Whether the repository has a blob.
    pub(crate) async fn has_blob(&self, digest: &Digest) -> Result<bool> {
        let url = self.at(&format!("blobs/{digest}"))?;
        let asked = self.push(Method::HEAD, &url, HeaderMap::new(), Vec::new());
        match asked.await?.status() {
            StatusCode::OK => Ok(true),
            // Whatever else it says: sending the blob will show.
            _ => Ok(false),
        }
    }

    /// Takes a blob over from another repository of the registry; `false` if that has none, or not for us.
    pub(crate) async fn mount_blob(&self, digest: &Digest, from: &str) -> Result<bool> {
        let query = format!("blobs/uploads/?mount={digest}&from={from}");
        match self.begin(&query).await {
            Ok(Begun::Mounted) => Ok(true),
            Ok(Begun::At(url)) => {
                // It began an upload instead, which nobody will finish.
                drop(
                    self.push(Method::DELETE, &url, HeaderMap::new(), Vec::new())
                        .await,
                );
                Ok(false)
            }
            Err(RegistryError::PushDenied { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sends a blob of `size` bytes; `told` hears how far it got.
    pub(crate) async fn send_blob(
        &self,
        digest: &Digest,
        size: u64,
        mut blob: impl AsyncRead + Unpin,
        mut told: impl FnMut(u64),
    ) -> Result<()> {
        let Begun::At(mut url) = self.begin("blobs/uploads/").await? else {
            return Ok(());
        };
        let mut sent = 0_u64;
        loop {
            let piece = read_piece(&mut blob).await.map_err(RegistryError::Read)?;
            let length = piece.len() as u64;
            if sent + length >= size {
                return self.finish(url, digest, piece).await;
            }
            let range = format!("{sent}-{}", sent + length - 1);
            let headers = [
                (CONTENT_TYPE, "application/octet-stream"),
                (CONTENT_RANGE, range.as_str()),
            ];
            let answer = self
                .push(Method::PATCH, &url, fields(&headers)?, piece)
                .await?;
            if answer.status() != StatusCode::ACCEPTED {
                return Err(self.refused(&url, answer).await);
            }
            url = location(&url, &answer)?;
            sent += length;
            told(sent);
        }
    }

    /// Sends a manifest under a tag or digest.
    pub(crate) async fn send_manifest(&self, wanted: &str, kind: &str, bytes: &[u8]) -> Result<()> {
        let url = self.at(&format!("manifests/{wanted}"))?;
        let headers = fields(&[(CONTENT_TYPE, kind)])?;
        let answer = self
            .push(Method::PUT, &url, headers, bytes.to_vec())
            .await?;
        match answer.status().is_success() {
            true => Ok(()),
            false => Err(self.refused(&url, answer).await),
        }
    }

    async fn begin(&self, path: &str) -> Result<Begun> {
        let url = self.at(path)?;
        let answer = self.push(Method::POST, &url, HeaderMap::new(), Vec::new());
        let answer = answer.await?;
        match answer.status() {
            StatusCode::CREATED => Ok(Begun::Mounted),
            StatusCode::ACCEPTED => Ok(Begun::At(location(&url, &answer)?)),
            _ => Err(self.refused(&url, answer).await),
        }
    }

    /// The last piece closes the upload; the registry checks the digest.
    async fn finish(&self, mut url: Url, digest: &Digest, piece: Vec<u8>) -> Result<()> {
        let mark = if url.path.contains('?') { '&' } else { '?' };
        url.path.push_str(&format!("{mark}digest={digest}"));
        let headers = fields(&[(CONTENT_TYPE, "application/octet-stream")])?;
        let answer = self.push(Method::PUT, &url, headers, piece).await?;
        match answer.status() {
            StatusCode::CREATED | StatusCode::NO_CONTENT => Ok(()),
            _ => Err(self.refused(&url, answer).await),
        }
    }

    fn at(&self, path: &str) -> Result<Url> {
        self.base.join(&format!("/v2/{}/{path}", self.name.path()))
    }

    /// One request, with credentials once the registry asks for them.
    async fn push(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Response<Incoming>> {
        let mut asked = false;
        loop {
            let mut headers = headers.clone();
            let ours = url.same_place(&self.base);
            let used = match ours {
                true => self.credentials.header().await,
                false => None,
            };
            if let Some(value) = &used {
                headers.insert(http::header::AUTHORIZATION, value.clone());
            }
            let http = &self.client.http;
            let answer = http
                .send(method.clone(), url, headers, body.clone())
                .await?;
            if answer.status() != StatusCode::UNAUTHORIZED || asked || !ours {
                return Ok(answer);
            }
            asked = true;
            let challenges = Challenge::all(answer.headers());
            let scope = format!("repository:{}:pull,push", self.name.path());
            let open = http.may_show_password(&self.base);
            let answered = self
                .credentials
                .answer(http, &challenges, &scope, used.as_ref(), open)
                .await?;
            if !answered {
                return Err(self.push_denied("authentication required".to_owned()));
            }
        }
    }

    fn push_denied(&self, message: String) -> RegistryError {
        RegistryError::PushDenied {
            repository: self.name.familiar_repository(),
            message,
        }
    }

    async fn refused(&self, url: &Url, answer: Response<Incoming>) -> RegistryError {
        match self.refusal(url, answer).await {
            RegistryError::Denied { message, .. } => self.push_denied(message),
            other => other,
        }
    }
}

async fn read_piece(blob: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut piece = Vec::new();
    let limit = u64::try_from(PIECE).unwrap_or(u64::MAX);
    blob.take(limit).read_to_end(&mut piece).await?;
    Ok(piece)
}

fn fields(pairs: &[(HeaderName, &str)]) -> Result<HeaderMap> {
    let pairs = pairs.iter().map(|(name, value)| {
        let value = HeaderValue::try_from(*value).map_err(|_| RegistryError::Redirect)?;
        Ok((name.clone(), value))
    });
    pairs.collect()
}

fn location(from: &Url, answer: &Response<Incoming>) -> Result<Url> {
    let to = answer.headers().get(LOCATION);
    let to = to.and_then(|to| to.to_str().ok());
    from.join(to.ok_or(RegistryError::Redirect)?)
}
