//! From a request to images: one build, and whoever listens to it.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bowline_api::{BuildEvent, BuildEventKind, BuildFailure, BuildRequest, KeptState};
use bowline_build::progress::{Event, Events};
use bowline_build::run::{Cancel, Canceller, Secret};
use bowline_build::{BuildError, ContextFolder, Failed, Inputs};
use bowline_image::{Auth, Reference};
use tokio::sync::mpsc;

use super::bases::Finder;
use super::context::Received;
use super::plan::{Failure, Plan, Planner, failure};
use super::told::{Sources, told};
use crate::engine::Engine;
use crate::error::{Error, Result};

/// A build that is wanted.
#[derive(Debug)]
pub(crate) struct Job {
    /// What.
    pub(crate) request: BuildRequest,
    /// Credentials by registry.
    pub(crate) auths: HashMap<String, Auth>,
    /// The files that came with it; they go when it has ended.
    #[expect(dead_code, reason = "it is there to be dropped")]
    pub(crate) received: Option<Received>,
}

/// A build under way. Dropping it cancels the build.
#[derive(Debug)]
pub(crate) struct Running {
    /// What happens; the last is an end.
    pub(crate) events: mpsc::UnboundedReceiver<BuildEvent>,
    _canceller: Canceller,
}

/// Where news of one build go.
#[derive(Clone, Debug)]
pub(super) struct Sink(mpsc::UnboundedSender<BuildEvent>);

impl Sink {
    pub(super) fn send(&self, kind: BuildEventKind) {
        self.send_at(SystemTime::now(), kind);
    }

    pub(super) fn send_at(&self, at: SystemTime, kind: BuildEventKind) {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        // A client that left cancels the build; what is said until it has ended is for nobody.
        drop(self.0.send(BuildEvent { at, kind }));
    }
}

impl Engine {
    /// Begins a build.
    ///
    /// # Errors
    /// The request cannot be right.
    pub(crate) fn build(self: &Arc<Self>, job: Job) -> Result<Running> {
        let inputs = inputs(&job.request)?;
        let (sender, events) = mpsc::unbounded_channel();
        let (canceller, cancel) = Canceller::new();
        let engine = Arc::clone(self);
        drop(tokio::spawn(async move {
            let _busy = engine.busy();
            let sink = Sink(sender);
            let mut leaving = cancel.clone();
            let outcome = Box::pin(run(&engine, &job, inputs, &sink, cancel)).await;
            let error = outcome.err();
            let kept = error.as_ref().and_then(|error| error.kept.clone());
            sink.send(BuildEventKind::End {
                error: error.map(|error| *error),
            });
            if let Some(kept) = kept {
                // As long as the client holds its connection it may want to look.
                leaving.cancelled().await;
                engine.builds().forget(&kept.id);
            }
            // The files that came with the request are needed to its end and no longer.
            drop(job);
        }));
        Ok(Running {
            events,
            _canceller: canceller,
        })
    }
}

/// What does not depend on any Dockerfile.
fn inputs(request: &BuildRequest) -> Result<Inputs> {
    let mut inputs = Inputs::default();
    if request.targets.is_empty() {
        return Err(Error::invalid("no target to build is named"));
    }
    for target in &request.targets {
        for (id, text) in &target.secrets {
            let bytes = STANDARD
                .decode(text)
                .map_err(|_| Error::invalid(format!("the secret `{id}` is not base64")))?;
            inputs.secrets.insert(id.clone(), Secret(bytes.into()));
        }
        for (id, socket) in &target.ssh {
            inputs.ssh.insert(id.clone(), PathBuf::from(socket));
        }
        let tags: Vec<Reference> = target
            .tags
            .iter()
            .map(|tag| named(tag))
            .collect::<Result<_>>()?;
        inputs.tags.insert(target.name.clone(), tags);
    }
    // The same project in the same folder is compared with its last build.
    inputs.scope = request
        .targets
        .first()
        .map(|target| target.context.clone())
        .unwrap_or_default();
    Ok(inputs)
}

fn named(tag: &str) -> Result<Reference> {
    let reference: Reference = tag
        .parse()
        .map_err(|error: bowline_image::ReferenceError| Error::invalid(error.to_string()))?;
    match (reference.tag(), reference.digest()) {
        (_, Some(_)) => Err(Error::invalid(format!(
            "`{tag}` has a digest, which nobody can choose for an image"
        ))),
        _ => Ok(reference),
    }
}

