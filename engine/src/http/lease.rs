//! `POST /bowline/lease`: a name that is held for as long as the connection is.

use std::io;

use bytes::Bytes;
use futures_util::stream;

use super::call::Call;
use super::reply::{self, Reply};
use crate::engine::LeaseRequest;
use crate::error::Result;

/// The answer is one line, and then nothing until the client leaves: its body owns the lease.
pub(super) async fn lease(call: Call) -> Result<Reply> {
    let request = LeaseRequest {
        name: call.query.text("name").unwrap_or_default(),
        holder: call.query.text("holder").unwrap_or_default(),
        wait: call.query.flag("wait"),
        remove: call.query.flag("remove"),
    };
    let lease = call.engine.lease(request).await?;
    let body = stream::unfold((Some(lease), false), |(lease, told)| async move {
        if told {
            std::future::pending::<()>().await;
        }
        let line: io::Result<Bytes> = Ok(Bytes::from_static(b"{\"held\":true}\n"));
        Some((line, (lease, true)))
    });
    Ok(reply::stream("application/json", body))
}
