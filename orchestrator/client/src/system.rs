//! The engine itself, and its events.

use bowline_api::{Event, Filters, Info, Version};
use hyper::Response;
use hyper::body::Incoming;

use crate::body::ByteStream;
use crate::lines::JsonLines;
use crate::query::Query;
use crate::transport::{Call, collect};
use crate::{Client, Result};

/// What an engine says of itself without being asked anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ping {
    /// The newest API version it speaks.
    pub api_version: String,
    /// `linux`.
    pub os_type: String,
    /// Product and version, as in `Docker/28.5.2 (linux)`.
    pub server: String,
}

/// Which events are wanted.
#[derive(Clone, Debug, Default)]
pub struct EventsOptions {
    /// By type, container, label …
    pub filters: Filters,
    /// `seconds[.nanoseconds]` since 1970: with what happened since then.
    pub since: Option<String>,
    /// `seconds[.nanoseconds]` since 1970: the stream ends then.
    pub until: Option<String>,
}

impl Client {
    /// Whether an engine answers, and which.
    pub async fn ping(&self) -> Result<Ping> {
        let response = self.send(Call::get(&Query::new("/_ping"))).await?;
        let ping = Ping {
            api_version: header(&response, "api-version"),
            os_type: header(&response, "ostype"),
            server: header(&response, "server"),
        };
        collect(response).await?;
        Ok(ping)
    }

    /// Versions of the engine and its parts.
    pub async fn version(&self) -> Result<Version> {
        self.fetch(Call::get(&Query::new("/version"))).await
    }

    /// The engine and its host.
    pub async fn info(&self) -> Result<Info> {
        self.fetch(Call::get(&Query::new("/info"))).await
    }

    /// What happens from now on; once this returns, nothing is missed.
    pub async fn events(&self, options: &EventsOptions) -> Result<JsonLines<Event>> {
        let query = Query::new("/events")
            .filters(&options.filters)
            .maybe("since", options.since.as_ref())
            .maybe("until", options.until.as_ref());
        let response = self.send(Call::get(&query)).await?;
        Ok(JsonLines::new(
            ByteStream::new(response.into_body()),
            "/events",
        ))
    }

    /// The engine's effective settings and where each came from. Only ours answers.
    pub async fn engine_config(&self) -> Result<serde_json::Value> {
        self.fetch(Call::get(&Query::new("/bowline/config"))).await
    }

    /// What the engine left behind in the kernel and on disk. Only ours answers.
    pub async fn engine_check(&self) -> Result<serde_json::Value> {
        self.fetch(Call::get(&Query::new("/bowline/check"))).await
    }
}

fn header(response: &Response<Incoming>, name: &str) -> String {
    let value = response
        .headers()
        .get(name)
        .and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}
