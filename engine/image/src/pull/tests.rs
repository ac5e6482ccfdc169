use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Condvar;

use serde_json::json;

use super::*;
use crate::error::ErrorKind;
use crate::registry::RegistryError;
use crate::testing::{Tar, gzip, remains, store, store_in};

mod tls;

/// A registry on a loopback port that answers as it is told.
struct Registry {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    content: Mutex<HashMap<String, Vec<u8>>>,
    rules: Mutex<Vec<Rule>>,
    log: Mutex<Vec<Asked>>,
    /// How many stalled answers there are, and whether they may go on.
    stalled: Mutex<(usize, bool)>,
    change: Condvar,
}

/// A request as it came.
#[derive(Clone, Debug)]
struct Asked {
    path: String,
    headers: HashMap<String, String>,
}

impl Asked {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// What to do with the next requests whose path contains a word.
struct Rule {
    path: String,
    times: usize,
    fault: Fault,
}

#[derive(Clone)]
enum Fault {
    /// This status, these header lines, this body.
    Answer(u16, String, String),
    /// Only so many bytes, then the connection breaks.
    Cut(usize),
    /// The whole in place of the range asked for.
    IgnoreRange,
    /// So many bytes, then nothing until released.
    Stall(usize),
    /// A token is wanted.
    WantToken(&'static str),
    /// These bytes in place of the right ones.
    Bytes(Vec<u8>),
}

impl Registry {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let server = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&server);
                std::thread::spawn(move || shared.serve(&stream.unwrap()));
            }
        });
        Self { port, shared }
    }

    fn name(&self, rest: &str) -> Reference {
        format!("127.0.0.1:{}/{rest}", self.port).parse().unwrap()
    }

    fn put(&self, path: &str, bytes: &[u8]) -> Digest {
        lock(&self.shared.content).insert(path.to_owned(), bytes.to_vec());
        Digest::of(bytes)
    }

    fn blob(&self, bytes: &[u8]) -> Digest {
        self.put(&format!("blobs/{}", Digest::of(bytes)), bytes)
    }

    fn document(&self, tag: &str, document: &serde_json::Value) -> (Digest, usize) {
        let bytes = serde_json::to_vec(document).unwrap();
        self.put(&format!("manifests/{tag}"), &bytes);
        (
            self.put(&format!("manifests/{}", Digest::of(&bytes)), &bytes),
            bytes.len(),
        )
    }

    /// Publishes an image of these tars, packed, behind an index; returns the digests of its blobs.
    fn image(&self, tag: &str, tars: &[Vec<u8>]) -> Vec<Digest> {
        let diff_ids: Vec<_> = tars.iter().map(|tar| Digest::of(tar)).collect();
        let config = json!({"architecture": std::env::consts::ARCH, "os": "linux", "author": tag,
            "config": {"Cmd": ["/x"]}, "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let config = serde_json::to_vec(&config).unwrap();
        let packed: Vec<_> = tars.iter().map(|tar| gzip(tar)).collect();
        let layers: Vec<_> = packed
            .iter()
            .map(|layer| json!({"digest": self.blob(layer), "size": layer.len()}))
            .collect();
        let manifest = json!({"schemaVersion": 2, "layers": layers,
            "config": {"digest": self.blob(&config), "size": config.len()}});
        let (digest, size) = self.document("inner", &manifest);
        let platform = json!({"os": "linux", "architecture": std::env::consts::ARCH});
        let attestation = json!({"os": "unknown", "architecture": "unknown"});
        let index = json!({"schemaVersion": 2, "manifests": [
            {"digest": Digest::of(b"attestation"), "size": 1, "platform": attestation},
            {"digest": digest, "size": size, "platform": platform},
        ]});
        self.document(tag, &index);
        packed.iter().map(|layer| Digest::of(layer)).collect()
    }

    fn fault(&self, path: &str, times: usize, fault: Fault) {
        lock(&self.shared.rules).push(Rule {
            path: path.to_owned(),
            times,
            fault,
        });
    }

    fn answer(&self, path: &str, times: usize, status: u16, headers: &str, body: &str) {
        self.fault(
            path,
            times,
            Fault::Answer(status, headers.to_owned(), body.to_owned()),
        );
    }

    fn asked(&self, path: &str) -> Vec<Asked> {
        let log = lock(&self.shared.log);
        log.iter()
            .filter(|asked| asked.path.contains(path))
            .cloned()
            .collect()
    }

    fn wait_for_stall(&self) {
        let stalled = lock(&self.shared.stalled);
        drop(
            self.shared
                .change
                .wait_while(stalled, |stalled| stalled.0 == 0)
                .unwrap(),
        );
    }

    fn release(&self) {
        lock(&self.shared.stalled).1 = true;
        self.shared.change.notify_all();
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some(asked) = read_request(&mut reader) {
            lock(&self.log).push(asked.clone());
            if self.answer(&asked, stream).is_none() {
                break;
            }
        }
        // It may be gone already.
        drop(stream.shutdown(Shutdown::Both));
    }

    fn next_fault(&self, path: &str) -> Option<Fault> {
        let mut rules = lock(&self.rules);
        let rule = rules
            .iter_mut()
            .find(|rule| rule.times > 0 && path.contains(&rule.path))?;
        rule.times -= 1;
        Some(rule.fault.clone())
    }

    /// Answers; `None` when the connection is to break.
    fn answer(&self, asked: &Asked, stream: &TcpStream) -> Option<()> {
        let fault = self.next_fault(&asked.path);
        let path = asked.path.split('?').next().unwrap_or_default();
        let key = path.split("/v2/").nth(1).unwrap_or_default();
        let key = key
            .find("/blobs/")
            .or(key.find("/manifests/"))
            .map(|at| &key[at + 1..]);
        let content = key.and_then(|key| lock(&self.content).get(key).cloned());
        let range = asked.header("range").strip_prefix("bytes=");
        let start: Option<usize> = range.map(|range| range.trim_end_matches('-').parse().unwrap());
        match (fault, content) {
            (Some(Fault::Answer(status, headers, body)), _) => {
                send(stream, status, &headers, body.as_bytes(), usize::MAX)
            }
            (Some(Fault::WantToken(realm)), _)
                if asked.header("authorization") != "Bearer good" =>
            {
                let port = stream.local_addr().unwrap().port();
                let challenge = format!(
                    "WWW-Authenticate: Bearer realm=\"http://127.0.0.1:{port}{realm}\",\
                     service=\"here\",scope=\"repository:x:pull\"\r\n"
                );
                send(stream, 401, &challenge, b"{}", usize::MAX)
            }
            (Some(Fault::Bytes(bytes)), _) => send(stream, 200, "", &bytes, usize::MAX),
            (_, None) => send(
                stream,
                404,
                "",
                br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#,
                usize::MAX,
            ),
            (fault, Some(content)) => self.answer_content(stream, &content, start, fault.as_ref()),
        }
    }

    fn answer_content(
        &self,
        stream: &TcpStream,
        content: &[u8],
        start: Option<usize>,
        fault: Option<&Fault>,
    ) -> Option<()> {
        let start = start.filter(|_| !matches!(fault, Some(Fault::IgnoreRange)));
        let (status, headers) = match start {
            None => (200, String::new()),
            Some(at) if at >= content.len() => return send(stream, 416, "", b"", usize::MAX),
            Some(at) => {
                let all = content.len();
                (
                    206,
                    format!("Content-Range: bytes {at}-{}/{all}\r\n", all - 1),
                )
            }
        };
        let content = &content[start.unwrap_or(0)..];
        match fault {
            Some(Fault::Cut(at)) => send(stream, status, &headers, content, *at),
            Some(Fault::Stall(at)) => {
                send(stream, status, &headers, content, *at);
                let mut stalled = lock(&self.stalled);
                stalled.0 += 1;
                self.change.notify_all();
                drop(
                    self.change
                        .wait_while(stalled, |stalled| !stalled.1)
                        .unwrap(),
                );
                let mut stream = stream;
                stream.write_all(&content[*at..]).ok()
            }
            _ => send(stream, status, &headers, content, usize::MAX),
        }
    }
}

/// Sends an answer, or its first `cut` bytes; `None` when it was cut.
fn send(mut stream: &TcpStream, status: u16, headers: &str, body: &[u8], cut: usize) -> Option<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(&body[..cut.min(length)]).ok()?;
    (cut >= length).then_some(())
}

