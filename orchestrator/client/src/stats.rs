//! What containers use, again and again.

use bowline_api::Stats;

use crate::body::ByteStream;
use crate::lines::JsonLines;
use crate::query::Query;
use crate::transport::Call;
use crate::{Client, Result};

impl Client {
    /// A sample a second, until the container ends.
    pub async fn container_stats_stream(&self, id: &str) -> Result<JsonLines<Stats>> {
        let query = Query::on("/containers/{}/stats", id).with("stream", "1");
        let response = self.send(Call::get(&query)).await?;
        Ok(JsonLines::new(
            ByteStream::new(response.into_body()),
            "/containers/{id}/stats",
        ))
    }
}
