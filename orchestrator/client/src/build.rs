//! Builds: our own request, which takes folders where they lie.

use bowline_api::{BuildEvent, BuildRequest};

use crate::body::ByteStream;
use crate::hijack::Hijacked;
use crate::lines::JsonLines;
use crate::query::Query;
use crate::transport::Call;
use crate::{Client, Result};

/// The path of the request.
const PATH: &str = "/bowline/build";

impl Client {
    /// Builds images; the last event is an end. Dropping the stream cancels the build.
    pub async fn build(&self, request: &BuildRequest) -> Result<JsonLines<BuildEvent>> {
        let call = Call::post(&Query::new(PATH)).json(request)?;
        let answer = self.send(call).await?;
        Ok(JsonLines::new(ByteStream::new(answer.into_body()), PATH))
    }

    /// A shell in what a failed step left; its build's stream has to be held.
    pub async fn build_shell(&self, id: &str) -> Result<Hijacked> {
        let query = Query::new("/bowline/build/shell").with("id", id);
        self.hijack(Call::post(&query), Some(true)).await
    }
}
