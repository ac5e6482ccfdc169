//! Lines of pulls, loads and imports.

use bowline_api::Progress;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc;

use super::reply::{self, Reply};
use crate::error::{Error, Result};

/// What an image operation reports: lines, and at most one error at the end.
type Lines = mpsc::Receiver<Result<Progress>>;

/// Width of the bar that older clients print as they get it.
const BAR: u64 = 50;

/// Streams `lines`. An operation that fails before its first line fails with a proper status; afterwards the error is the
/// last line.
pub(super) async fn reply(mut lines: Lines) -> Result<Reply> {
    let first = match lines.recv().await {
        Some(Err(error)) => return Err(error),
        first => first,
    };
    let rest = stream::poll_fn(move |context| lines.poll_recv(context));
    let pieces = stream::iter(first)
        .chain(rest)
        .map(|item| Ok(Bytes::from(line(item))));
    Ok(reply::stream("application/json", pieces))
}

fn line(item: Result<Progress>) -> Vec<u8> {
    let progress = match item {
        Ok(progress) => with_bar(progress),
        Err(Error { message, .. }) => Progress::error(message),
    };
    // An object of strings and numbers cannot fail to be written.
    let mut text = serde_json::to_vec(&progress).unwrap_or_default();
    text.extend_from_slice(b"\r\n");
    text
}

fn with_bar(mut progress: Progress) -> Progress {
    let detail = progress.progress_detail.as_ref();
    let counted = detail.and_then(|detail| detail.current.zip(detail.total));
    if let Some((current, total)) = counted.filter(|_| progress.progress.is_empty()) {
        progress.progress = bar(current, total);
    }
    progress
}

/// `[=====>     ]  1.2MB/3.4MB`
fn bar(current: u64, total: u64) -> String {
    if total == 0 {
        return format!("{:>8}", human(current));
    }
    let done = (current.min(total) * BAR / total).min(BAR);
    let width = usize::try_from(done).unwrap_or(0);
    let head = if done == BAR {
        "=".repeat(width)
    } else {
        format!("{}>", "=".repeat(width))
    };
    let full = usize::try_from(BAR).unwrap_or(0);
    format!(
        "[{head:<full$}]  {}/{}",
        human(current.min(total)),
        human(total)
    )
}

/// Bytes with four digits, in steps of a thousand.
fn human(bytes: u64) -> String {
    let mut unit = 1_u64;
    let mut names = ["B", "kB", "MB", "GB", "TB", "PB", "EB"].into_iter();
    let mut name = names.next().unwrap_or_default();
    while bytes / unit >= 1000 {
        let Some(next) = names.next() else { break };
        (unit, name) = (unit * 1000, next);
    }
    let whole = bytes / unit;
    // Four digits in all, as many of them behind the point as are left.
    let places = match whole {
        0..10 => 3,
        10..100 => 2,
        100..1000 => 1,
        _ => 0,
    };
    let scale = 10_u64.pow(places);
    let digits = u128::from(bytes % unit) * u128::from(scale) / u128::from(unit);
    let text = format!(
        "{whole}.{digits:0width$}",
        width = usize::try_from(places).unwrap_or(0)
    );
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{}{name}", if text.is_empty() { "0" } else { text })
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn stream_of(items: Vec<Result<Progress>>) -> Result<String> {
        let (sender, receiver) = mpsc::channel(16);
        for item in items {
            sender.send(item).await.unwrap();
        }
        drop(sender);
        let body = reply(receiver)
            .await?
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes();
        Ok(String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_pull_reads_as_docker_writes_it() {
        let lines = stream_of(vec![
            Ok(Progress {
                id: "latest".into(),
                ..Progress::status("Pulling from library/nginx")
            }),
            Ok(Progress::layer("0123456789ab", "Pulling fs layer")),
            Ok(Progress::bytes(
                "0123456789ab",
                "Downloading",
                1_234_567,
                4_000_000,
            )),
            Ok(Progress::layer("0123456789ab", "Pull complete")),
            Ok(Progress::status(
                "Status: Downloaded newer image for nginx:latest",
            )),
        ])
        .await
        .unwrap();
        let expected = [
            r#"{"status":"Pulling from library/nginx","id":"latest"}"#,
            r#"{"status":"Pulling fs layer","progressDetail":{},"id":"0123456789ab"}"#,
            r#"{"status":"Downloading","progressDetail":{"current":1234567,"total":4000000},"progress":"[===============>                                  ]  1.234MB/4MB","id":"0123456789ab"}"#,
            r#"{"status":"Pull complete","progressDetail":{},"id":"0123456789ab"}"#,
            r#"{"status":"Status: Downloaded newer image for nginx:latest"}"#,
        ];
        assert_eq!(lines, expected.map(|line| format!("{line}\r\n")).concat());
    }

    #[tokio::test]
    async fn a_failure_before_the_first_line_is_a_status() {
        let error = stream_of(vec![Err(Error::not_found("manifest unknown"))])
            .await
            .unwrap_err();
        assert_eq!(error.kind, crate::error::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn a_failure_after_it_is_the_last_line() {
        let lines = stream_of(vec![
            Ok(Progress::stream("x")),
            Err(Error::internal("broken")),
        ])
        .await;
        let expected = "{\"stream\":\"x\"}\r\n{\"errorDetail\":{\"message\":\"broken\"},\"error\":\"broken\"}\r\n";
        assert_eq!(lines.unwrap(), expected);
    }

    #[test]
    fn sizes_have_four_digits() {
        for (bytes, text) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1kB"),
            (1_234_567, "1.234MB"),
            (12_345_678, "12.34MB"),
        ] {
            assert_eq!(human(bytes), text);
        }
        assert_eq!(human(u64::MAX), "18.44EB");
        assert!(bar(5, 5).starts_with(&format!("[{}]", "=".repeat(50))));
    }
}