async fn run(
    engine: &Arc<Engine>,
    job: &Job,
    mut inputs: Inputs,
    sink: &Sink,
    cancel: Cancel,
) -> std::result::Result<(), Failure> {
    let finder = Finder {
        engine: Arc::clone(engine),
        auths: job.auths.clone(),
        sink: sink.clone(),
    };
    let mut leaving = cancel.clone();
    let plan = tokio::select! {
        plan = Planner::new(&job.request, &finder).plan() => plan?,
        // A pull that nobody waits for any more stops with this.
        () = leaving.cancelled() => return Err(cancelled()),
    };
    if job.request.check {
        return Ok(());
    }
    let Plan { mut graph, folders } = plan;
    let wanted = |name: &str| {
        let target = job
            .request
            .targets
            .iter()
            .find(|target| target.name == name);
        target.is_some_and(|target| !target.context_only)
    };
    graph.targets.retain(|target| wanted(&target.name));
    inputs.contexts = folders
        .into_iter()
        .map(|(id, folder)| {
            let folder = ContextFolder {
                path: folder.path,
                ignore: Some(folder.ignore),
                keep_owner: false,
            };
            (id, folder)
        })
        .collect();
    let sources = Arc::new(Sources::of(&graph));
    let (events, news) = Events::channel(SystemTime::now);
    let telling = tokio::spawn(tell(news, Arc::clone(&sources), sink.clone()));
    let tags = tag_names(&inputs.tags);
    let solved = engine.builder().solve(graph, inputs, events, cancel).await;
    // The channel ends with the build, so all it said is passed on before the end is.
    let failed = telling.await.unwrap_or_default();
    let built = match solved {
        Ok(built) => built,
        Err(error) => return Err(why(engine, job, &sources, error, failed)),
    };
    for image in built {
        engine.image_built(
            &image.id,
            tags.get(&image.target).map_or(&[], Vec::as_slice),
        );
    }
    Ok(())
}

fn tag_names(tags: &BTreeMap<String, Vec<Reference>>) -> BTreeMap<String, Vec<String>> {
    let names = |list: &Vec<Reference>| list.iter().map(Reference::familiar).collect();
    tags.iter()
        .map(|(target, list)| (target.clone(), names(list)))
        .collect()
}

/// The step that failed and the targets it was for.
#[derive(Debug, Default)]
struct Culprit {
    step: String,
    targets: Vec<String>,
}

async fn tell(
    mut news: mpsc::UnboundedReceiver<Event>,
    sources: Arc<Sources>,
    sink: Sink,
) -> Culprit {
    let mut culprit = Culprit::default();
    let mut targets: HashMap<String, Vec<String>> = HashMap::new();
    while let Some(event) = news.recv().await {
        let kind = told(event.kind, &sources);
        match &kind {
            BuildEventKind::Planned {
                step,
                targets: named,
                ..
            } => {
                targets.insert(step.clone(), named.clone());
            }
            // What fails after the first was often only stopped by it.
            BuildEventKind::Failed { step, .. } if culprit.step.is_empty() => {
                culprit = Culprit {
                    step: step.clone(),
                    targets: targets.remove(step).unwrap_or_default(),
                };
            }
            _ => {}
        }
        sink.send_at(event.at, kind);
    }
    culprit
}

fn cancelled() -> Failure {
    Box::new(BuildFailure {
        message: "cancelled".into(),
        ..BuildFailure::default()
    })
}

fn why(
    engine: &Engine,
    job: &Job,
    sources: &Sources,
    error: BuildError,
    culprit: Culprit,
) -> Failure {
    let BuildError::Step(failed) = error else {
        let message = crate::error::chain(&error);
        let target = job.request.targets.first();
        return match target {
            Some(target) => failure(target, &message),
            None => Box::new(BuildFailure {
                message,
                ..BuildFailure::default()
            }),
        };
    };
    let Failed {
        place,
        exit,
        source,
        state,
        ..
    } = *failed;
    let kept = state.filter(|_| job.request.debug).and_then(|state| {
        let id = crate::ids::fresh().ok()?;
        engine.builds().keep(&id, state);
        Some(KeptState { id })
    });
    Box::new(BuildFailure {
        message: crate::error::chain(&source),
        target: culprit.targets.into_iter().next().unwrap_or_default(),
        step: culprit.step,
        place: place.map(|place| sources.place(place)),
        code: exit.map(i64::from),
        kept,
    })
}
