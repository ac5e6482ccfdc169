//! `events`: what happens to the project's containers; `system events`: what happens in the engine.

use std::collections::BTreeMap;

use bowline_api::{Event, Filters};
use bowline_client::EventsOptions;
use bowline_plan::labels;
use clap::Args;
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::context::Context;
use super::format::Format;
use super::signals::Interrupts;
use crate::apply::project_filter;
use crate::ui::{Failure, Outcome, WithContext as _};

/// See the module.
#[derive(Args, Clone, Debug)]
pub(super) struct Events {
    /// Services; all if none is named
    services: Vec<String>,
    /// An object a line
    #[arg(long)]
    json: bool,
    /// Not before this time, or so long ago: `2024-01-02T13:23:37Z`, `42m`
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Not after this time, or so long ago
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// `system events`
#[derive(Args, Clone, Debug)]
pub(super) struct Engine {
    /// Condition as the API has it, such as `type=network` or `event=die`
    #[arg(short, long = "filter", value_name = "KEY=VALUE", value_parser = pair)]
    filters: Vec<(String, String)>,
    /// `json` (an object a line), or a Go template
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "table",
        hide_default_value = true
    )]
    format: Format,
    /// Not before this time, or so long ago
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Not after this time, or so long ago
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// `KEY=VALUE` of `--filter`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Conditions as the API takes them.
pub(super) fn filters(pairs: &[(String, String)]) -> Filters {
    pairs.iter().fold(Filters::new(), |filters, (key, value)| {
        filters.with(key, value.as_str())
    })
}

impl Events {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let scope = context.scope(&[])?;
        let filters = project_filter(&scope.name).with("type", "container");
        let show = |event: &Event| {
            let attribute = |key| event.actor.attributes.get(key).map_or("", String::as_str);
            let service = attribute(labels::SERVICE);
            if !self.services.is_empty() && !self.services.iter().any(|name| name == service) {
                return Ok(None);
            }
            Ok(Some(match self.json {
                true => object(event, service).to_string(),
                false => line(event),
            }))
        };
        follow(context, filters, (&self.since, &self.until), show).await
    }
}

impl Engine {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let show = |event: &Event| {
            Ok(Some(match &self.format {
                Format::Table => line(event),
                Format::Json => serde_json::to_string(event)?,
                Format::Each(template) | Format::Columns(template) => {
                    template.render(&serde_json::to_value(event)?)?
                }
            }))
        };
        let filters = filters(&self.filters);
        follow(context, filters, (&self.since, &self.until), show).await
    }
}

async fn follow(
    context: &Context,
    filters: Filters,
    (since, until): (&Option<String>, &Option<String>),
    show: impl Fn(&Event) -> Outcome<Option<String>>,
) -> Outcome {
    let client = context.client().await?;
    let now = jiff::Timestamp::now();
    let moment = |text: &Option<String>| {
        text.as_deref()
            .map(|text| super::logs::moment(text, now))
            .transpose()
    };
    let options = EventsOptions {
        filters,
        since: moment(since)?,
        until: moment(until)?,
    };
    let stream = client
        .events(&options)
        .await
        .during("cannot listen to the engine's events")?;
    let mut stream = Box::pin(stream);
    let mut interrupts = Interrupts::catch()?;
    loop {
        let event = tokio::select! {
            event = stream.next() => event,
            _ = interrupts.next() => return Ok(130),
        };
        let Some(event) = event else {
            return match until {
                Some(_) => Ok(0),
                None => Err(Failure::new("the engine ended the stream of events")),
            };
        };
        if let Some(text) = show(&event?)?
            && !context.ui.try_line(text)
        {
            return Ok(0);
        }
    }
}

/// What is not a label of Compose's or ours.
fn attributes(event: &Event) -> BTreeMap<&str, &str> {
    let all = event.actor.attributes.iter();
    all.filter(|(key, _)| {
        !key.starts_with("com.docker.compose.") && !key.starts_with("dev.bowline.")
    })
    .map(|(key, value)| (key.as_str(), value.as_str()))
    .collect()
}

fn object(event: &Event, service: &str) -> Value {
    json!({
        "action": event.action, "attributes": attributes(event), "id": event.actor.id, "service": service,
        "time": time(event), "type": event.kind,
    })
}

fn time(event: &Event) -> String {
    jiff::Timestamp::from_nanosecond(event.time_nano.into())
        .map(|time| time.to_string())
        .unwrap_or_default()
}

/// `2024-01-02 03:04:05.123456 container die 0123 (exitCode=3, name=shop-web-1)`
fn line(event: &Event) -> String {
    let time = jiff::Timestamp::from_nanosecond(event.time_nano.into())
        .map(|time| time.strftime("%Y-%m-%d %H:%M:%S.%6f").to_string())
        .unwrap_or_default();
    let attributes: Vec<String> = attributes(event)
        .into_iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let (kind, action, id) = (&event.kind, &event.action, &event.actor.id);
    format!("{time} {kind} {action} {id} ({})", attributes.join(", "))
}

#[cfg(test)]
mod tests {
    use bowline_api::Actor;

    use super::*;

    #[test]
    fn a_line_says_when_what_happened_to_whom() {
        let attributes = [
            ("name", "shop-web-1"),
            ("exitCode", "3"),
            ("com.docker.compose.service", "web"),
        ];
        let event = Event {
            kind: "container".into(),
            action: "die".into(),
            actor: Actor {
                id: "0123".into(),
                attributes: attributes
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into(),
            },
            time_nano: 1_704_164_645_123_456_789,
            ..Event::default()
        };
        assert_eq!(
            line(&event),
            "2024-01-02 03:04:05.123456 container die 0123 (exitCode=3, name=shop-web-1)"
        );
        assert_eq!(
            object(&event, "web")["attributes"],
            json!({"exitCode": "3", "name": "shop-web-1"})
        );
    }
}
