//! The event bus: the last 256 events for those who ask about the past, a broadcast for the present.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use bowline_api::{Actor, Event};
use jiff::Timestamp;
use tokio::sync::broadcast;

/// Docker keeps as many.
const KEPT: usize = 256;
/// A listener this far behind loses the oldest and is told so by its stream's end.
const BUFFER: usize = 4096;

/// Publishes events and remembers the last ones.
#[derive(Debug)]
pub struct Bus {
    kept: Mutex<VecDeque<Event>>,
    live: broadcast::Sender<Event>,
}

impl Default for Bus {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            live: broadcast::channel(BUFFER).0,
        }
    }
}

impl Bus {
    /// Publishes one event of `kind` (container, image, network, volume) about `id`.
    pub fn publish(
        &self,
        kind: &str,
        action: &str,
        id: &str,
        attributes: BTreeMap<String, String>,
    ) {
        let now = Timestamp::now();
        let from = attributes.get("image").cloned().unwrap_or_default();
        let container = kind == "container";
        let event = Event {
            kind: kind.into(),
            action: action.into(),
            actor: Actor {
                id: id.into(),
                attributes,
            },
            scope: "local".into(),
            time: now.as_second(),
            time_nano: i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX),
            // Before API 1.52 container and image events repeat themselves in these.
            status: if container {
                action.into()
            } else {
                String::new()
            },
            id: if container { id.into() } else { String::new() },
            from: if container { from } else { String::new() },
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(event.clone());
        // Sent under the lock, so that a subscriber sees each event exactly once: as past or as live.
        let _listeners = self.live.send(event);
    }

    /// The kept events so far, and all that follow.
    pub fn subscribe(&self) -> (Vec<Event>, broadcast::Receiver<Event>) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.iter().cloned().collect(), self.live.subscribe())
    }
}
