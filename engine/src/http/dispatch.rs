//! From a request to its handler.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, StatusCode};

use super::call::Call;
use super::path::{ApiVersion, Target};
use super::query::Query;
use super::reply::{self, Reply};
use super::route::{All, Route, route};
use super::{
    archive, body, build, containers, events, exec, hijack, images, lease, networks, system,
    volumes,
};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::logs::Watcher;

/// What Docker answers on swarm's paths when there is no swarm. Clients compare it.
const NO_SWARM: &str = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.";

/// Answers one request. The work is a task of its own: it goes on when the client leaves, and a panic in it is a 500.
pub(super) async fn respond(
    engine: Arc<Engine>,
    watcher: Watcher,
    request: Request<Incoming>,
) -> Reply {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let begun = std::time::Instant::now();
    let answer = match tokio::spawn(handle(engine, watcher, request)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            tracing::debug!(%method, %uri, error = error.message, "refused");
            reply::error(&error)
        }
        Err(panic) => {
            tracing::error!(%method, %uri, %panic, "a request failed by a fault of the engine");
            reply::error(&Error::internal(
                "the engine failed on this request; its log says where",
            ))
        }
    };
    let status = answer.status().as_u16();
    let elapsed = begun.elapsed();
    tracing::debug!(%method, %uri, status, ?elapsed, "request");
    answer
}

async fn handle(
    engine: Arc<Engine>,
    watcher: Watcher,
    mut request: Request<Incoming>,
) -> Result<Reply> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (head, body) = request.into_parts();
    let target = Target::parse(head.uri.path());
    let asked = target.version.unwrap_or(ApiVersion::NEWEST);
    if asked < ApiVersion::OLDEST {
        return Ok(too_old(asked));
    }
    let call = Call {
        engine,
        watcher,
        // Clients that pin a version newer than ours still get an answer: what we cannot do is refused where it is asked.
        version: asked.min(ApiVersion::NEWEST),
        query: Query::parse(head.uri.query().unwrap_or_default()),
        headers: head.headers,
        body,
        upgrade,
    };
    match route(&head.method, &target.path) {
        Route::Ping => Ok(system::ping(&head.method)),
        Route::Version => reply::ok(&call.engine.version()),
        Route::Info => system::info(call).await,
        Route::Events => events::events(call).await,
        Route::Containers(All::List) => containers::list(call).await,
        Route::Containers(All::Create) => containers::create(call).await,
        Route::Containers(All::Prune) => containers::prune(call).await,
        Route::Container(id, verb) => containers::handle(call, id, verb).await,
        Route::Exec(id, verb) => exec::handle(call, id, verb).await,
        Route::Images(All::List) => images::list(call).await,
        Route::Images(All::Create) => images::create(call).await,
        Route::Images(All::Prune) => images::prune(call).await,
        Route::ImageLoad => images::load(call).await,
        Route::ImageSave => images::save(call).await,
        Route::Image(name, verb) => images::handle(call, name, verb).await,
        Route::Networks(verb) => networks::all(call, verb).await,
        Route::Network(id, verb) => networks::handle(call, id, verb).await,
        Route::Volumes(verb) => volumes::all(call, verb).await,
        Route::Volume(name, verb) => volumes::handle(call, name, verb).await,
        Route::Snapshots => volumes::all_snapshots(call).await,
        Route::Snapshot(name, verb) => volumes::snapshots(call, name, verb).await,
        Route::Commit => archive::commit(call).await,
        Route::DiskUsage => archive::disk_usage(call).await,
        Route::EngineConfig => reply::ok(&call.engine.effective_settings()),
        Route::Lease => lease::lease(call).await,
        Route::EngineCheck => reply::ok(&call.engine.check().await?),
        Route::Plugins => reply::ok(&[(); 0]),
        Route::Swarm => {
            body::discard(call.body).await;
            Err(Error::new(ErrorKind::Unavailable, NO_SWARM))
        }
        Route::Build => build::docker(call).await,
        Route::OwnBuild => build::ours(call).await,
        Route::BuildShell => hijack::build_shell(call).await,
        Route::BuildPrune => build::prune(call).await,
        Route::BuildCancel => build::cancel(call).await,
        Route::Session => build::session(call).await,
        Route::Unsupported(what) => {
            // A client that is still sending reads no answer, here and wherever nobody wants the body.
            body::discard(call.body).await;
            Err(Error::unsupported(format!("{what} is not supported yet")))
        }
        Route::Unknown => {
            body::discard(call.body).await;
            Err(Error::not_found("page not found"))
        }
    }
}

/// In plain text, as clients of that age expect it.
fn too_old(asked: ApiVersion) -> Reply {
    let oldest = ApiVersion::OLDEST;
    let text = format!(
        "client version {asked} is too old. Minimum supported API version is {oldest}, please upgrade your client to a newer version\n"
    );
    reply::text(StatusCode::BAD_REQUEST, text)
}
