//! Doing a graph: every needed vertex once, each as soon as its inputs are there.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use bowline_image::{Digest, Hold, ImageId, Reference};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::builder::{Builder, Leavings, guard};
use crate::failure::{BuildError, Failed, StepError};
use crate::graph::{ContextId, Graph, Op, VertexId};
use crate::ignore::Ignore;
use crate::progress::{EventKind, Events, Place, StepId};
use crate::run::{Cancel, Canceller, Secret};
use crate::tree::Tree;

mod copying;
mod image;
mod running;
mod step;
mod trees;
mod works;

/// What a build is given beside its graph.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The folders that contexts mean.
    pub contexts: HashMap<ContextId, ContextFolder>,
    /// Secrets by id.
    pub secrets: HashMap<String, Secret>,
    /// Sockets of SSH agents by id.
    pub ssh: HashMap<String, PathBuf>,
    /// The names each target's image gets.
    pub tags: BTreeMap<String, Vec<Reference>>,
    /// What tells this project from others when a step is compared with its last run: a path, for one.
    pub scope: String,
    /// Under which cgroup processes run, unless the engine's own.
    pub cgroup_parent: Option<String>,
}

/// A folder as a context.
#[derive(Clone, Debug, Default)]
pub struct ContextFolder {
    /// Where it is. It is read in place; an archive is unpacked somewhere by whoever received it.
    pub path: PathBuf,
    /// What of it is not seen.
    pub ignore: Option<Ignore>,
    /// Whether files keep their owners. Those of a person's folder belong to root in images.
    pub keep_owner: bool,
}

/// An image that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// For which target.
    pub target: String,
    /// Its id.
    pub id: ImageId,
}

/// What a vertex came to.
#[derive(Debug)]
pub(crate) struct Done {
    /// Its layers, bottom first; the last one is its own, if it adds any.
    layers: Vec<Digest>,
    /// When it was made, nanoseconds since 1970.
    created: u64,
    /// The key of its record, if it has one.
    key: Option<Digest>,
    /// Keeps its layers.
    hold: Option<Arc<Hold>>,
    /// It is this folder.
    context: Option<Arc<Tree>>,
    /// Its layers, mounted.
    tree: OnceLock<Arc<Tree>>,
}

impl Done {
    fn new(layers: Vec<Digest>) -> Self {
        Self {
            layers,
            created: 0,
            key: None,
            hold: None,
            context: None,
            tree: OnceLock::new(),
        }
    }
}

/// What those who wait for a vertex hear.
#[derive(Clone, Debug)]
enum Outcome {
    Done(Arc<Done>),
    /// It failed or was given up; whoever stands on it is given up too.
    Not,
}

/// One build under way.
#[derive(Debug)]
struct Solve {
    builder: Builder,
    graph: Graph,
    inputs: Inputs,
    events: Events,
    /// Ends every step: when the caller says so, and when one of them failed.
    stop: Canceller,
    cancel: Cancel,
    ids: Vec<StepId>,
    outcomes: Vec<watch::Sender<Option<Outcome>>>,
    trees: Mutex<HashMap<ContextId, Arc<Tree>>>,
    leavings: Mutex<Leavings>,
    committed: Mutex<u64>,
    failure: Mutex<Option<Failed>>,
}

/// How long results wait for their commit while a build goes on: so much a crash of the engine may cost.
const COMMIT_EVERY: u64 = 5_000_000_000;

impl Builder {
    /// Does the graph and makes the images of all its targets. What was done before a failure or a cancellation stays
    /// in the cache; nothing else stays.
    pub async fn solve(
        &self,
        graph: Graph,
        inputs: Inputs,
        events: Events,
        cancel: Cancel,
    ) -> Result<Vec<Built>, BuildError> {
        let count = graph.vertices.len();
        let (stop, stopped) = Canceller::new();
        let solve = Arc::new(Solve {
            builder: self.clone(),
            ids: (0..count)
                .map(|at| step_id(&graph, &inputs.scope, at))
                .collect(),
            outcomes: (0..count).map(|_| watch::channel(None).0).collect(),
            committed: Mutex::new(self.0.now()),
            graph,
            inputs,
            events,
            stop,
            cancel: stopped,
            trees: Mutex::default(),
            leavings: Mutex::default(),
            failure: Mutex::default(),
        });
        // A task of its own: when whoever asked leaves, the steps still have to be cancelled and waited for.
        match tokio::spawn(solve.all(cancel)).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(BuildError::Cancelled),
            },
        }
    }
}

/// The same for the same step of the same project.
fn step_id(graph: &Graph, scope: &str, at: usize) -> StepId {
    let mut key = crate::key::Key::new("step");
    key.text(scope);
    key.text(&graph.vertices[at].name);
    key.number(at as u64);
    StepId(key.finish().hex().into())
}