fn read_request(reader: &mut BufReader<&TcpStream>) -> Option<Asked> {
    let mut first = Vec::new();
    reader.take(1).read_to_end(&mut first).ok()?;
    // A TLS greeting: this registry speaks plain HTTP only.
    if first.first().is_none_or(|byte| *byte == 0x16) {
        return None;
    }
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(": ") {
            Some((key, value)) => headers.insert(key.to_ascii_lowercase(), value.to_owned()),
            None => return Some(Asked { path, headers }),
        };
    }
}

async fn pull(store: &Store, name: &Reference) -> (Result<Image>, Vec<String>) {
    pull_as(store, name, None, None).await
}

async fn pull_as(
    store: &Store,
    name: &Reference,
    platform: Option<&str>,
    auth: Option<Auth>,
) -> (Result<Image>, Vec<String>) {
    let (sender, mut news) = mpsc::channel(1000);
    let platform: Option<Platform> = platform.map(|platform| platform.parse().unwrap());
    let result = store.pull(name, platform.as_ref(), auth, sender).await;
    let mut lines = Vec::new();
    while let Ok(line) = news.try_recv() {
        lines.push(
            format!("{} {}", line.id.unwrap_or_default(), line.status)
                .trim()
                .to_owned(),
        );
    }
    (result, lines)
}

