//! A request on its way to the engine.

use std::sync::Arc;

use bowline_api::Filters;
use http::HeaderMap;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use serde::de::DeserializeOwned;

use super::body::{self, BodyReader};
use super::filters;
use super::path::ApiVersion;
use super::query::Query;
use crate::engine::Engine;
use crate::error::Result;
use crate::logs::Watcher;

/// Everything about a request but its route.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) engine: Arc<Engine>,
    pub(super) watcher: Watcher,
    /// Clamped to the versions we speak.
    pub(super) version: ApiVersion,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
    pub(super) body: Incoming,
    /// How the connection is taken over.
    pub(super) upgrade: OnUpgrade,
}

impl Call {
    /// The body as JSON; an empty one is the default.
    pub(super) async fn json<T: DeserializeOwned + Default>(self) -> Result<T> {
        body::json(&self.headers, self.body).await
    }

    /// The body as a reader.
    pub(super) fn reader(self) -> BodyReader {
        BodyReader::new(self.body)
    }

    /// The `filters` of the query, none of them unknown.
    pub(super) fn filters(&self, known: &[&str]) -> Result<Filters> {
        filters::parse(self.query.get("filters"), known)
    }
}
