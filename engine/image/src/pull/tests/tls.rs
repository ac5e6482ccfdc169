//! The same registry behind TLS and behind a proxy.

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener as AsyncListener, TcpStream as AsyncStream};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::settings::{Proxies, Settings};
use crate::testing::{settings, store_with};

/// A certificate for `registry.example` that nobody vouches for.
fn acceptor() -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("testdata/cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("testdata/key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// A TLS port in front of the registry.
async fn tls_before(registry: &Registry) -> u16 {
    let listener = AsyncListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let behind = registry.port;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut to = AsyncStream::connect(("127.0.0.1", behind)).await.unwrap();
                // Either side may leave at any time.
                drop(copy_bidirectional(&mut stream, &mut to).await);
            });
        }
    });
    port
}

/// A proxy that takes every connection to `to`, and reports what it was asked.
async fn proxy_to(to: u16) -> (u16, mpsc::UnboundedReceiver<String>) {
    let listener = AsyncListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (report, reports) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            report.send(String::from_utf8(head).unwrap()).unwrap();
            stream
                .write_all(b"HTTP/1.1 200 Connected\r\n\r\n")
                .await
                .unwrap();
            tokio::spawn(async move {
                let mut to = AsyncStream::connect(("127.0.0.1", to)).await.unwrap();
                drop(copy_bidirectional(&mut stream, &mut to).await);
            });
        }
    });
    (port, reports)
}

#[tokio::test]
async fn tls_on_loopback_needs_no_known_certificate() {
    let registry = Registry::start();
    registry.image("1", &[large(7)]);
    let port = tls_before(&registry).await;
    let (_scratch, store) = store();
    let name: Reference = format!("127.0.0.1:{port}/app:1").parse().unwrap();
    pull(&store, &name).await.0.unwrap();
}

#[tokio::test]
async fn elsewhere_an_unknown_certificate_is_refused() {
    let registry = Registry::start();
    registry.image("1", &[Tar::new().file("a", "x").finish()]);
    let port = tls_before(&registry).await;
    let (_scratch, store) = store();
    // It resolves to loopback, but only `localhost` itself is trusted like that.
    let name: Reference = format!("registry.localhost:{port}/app:1").parse().unwrap();
    let error = registry_error(pull(&store, &name).await.0);
    assert!(matches!(error, RegistryError::Tls { .. }), "{error}");
    assert!(registry.asked("/").is_empty());
    let plain: Reference = format!("registry.localhost:{}/app:1", registry.port)
        .parse()
        .unwrap();
    let error = registry_error(pull(&store, &plain).await.0);
    assert!(
        matches!(error, RegistryError::Tls { .. }),
        "no plain HTTP either: {error}"
    );
}

#[tokio::test]
async fn a_proxy_leads_to_registries_elsewhere() {
    let registry = Registry::start();
    registry.image("1", &[Tar::new().file("a", "x").finish()]);
    let (proxy, mut asked) = proxy_to(tls_before(&registry).await).await;
    let scratch = tempfile::tempdir().unwrap();
    let https = Some(format!("http://me:pw@127.0.0.1:{proxy}"));
    let store = store_with(
        scratch.path(),
        Settings {
            proxies: Proxies {
                https,
                ..Proxies::default()
            },
            insecure_registries: vec!["registry.example".to_owned()],
            ..settings()
        },
    );
    let name: Reference = "registry.example/app:1".parse().unwrap();
    pull(&store, &name).await.0.unwrap();
    let head = asked.recv().await.unwrap();
    assert!(
        head.starts_with("CONNECT registry.example:443 HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(
        head.contains("Proxy-Authorization: Basic bWU6cHc=\r\n"),
        "{head}"
    );
}
