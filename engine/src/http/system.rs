//! `/_ping` and `/info`.

use http::header::{CACHE_CONTROL, CONTENT_LENGTH, HeaderValue, PRAGMA};
use hyper::{Method, StatusCode};

use super::call::Call;
use super::reply::{self, Reply};
use crate::error::Result;

/// Every client's first question. It must not depend on anything that could hang.
pub(super) fn ping(method: &Method) -> Reply {
    let mut answer = reply::text(
        StatusCode::OK,
        if method == Method::HEAD { "" } else { "OK" },
    );
    let headers = answer.headers_mut();
    if method == Method::HEAD {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-store, must-revalidate"),
    );
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert("builder-version", HeaderValue::from_static("1"));
    headers.insert("swarm", HeaderValue::from_static("inactive"));
    answer
}

pub(super) async fn info(call: Call) -> Result<Reply> {
    reply::ok(&call.engine.info().await?)
}