impl Solve {
    async fn all(self: Arc<Self>, mut cancel: Cancel) -> Result<Vec<Built>, BuildError> {
        let solve = Arc::clone(&self);
        let watching = tokio::spawn(async move {
            cancel.cancelled().await;
            solve.stop.cancel();
        });
        let result = self.to_the_end().await;
        watching.abort();
        result
    }

    async fn to_the_end(self: Arc<Self>) -> Result<Vec<Built>, BuildError> {
        let needed = self.needed();
        self.announce(&needed);
        let mut tasks = JoinSet::new();
        for id in needed {
            tasks.spawn(Arc::clone(&self).vertex(id));
        }
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended
                && let Ok(panic) = error.try_into_panic()
            {
                std::panic::resume_unwind(panic);
            }
        }
        self.forget_trees();
        let failure = guard(&self.failure).take();
        if let Some(failed) = failure {
            self.keep_results()?;
            return Err(BuildError::Step(Box::new(failed)));
        }
        if self.cancel.is_cancelled() {
            self.keep_results()?;
            return Err(BuildError::Cancelled);
        }
        let solve = Arc::clone(&self);
        let images = tokio::task::spawn_blocking(move || solve.images()).await;
        images.map_err(|_| BuildError::Cancelled)?
    }

    /// What the targets stand on; nothing else is done.
    fn needed(&self) -> Vec<VertexId> {
        let mut needed = vec![false; self.graph.vertices.len()];
        let mut left: Vec<VertexId> = self
            .graph
            .targets
            .iter()
            .map(|target| target.result)
            .collect();
        while let Some(id) = left.pop() {
            if !std::mem::replace(&mut needed[id.0], true) {
                left.extend(self.graph.vertex(id).op.inputs());
            }
        }
        let all = needed.into_iter().enumerate();
        all.filter_map(|(at, needed)| needed.then_some(VertexId(at)))
            .collect()
    }

    fn announce(&self, needed: &[VertexId]) {
        let mut targets: HashMap<usize, Vec<String>> = HashMap::new();
        for target in &self.graph.targets {
            let mut left = vec![target.result];
            while let Some(id) = left.pop() {
                let names = targets.entry(id.0).or_default();
                if !names.contains(&target.name) {
                    names.push(target.name.clone());
                    left.extend(self.graph.vertex(id).op.inputs());
                }
            }
        }
        for id in needed {
            let vertex = self.graph.vertex(*id);
            let mut inputs: Vec<StepId> = Vec::new();
            for input in vertex.op.inputs() {
                let input = self.ids[input.0].clone();
                if !inputs.contains(&input) {
                    inputs.push(input);
                }
            }
            self.events.send(EventKind::Planned {
                step: self.ids[id.0].clone(),
                name: vertex.name.clone(),
                place: self.place(*id),
                inputs,
                targets: targets.remove(&id.0).unwrap_or_default(),
            });
        }
    }

    fn place(&self, id: VertexId) -> Option<Place> {
        let place = self.graph.vertex(id).place?;
        let lines = place.span.lines();
        let number = |line: usize| u32::try_from(line).unwrap_or(u32::MAX);
        Some(Place {
            file: self.graph.sources.get(place.source)?.name.clone(),
            first_line: number(*lines.start()),
            last_line: number(*lines.end()),
        })
    }

    async fn vertex(self: Arc<Self>, id: VertexId) {
        let outcome = match self.inputs_of(id).await {
            Some(inputs) => self.try_vertex(id, inputs).await,
            None => {
                self.events.send(EventKind::Cancelled {
                    step: self.ids[id.0].clone(),
                });
                Outcome::Not
            }
        };
        self.outcomes[id.0].send_replace(Some(outcome));
    }

    async fn try_vertex(self: &Arc<Self>, id: VertexId, inputs: Inputted) -> Outcome {
        let step = self.ids[id.0].clone();
        let result = self.work(id, &inputs).await;
        self.events.flush(&step);
        let output = self.events.last_lines(&step);
        match result {
            Ok(done) => Outcome::Done(Arc::new(done)),
            Err(stopped) if matches!(stopped.error, StepError::Cancelled) => {
                self.events.send(EventKind::Cancelled { step });
                Outcome::Not
            }
            Err(stopped) => {
                let failed = Failed {
                    name: self.graph.vertex(id).name.clone(),
                    place: self.place(id),
                    exit: match stopped.error {
                        StepError::Exit { code, .. } => Some(code),
                        _ => None,
                    },
                    output,
                    state: stopped.state,
                    source: stopped.error,
                };
                let error = chain(&failed.source);
                self.events.send(EventKind::Failed { step, error });
                // The first failure is the reason; those that come while the rest is being given up are not.
                guard(&self.failure).get_or_insert(failed);
                self.stop.cancel();
                Outcome::Not
            }
        }
    }

    /// The results of all inputs, or `None` when one of them failed or the build is given up.
    async fn inputs_of(&self, id: VertexId) -> Option<Inputted> {
        let mut inputs = HashMap::new();
        let mut cancel = self.cancel.clone();
        for input in self.graph.vertex(id).op.inputs() {
            let mut outcome = self.outcomes[input.0].subscribe();
            let found = tokio::select! {
                found = outcome.wait_for(Option::is_some) => found.ok()?.clone(),
                () = cancel.cancelled() => return None,
            };
            match found {
                Some(Outcome::Done(done)) => drop(inputs.insert(input, done)),
                _ => return None,
            }
        }
        (!self.given_up()).then_some(Inputted(inputs))
    }

    /// Whether no new step should begin.
    fn given_up(&self) -> bool {
        self.cancel.is_cancelled() || guard(&self.failure).is_some()
    }

    async fn work(self: &Arc<Self>, id: VertexId, inputs: &Inputted) -> Result<Done, Stopped> {
        match &self.graph.vertex(id).op {
            Op::Scratch => Ok(Done::new(Vec::new())),
            Op::Image(image) => {
                let hold = self.builder.0.store.hold(&image.diff_ids)?;
                self.finished(id, true);
                Ok(Done {
                    hold: Some(Arc::new(hold)),
                    ..Done::new(image.diff_ids.clone())
                })
            }
            Op::Context(context) => {
                let tree = self.context(context)?;
                self.finished(id, false);
                Ok(Done {
                    context: Some(tree),
                    ..Done::new(Vec::new())
                })
            }
            Op::Files(_) | Op::MakeDir(_) | Op::Copy(_) => self.files_step(id, inputs).await,
            Op::Run(_) => self.run_step(id, inputs).await,
        }
    }

    /// A step that only names something.
    fn finished(&self, id: VertexId, cached: bool) {
        let step = self.ids[id.0].clone();
        self.events.send(if cached {
            EventKind::Cached { step }
        } else {
            EventKind::Finished { step }
        });
    }

    fn context(&self, id: &ContextId) -> Result<Arc<Tree>, StepError> {
        let mut trees = guard(&self.trees);
        if let Some(tree) = trees.get(id) {
            return Ok(Arc::clone(tree));
        }
        let folder = self.inputs.contexts.get(id);
        let folder = folder.ok_or_else(|| StepError::NoContext(id.0.clone()))?;
        let failed = |source| StepError::Context {
            path: folder.path.display().to_string(),
            source,
        };
        let path = folder.path.canonicalize().map_err(failed)?;
        let stats = self.builder.0.stats(&path);
        let ignore = folder.ignore.clone().map(Arc::new);
        let tree = Tree::folder(&path, ignore, folder.keep_owner, stats).map_err(failed)?;
        let tree = Arc::new(tree);
        trees.insert(id.clone(), Arc::clone(&tree));
        Ok(tree)
    }

    /// Writes down what is known of contexts' files; nobody has to wait for that.
    fn forget_trees(&self) {
        let trees: Vec<Arc<Tree>> = guard(&self.trees).drain().map(|(_, tree)| tree).collect();
        drop(tokio::task::spawn_blocking(move || {
            trees.iter().for_each(|tree| tree.save());
        }));
    }

    /// Commits what was done, without images.
    fn keep_results(&self) -> Result<(), BuildError> {
        let leavings = std::mem::take(&mut *guard(&self.leavings));
        if leavings.records.is_empty() {
            return Ok(());
        }
        let committed = self.builder.0.commit(&leavings, &[]);
        committed.map(drop).map_err(BuildError::Commit)
    }

    /// Commits now and then while the build goes on.
    fn commit_sometimes(&self) -> Result<(), StepError> {
        let now = self.builder.0.now();
        {
            let mut last = guard(&self.committed);
            if now.saturating_sub(*last) < COMMIT_EVERY {
                return Ok(());
            }
            *last = now;
        }
        let leavings = std::mem::take(&mut *guard(&self.leavings));
        self.builder.0.commit(&leavings, &[])?;
        Ok(())
    }
}

/// The results a vertex works over.
#[derive(Debug)]
struct Inputted(HashMap<VertexId, Arc<Done>>);

impl Inputted {
    fn get(&self, id: VertexId) -> Result<&Arc<Done>, StepError> {
        // Every input of the vertex was waited for.
        self.0.get(&id).ok_or(StepError::Broken)
    }
}

/// A step that did not come to its end, and what is left of it.
#[derive(Debug)]
struct Stopped {
    error: StepError,
    state: Option<Box<crate::failure::FailedState>>,
}

impl<E: Into<StepError>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self {
            error: error.into(),
            state: None,
        }
    }
}

/// An error with all its reasons.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
