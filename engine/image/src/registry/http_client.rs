//! HTTP requests over connections that are kept for the next one.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderValue, PROXY_AUTHORIZATION, USER_AGENT};
use http::{Method, Request};
use http_body_util::Full;
use hyper::Response;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::proxy::Proxy;
use super::resolve::resolve;
use super::tls::Tls;
use super::url::{Place, Url};
use super::{RegistryError, Result};
use crate::settings::{Proxies, Settings};
use crate::store::lock;

/// Idle connections kept for one place.
const KEPT: usize = 8;
/// How long one address may take to answer before the next is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

type Sender = SendRequest<Full<Bytes>>;

#[derive(Debug)]
pub(super) struct HttpClient {
    proxies: Proxies,
    insecure: Vec<String>,
    timeout: Duration,
    tls: OnceLock<Tls>,
    idle: Mutex<HashMap<Place, Vec<Sender>>>,
    /// Insecure places that turned out to speak plain HTTP.
    plain: Mutex<HashSet<Place>>,
}

impl HttpClient {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            proxies: settings.proxies.clone(),
            insecure: settings.insecure_registries.clone(),
            timeout: settings.timeout,
            tls: OnceLock::new(),
            idle: Mutex::default(),
            plain: Mutex::default(),
        }
    }

    /// How long the other side may be silent.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Fails if a password sent there could be read on the way.
    pub(super) fn may_show_password(&self, url: &Url) -> Result<()> {
        let place = &url.place;
        let plain = !place.tls || lock(&self.plain).contains(place);
        if plain && !self.is_insecure(place) {
            return Err(RegistryError::Plaintext {
                host: place.authority(),
            });
        }
        Ok(())
    }

    /// Sends a request and waits for the answer's head.
    pub(super) async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Response<Incoming>> {
        let mut kept = self.take_idle(&url.place);
        let (sender, answer) = loop {
            let reused = kept.is_some();
            let mut sender = match kept.take() {
                Some(sender) => sender,
                None => self.connect(&url.place).await?,
            };
            let request = self.request(method.clone(), url, headers.clone(), body.clone())?;
            let answer = tokio::time::timeout(self.timeout, sender.send_request(request)).await;
            match answer.map_err(|_| RegistryError::Silent {
                url: url.to_string(),
            })? {
                Ok(answer) => break (sender, answer),
                // The other side closed a kept connection just now; that is no failure.
                Err(error) if reused && (error.is_canceled() || error.is_closed()) => {}
                Err(source) => {
                    return Err(RegistryError::Http {
                        url: url.to_string(),
                        source,
                    });
                }
            }
        };
        // It says itself when the answer's body is through and it can take the next request.
        let mut idle = lock(&self.idle);
        let senders = idle.entry(url.place.clone()).or_default();
        senders.retain(|sender| !sender.is_closed());
        if senders.len() < KEPT {
            senders.push(sender);
        }
        Ok(answer)
    }

    fn take_idle(&self, place: &Place) -> Option<Sender> {
        let mut idle = lock(&self.idle);
        let kept = idle.get_mut(place)?;
        kept.retain(|sender| !sender.is_closed());
        let ready = kept.iter().position(Sender::is_ready)?;
        Some(kept.swap_remove(ready))
    }

    fn request(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Request<Full<Bytes>>> {
        let wrong = || RegistryError::Url(url.to_string());
        let plain = !url.place.tls || lock(&self.plain).contains(&url.place);
        let proxy = if plain {
            Proxy::for_place(&self.proxies, &url.place)?
        } else {
            None
        };
        // A proxy for plain HTTP is told the whole address.
        let target = match &proxy {
            Some(_) => format!("http://{}{}", url.place.host_header(), url.path),
            None => url.path.clone(),
        };
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = method;
        *request.uri_mut() = target.parse().map_err(|_| wrong())?;
        *request.headers_mut() = headers;
        let host = HeaderValue::try_from(url.place.host_header()).map_err(|_| wrong())?;
        request.headers_mut().insert(HOST, host);
        let agent = HeaderValue::from_static(concat!("bowline/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(USER_AGENT, agent);
        if let Some(value) = proxy.and_then(|proxy| proxy.authorization) {
            request.headers_mut().insert(PROXY_AUTHORIZATION, value);
        }
        Ok(request)
    }

    async fn connect(&self, place: &Place) -> Result<Sender> {
        if !place.tls || lock(&self.plain).contains(place) {
            return handshake(self.reach(place).await?, place).await;
        }
        let stream = self.reach(place).await?;
        match self.encrypt(stream, place).await {
            Ok(stream) => handshake(stream, place).await,
            Err(RegistryError::Tls { .. }) if self.is_insecure(place) => {
                // A registry on this machine need not have a certificate; Docker falls back just so.
                lock(&self.plain).insert(place.clone());
                handshake(self.reach(place).await?, place).await
            }
            Err(error) => Err(error),
        }
    }

    /// A connection to the place, or to it through a proxy.
    async fn reach(&self, place: &Place) -> Result<TcpStream> {
        let Some(proxy) = Proxy::for_place(&self.proxies, place)? else {
            return dial(place).await;
        };
        let mut stream = dial(&proxy.place).await?;
        if place.tls {
            proxy.tunnel(&mut stream, place).await?;
        }
        Ok(stream)
    }

    async fn encrypt(
        &self,
        stream: TcpStream,
        place: &Place,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let failed = |source| RegistryError::Tls {
            host: place.authority(),
            source,
        };
        let tls = self
            .tls()
            .map_err(|error| failed(io::Error::other(error)))?;
        let config = if self.is_insecure(place) {
            &tls.unchecked
        } else {
            &tls.checked
        };
        let name =
            ServerName::try_from(place.host.trim_matches(['[', ']']).to_owned()).map_err(|_| {
                RegistryError::TlsName {
                    host: place.host.clone(),
                }
            })?;
        let connect = TlsConnector::from(config.clone()).connect(name, stream);
        let connected = tokio::time::timeout(self.timeout, connect).await;
        connected
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(failed)
    }

    fn tls(&self) -> Result<&Tls, rustls::Error> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls);
        }
        let loaded = Tls::load()?;
        Ok(self.tls.get_or_init(|| loaded))
    }

    fn is_insecure(&self, place: &Place) -> bool {
        let named = |name: &String| *name == place.host || *name == place.authority();
        place.is_loopback() || self.insecure.iter().any(named)
    }
}

async fn dial(place: &Place) -> Result<TcpStream> {
    let failed = |source| RegistryError::Connect {
        host: place.authority(),
        source,
    };
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in resolve(&place.host).await? {
        let connect = TcpStream::connect((address, place.port));
        match tokio::time::timeout(CONNECT_TIMEOUT, connect).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).map_err(failed)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failed(last))
}

async fn handshake(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    place: &Place,
) -> Result<Sender> {
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = handshake.map_err(|source| RegistryError::Http {
        url: place.authority(),
        source,
    })?;
    // It lives as long as the sender or an answer's body does, and its failure shows in those.
    drop(tokio::spawn(connection));
    Ok(sender)
}
