//! Files into a container.

use bytes::Bytes;
use hyper::Method;

use crate::body;
use crate::query::Query;
use crate::transport::Call;
use crate::{Client, Result};

impl Client {
    /// Unpacks a tar archive at a folder of a container, running or not. With `as_user` the files belong to the user
    /// that the container runs as, else to those in the archive.
    pub async fn container_unpack(
        &self,
        id: &str,
        folder: &str,
        archive: Bytes,
        as_user: bool,
    ) -> Result<()> {
        let query = Query::on("/containers/{}/archive", id).with("path", folder);
        let query = match as_user {
            true => query.with("copyUIDGID", "true"),
            false => query,
        };
        let call = Call::new(Method::PUT, &query).body("application/x-tar", body::full(archive));
        self.perform(call).await?;
        Ok(())
    }
}
