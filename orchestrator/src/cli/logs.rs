//! `logs`.

use bowline_api::ContainerSummary;
use bowline_plan::labels;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use regex::bytes::Regex;
use tokio::sync::broadcast::error::RecvError;

use super::containers::{self, Labelled as _};
use super::context::{Context, Session};
use super::signals::Interrupts;
use crate::apply::{self, Notice, Watch};
use crate::logs::{Follower, Printer, Shape, Source, Span, history, prefix};
use crate::ui::{Failure, Outcome};

/// See the module.
#[derive(Args, Clone, Debug)]
pub(super) struct Logs {
    /// Services; all if none is named
    services: Vec<String>,
    /// Go on with what is written from now on
    #[arg(short, long)]
    follow: bool,
    /// Last lines of each container; `all` is all of them
    #[arg(short = 'n', long, value_name = "N", default_value = "all", value_parser = tail)]
    tail: Tail,
    /// The time before each line
    #[arg(short, long)]
    timestamps: bool,
    /// Not before this time, or so long ago: `2024-01-02T13:23:37Z`, `42m`
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Not after this time, or so long ago
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// One container of each service
    #[arg(long, value_name = "N")]
    index: Option<u32>,
    /// Only lines that match this regular expression; `(?i)` in front ignores case
    #[arg(long, value_name = "PATTERN", value_parser = Regex::new)]
    grep: Option<Regex>,
    /// No colours
    #[arg(long)]
    no_color: bool,
    /// No prefix before lines
    #[arg(long)]
    no_log_prefix: bool,
}

/// `--tail`.
#[derive(Clone, Copy, Debug)]
struct Tail(Option<u64>);

fn tail(text: &str) -> Result<Tail, String> {
    match text {
        "all" | "-1" => Ok(Tail(None)),
        count => count
            .parse()
            .map(|count| Tail(Some(count)))
            .map_err(|_| "a number of lines, or `all`".to_owned()),
    }
}

/// A point in time in the engine's form: seconds as they are, RFC 3339, or a span back from now.
pub(super) fn moment(text: &str, now: Timestamp) -> Outcome<String> {
    let seconds = |time: Timestamp| format!("{}.{:09}", time.as_second(), time.subsec_nanosecond());
    if text.parse::<f64>().is_ok() {
        return Ok(text.to_owned());
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(seconds(time));
    }
    let civil = text.parse::<jiff::civil::DateTime>();
    if let Some(time) = civil
        .ok()
        .and_then(|civil| civil.to_zoned(jiff::tz::TimeZone::UTC).ok())
    {
        return Ok(seconds(time.timestamp()));
    }
    let back = text
        .parse::<SignedDuration>()
        .ok()
        .and_then(|span| now.checked_sub(span).ok());
    back.map(seconds).ok_or_else(|| {
        Failure::usage(format!("`{text}` is neither a time nor a span"))
            .hint("for example `2024-01-02T13:23:37Z` or `42m`")
    })
}

impl Logs {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let session = context.session(&[]).await?;
        session.scope.check(&session.observed, &self.services)?;
        let now = Timestamp::now();
        let span = Span {
            tail: self.tail.0,
            since: self
                .since
                .as_deref()
                .map(|text| moment(text, now))
                .transpose()?,
            until: self
                .until
                .as_deref()
                .map(|text| moment(text, now))
                .transpose()?,
        };
        let mut interrupts = Interrupts::catch()?;
        tokio::select! {
            shown = Box::pin(self.show(context, &session, &span)) => shown.map(|()| 0),
            _ = interrupts.next() => Ok(130),
        }
    }

    async fn show(&self, context: &Context, session: &Session, span: &Span) -> Outcome<()> {
        let project = &session.scope.name;
        // Heard before the list is read, so that nobody who starts in between is missed.
        let filter = apply::project_filter(project).with("type", "container");
        let watch = match self.follow {
            true => Some(Watch::open(&session.client, filter).await?),
            false => None,
        };
        let found = containers::list(&session.client, project, true, &self.services).await?;
        let sources: Vec<Source> = found
            .iter()
            .filter(|container| self.is_shown(container))
            .enumerate()
            .map(|(index, container)| source(project, index, &container.id, container.name()))
            .collect();
        let shape = Shape {
            prefix: !self.no_log_prefix,
            timestamps: self.timestamps,
            color: context.ui.color_out && !self.no_color,
        };
        let mut printer = Printer::new(shape, sources.iter().map(|source| &*source.prefix))
            .matching(self.grep.clone());
        let cursors = history(&session.client, &sources, span, self.follow, &mut printer).await?;
        let Some(watch) = watch.filter(|_| span.until.is_none()) else {
            return Ok(());
        };
        let mut follower = Follower::new(session.client.clone(), printer);
        for (source, cursor) in sources.into_iter().zip(cursors) {
            follower.follow(source, Some(cursor), span.since.clone(), span.tail);
        }
        self.keep_on(project, &watch, &mut follower).await;
        Ok(())
    }

    fn is_shown(&self, container: &ContainerSummary) -> bool {
        self.index.is_none_or(|index| container.number() == index)
    }

    /// Until every log that is followed has ended; containers that start meanwhile are followed, too.
    async fn keep_on(&self, project: &str, watch: &Watch, follower: &mut Follower) {
        let mut notices = watch.subscribe();
        while follower.is_live() {
            tokio::select! {
                _ = follower.next() => {}
                notice = notices.recv() => match notice {
                    Ok(Notice::Event(event)) if event.action == "start" => {
                        let attribute = |key| event.actor.attributes.get(key).map_or("", String::as_str);
                        let service = attribute(labels::SERVICE);
                        let number = attribute(labels::NUMBER).parse().ok();
                        let named = self.services.is_empty()
                            || self.services.iter().any(|name| name == service);
                        if named && (self.index.is_none() || self.index == number) {
                            let id = &event.actor.id;
                            let index = follower.source(id).map_or(follower.count(), |s| s.index);
                            follower.follow(source(project, index, id, attribute("name")), None, None, None);
                        }
                    }
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }
}

fn source(project: &str, index: usize, id: &str, name: &str) -> Source {
    Source {
        id: id.to_owned(),
        prefix: prefix(project, name),
        index,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_usual_form() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let at = |text: &str| moment(text, now).unwrap();
        assert_eq!(at("1700000000.5"), "1700000000.5");
        assert_eq!(at("10m"), "999400.000000000");
        assert_eq!(at("1h30m"), "994600.000000000");
        assert_eq!(at("2024-01-02T00:00:00Z"), "1704153600.000000000");
        assert_eq!(at("2024-01-02T00:00:00"), "1704153600.000000000");
        assert_eq!(moment("yesterday-ish", now).unwrap_err().code(), 2);
    }
}
