//! `GET /containers/{id}/stats`

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bowline_api::Stats;
use bytes::Bytes;
use futures_util::stream;

use super::call::Call;
use super::reply::{self, Reply};
use super::sample;
use crate::engine::Engine;
use crate::error::{Error, Result};

/// How often a stream tells.
const PACE: Duration = Duration::from_secs(1);

pub(super) async fn stats(call: Call, id: &str) -> Result<Reply> {
    let stream = call.query.flag_or("stream", true);
    let once = call.query.flag("one-shot");
    if stream && once {
        return Err(Error::invalid("cannot have stream=true and one-shot=true"));
    }
    let engine = call.engine;
    let first = sample::sample(&engine, id).await?;
    if stream {
        return Ok(streamed(engine, id.to_owned(), first));
    }
    // Load is a difference, so a single answer needs two samples; a container that does not run has none to give.
    if once || first.read.is_empty() {
        return reply::ok(&first);
    }
    tokio::time::sleep(PACE).await;
    let second = sample::sample(&engine, id).await?;
    reply::ok(&after(&first, second))
}

fn streamed(engine: Arc<Engine>, id: String, first: Stats) -> Reply {
    let samples = stream::unfold(None::<Stats>, move |previous| {
        let (engine, id, first) = (Arc::clone(&engine), id.clone(), first.clone());
        async move {
            let sample = match &previous {
                None => first,
                Some(previous) => {
                    tokio::time::sleep(PACE).await;
                    // The stream ends with the container.
                    after(previous, sample::sample(&engine, &id).await.ok()?)
                }
            };
            Some((line(&sample), Some(sample)))
        }
    });
    reply::stream("application/json", samples)
}

fn line(sample: &Stats) -> io::Result<Bytes> {
    let mut text = serde_json::to_vec(sample)?;
    text.push(b'\n');
    Ok(Bytes::from(text))
}

/// `sample` with what the one before it said of the processor.
fn after(previous: &Stats, sample: Stats) -> Stats {
    Stats {
        preread: previous.read.clone(),
        precpu_stats: previous.cpu_stats.clone(),
        ..sample
    }
}

#[cfg(test)]
mod tests {
    use bowline_api::CpuStats;

    use super::*;

    #[test]
    fn a_sample_carries_the_one_before() {
        let sample = |online_cpus, read: &str| Stats {
            read: read.into(),
            cpu_stats: CpuStats {
                online_cpus,
                ..CpuStats::default()
            },
            ..Stats::default()
        };
        let second = after(&sample(1, "a"), sample(2, "b"));
        assert_eq!((second.preread.as_str(), second.read.as_str()), ("a", "b"));
        assert_eq!(
            (
                second.precpu_stats.online_cpus,
                second.cpu_stats.online_cpus
            ),
            (1, 2)
        );
    }
}
