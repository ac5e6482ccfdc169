//! Registries: the distribution protocol as far as reading needs it.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_RANGE, HeaderMap, HeaderValue, LOCATION, RANGE, RETRY_AFTER};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Incoming;
use serde::Deserialize;

use crate::digest::Digest;
use crate::reference::Reference;
use crate::settings::{Auth, Settings};

mod auth;
mod error;
mod http_client;
pub(crate) mod manifest;
mod proxy;
mod resolve;
mod tls;
mod upload;
mod url;

use auth::{Challenge, Credentials};
pub use error::RegistryError;
use http_client::HttpClient;
use url::Url;

type Result<T, E = RegistryError> = std::result::Result<T, E>;

/// The addresses of a host, in the order to try them.
pub(crate) async fn addresses(host: &str) -> Result<Vec<std::net::IpAddr>> {
    resolve::resolve(host).await
}

/// Longest manifest or configuration accepted.
pub(crate) const DOCUMENT_LIMIT: u64 = 8 * 1024 * 1024;
/// Redirects followed for one request.
const REDIRECTS: usize = 10;
/// Longest wait a registry may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Speaks to registries.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: Arc<HttpClient>,
    retries: u32,
    retry_wait: Duration,
}

/// A conversation with one repository of one registry.
#[derive(Debug)]
pub(crate) struct Session {
    client: Client,
    name: Reference,
    base: Url,
    credentials: Credentials,
}

/// A document and its digest.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: Digest,
}

/// A blob's contents from some byte on.
#[derive(Debug)]
pub(crate) struct BlobStream {
    /// The first byte that comes. A registry that cannot resume begins at 0.
    pub(crate) from: u64,
    pending: Option<bytes::Bytes>,
    body: Incoming,
    url: Url,
    timeout: Duration,
}

impl Client {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            http: Arc::new(HttpClient::new(settings)),
            retries: settings.retries,
            retry_wait: settings.retry_wait,
        }
    }

    /// Starts a conversation about the repository that `name` is in.
    pub(crate) fn session(&self, name: &Reference, auth: Option<Auth>) -> Result<Session> {
        let host = match name.host() {
            // The default registry's name in references is not where it answers.
            "docker.io" => "registry-1.docker.io",
            host => host,
        };
        let base = Url::registry(host)?;
        let credentials = Credentials::new(auth);
        Ok(Session {
            client: self.clone(),
            name: name.clone(),
            base,
            credentials,
        })
    }

    /// Waits before try number `attempt` (from 1), or as long as the registry asked for.
    pub(crate) async fn back_off(&self, attempt: u32, asked: Option<Duration>) {
        let own = self
            .retry_wait
            .saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)));
        tokio::time::sleep(asked.unwrap_or(own).min(LONGEST_WAIT)).await;
    }

    pub(crate) fn retries(&self) -> u32 {
        self.retries
    }
}

impl Session {
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The manifest or index called `wanted` (a tag or digest). One asked for by digest has that digest.
    pub(crate) async fn manifest(&self, wanted: &str) -> Result<Document> {
        let path = format!("manifests/{wanted}");
        let accept = [(ACCEPT, HeaderValue::from_static(manifest::ACCEPTED))];
        let document = self.document(&path, HeaderMap::from_iter(accept)).await?;
        if let Ok(expected) = wanted.parse::<Digest>() {
            expect(&document.digest, &expected, "manifest")?;
        }
        Ok(document)
    }

    /// A small blob, checked.
    pub(crate) async fn small_blob(&self, digest: &Digest) -> Result<Vec<u8>> {
        let document = self
            .document(&format!("blobs/{digest}"), HeaderMap::new())
            .await?;
        expect(&document.digest, digest, "configuration")?;
        Ok(document.bytes)
    }

    /// A blob from byte `from` on.
    pub(crate) async fn blob(&self, digest: &Digest, from: u64) -> Result<BlobStream> {
        let mut headers = HeaderMap::new();
        if from > 0 {
            let range = HeaderValue::try_from(format!("bytes={from}-"));
            headers.insert(RANGE, range.map_err(|_| RegistryError::Range)?);
        }
        let (url, answer) = self.get(&format!("blobs/{digest}"), &headers).await?;
        let from = match answer.status() {
            StatusCode::PARTIAL_CONTENT => range_start(&answer).ok_or(RegistryError::Range)?,
            _ => 0,
        };
        let timeout = self.client.http.timeout();
        Ok(BlobStream {
            from,
            pending: None,
            body: answer.into_body(),
            url,
            timeout,
        })
    }

    async fn document(&self, path: &str, headers: HeaderMap) -> Result<Document> {
        let mut attempt = 0;
        loop {
            let result = match self.get(path, &headers).await {
                Ok((url, answer)) => self.read(url, answer).await,
                Err(error) => Err(error),
            };
            match result {
                Err(error) if error.is_passing() && attempt < self.client.retries => {
                    attempt += 1;
                    tracing::debug!(%error, attempt, "a request to a registry is repeated");
                    self.client.back_off(attempt, error.retry_after()).await;
                }
                other => return other,
            }
        }
    }

