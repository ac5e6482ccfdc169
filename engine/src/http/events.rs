//! `GET /events`

use std::io;

use bowline_api::{Event, Filters};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use tokio::sync::broadcast;

use super::call::Call;
use super::reply::{self, Reply};
use super::{filters, time};
use crate::error::Result;

/// What of the past, and until when.
#[derive(Clone, Copy, Debug)]
struct Span {
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

pub(super) async fn events(call: Call) -> Result<Reply> {
    let filters = call.filters(filters::EVENTS)?;
    let since = time::parse("since", call.query.get("since"))?;
    let until = time::parse(
        "until",
        call.query.get("until").filter(|until| *until != "0"),
    )?;
    let span = Span { since, until };
    let (past, live) = call.engine.events_since(&filters)?;
    let past: Vec<_> = past
        .into_iter()
        .filter(|event| span.recalls(event) && wanted(&filters, event))
        .map(|event| line(&event))
        .collect();
    let live = stream::unfold((live, filters), move |(mut live, filters)| async move {
        let event = next(&mut live, &filters, span).await?;
        Some((line(&event), (live, filters)))
    });
    Ok(reply::stream(
        "application/json",
        stream::iter(past).chain(live),
    ))
}

impl Span {
    /// Whether an event of the past is told. Without bounds only the future is.
    fn recalls(self, event: &Event) -> bool {
        let time = Timestamp::from_nanosecond(event.time_nano.into()).unwrap_or(Timestamp::MIN);
        (self.since.is_some() || self.until.is_some())
            && self.since.is_none_or(|since| time >= since)
            && self.until.is_none_or(|until| time <= until)
    }
}

/// The next wanted event; `None` at the end of the span, or when the client was too slow for what happened: it then has
/// to look for itself, which a gap in the stream would not tell it.
async fn next(
    live: &mut broadcast::Receiver<Event>,
    filters: &Filters,
    span: Span,
) -> Option<Event> {
    let left = span
        .until
        .map(|until| until.duration_since(Timestamp::now()));
    let end = async {
        match left {
            Some(left) => tokio::time::sleep(left.try_into().unwrap_or_default()).await,
            None => std::future::pending().await,
        }
    };
    let event = async {
        loop {
            let event = live.recv().await.ok()?;
            if wanted(filters, &event) {
                return Some(event);
            }
        }
    };
    tokio::select! {
        biased;
        () = end => None,
        event = event => event,
    }
}

fn line(event: &Event) -> io::Result<Bytes> {
    let mut text = serde_json::to_vec(event)?;
    text.push(b'\n');
    Ok(Bytes::from(text))
}

/// Whether `filters` let an event pass.
fn wanted(filters: &Filters, event: &Event) -> bool {
    let name = event
        .actor
        .attributes
        .get("name")
        .map_or("", String::as_str);
    let scope = if event.scope.is_empty() {
        "local"
    } else {
        &event.scope
    };
    let object = |kind: &str| {
        // A filter by container is also one by type.
        filters.any(kind, |value| {
            event.kind == kind && (event.actor.id.starts_with(value) || name == value)
        })
    };
    filters.matches("type", &event.kind)
        && filters.matches("scope", scope)
        && filters.any("event", |value| is_action(value, &event.action))
        && [
            "container",
            "network",
            "volume",
            "plugin",
            "service",
            "node",
            "secret",
            "config",
        ]
        .into_iter()
        .all(object)
        && filters.any("image", |value| is_image(value, event))
        && filters.any("daemon", |_| event.kind == "daemon")
        && filters.matches_labels(&event.actor.attributes)
}

/// `health_status` also means `health_status: healthy`.
fn is_action(wanted: &str, action: &str) -> bool {
    let family = action.split(':').next().unwrap_or(action);
    let open = matches!(family, "exec_create" | "exec_start" | "health_status");
    action == wanted || (open && action.starts_with(wanted))
}

/// An image by id or by name, with its tag or without.
fn is_image(wanted: &str, event: &Event) -> bool {
    let key = if event.kind == "image" {
        "name"
    } else {
        "image"
    };
    let name = event.actor.attributes.get(key).map_or("", String::as_str);
    let id = if event.kind == "image" {
        event.actor.id.as_str()
    } else {
        ""
    };
    [id, name, without_tag(id), without_tag(name)].contains(&wanted)
}

fn without_tag(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use bowline_api::Actor;

    use super::*;

    fn event(action: &str) -> Event {
        let attributes = [
            ("name", "web-1"),
            ("image", "localhost:5000/nginx:1.27"),
            ("project", "shop"),
        ];
        Event {
            kind: "container".into(),
            action: action.into(),
            actor: Actor {
                id: "0123456789abcdef".into(),
                attributes: attributes
                    .map(|(key, value)| (key.into(), value.into()))
                    .into(),
            },
            scope: "local".into(),
            time_nano: 1_700_000_000_000_000_000,
            ..Event::default()
        }
    }

    fn passes(filter: &str, action: &str) -> bool {
        wanted(
            &filters::parse(Some(filter), filters::EVENTS).unwrap(),
            &event(action),
        )
    }

    #[test]
    fn a_container_is_found_by_name_or_beginning_of_its_id() {
        for yes in ["web-1", "0123456789ab", "0123"] {
            assert!(
                passes(&format!(r#"{{"container":["{yes}"]}}"#), "start"),
                "{yes}"
            );
        }
        for no in ["web", "1234"] {
            assert!(
                !passes(&format!(r#"{{"container":["{no}"]}}"#), "start"),
                "{no}"
            );
        }
        assert!(!passes(r#"{"network":["web-1"]}"#, "start"));
    }

    #[test]
    fn actions_with_details_are_found_by_their_family() {
        assert!(passes(
            r#"{"event":["health_status"]}"#,
            "health_status: healthy"
        ));
        assert!(passes(
            r#"{"event":["health_status: healthy"]}"#,
            "health_status: healthy"
        ));
        assert!(!passes(
            r#"{"event":["health_status: healthy"]}"#,
            "health_status: unhealthy"
        ));
        assert!(passes(
            r#"{"event":["exec_create","die"]}"#,
            "exec_create: sh -c true"
        ));
        assert!(passes(r#"{"event":["die"]}"#, "die"));
        assert!(!passes(r#"{"event":["exec"]}"#, "die"));
    }

    #[test]
    fn labels_are_all_needed_and_images_lose_their_tag() {
        assert!(passes(
            r#"{"label":["project=shop"],"type":["container"]}"#,
            "die"
        ));
        assert!(!passes(r#"{"label":["project=shop","x"]}"#, "die"));
        assert!(passes(r#"{"image":["localhost:5000/nginx"]}"#, "die"));
        assert!(passes(r#"{"image":["localhost:5000/nginx:1.27"]}"#, "die"));
        assert!(!passes(r#"{"image":["nginx"]}"#, "die"));
    }

    #[test]
    fn the_past_is_told_only_when_asked_for() {
        let at = |seconds| Timestamp::from_second(seconds).ok();
        let told = |since, until| Span { since, until }.recalls(&event("die"));
        assert!(!told(None, None));
        assert!(told(at(1_700_000_000), None) && told(None, at(1_700_000_000)));
        assert!(!told(at(1_700_000_001), None) && !told(None, at(1_699_999_999)));
    }
}
