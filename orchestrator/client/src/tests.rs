//! The client against a server that plays a script, byte for byte, so that packets can be cut where it hurts.

use std::time::Duration;

use bowline_api::stdcopy::{Stream as Kind, frame};
use bowline_api::{ContainerCreate, Event, Filters, RegistryAuth, WaitCondition};
use futures_util::{StreamExt, TryStreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use crate::{AttachOptions, Client, Endpoint, Error, EventsOptions, LogsOptions};

struct Script {
    client: Client,
    server: JoinHandle<String>,
    _dir: tempfile::TempDir,
}

/// A server that reads one request, writes `pieces` with pauses between them, then everything sent back to it after the
/// request is echoed until the client shuts its side, and the connection is closed. Its result is what it received.
fn script(pieces: Vec<Vec<u8>>, echo: bool) -> Script {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("engine.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        for piece in pieces {
            stream.write_all(&piece).await.unwrap();
            stream.flush().await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if echo {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
            stream.write_all(&rest).await.unwrap();
        }
        request
    });
    Script {
        client: Client::new(Endpoint::Unix(path)),
        server,
        _dir: dir,
    }
}

async fn read_request(stream: &mut UnixStream) -> String {
    let mut text = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).await.unwrap();
        text.extend_from_slice(&piece[..count]);
        let got = String::from_utf8_lossy(&text).into_owned();
        let Some((head, body)) = got.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            line.to_lowercase()
                .strip_prefix("content-length: ")?
                .parse()
                .ok()
        });
        let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
        if count == 0
            || (chunked && body.ends_with("0\r\n\r\n"))
            || (!chunked && body.len() >= length.unwrap_or(0))
        {
            return got;
        }
    }
}

fn reply(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn chunk(payload: &[u8]) -> Vec<u8> {
    let mut out = format!("{:x}\r\n", payload.len()).into_bytes();
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
    out
}

#[tokio::test]
async fn an_error_body_becomes_the_error() {
    let body = r#"{"message":"No such container: x"}"#;
    let run = script(
        vec![reply(
            "404 Not Found",
            "Content-Type: application/json\r\n",
            body,
        )],
        false,
    );
    let error = run.client.container_inspect("x").await.unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(error.to_string(), "No such container: x");
    assert!(
        run.server
            .await
            .unwrap()
            .starts_with("GET /containers/x/json HTTP/1.1\r\n")
    );
}

#[tokio::test]
async fn an_error_without_json_is_told_by_its_text_or_status() {
    let run = script(vec![reply("502 Bad Gateway", "", "proxy says no\n")], false);
    assert_eq!(
        run.client.version().await.unwrap_err().to_string(),
        "proxy says no"
    );
    let run = script(vec![reply("500 Internal Server Error", "", "")], false);
    let error = run.client.version().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the engine answered 500 Internal Server Error"
    );
}

