//! What happened, as `/events` tells it.

use std::collections::BTreeMap;

use crate::wire::wire;

wire! {
    /// One event. `status`, `id` and `from` repeat parts of it for clients that speak API versions before 1.52.
    pub struct Event {
        #[serde(rename = "status", skip_serializing_if = "String::is_empty")]
        pub status: String,
        #[serde(rename = "id", skip_serializing_if = "String::is_empty")]
        pub id: String,
        #[serde(rename = "from", skip_serializing_if = "String::is_empty")]
        pub from: String,
        /// `container`, `image`, `network` or `volume`.
        #[serde(rename = "Type")]
        pub kind: String,
        /// `start`, `die`, `health_status: healthy` …
        pub action: String,
        pub actor: Actor,
        #[serde(rename = "scope")]
        pub scope: String,
        /// Seconds since 1970.
        #[serde(rename = "time")]
        pub time: i64,
        /// Nanoseconds since 1970.
        #[serde(rename = "timeNano")]
        pub time_nano: i64,
    }

    /// What an event happened to.
    pub struct Actor {
        #[serde(rename = "ID")]
        pub id: String,
        /// For a container: all its labels, `image`, `name` without slash, and what the action adds (`exitCode`, `signal`, `execID`).
        pub attributes: BTreeMap<String, String>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_repeats_itself_for_older_clients() {
        let event = Event {
            status: "die".into(),
            id: "0123".into(),
            from: "nginx".into(),
            kind: "container".into(),
            action: "die".into(),
            actor: Actor {
                id: "0123".into(),
                attributes: BTreeMap::from([("exitCode".into(), "3".into())]),
            },
            scope: "local".into(),
            time: 1,
            time_nano: 1_000_000_002,
        };
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            r#"{"status":"die","id":"0123","from":"nginx","Type":"container","Action":"die","Actor":{"ID":"0123","Attributes":{"exitCode":"3"}},"scope":"local","time":1,"timeNano":1000000002}"#
        );
    }
}