    async fn read(&self, url: Url, answer: Response<Incoming>) -> Result<Document> {
        let timeout = self.client.http.timeout();
        let mut stream = BlobStream {
            from: 0,
            pending: None,
            body: answer.into_body(),
            url,
            timeout,
        };
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.next().await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > DOCUMENT_LIMIT {
                return Err(RegistryError::TooLarge {
                    url: stream.url.to_string(),
                });
            }
        }
        Ok(Document {
            digest: Digest::of(&bytes),
            bytes,
        })
    }

    /// One request with what the registry demands for it: credentials once it asks, and redirects.
    async fn get(&self, path: &str, headers: &HeaderMap) -> Result<(Url, Response<Incoming>)> {
        let first = self
            .base
            .join(&format!("/v2/{}/{path}", self.name.path()))?;
        let mut url = first.clone();
        let mut asked = false;
        let mut redirects = 0;
        loop {
            let mut headers = headers.clone();
            // Credentials are for the registry: where it sends us gets a signed address instead.
            let used = if url.same_place(&first) {
                self.credentials.header().await
            } else {
                None
            };
            if let Some(value) = &used {
                headers.insert(http::header::AUTHORIZATION, value.clone());
            }
            let answer = self
                .client
                .http
                .send(Method::GET, &url, headers, Vec::new())
                .await?;
            match answer.status() {
                StatusCode::OK | StatusCode::PARTIAL_CONTENT => return Ok((url, answer)),
                StatusCode::UNAUTHORIZED if !asked && url.same_place(&first) => {
                    asked = true;
                    let challenges = Challenge::all(answer.headers());
                    self.answer(&challenges, used.as_ref()).await?;
                }
                status if status.is_redirection() && redirects < REDIRECTS => {
                    redirects += 1;
                    let location = answer
                        .headers()
                        .get(LOCATION)
                        .and_then(|to| to.to_str().ok());
                    url = url.join(location.ok_or(RegistryError::Redirect)?)?;
                }
                _ => return Err(self.refusal(&url, answer).await),
            }
        }
    }

    async fn answer(&self, challenges: &[Challenge], used: Option<&HeaderValue>) -> Result<()> {
        let scope = format!("repository:{}:pull", self.name.path());
        let http = &self.client.http;
        let open = http.may_show_password(&self.base);
        let answered = self
            .credentials
            .answer(http, challenges, &scope, used, open)
            .await?;
        if answered {
            Ok(())
        } else {
            Err(self.denied("authentication required".to_owned()))
        }
    }

    fn denied(&self, message: String) -> RegistryError {
        let repository = self.name.familiar_repository();
        RegistryError::Denied {
            repository,
            message,
        }
    }

    async fn refusal(&self, url: &Url, answer: Response<Incoming>) -> RegistryError {
        let status = answer.status();
        let limit = answer
            .headers()
            .get("ratelimit-limit")
            .and_then(|limit| limit.to_str().ok());
        let limit = limit.map(str::to_owned);
        let retry_after = retry_after(answer.headers());
        let text = match self.read(url.clone(), answer).await {
            Ok(document) => document.bytes,
            Err(_) => Vec::new(),
        };
        let (code, message) = explained(&text);
        let name = self.name.familiar();
        if status == StatusCode::TOO_MANY_REQUESTS || code == "TOOMANYREQUESTS" {
            return RegistryError::TooManyRequests {
                message,
                limit,
                retry_after,
            };
        }
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.denied(message),
            StatusCode::NOT_FOUND if url.is_manifest() => RegistryError::Unknown { name, message },
            StatusCode::RANGE_NOT_SATISFIABLE => RegistryError::Range,
            _ => RegistryError::Status {
                url: url.to_string(),
                status,
                message,
                retry_after,
            },
        }
    }
}

impl BlobStream {
    /// Leaves out the next `count` bytes.
    pub(crate) async fn skip(&mut self, mut count: u64) -> Result<()> {
        while count > 0 {
            let Some(mut chunk) = self.next().await? else {
                return Ok(());
            };
            let length = chunk.len() as u64;
            if let Ok(inside) = usize::try_from(count)
                && count < length
            {
                self.pending = Some(chunk.split_off(inside));
                return Ok(());
            }
            count -= length;
        }
        Ok(())
    }

    /// The next bytes, or `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<bytes::Bytes>> {
        if let Some(chunk) = self.pending.take() {
            return Ok(Some(chunk));
        }
        loop {
            let frame = tokio::time::timeout(self.timeout, self.body.frame()).await;
            let url = || self.url.to_string();
            let frame = frame.map_err(|_| RegistryError::Silent { url: url() })?;
            match frame {
                None => return Ok(None),
                Some(Err(source)) => return Err(RegistryError::Http { url: url(), source }),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }
}

fn expect(found: &Digest, expected: &Digest, what: &'static str) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    let (found, expected) = (found.clone(), expected.clone());
    Err(RegistryError::Digest {
        what,
        expected,
        found,
    })
}

/// `bytes 100-199/200` begins at 100.
fn range_start(answer: &Response<Incoming>) -> Option<u64> {
    let range = answer.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    range
        .strip_prefix("bytes ")?
        .split_once('-')?
        .0
        .parse()
        .ok()
}

/// In seconds; the form with a date is rare and our own pace does for it.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusals {
    errors: Vec<Refusal>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    code: String,
    message: String,
}

/// The registry's own words: the first error's code, and code and message as Docker shows them.
fn explained(text: &[u8]) -> (String, String) {
    let refusals: Refusals = serde_json::from_slice(text).unwrap_or_default();
    let Some(first) = refusals.errors.into_iter().next() else {
        return Default::default();
    };
    let words = first.code.to_ascii_lowercase().replace('_', " ");
    let message = if first.message.is_empty() {
        words
    } else {
        format!("{words}: {}", first.message)
    };
    (first.code, message)
}