#[tokio::test]
async fn nobody_there_is_a_connect_error() {
    let dir = tempfile::tempdir().unwrap();
    let client = Client::new(Endpoint::Unix(dir.path().join("none.sock")));
    let error = client.ping().await.unwrap_err();
    assert!(
        matches!(&error, Error::Connect { .. }) && error.is_gone(),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_engine_that_dies_before_or_in_its_answer_is_gone() {
    let run = script(Vec::new(), false);
    assert!(run.client.info().await.unwrap_err().is_gone());
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_vec();
    let run = script(vec![half], false);
    assert!(run.client.info().await.unwrap_err().is_gone());
}

#[tokio::test]
async fn not_modified_means_unchanged() {
    let run = script(vec![b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec()], false);
    assert!(!run.client.container_start("x").await.unwrap());
    let run = script(vec![b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()], false);
    assert!(
        run.client
            .container_stop("x", Some("INT"), Some(-1))
            .await
            .unwrap()
    );
    let request = run.server.await.unwrap();
    assert!(
        request.starts_with("POST /containers/x/stop?signal=INT&t=-1 HTTP"),
        "{request}"
    );
}

#[tokio::test]
async fn a_body_is_json_with_its_type() {
    let run = script(
        vec![reply("201 Created", "", r#"{"Id":"abc","Warnings":null}"#)],
        false,
    );
    let mut create = ContainerCreate::default();
    create.config.image = "demo".into();
    let created = run
        .client
        .container_create(Some("web"), None, &create)
        .await
        .unwrap();
    assert_eq!((created.id.as_str(), created.warnings.len()), ("abc", 0));
    let request = run.server.await.unwrap();
    assert!(
        request.starts_with("POST /containers/create?name=web HTTP"),
        "{request}"
    );
    assert!(
        request.contains("content-type: application/json\r\n"),
        "{request}"
    );
    assert!(request.contains(r#""Image":"demo""#), "{request}");
}

#[tokio::test]
async fn a_wait_is_registered_by_the_headers_and_answered_by_the_body() {
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let body = [
        chunk(br#"{"Status"#),
        chunk(br#"Code":7}"#),
        b"0\r\n\r\n".to_vec(),
    ]
    .concat();
    let run = script(vec![head, body], false);
    let waiting = run
        .client
        .container_wait("x", WaitCondition::NextExit)
        .await
        .unwrap();
    assert_eq!(waiting.exit().await.unwrap().status_code, 7);
    assert!(
        run.server
            .await
            .unwrap()
            .starts_with("POST /containers/x/wait?condition=next-exit ")
    );
}

#[tokio::test]
async fn bytes_right_behind_the_101_are_not_lost() {
    let mut first = b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n\
        Connection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly "
        .to_vec();
    first.extend_from_slice(b"bird ");
    let run = script(vec![first, b"late ".to_vec()], true);
    let options = AttachOptions {
        stdin: true,
        stdout: true,
        ..AttachOptions::default()
    };
    let mut stream = run.client.container_attach("x", &options).await.unwrap();
    assert!(!stream.is_multiplexed());
    stream.write_all(b"echoed").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "early bird late echoed");
    let request = run.server.await.unwrap().to_lowercase();
    assert!(request.contains("connection: upgrade\r\n") && request.contains("upgrade: tcp\r\n"));
}

#[tokio::test]
async fn an_exec_tells_stdout_from_stderr_however_frames_are_cut() {
    let head = "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n\
        Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
    let frames = [
        frame(Kind::Stdout, b"hello "),
        frame(Kind::Stderr, b"oops"),
        frame(Kind::Stdout, b"world"),
    ];
    let bytes = [head.as_bytes(), &frames.concat()].concat();
    let cuts = head.len() + 3;
    let mut pieces = vec![bytes[..cuts].to_vec()];
    pieces.extend(bytes[cuts..].chunks(5).map(<[u8]>::to_vec));
    let run = script(pieces, false);
    let (output, _input) = run.client.exec_start("e", false).await.unwrap().split();
    let chunks: Vec<_> = output.try_collect().await.unwrap();
    let text = |kind| -> Vec<u8> {
        chunks
            .iter()
            .filter(|chunk| chunk.stream == kind)
            .flat_map(|chunk| chunk.bytes.to_vec())
            .collect()
    };
    assert_eq!(text(Kind::Stdout), b"hello world");
    assert_eq!(text(Kind::Stderr), b"oops");
}

#[tokio::test]
async fn a_refused_hijack_is_the_engines_error() {
    let run = script(
        vec![reply(
            "409 Conflict",
            "",
            r#"{"message":"container is paused"}"#,
        )],
        false,
    );
    let error = run
        .client
        .container_attach("x", &AttachOptions::default())
        .await
        .unwrap_err();
    assert_eq!(
        (error.status(), error.to_string().as_str()),
        (Some(409), "container is paused")
    );
    let run = script(vec![reply("200 OK", "", "")], false);
    let error = run.client.exec_start("x", true).await.unwrap_err();
    assert!(matches!(error, Error::NotUpgraded { status: 200 }));
}

#[tokio::test]
async fn logs_are_demultiplexed_across_chunks() {
    let frames = [
        frame(Kind::Stdout, b"a\n"),
        frame(Kind::Stdout, b""),
        frame(Kind::Stderr, b"b\n"),
    ]
    .concat();
    let mut pieces = vec![
        b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n\
          Transfer-Encoding: chunked\r\n\r\n"
            .to_vec(),
    ];
    pieces.extend(frames.chunks(3).map(chunk));
    pieces.push(b"0\r\n\r\n".to_vec());
    let run = script(pieces, false);
    let options = LogsOptions {
        tail: Some(10),
        follow: true,
        ..LogsOptions::default()
    };
    let logs = run.client.container_logs("x", &options).await.unwrap();
    let chunks: Vec<_> = logs.try_collect().await.unwrap();
    let text: String = chunks
        .iter()
        .map(|chunk| format!("{}:{:?} ", chunk.stream.name(), chunk.bytes))
        .collect();
    assert_eq!(text, r#"stdout:b"a" stdout:b"\n" stderr:b"b\n" "#);
    let request = run.server.await.unwrap();
    assert!(
        request.starts_with("GET /containers/x/logs?follow=1&stdout=1&stderr=1&tail=10 "),
        "{request}"
    );
}

#[tokio::test]
async fn a_terminals_logs_are_taken_as_they_are() {
    let body = reply(
        "200 OK",
        "Content-Type: application/vnd.docker.raw-stream\r\n",
        "raw \x01\x00",
    );
    let run = script(vec![body], false);
    let mut logs = run
        .client
        .container_logs("x", &LogsOptions::default())
        .await
        .unwrap();
    let chunk = logs.next().await.unwrap().unwrap();
    assert_eq!(
        (chunk.stream, chunk.bytes.as_ref()),
        (Kind::Stdout, b"raw \x01\x00".as_ref())
    );
    assert!(logs.next().await.is_none());
}

#[tokio::test]
async fn events_come_one_by_one_wherever_lines_are_cut() {
    let text = "{\"Type\":\"container\",\"Action\":\"start\"}\r\n{\"Type\":\"container\",\"Action\":\"die\"}";
    let mut pieces = vec![b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()];
    pieces.extend(text.as_bytes().chunks(7).map(chunk));
    pieces.push(b"0\r\n\r\n".to_vec());
    let run = script(pieces, false);
    let filters = Filters::new().with("label", "a=b");
    let options = EventsOptions {
        filters,
        ..EventsOptions::default()
    };
    let events: Vec<Event> = run
        .client
        .events(&options)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let actions: Vec<_> = events.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(actions, ["start", "die"]);
    let request = run.server.await.unwrap();
    assert!(
        request.starts_with("GET /events?filters=%7B%22label%22%3A%7B%22a%3Db%22%3Atrue%7D%7D ")
    );
}

#[tokio::test]
async fn a_stream_that_breaks_says_so() {
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let run = script(vec![head, chunk(b"{\"Type\":\"x\"}\n")], false);
    let mut events = run.client.events(&EventsOptions::default()).await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap().kind, "x");
    assert!(events.next().await.unwrap().unwrap_err().is_gone());
}

#[tokio::test]
async fn a_pull_names_the_tag_and_sends_credentials() {
    let line = r#"{"status":"Pull complete","progressDetail":{},"id":"0123"}"#;
    let run = script(vec![reply("200 OK", "", &format!("{line}\r\n"))], false);
    let auth = RegistryAuth {
        username: "a".into(),
        ..RegistryAuth::default()
    };
    let pull = run
        .client
        .image_pull("localhost:5000/x/y", Some("linux/amd64"), Some(&auth))
        .await;
    let lines: Vec<_> = pull.unwrap().try_collect().await.unwrap();
    assert_eq!((lines.len(), lines[0].id.as_str()), (1, "0123"));
    let request = run.server.await.unwrap();
    let path =
        "POST /images/create?fromImage=localhost%3A5000%2Fx%2Fy&tag=latest&platform=linux%2Famd64 ";
    assert!(request.starts_with(path), "{request}");
    assert!(
        request.contains("x-registry-auth: eyJ1c2VybmFtZSI6ImEifQ==\r\n"),
        "{request}"
    );
}

#[tokio::test]
async fn an_archive_is_sent_in_chunks() {
    let run = script(
        vec![reply("200 OK", "", "{\"stream\":\"Loaded image: x\\n\"}\n")],
        false,
    );
    let tar = std::io::Cursor::new(b"not really a tar".to_vec());
    let lines: Vec<_> = run
        .client
        .image_load(tar)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(lines[0].stream, "Loaded image: x\n");
    let request = run.server.await.unwrap();
    assert!(
        request.contains("transfer-encoding: chunked\r\n"),
        "{request}"
    );
    assert!(request.contains("not really a tar"), "{request}");
}
