//! `/volumes`.

use bowline_api::VolumeCreate;
use hyper::StatusCode;

use super::call::Call;
use super::path::ApiVersion;
use super::reply::{self, Reply};
use super::route::{All, VolumeVerb};
use super::{containers, filters};
use crate::error::Result;

/// All volumes.
pub(super) async fn all(call: Call, verb: All) -> Result<Reply> {
    let engine = call.engine.clone();
    match verb {
        All::List => reply::ok(
            &engine
                .volumes_list(&call.filters(filters::VOLUMES)?)
                .await?,
        ),
        All::Create => {
            let create: VolumeCreate = call.json().await?;
            reply::json(StatusCode::CREATED, &engine.volume_create(create).await?)
        }
        All::Prune => {
            let mut filters = call.filters(filters::PRUNE_VOLUMES)?;
            // Until API 1.41 named volumes went too, without being asked for.
            if call.version < ApiVersion::one(42) {
                filters = filters.with("all", "true");
            }
            reply::ok(&engine.volumes_prune(&filters).await?)
        }
    }
}

/// One volume.
pub(super) async fn handle(call: Call, name: &str, verb: VolumeVerb) -> Result<Reply> {
    let engine = call.engine.clone();
    match verb {
        VolumeVerb::Inspect => reply::ok(&engine.volume_inspect(name).await?),
        VolumeVerb::Remove => {
            containers::no_content(engine.volume_remove(name, call.query.flag("force")).await)
        }
    }
}
