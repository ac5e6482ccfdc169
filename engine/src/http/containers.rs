//! `/containers`.

use bowline_api::{
    ContainerCreate, ContainerUpdated, ExecCreate, ExecCreated, HostConfig, WaitCondition,
};
use bytes::Bytes;
use hyper::StatusCode;

use super::call::Call;
use super::reply::{self, Reply};
use super::route::Verb;
use super::{archive, body, compat, filters, hijack, logs, stats};
use crate::error::{Error, Result};

/// More than this in the body of a start is a host configuration, which starts took until API 1.23.
const START_BODY: usize = 7;

pub(super) async fn list(call: Call) -> Result<Reply> {
    let filters = call.filters(filters::CONTAINERS)?;
    filters::check_statuses(&filters)?;
    let limit: Option<i64> = call.query.number("limit")?;
    let limit = limit
        .and_then(|limit| usize::try_from(limit).ok())
        .filter(|limit| *limit > 0);
    // Asking for a status, or for the last few, asks for those that do not run too.
    let all = call.query.flag("all") || filters.has("status") || limit.is_some();
    let size = call.query.flag("size");
    reply::ok(
        &call
            .engine
            .containers_list(all, limit, size, &filters)
            .await?,
    )
}

pub(super) async fn create(call: Call) -> Result<Reply> {
    let name = call
        .query
        .text("name")
        .map(|name| name.trim_start_matches('/').to_owned());
    let platform = call.query.text("platform");
    let (engine, version) = (call.engine.clone(), call.version);
    let mut create: ContainerCreate = call.json().await?;
    compat::narrow_create(&mut create, version)?;
    reply::json(
        StatusCode::CREATED,
        &engine.container_create(name, platform, create).await?,
    )
}

pub(super) async fn prune(call: Call) -> Result<Reply> {
    let filters = call.filters(filters::PRUNE)?;
    reply::ok(&call.engine.containers_prune(&filters).await?)
}

/// One container.
pub(super) async fn handle(call: Call, id: &str, verb: Verb) -> Result<Reply> {
    let engine = call.engine.clone();
    let signal = || call.query.text("signal");
    let timeout = || call.query.number::<i64>("t");
    match verb {
        Verb::Inspect => inspect(call, id).await,
        Verb::Start => start(call, id).await,
        Verb::Stop => Ok(reply::changed(
            engine.container_stop(id, signal(), timeout()?).await?,
        )),
        Verb::Restart => no_content(engine.container_restart(id, signal(), timeout()?).await),
        Verb::Kill => no_content(engine.container_kill(id, signal()).await),
        Verb::Pause => no_content(engine.container_pause(id).await),
        Verb::Unpause => no_content(engine.container_unpause(id).await),
        Verb::Wait => wait(call, id).await,
        Verb::Remove => {
            let [force, volumes, link] = ["force", "v", "link"].map(|key| call.query.flag(key));
            no_content(engine.container_remove(id, force, volumes, link).await)
        }
        Verb::Rename => {
            let name = call
                .query
                .text("name")
                .ok_or_else(|| Error::invalid("Neither old nor new names may be empty"))?;
            no_content(
                engine
                    .container_rename(id, name.trim_start_matches('/'))
                    .await,
            )
        }
        Verb::Resize => {
            let (height, width) = size(&call)?;
            engine.container_resize(id, height, width).await?;
            Ok(reply::empty(StatusCode::OK))
        }
        Verb::Top => {
            let args = call.query.text("ps_args").unwrap_or_else(|| "-ef".into());
            reply::ok(&engine.container_top(id, &args).await?)
        }
        Verb::Update => {
            let changes: HostConfig = call.json().await?;
            let warnings = engine.container_update(id, changes).await?;
            reply::ok(&ContainerUpdated { warnings })
        }
        Verb::Logs => logs::logs(call, id).await,
        Verb::Stats => stats::stats(call, id).await,
        Verb::Attach => hijack::attach(call, id).await,
        Verb::ExecCreate => {
            let create: ExecCreate = call.json().await?;
            let id = engine.exec_create(id, create).await?;
            reply::json(StatusCode::CREATED, &ExecCreated { id })
        }
        Verb::LookAt => archive::look_at(call, id).await,
        Verb::CopyOut => archive::copy_out(call, id).await,
        Verb::CopyIn => archive::copy_in(call, id).await,
        Verb::Changes => reply::ok(&engine.container_changes(id).await?),
        Verb::Export => archive::export(call, id).await,
    }
}

async fn inspect(call: Call, id: &str) -> Result<Reply> {
    let mut inspect = call
        .engine
        .container_inspect(id, call.query.flag("size"))
        .await?;
    compat::widen_inspect(&mut inspect, call.version);
    reply::ok(&inspect)
}

async fn start(call: Call, id: &str) -> Result<Reply> {
    let engine = call.engine.clone();
    if body::bytes(call.body).await?.len() > START_BODY {
        return Err(Error::invalid(
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
        ));
    }
    Ok(reply::changed(engine.container_start(id).await?))
}

/// The headers say that the wait is registered, so they leave before the exit is known: `docker run` starts the
/// container only when it has them.
async fn wait(call: Call, id: &str) -> Result<Reply> {
    let word = call.query.get("condition").unwrap_or_default();
    let condition = WaitCondition::parse(word)
        .ok_or_else(|| Error::invalid(format!("invalid condition: {word:?}")))?;
    let waiting = call.engine.container_wait(id, condition).await?;
    let line = async move {
        let mut text = serde_json::to_vec(&waiting.wait().await)?;
        text.push(b'\n');
        Ok(Bytes::from(text))
    };
    Ok(reply::stream(
        "application/json",
        futures_util::stream::once(line),
    ))
}

/// `h` and `w` of a terminal.
pub(super) fn size(call: &Call) -> Result<(u16, u16)> {
    let side = |key: &str| {
        let side: Option<u32> = call.query.number(key)?;
        let side =
            side.ok_or_else(|| Error::invalid(format!("invalid terminal size: {key} is missing")))?;
        // The kernel's own limit.
        Ok::<_, Error>(u16::try_from(side).unwrap_or(u16::MAX))
    };
    Ok((side("h")?, side("w")?))
}

/// 204.
pub(super) fn no_content(done: Result<()>) -> Result<Reply> {
    done.map(|()| reply::empty(StatusCode::NO_CONTENT))
}
