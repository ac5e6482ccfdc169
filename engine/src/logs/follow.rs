//! From a log source to a stream of records.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::file::Reader;
use super::watch::News;
use super::{Record, Source, Watcher};

/// Batches that may wait for a slow client; the container never waits for it.
const AHEAD: usize = 4;

/// Which records are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Go on until the run is over.
    pub follow: bool,
    /// Only the last so many of what there is; `None` is all.
    pub tail: Option<u64>,
    /// Nothing older.
    pub since: Option<Timestamp>,
    /// Nothing newer; a followed log ends then.
    pub until: Option<Timestamp>,
}

/// Reads `source` in batches. The channel ends with the log, or with an error; dropping the receiver ends the reading.
pub fn follow(
    source: Source,
    options: Options,
    watcher: &Watcher,
) -> mpsc::Receiver<io::Result<Vec<Record>>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    // Listening begins before the first look, so that nothing falls between the two.
    let folder = source.path.parent().unwrap_or(Path::new("/"));
    let news = options.follow.then(|| watcher.folder(folder));
    let task = Task {
        options,
        news,
        ended: source.ended,
        over: !options.follow,
        sender,
    };
    drop(tokio::spawn(task.run(source.path)));
    receiver
}

struct Task {
    options: Options,
    news: Option<News>,
    ended: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Nothing is written any more, so an empty read is the end.
    over: bool,
    sender: mpsc::Sender<io::Result<Vec<Record>>>,
}

impl Task {
    async fn run(mut self, path: std::path::PathBuf) {
        if let Err(error) = self.read_all(path).await {
            // A receiver that is gone does not mind.
            drop(self.sender.send(Err(error)).await);
        }
    }

    async fn read_all(&mut self, path: std::path::PathBuf) -> io::Result<()> {
        let tail = self.options.tail;
        let mut reader = blocking(move || Reader::open(&path, tail)).await?;
        loop {
            if let Some(news) = &mut self.news {
                news.forget();
            }
            let (back, records) = blocking(move || {
                let records = reader.read()?;
                Ok((reader, records))
            })
            .await?;
            reader = back;
            if records.is_empty() {
                if self.over || !self.wait().await {
                    return Ok(());
                }
            } else if !self.hand_on(records).await {
                return Ok(());
            }
        }
    }

    /// Waits for news. `false` when nobody wants them any more.
    async fn wait(&mut self) -> bool {
        let Some(news) = &mut self.news else {
            return false;
        };
        let until = self.options.until.map(remaining);
        tokio::select! {
            () = news.wait() => true,
            () = &mut self.ended => {
                // What was written before the end is complete, but perhaps not read yet.
                self.over = true;
                true
            }
            () = sleep(until) => false,
            () = self.sender.closed() => false,
        }
    }

    /// Sends the wanted ones. `false` when that was the end.
    async fn hand_on(&mut self, mut records: Vec<Record>) -> bool {
        let Options { since, until, .. } = self.options;
        let mut beyond = false;
        if since.is_some() || until.is_some() {
            records.retain(|record| {
                let time = record.timestamp();
                beyond |= until.zip(time).is_some_and(|(until, time)| time > until);
                !beyond && since.zip(time).is_none_or(|(since, time)| time >= since)
            });
        }
        let sent = records.is_empty() || self.sender.send(Ok(records)).await.is_ok();
        sent && !beyond
    }
}

fn remaining(until: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default()
}

async fn sleep(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}
