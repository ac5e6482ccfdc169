//! Names that are held for as long as a connection is.

use futures_util::StreamExt as _;
use tokio::task::JoinHandle;

use crate::body::ByteStream;
use crate::query::Query;
use crate::transport::Call;
use crate::{Client, Result};

/// Which lease, and how it is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseRequest {
    /// Its name.
    pub name: String,
    /// Who asks, in words that others are told.
    pub holder: String,
    /// Wait while somebody else has it, instead of being refused with a conflict.
    pub wait: bool,
    /// When it ends, objects that bear its label end with it.
    pub remove: bool,
}

/// A lease; it ends when this is dropped, or with the process.
#[derive(Debug)]
pub struct Lease {
    connection: JoinHandle<()>,
}

impl Lease {
    /// Returns when the engine gave it up, which a living engine never does.
    pub async fn lost(&mut self) {
        let _ended = (&mut self.connection).await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Client {
    /// Takes a lease. Only our engine has them: others answer that there is no such page.
    pub async fn lease(&self, request: &LeaseRequest) -> Result<Lease> {
        let query = Query::new("/bowline/lease")
            .maybe("name", Some(&request.name))
            .maybe("holder", Some(&request.holder))
            .flag("wait", request.wait)
            .flag("remove", request.remove);
        let response = self.send(Call::post(&query)).await?;
        let mut body = ByteStream::new(response.into_body());
        let connection = tokio::spawn(async move { while let Some(Ok(_)) = body.next().await {} });
        Ok(Lease { connection })
    }
}
