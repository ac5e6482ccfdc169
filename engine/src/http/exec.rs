//! `/exec`.

use hyper::StatusCode;

use super::call::Call;
use super::reply::{self, Reply};
use super::route::ExecVerb;
use super::{containers, hijack};
use crate::error::Result;

/// One exec.
pub(super) async fn handle(call: Call, id: &str, verb: ExecVerb) -> Result<Reply> {
    match verb {
        ExecVerb::Start => hijack::exec(call, id).await,
        ExecVerb::Inspect => reply::ok(&call.engine.exec_inspect(id).await?),
        ExecVerb::Resize => {
            let (height, width) = containers::size(&call)?;
            call.engine.exec_resize(id, height, width).await?;
            Ok(reply::empty(StatusCode::OK))
        }
    }
}
