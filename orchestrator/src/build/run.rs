//! Doing a build and showing it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use bowline_api::{BuildEvent, BuildEventKind, BuildFailure, BuildRequest, KeptState};
use bowline_client::{Client, Endpoint, JsonLines};
use bowline_compose::model::Project;
use futures_util::StreamExt as _;

use super::contents::Caller;
use super::failure;
use super::request::{Wishes, request};
use crate::autostart::Environment;
use crate::ui::{BuildView, Failure, Mode, Outcome, Ui};

/// How often the clocks on a terminal go on.
const TICK: Duration = Duration::from_millis(100);

/// How a build is done and shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct BuildOptions {
    /// What is asked for beside the file.
    pub(crate) wishes: Wishes,
    /// How it is shown, where that is not how everything is.
    pub(crate) mode: Option<Mode>,
}

/// Ids of the images, by service.
pub(crate) type Built = BTreeMap<String, String>;

/// A build that failed, as people read it, and what its step left where that was to be kept.
#[derive(Debug)]
pub(crate) struct Failed {
    /// For people.
    pub(crate) shown: Failure,
    /// For a look at it.
    pub(crate) kept: Option<KeptState>,
    /// The engine keeps it for as long as this is held.
    _events: Events,
}

/// The build's own stream.
type Events = std::pin::Pin<Box<JsonLines<BuildEvent>>>;

/// Builds the images of `services`, all in one go.
pub(crate) async fn build_services(
    client: &Client,
    ui: Ui,
    environment: &Environment,
    project: &Project,
    services: &BTreeSet<String>,
    options: &BuildOptions,
) -> Outcome<Result<Built, Failed>> {
    if services.is_empty() {
        return Ok(Ok(Built::new()));
    }
    let requested = request(project, services, &options.wishes, Caller { environment })?;
    for warning in &requested.warnings {
        ui.warn(warning);
    }
    let mode = options.mode.unwrap_or(ui.mode);
    let built = match build_request(client, ui, &requested.request, mode).await? {
        Ok(built) => built,
        Err(failed) => return Ok(Err(failed)),
    };
    for (service, image) in &built {
        let named = requested
            .request
            .targets
            .iter()
            .find(|target| target.name == *service)
            .and_then(|target| target.tags.last());
        if mode == Mode::Plain || mode == Mode::Redraw {
            ui.note(format!(" Image {}  Built", named.unwrap_or(image)));
        }
    }
    Ok(Ok(built))
}

/// Does one request, whatever it is for.
pub(crate) async fn build_request(
    client: &Client,
    ui: Ui,
    request: &BuildRequest,
    mode: Mode,
) -> Outcome<Result<Built, Failed>> {
    if !matches!(client.endpoint(), Endpoint::Unix(_)) {
        return Err(
            Failure::new("folders can only be built on the engine's own machine")
                .hint("leave out --host, or build there"),
        );
    }
    let mut view = BuildView::new(mode, ui.color_err);
    let (built, failed, events) = watch(client, request, &mut view).await?;
    let Some(failed) = failed else {
        return Ok(Ok(built));
    };
    let output = view.last_lines(&failed.step);
    // Where everything was printed already, nothing is repeated.
    let output = if mode == Mode::Plain {
        Vec::new()
    } else {
        output
    };
    Ok(Err(Failed {
        shown: failure::render(&failed, &output, ui.color_err),
        kept: failed.kept,
        _events: events,
    }))
}

/// Follows the build to its end.
async fn watch(
    client: &Client,
    request: &BuildRequest,
    view: &mut BuildView,
) -> Outcome<(Built, Option<BuildFailure>, Events)> {
    let started = client.build(request).await;
    let mut events = match started {
        Err(error) if error.is_not_found() => {
            return Err(Failure::new("this engine cannot build from folders")
                .hint("it is not Bowline's; use its own client"));
        }
        other => Box::pin(other?),
    };
    let mut built = Built::new();
    let mut clock = tokio::time::interval(TICK);
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            _ = clock.tick() => {
                view.tick(now());
                continue;
            }
        };
        let Some(event) = event else {
            return Err(Failure::new("the engine left in the middle of the build"));
        };
        let event = event?;
        view.take(&event);
        match event.kind {
            BuildEventKind::Image { target, id, .. } => {
                built.insert(target, id);
            }
            BuildEventKind::End { error } => return Ok((built, error, events)),
            _ => {}
        }
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
}
