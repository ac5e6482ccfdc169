//! `events`: what happens to the project's containers.

use bowline_client::EventsOptions;
use bowline_plan::labels;
use clap::Args;
use futures_util::StreamExt as _;
use serde_json::json;

use super::context::Context;
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
    /// Not before: seconds, or a time
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Not after: seconds, or a time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl Events {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let scope = context.scope(&[])?;
        let client = context.client().await?;
        let now = jiff::Timestamp::now();
        let moment = |text: &Option<String>| {
            text.as_deref()
                .map(|text| super::logs::moment(text, now))
                .transpose()
        };
        let options = EventsOptions {
            filters: project_filter(&scope.name).with("type", "container"),
            since: moment(&self.since)?,
            until: moment(&self.until)?,
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
                return match self.until {
                    Some(_) => Ok(0),
                    None => Err(Failure::new("the engine ended the stream of events")),
                };
            };
            let event = event?;
            let attribute = |key| event.actor.attributes.get(key).cloned().unwrap_or_default();
            let service = attribute(labels::SERVICE);
            if !self.services.is_empty() && !self.services.contains(&service) {
                continue;
            }
            let time = jiff::Timestamp::from_nanosecond(event.time_nano.into())
                .map(|time| time.to_string())
                .unwrap_or_default();
            let name = attribute("name");
            context.ui.line(match self.json {
                true => json!({
                    "action": event.action, "attributes": event.actor.attributes,
                    "id": event.actor.id, "service": service, "time": time, "type": event.kind,
                })
                .to_string(),
                false => format!("{time} {} {} {name} ({service})", event.kind, event.action),
            });
        }
    }
}
