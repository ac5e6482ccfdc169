//! `/networks`.

use bowline_api::{NetworkConnect, NetworkCreate, NetworkDisconnect};
use hyper::StatusCode;

use super::call::Call;
use super::reply::{self, Reply};
use super::route::{All, NetworkVerb};
use super::{containers, filters};
use crate::error::Result;

/// All networks.
pub(super) async fn all(call: Call, verb: All) -> Result<Reply> {
    let engine = call.engine.clone();
    match verb {
        All::List => reply::ok(
            &engine
                .networks_list(&call.filters(filters::NETWORKS)?)
                .await?,
        ),
        All::Create => {
            let create: NetworkCreate = call.json().await?;
            reply::json(StatusCode::CREATED, &engine.network_create(create).await?)
        }
        All::Prune => reply::ok(
            &engine
                .networks_prune(&call.filters(filters::PRUNE)?)
                .await?,
        ),
    }
}

/// One network.
pub(super) async fn handle(call: Call, id: &str, verb: NetworkVerb) -> Result<Reply> {
    let engine = call.engine.clone();
    match verb {
        NetworkVerb::Inspect => reply::ok(&engine.network_inspect(id).await?),
        NetworkVerb::Connect => {
            let connect: NetworkConnect = call.json().await?;
            engine.network_connect(id, connect).await?;
            Ok(reply::empty(StatusCode::OK))
        }
        NetworkVerb::Disconnect => {
            let disconnect: NetworkDisconnect = call.json().await?;
            engine.network_disconnect(id, disconnect).await?;
            Ok(reply::empty(StatusCode::OK))
        }
        NetworkVerb::Remove => containers::no_content(engine.network_remove(id).await),
    }
}
