//! `/volumes`.

use bowline_api::{SnapshotCreate, VolumeCreate, VolumeFork, VolumeRestore};
use hyper::StatusCode;

use super::call::Call;
use super::path::ApiVersion;
use super::reply::{self, Reply};
use super::route::{All, SnapshotVerb, VolumeVerb};
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

/// Snapshots of all volumes.
pub(super) async fn all_snapshots(call: Call) -> Result<Reply> {
    reply::ok(&call.engine.snapshots_list(None).await?)
}

/// Snapshots of one volume.
pub(super) async fn snapshots(call: Call, name: &str, verb: SnapshotVerb<'_>) -> Result<Reply> {
    let engine = call.engine.clone();
    match verb {
        SnapshotVerb::List => reply::ok(&engine.snapshots_list(Some(name)).await?),
        SnapshotVerb::Create => {
            let create: SnapshotCreate = call.json().await?;
            let made = engine.snapshot_create(name, &create).await?;
            reply::json(StatusCode::CREATED, &made)
        }
        SnapshotVerb::Remove(tag) => {
            containers::no_content(engine.snapshot_remove(name, tag).await)
        }
        SnapshotVerb::Restore => {
            let restore: VolumeRestore = call.json().await?;
            reply::ok(&engine.volume_restore(name, &restore.tag).await?)
        }
        SnapshotVerb::Fork => {
            let fork: VolumeFork = call.json().await?;
            reply::json(StatusCode::CREATED, &engine.volume_fork(name, fork).await?)
        }
    }
}
