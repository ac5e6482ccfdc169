//! Lines of pulls, loads and imports.

use std::future::Future;

use bowline_api::{Progress, ProgressDetail};
use bowline_image::Progress as News;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::reply::{self, Reply};
use crate::error::{Error, ErrorKind, Result};

/// News that may wait for a slow client.
const AHEAD: usize = 64;
/// Width of the bar that older clients print as they get it.
const BAR: u64 = 50;

/// An operation and what it tells on its way.
struct Running {
    news: mpsc::Receiver<News>,
    /// Taken when its result was.
    task: Option<Task>,
}

/// What is left to say at the end. Ends with whoever waits for it: a pull that nobody watches stops.
struct Task(JoinHandle<Result<Vec<Progress>>>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs `work` and streams its news, then the lines it ends with. An operation that fails before its first line fails
/// with a proper status; afterwards the error is the last line.
pub(super) async fn reply<W>(work: impl FnOnce(mpsc::Sender<News>) -> W) -> Result<Reply>
where
    W: Future<Output = Result<Vec<Progress>>> + Send + 'static,
{
    let (sender, news) = mpsc::channel(AHEAD);
    let mut running = Running {
        news,
        task: Some(Task(tokio::spawn(work(sender)))),
    };
    let first = running.next().await;
    if let [Err(error)] = first.as_slice() {
        return Err(error.clone());
    }
    let rest = stream::unfold(running, |mut running| async move {
        let items = running.next().await;
        (!items.is_empty()).then_some((items, running))
    });
    let lines = stream::once(std::future::ready(first)).chain(rest);
    let pieces = lines.map(|items| {
        Ok(Bytes::from(
            items.into_iter().flat_map(line).collect::<Vec<u8>>(),
        ))
    });
    Ok(reply::stream("application/json", pieces))
}

impl Running {
    /// The next lines, as many as there are; none at the end.
    async fn next(&mut self) -> Vec<Result<Progress>> {
        let mut news = Vec::new();
        if self.news.recv_many(&mut news, AHEAD).await > 0 {
            return news.into_iter().map(|news| Ok(progress(news))).collect();
        }
        let Some(mut task) = self.task.take() else {
            return Vec::new();
        };
        match (&mut task.0).await {
            Ok(Ok(lines)) => lines.into_iter().map(Ok).collect(),
            Ok(Err(error)) => vec![Err(error)],
            Err(panic) => {
                tracing::error!(%panic, "an image operation failed by a fault of the engine");
                vec![Err(Error::new(
                    ErrorKind::Internal,
                    "the engine failed; its log says where",
                ))]
            }
        }
    }
}

fn progress(news: News) -> Progress {
    let News {
        id,
        status,
        current,
        total,
    } = news;
    // Compose takes every line with details for a layer's, and drops the others.
    let about_layer = id.is_some() && !status.starts_with("Pulling from");
    let progress_detail = about_layer.then_some(ProgressDetail { current, total });
    let (id, status) = (id.unwrap_or_default(), status.into_owned());
    Progress {
        id,
        status,
        progress_detail,
        ..Progress::default()
    }
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

    fn news(id: Option<&str>, status: &'static str, counts: Option<(u64, u64)>) -> News {
        let id = id.map(str::to_owned);
        let (current, total) = counts.unzip();
        News {
            id,
            status: status.into(),
            current,
            total,
        }
    }

    async fn stream_of(items: Vec<News>, end: Result<Vec<Progress>>) -> Result<String> {
        let work = |sender: mpsc::Sender<News>| async move {
            for item in items {
                sender.send(item).await.unwrap();
            }
            end
        };
        let body = reply(work)
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
        let layer = Some("0123456789ab");
        let lines = stream_of(
            vec![
                news(Some("latest"), "Pulling from library/nginx", None),
                news(layer, "Pulling fs layer", None),
                news(layer, "Downloading", Some((1_234_567, 4_000_000))),
                news(layer, "Pull complete", None),
            ],
            Ok(vec![Progress::status(
                "Status: Downloaded newer image for nginx:latest",
            )]),
        );
        let expected = [
            r#"{"status":"Pulling from library/nginx","id":"latest"}"#,
            r#"{"status":"Pulling fs layer","progressDetail":{},"id":"0123456789ab"}"#,
            r#"{"status":"Downloading","progressDetail":{"current":1234567,"total":4000000},"progress":"[===============>                                  ]  1.234MB/4MB","id":"0123456789ab"}"#,
            r#"{"status":"Pull complete","progressDetail":{},"id":"0123456789ab"}"#,
            r#"{"status":"Status: Downloaded newer image for nginx:latest"}"#,
        ];
        assert_eq!(
            lines.await.unwrap(),
            expected.map(|line| format!("{line}\r\n")).concat()
        );
    }

    #[tokio::test]
    async fn a_failure_before_the_first_line_is_a_status() {
        let end = Err(Error::not_found("manifest unknown"));
        assert_eq!(
            stream_of(Vec::new(), end).await.unwrap_err().kind,
            ErrorKind::NotFound
        );
    }

    #[tokio::test]
    async fn a_failure_after_it_is_the_last_line() {
        let lines = stream_of(vec![news(None, "x", None)], Err(Error::internal("broken"))).await;
        let expected = "{\"status\":\"x\"}\r\n{\"errorDetail\":{\"message\":\"broken\"},\"error\":\"broken\"}\r\n";
        assert_eq!(lines.unwrap(), expected);
    }

    #[tokio::test]
    async fn a_client_that_leaves_stops_the_operation() {
        let (held, released) = tokio::sync::oneshot::channel::<()>();
        let answer = reply(|sender| async move {
            sender.send(news(None, "x", None)).await.unwrap();
            std::future::pending::<()>().await;
            drop(held);
            Ok(Vec::new())
        });
        drop(answer.await.unwrap());
        assert!(released.await.is_err());
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
