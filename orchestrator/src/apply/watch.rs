//! Events of the engine, heard from before the first act to after the last.
//!
//! An engine that is killed ends the stream; the watch takes it up again where it was. Events wake a
//! look at the state, they are never the state: whoever waits looks again after a gap.

use std::sync::Arc;
use std::time::Duration;

use bowline_api::{Event, Filters};
use bowline_client::{Client, EventsOptions};
use futures_util::StreamExt as _;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use crate::ui::{Outcome, WithContext as _};

/// What the watch tells.
#[derive(Clone, Debug)]
pub(crate) enum Notice {
    /// Something happened.
    Event(Arc<Event>),
    /// The stream was interrupted: look again.
    Gap,
}

/// A subscription that outlives the engine's process. Ends when dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    notices: broadcast::Sender<Notice>,
    task: JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watch {
    /// Subscribes; when this returns, no event can be missed any more.
    pub(crate) async fn open(client: &Client, filters: Filters) -> Outcome<Self> {
        let options = EventsOptions {
            filters,
            ..EventsOptions::default()
        };
        let stream = client
            .events(&options)
            .await
            .during("cannot listen to the engine's events")?;
        let (notices, _) = broadcast::channel(4096);
        let task = tokio::spawn(listen(
            client.clone(),
            options,
            Box::pin(stream),
            notices.clone(),
        ));
        Ok(Self { notices, task })
    }

    /// Everything from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Notice> {
        self.notices.subscribe()
    }
}

type Events = std::pin::Pin<Box<bowline_client::JsonLines<Event>>>;

async fn listen(
    client: Client,
    mut options: EventsOptions,
    mut stream: Events,
    notices: broadcast::Sender<Notice>,
) {
    loop {
        while let Some(Ok(event)) = stream.next().await {
            options.since = Some(just_after(&event));
            // Nobody may be listening just now.
            let _nobody = notices.send(Notice::Event(Arc::new(event)));
        }
        stream = Box::pin(reconnect(&client, &options).await);
        let _nobody = notices.send(Notice::Gap);
    }
}

fn just_after(event: &Event) -> String {
    let next = event.time_nano + 1;
    format!("{}.{:09}", next / 1_000_000_000, next % 1_000_000_000)
}

/// A killed engine is brought back by its shims; until then every attempt is refused at once.
async fn reconnect(client: &Client, options: &EventsOptions) -> bowline_client::JsonLines<Event> {
    let mut pause = Duration::from_millis(50);
    loop {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
        if let Ok(stream) = client.events(options).await {
            return stream;
        }
    }
}

/// Waits for something that may concern the container, or for a gap. Returns false when the watch has
/// ended.
pub(super) async fn stirred(notices: &mut broadcast::Receiver<Notice>, id: &str) -> bool {
    loop {
        match notices.recv().await {
            Ok(Notice::Event(event)) if event.actor.id != id => {}
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return true,
            Err(broadcast::error::RecvError::Closed) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_look_begins_after_the_last_event() {
        let event = Event {
            time_nano: 1_999_999_999,
            ..Event::default()
        };
        assert_eq!(just_after(&event), "2.000000000");
    }
}
