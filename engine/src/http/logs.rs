//! `GET /containers/{id}/logs`

use std::io;
use std::sync::Arc;

use bowline_api::stdcopy::{Stream as Kind, frame};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::call::Call;
use super::query::Query;
use super::reply::{self, Reply};
use super::{hijack, time};
use crate::LogSource;
use crate::error::{Error, Result};
use crate::logs::{Options, Record, Source, Watcher, follow};
use crate::record::ContainerRecord;

/// How records become bytes.
#[derive(Clone, Copy, Debug)]
struct Format {
    stdout: bool,
    stderr: bool,
    timestamps: bool,
    details: bool,
    /// A terminal's output has no frames.
    tty: bool,
}

pub(super) async fn logs(call: Call, id: &str) -> Result<Reply> {
    let query = &call.query;
    let [stdout, stderr] = ["stdout", "stderr"].map(|key| query.flag(key));
    if !stdout && !stderr {
        return Err(Error::invalid(
            "Bad parameters: you must choose at least one stream",
        ));
    }
    let options = options(query)?;
    let source = call.engine.container_log_source(id).await?;
    if source.driver == "none" {
        return Err(Error::unsupported(
            "configured logging driver does not support reading",
        ));
    }
    let format = Format {
        stdout,
        stderr,
        timestamps: query.flag("timestamps"),
        details: query.flag("details"),
        tty: source.tty,
    };
    let kind = hijack::log_type(source.tty, call.version);
    let mut batches = read(source, options, &call.watcher);
    let pieces = stream::poll_fn(move |context| batches.poll_recv(context))
        .map(move |batch| Ok(Bytes::from(encode(batch, format))))
        .filter(|piece| std::future::ready(piece.as_ref().is_ok_and(|bytes| !bytes.is_empty())));
    Ok(reply::stream(kind, pieces))
}

/// The records of a container's log until its run is over. A restart by policy also ends it: clients reopen at `start`.
fn read(
    source: LogSource,
    options: Options,
    watcher: &Watcher,
) -> mpsc::Receiver<io::Result<Vec<Record>>> {
    let LogSource {
        path, mut record, ..
    } = source;
    let started = record.borrow().run.started_at.clone();
    let ended = Box::pin(async move {
        let over = |record: &Arc<ContainerRecord>| {
            !record.phase.is_alive() || record.run.started_at != started
        };
        // An error means that the container is gone, which is an end too.
        drop(record.wait_for(over).await.map(|_| ()));
    });
    follow(Source { path, ended }, options, watcher)
}

/// Everything the container printed so far, as an attach replays it.
pub(super) async fn replay(
    source: LogSource,
    streams: (bool, bool),
    watcher: &Watcher,
    client: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let (stdout, stderr) = streams;
    let format = Format {
        stdout,
        stderr,
        timestamps: false,
        details: false,
        tty: source.tty,
    };
    let mut batches = read(source, Options::default(), watcher);
    while let Some(batch) = batches.recv().await {
        client.write_all(&encode(batch, format)).await?;
    }
    Ok(())
}

fn options(query: &Query) -> Result<Options> {
    // What is no number means everything, as `all` does.
    let tail = query.get("tail").and_then(|tail| tail.parse().ok());
    Ok(Options {
        follow: query.flag("follow"),
        tail,
        since: time::parse("since", query.get("since"))?,
        // Clients send 0 for no end.
        until: time::parse("until", query.get("until").filter(|until| *until != "0"))?,
    })
}

fn encode(batch: io::Result<Vec<Record>>, format: Format) -> Vec<u8> {
    let mut out = Vec::new();
    match batch {
        Ok(records) => records
            .iter()
            .for_each(|record| write(record, format, &mut out)),
        Err(error) => {
            let text = format!("Error grabbing logs: {error}\n");
            out = if format.tty {
                text.into_bytes()
            } else {
                frame(Kind::SystemError, text.as_bytes())
            };
        }
    }
    out
}

fn write(record: &Record, format: Format, out: &mut Vec<u8>) {
    let wanted = if record.stream == Kind::Stderr {
        format.stderr
    } else {
        format.stdout
    };
    if !wanted {
        return;
    }
    let mut line = String::with_capacity(record.text.len() + 32);
    if format.timestamps {
        line.push_str(&record.padded_time());
        line.push(' ');
    }
    if format.details {
        let details: Vec<_> = record
            .attributes
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        line.push_str(&details.join(","));
        line.push(' ');
    }
    line.push_str(&record.text);
    if format.tty {
        out.extend_from_slice(line.as_bytes());
    } else {
        out.extend(frame(record.stream, line.as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn record(stream: Kind) -> Record {
        let attributes = BTreeMap::from([("b".into(), "2".into()), ("a".into(), "1".into())]);
        let time = "2026-01-02T03:04:05.5Z".into();
        Record {
            stream,
            time,
            text: "hi\n".into(),
            attributes,
        }
    }

    const ALL: Format = Format {
        stdout: true,
        stderr: true,
        timestamps: false,
        details: false,
        tty: false,
    };

    #[test]
    fn lines_are_framed_unless_there_is_a_terminal() {
        let both = || Ok(vec![record(Kind::Stdout), record(Kind::Stderr)]);
        assert_eq!(
            encode(both(), ALL),
            b"\x01\0\0\0\0\0\0\x03hi\n\x02\0\0\0\0\0\0\x03hi\n"
        );
        assert_eq!(
            encode(
                both(),
                Format {
                    stdout: false,
                    ..ALL
                }
            ),
            b"\x02\0\0\0\0\0\0\x03hi\n"
        );
        assert_eq!(encode(both(), Format { tty: true, ..ALL }), b"hi\nhi\n");
    }

    #[test]
    fn time_and_details_come_in_front() {
        let format = Format {
            tty: true,
            timestamps: true,
            details: true,
            ..ALL
        };
        let text = encode(Ok(vec![record(Kind::Stdout)]), format);
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "2026-01-02T03:04:05.500000000Z a=1,b=2 hi\n"
        );
    }

    #[test]
    fn a_log_that_cannot_be_read_says_so_in_the_stream() {
        let text = encode(Err(io::Error::other("disk")), ALL);
        assert_eq!(text[0], 3);
        assert!(text.ends_with(b"Error grabbing logs: disk\n"));
    }

    #[test]
    fn a_tail_that_is_no_number_is_everything() {
        let tail = |text: &str| options(&Query::parse(text)).unwrap().tail;
        assert_eq!(
            [tail("tail=all"), tail("tail="), tail(""), tail("tail=-1")],
            [None; 4]
        );
        assert_eq!([tail("tail=0"), tail("tail=5")], [Some(0), Some(5)]);
    }
}
