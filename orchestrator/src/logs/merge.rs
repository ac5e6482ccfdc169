//! Logs that have ended, merged in the order of time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use bowline_client::{Client, LogStream, LogsOptions};
use futures_util::StreamExt as _;

use super::{Cursor, Line, Printer, Source, Span, Splitter};
use crate::ui::{Outcome, WithContext as _};

/// Prints what the logs hold now; returns where each one stands then. An engine that goes away meanwhile is an error,
/// unless the logs are followed afterwards.
pub(crate) async fn history(
    client: &Client,
    sources: &[Source],
    span: &Span,
    following: bool,
    printer: &mut Printer,
) -> Outcome<Vec<Cursor>> {
    let mut heads = Vec::new();
    let bears = |error: &bowline_client::Error| following && error.is_gone();
    for source in sources {
        let options = LogsOptions {
            timestamps: true,
            tail: span.tail,
            since: span.since.clone(),
            until: span.until.clone(),
            ..LogsOptions::default()
        };
        let stream = match client.container_logs(&source.id, &options).await {
            Err(error) if bears(&error) => None,
            stream => Some(stream.during(format!("cannot read the log of `{}`", source.prefix))?),
        };
        heads.push(Head {
            stream,
            splitter: Splitter::default(),
            lines: VecDeque::new(),
            following,
        });
    }
    let mut cursors = vec![Cursor::default(); sources.len()];
    let mut first: BinaryHeap<Reverse<(Arc<str>, usize)>> = BinaryHeap::new();
    for (index, head) in heads.iter_mut().enumerate() {
        first.extend(head.peek().await?.map(|time| Reverse((time, index))));
    }
    while let Some(Reverse((_, index))) = first.pop() {
        let head = &mut heads[index];
        if let Some(line) = head.lines.pop_front()
            && cursors[index].pass(&line)
        {
            printer.print(&sources[index], &line);
        }
        first.extend(head.peek().await?.map(|time| Reverse((time, index))));
    }
    printer.flush();
    Ok(cursors)
}

struct Head {
    /// None once it has ended.
    stream: Option<LogStream>,
    splitter: Splitter,
    lines: VecDeque<Line>,
    following: bool,
}

impl Head {
    /// The time of the next line, which is read if need be.
    async fn peek(&mut self) -> Outcome<Option<Arc<str>>> {
        while let (true, Some(stream)) = (self.lines.is_empty(), &mut self.stream) {
            match stream.next().await {
                // Whoever goes on following takes the log up where it was cut.
                Some(Err(error)) if self.following && error.is_gone() => self.stream = None,
                Some(chunk) => self.lines.extend(self.splitter.push(&chunk?)),
                None => {
                    self.stream = None;
                    self.lines.extend(self.splitter.finish());
                }
            }
        }
        Ok(self.lines.front().map(|line| Arc::clone(&line.time)))
    }
}