fn large(seed: u8) -> Vec<u8> {
    // Poorly compressible, so that there is something to cut.
    let mut state = u32::from(seed) + 1;
    let noise: String = (0..200_000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b'!' + u8::try_from(state >> 24).unwrap() % 90)
        })
        .collect();
    Tar::new().file("noise", &noise).finish()
}

fn registry_error(result: Result<Image>) -> RegistryError {
    fn inner(error: Error) -> RegistryError {
        match error {
            Error::Registry(error) => error,
            Error::Shared(shared) => inner(Arc::try_unwrap(shared).unwrap()),
            other => panic!("{other}"),
        }
    }
    inner(result.unwrap_err())
}

#[tokio::test]
async fn an_image_is_pulled_for_this_machine() {
    let registry = Registry::start();
    let layers = registry.image("1", &[Tar::new().file("a", "x").finish(), large(1)]);
    let (_scratch, store) = store();
    let name = registry.name("team/app:1");
    let (pulled, news) = pull(&store, &name).await;
    let image = pulled.unwrap();
    assert_eq!(image.tags, std::slice::from_ref(&name));
    assert_eq!(image.digests.len(), 1);
    assert_eq!(store.get(&image.digests[0].familiar()).unwrap(), image);
    assert_eq!(remains(&store), [2, 0, 0]);
    assert_eq!(news[0], "1 Pulling from team/app");
    let short = layers[0].short();
    for word in [
        "Pulling fs layer",
        "Waiting",
        "Verifying Checksum",
        "Download complete",
        "Extracting",
        "Pull complete",
    ] {
        assert!(
            news.contains(&format!("{short} {word}")),
            "{word} in {news:?}"
        );
    }
    let end = &news[news.len() - 2..];
    assert_eq!(
        end[0],
        format!("Digest: {}", image.digests[0].digest().unwrap())
    );
    assert_eq!(end[1], format!("Status: Downloaded newer image for {name}"));
    let blobs = registry.asked("/blobs/").len();
    let (again, news) = pull(&store, &name).await;
    assert_eq!(again.unwrap().id, image.id);
    assert_eq!(
        news.last().unwrap(),
        &format!("Status: Image is up to date for {name}")
    );
    assert!(news.contains(&format!("{short} Already exists")));
    assert_eq!(
        registry.asked("/blobs/").len(),
        blobs + 1,
        "the configuration only"
    );
    let by_digest = name.with_digest(image.digests[0].digest().unwrap());
    assert_eq!(pull(&store, &by_digest).await.0.unwrap().id, image.id);
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_broke() {
    for ignore_range in [false, true] {
        let registry = Registry::start();
        let layer = registry.image("1", &[large(2)]).remove(0);
        registry.fault(layer.hex(), 1, Fault::Cut(50_000));
        registry.fault(layer.hex(), 1, Fault::Cut(70_000));
        if ignore_range {
            registry.fault(layer.hex(), 1, Fault::IgnoreRange);
        }
        let (_scratch, store) = store();
        let (pulled, _) = pull(&store, &registry.name("app:1")).await;
        pulled.unwrap();
        let asked = registry.asked(layer.hex());
        let ranges: Vec<_> = asked.iter().map(|asked| asked.header("range")).collect();
        assert_eq!(ranges, ["", "bytes=50000-", "bytes=120000-"]);
        assert_eq!(remains(&store), [1, 0, 0]);
    }
}

#[tokio::test]
async fn a_pull_that_was_left_is_resumed_by_the_next() {
    let registry = Registry::start();
    let layer = registry.image("1", &[large(3)]).remove(0);
    registry.fault(layer.hex(), 1, Fault::Stall(60_000));
    let (_scratch, store) = store();
    let name = registry.name("app:1");
    let task = {
        let (store, name) = (store.clone(), name.clone());
        tokio::spawn(async move { pull(&store, &name).await.0 })
    };
    let waiting = Arc::clone(&registry.shared);
    let stall = Registry {
        port: registry.port,
        shared: waiting,
    };
    tokio::task::spawn_blocking(move || stall.wait_for_stall())
        .await
        .unwrap();
    // What was sent has to arrive before it is taken away.
    let part = || {
        let mut files = std::fs::read_dir(store.0.ingest()).unwrap();
        files.find_map(|file| {
            let path = file.unwrap().path();
            let part = path
                .extension()
                .is_some_and(|extension| extension == "part");
            part.then(|| std::fs::metadata(path).unwrap().len())
        })
    };
    while part() != Some(60_000) {
        tokio::task::yield_now().await;
    }
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(store.list().unwrap().is_empty());
    registry.release();
    let (pulled, _) = pull(&store, &name).await;
    pulled.unwrap();
    let asked = registry.asked(layer.hex());
    assert_eq!(asked.last().unwrap().header("range"), "bytes=60000-");
    assert_eq!(remains(&store)[0], 1);
}

#[tokio::test]
async fn a_damaged_partial_download_starts_anew() {
    let registry = Registry::start();
    let tar = large(4);
    let layer = registry.image("1", std::slice::from_ref(&tar)).remove(0);
    let (_scratch, store) = store();
    let part = format!("{}-{}.part", layer.hex(), Digest::of(&tar).short());
    std::fs::write(store.0.ingest().join(part), vec![7; 1000]).unwrap();
    pull(&store, &registry.name("app:1")).await.0.unwrap();
    let asked = registry.asked(layer.hex());
    let ranges: Vec<_> = asked.iter().map(|asked| asked.header("range")).collect();
    assert_eq!(ranges, ["bytes=1000-", ""]);
    assert_eq!(remains(&store), [1, 0, 0]);
}

#[tokio::test]
async fn contents_with_another_digest_never_become_visible() {
    let good = Tar::new().file("a", "x").finish();
    let other = gzip(&Tar::new().file("a", "y").finish());
    for evil in [vec![7; other.len()], other] {
        let registry = Registry::start();
        let layer = registry.image("1", std::slice::from_ref(&good)).remove(0);
        registry.fault(layer.hex(), 9, Fault::Bytes(evil));
        let (_scratch, store) = store();
        pull(&store, &registry.name("app:1")).await.0.unwrap_err();
        assert_eq!(remains(&store), [0, 0, 0]);
        assert!(store.list().unwrap().is_empty());
    }
    let registry = Registry::start();
    registry.image("1", &[good]);
    let digest = format!("app@{}", Digest::of(b"other"));
    registry.put(
        &format!("manifests/{}", Digest::of(b"other")),
        b"{\"schemaVersion\":2}",
    );
    let (_scratch, store) = store();
    let error = registry_error(pull(&store, &registry.name(&digest)).await.0);
    assert!(matches!(
        error,
        RegistryError::Digest {
            what: "manifest",
            ..
        }
    ));
    registry.fault("/blobs/", 9, Fault::Bytes(b"{}".to_vec()));
    let error = registry_error(pull(&store, &registry.name("app:1")).await.0);
    assert!(matches!(
        error,
        RegistryError::Digest {
            what: "configuration",
            ..
        }
    ));
}

#[tokio::test]
async fn tokens_are_fetched_when_asked_for() {
    let registry = Registry::start();
    registry.image("1", &[Tar::new().file("a", "x").finish()]);
    registry.fault("/v2/", 99, Fault::WantToken("/token"));
    registry.answer("/token", 9, 200, "", r#"{"token":"good"}"#);
    let (_scratch, store) = store();
    let auth = Auth {
        username: "me".into(),
        password: "s3cret".into(),
        ..Auth::default()
    };
    let name = registry.name("app:1");
    pull_as(&store, &name, None, Some(auth)).await.0.unwrap();
    let tokens = registry.asked("/token");
    assert_eq!(tokens.len(), 1, "one token for all requests");
    assert!(
        tokens[0]
            .path
            .contains("scope=repository%3Ax%3Apull&service=here&account=me")
    );
    assert_eq!(tokens[0].header("authorization"), "Basic bWU6czNjcmV0");
}

#[tokio::test]
async fn refusals_say_what_they_are() {
    let registry = Registry::start();
    let (_scratch, store) = store();
    let name = registry.name("app:1");
    let (missing, news) = pull(&store, &name).await;
    assert_eq!(news, [""; 0], "nothing is told before the image is found");
    let error = missing.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(
        error
            .to_string()
            .ends_with("not found: manifest unknown: manifest unknown"),
        "{error}"
    );
    registry.fault("/v2/", 1, Fault::WantToken("/token"));
    registry.answer("/token", 1, 401, "", "{}");
    let error = pull(&store, &name).await.0.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    registry.answer(
        "/v2/",
        1,
        403,
        "",
        r#"{"errors":[{"code":"DENIED","message":"no"}]}"#,
    );
    let error = pull(&store, &name).await.0.unwrap_err();
    assert!(
        error.to_string().starts_with("pull access denied for"),
        "{error}"
    );
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn passing_trouble_is_waited_out() {
    let registry = Registry::start();
    let layer = registry
        .image("1", &[Tar::new().file("a", "x").finish()])
        .remove(0);
    registry.answer("/manifests/1", 1, 429, "Retry-After: 0\r\n", "{}");
    registry.answer("/manifests/1", 1, 503, "", "busy");
    registry.answer(layer.hex(), 2, 500, "", "");
    let (_scratch, store) = store();
    pull(&store, &registry.name("app:1")).await.0.unwrap();
    assert_eq!(registry.asked("/manifests/1").len(), 3);
    registry.answer(
        "/manifests/2",
        99,
        429,
        "ratelimit-limit: 100;w=21600\r\nRetry-After: 0\r\n",
        "",
    );
    let error = pull(&store, &registry.name("app:2")).await.0.unwrap_err();
    assert!(error.to_string().contains("100;w=21600"), "{error}");
    assert_eq!(registry.asked("/manifests/2").len(), 4);
}

#[tokio::test]
async fn pulls_of_the_same_share_the_work() {
    let registry = Registry::start();
    let shared = large(5);
    let layers = registry.image("1", &[shared.clone(), Tar::new().file("a", "1").finish()]);
    registry.image("2", &[shared, Tar::new().file("a", "2").finish()]);
    let (_scratch, store) = store();
    let (one, two) = (registry.name("app:1"), registry.name("app:2"));
    let (a, b, c) = tokio::join!(pull(&store, &one), pull(&store, &one), pull(&store, &two));
    assert_eq!(a.0.unwrap().id, b.0.unwrap().id);
    c.0.unwrap();
    assert_eq!(registry.asked("/manifests/1").len(), 1);
    assert_eq!(
        registry.asked(layers[0].hex()).len(),
        1,
        "a layer of two images comes once"
    );
    assert_eq!(remains(&store), [3, 0, 0]);
}

#[tokio::test]
async fn credentials_stay_with_the_registry() {
    let (registry, other) = (Registry::start(), Registry::start());
    let tar = Tar::new().file("a", "x").finish();
    let layer = registry.image("1", std::slice::from_ref(&tar)).remove(0);
    other.image("1", &[tar]);
    registry.fault("/manifests/", 1, Fault::WantToken("/token"));
    registry.answer("/token", 1, 200, "", r#"{"access_token":"good"}"#);
    let to = format!(
        "Location: http://127.0.0.1:{}/v2/cdn/blobs/{layer}?sig=1\r\n",
        other.port
    );
    registry.answer(layer.hex(), 1, 307, &to, "");
    let (_scratch, store) = store();
    pull(&store, &registry.name("app:1")).await.0.unwrap();
    assert_eq!(
        registry.asked(layer.hex())[0].header("authorization"),
        "Bearer good"
    );
    assert_eq!(other.asked("/cdn/")[0].header("authorization"), "");
}

#[tokio::test]
async fn images_for_other_machines_are_refused() {
    let registry = Registry::start();
    registry.image("1", &[Tar::new().file("a", "x").finish()]);
    let (_scratch, store) = store();
    let name = registry.name("app:1");
    let error = pull_as(&store, &name, Some("linux/s390x"), None)
        .await
        .0
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(
        error
            .to_string()
            .starts_with("no matching manifest for linux/s390x"),
        "{error}"
    );
    registry.document("old", &json!({"schemaVersion": 1, "fsLayers": []}));
    let error = registry_error(pull(&store, &registry.name("app:old")).await.0);
    assert!(error.to_string().contains("schema 1"), "{error}");
    registry.document(
        "odd",
        &json!({"schemaVersion": 2, "manifests": [], "layers": []}),
    );
    let error = registry_error(pull(&store, &registry.name("app:odd")).await.0);
    assert!(matches!(error, RegistryError::NoImage { .. }));
}

#[tokio::test]
async fn a_disk_that_fills_up_is_told_and_emptied() {
    let disk = tempfile::tempdir().unwrap();
    let none = nix::mount::MsFlags::empty();
    nix::mount::mount(
        Some("small"),
        disk.path(),
        Some("tmpfs"),
        none,
        Some("size=200k"),
    )
    .unwrap();
    let registry = Registry::start();
    registry.image("1", &[large(6)]);
    let store = store_in(disk.path());
    let error = pull(&store, &registry.name("app:1")).await.0.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
    assert_eq!(remains(&store), [0, 0, 0]);
    drop(store);
    nix::mount::umount2(disk.path(), nix::mount::MntFlags::MNT_DETACH).unwrap();
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_named() {
    let (_scratch, store) = store();
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let name: Reference = format!("localhost:{free}/x").parse().unwrap();
    let error = pull(&store, &name).await.0.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.to_string(), format!("connect to localhost:{free}"));
}
