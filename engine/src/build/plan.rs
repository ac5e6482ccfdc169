//! From a request to a graph: Dockerfiles and ignore files are read, base images found or pulled, and each target is
//! lowered once all it stands on is known.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use bowline_api::{BuildFailure, BuildPlace, BuildRequest, BuildTarget};
use bowline_build::dispatch::{Bases, Lowered, NamedContext, Need, NoCache, Options, lower};
use bowline_build::dockerfile::{self, Dockerfile, Faults, Span};
use bowline_build::graph::{ContextId, Graph, Network, Ulimit};
use bowline_build::ignore::{self, Ignore};
use bowline_image::Platform;

use super::bases::Finder;

/// What has to be done, and where its files are.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) graph: Graph,
    pub(super) folders: HashMap<ContextId, Folder>,
}

/// A context: a folder of the machine, less what is ignored.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) ignore: Ignore,
}

/// Boxed, since results that hold one are passed around a lot and are almost always fine.
pub(super) type Failure = Box<BuildFailure>;

/// The usual names of a Dockerfile.
const NAMES: [&str; 2] = ["Dockerfile", "dockerfile"];

/// Reads a request.
#[derive(Debug)]
pub(super) struct Planner<'a> {
    request: &'a BuildRequest,
    finder: &'a Finder,
    plan: Plan,
    bases: Bases,
    /// Targets being lowered: one that needs itself would go on for ever.
    open: HashSet<String>,
}

impl<'a> Planner<'a> {
    pub(super) fn new(request: &'a BuildRequest, finder: &'a Finder) -> Self {
        Self {
            request,
            finder,
            plan: Plan::default(),
            bases: Bases::default(),
            open: HashSet::new(),
        }
    }

    /// Lowers all targets.
    pub(super) async fn plan(mut self) -> Result<Plan, Failure> {
        for target in &self.request.targets {
            Box::pin(self.target(target)).await?;
        }
        Ok(self.plan)
    }

    async fn target(&mut self, target: &BuildTarget) -> Result<(), Failure> {
        if self.plan.graph.target(&target.name).is_some() {
            return Ok(());
        }
        if !self.open.insert(target.name.clone()) {
            return Err(failure(target, "its contexts lead back to itself"));
        }
        let (file, options) = self.read(target)?;
        loop {
            let lowered = lower(&mut self.plan.graph, &file, &options, &self.bases);
            match lowered.map_err(|faults| faulty(target, &options.file, &file.text, &faults))? {
                Lowered::Needs(needs) => {
                    Box::pin(self.provide(target, &file, &options.file, needs)).await?;
                }
                Lowered::Done { warnings } => {
                    for warning in warnings {
                        let place = place(&options.file, &file.text, warning.span);
                        self.finder
                            .warn(warning.rule.name(), &warning.message, place);
                    }
                    return Ok(());
                }
            }
        }
    }

    /// What a Dockerfile has to know: all images at once, then the targets.
    async fn provide(
        &mut self,
        target: &BuildTarget,
        file: &Dockerfile,
        name: &str,
        needs: Vec<Need>,
    ) -> Result<(), Failure> {
        let pull = self.request.pull || target.pull;
        let mut targets = Vec::new();
        let mut images = Vec::new();
        for need in needs {
            match need {
                Need::Image {
                    reference,
                    platform,
                    span,
                } => images.push((reference, platform, span)),
                Need::Target { name, span } => targets.push((name, span)),
            }
        }
        let found = images.iter().map(async |(reference, platform, span)| {
            let base = self.finder.find(reference, platform, pull).await;
            base.map_err(|error| {
                Box::new(BuildFailure {
                    place: place(name, &file.text, *span),
                    ..*failure(target, &error.message)
                })
            })
        });
        let found = futures_util::future::try_join_all(found).await?;
        for ((reference, platform, _), base) in images.into_iter().zip(found) {
            self.bases.insert(&reference, platform, base);
        }
        for (needed, span) in targets {
            let known = self
                .request
                .targets
                .iter()
                .find(|target| target.name == needed);
            let Some(known) = known else {
                return Err(Box::new(BuildFailure {
                    place: place(name, &file.text, span),
                    ..*failure(target, &format!("there is no target `{needed}`"))
                }));
            };
            Box::pin(self.target(known)).await?;
        }
        Ok(())
    }

    fn read(&mut self, target: &BuildTarget) -> Result<(Dockerfile, Options), Failure> {
        let (path, text) = dockerfile_of(target)?;
        let shown = match &path {
            Some(path) => path.display().to_string(),
            None => "Dockerfile (inline)".to_owned(),
        };
        let file = dockerfile::parse(&text);
        let file = file.map_err(|faults| faulty(target, &shown, &text, &faults))?;
        let ignore = ignore_of(target, path.as_deref())?;
        let context = self.folder(&target.context, ignore.clone());
        let mut options = Options::new(&target.name, context);
        options.file = shown;
        options.ignore = Some(ignore);
        self.fill(target, &mut options)?;
        Ok((file, options))
    }

    fn fill(&mut self, target: &BuildTarget, options: &mut Options) -> Result<(), Failure> {
        options.target = (!target.target.is_empty()).then(|| target.target.clone());
        options.args = target.args.clone();
        options.labels = target.labels.clone();
        if !target.platform.is_empty() {
            let platform: Platform =
                target
                    .platform
                    .parse()
                    .map_err(|error: bowline_image::PlatformError| {
                        failure(target, &error.to_string())
                    })?;
            options.platform = Some(platform);
        }
        options.no_cache = match (
            self.request.no_cache || target.no_cache,
            &target.no_cache_filter,
        ) {
            (true, _) => NoCache::All,
            (false, stages) if stages.is_empty() => NoCache::None,
            (false, stages) => NoCache::Stages(stages.clone()),
        };
        options.network = network(&target.network);
        for host in &target.extra_hosts {
            let parts = host.split_once('=').or_else(|| host.split_once(':'));
            let Some((name, address)) = parts else {
                let what = format!("`{host}` is no extra host: write it as NAME=ADDRESS");
                return Err(failure(target, &what));
            };
            options
                .extra_hosts
                .push((name.to_owned(), address.trim_matches(['[', ']']).to_owned()));
        }
        options.shm_size = target.shm_size;
        options.ulimits = target
            .ulimits
            .iter()
            .map(|limit| Ulimit {
                name: limit.name.clone(),
                soft: limit.soft,
                hard: limit.hard,
            })
            .collect();
        for (name, text) in &target.contexts {
            let context = self.named(target, text)?;
            options.contexts.insert(name.clone(), context);
        }
        Ok(())
    }

    fn named(&mut self, target: &BuildTarget, text: &str) -> Result<NamedContext, Failure> {
        if let Some(image) = text.strip_prefix("docker-image://") {
            return Ok(NamedContext::Image(image.to_owned()));
        }
        if let Some(name) = text
            .strip_prefix("target:")
            .or_else(|| text.strip_prefix("service:"))
        {
            return Ok(NamedContext::Target(name.to_owned()));
        }
        if let Some((scheme, _)) = text.split_once("://") {
            let what = format!("a context of the kind `{scheme}://` is not supported yet");
            return Err(failure(target, &what));
        }
        if !Path::new(text).is_dir() {
            return Err(failure(target, &format!("there is no folder `{text}`")));
        }
        // A further context has its own ignore file.
        let ignore = read_ignore(target, &Path::new(text).join(".dockerignore"))?;
        Ok(NamedContext::Folder(
            self.folder(text, ignore.unwrap_or_default()),
        ))
    }

    fn folder(&mut self, path: &str, ignore: Ignore) -> ContextId {
        let id = ContextId(format!("{path}\n{ignore:?}"));
        let path = PathBuf::from(path);
        self.plan
            .folders
            .entry(id.clone())
            .or_insert(Folder { path, ignore });
        id
    }
}

fn network(word: &str) -> Network {
    match word {
        "" | "default" | "bridge" => Network::Default,
        "none" => Network::None,
        "host" => Network::Host,
        name => Network::Named(name.to_owned()),
    }
}

/// The text, and the file it is from.
fn dockerfile_of(target: &BuildTarget) -> Result<(Option<PathBuf>, String), Failure> {
    if let Some(text) = &target.dockerfile_inline {
        return Ok((None, text.clone()));
    }
    let context = Path::new(&target.context);
    let candidates: Vec<PathBuf> = match target.dockerfile.as_str() {
        "" => NAMES.iter().map(PathBuf::from).collect(),
        name => vec![PathBuf::from(name)],
    };
    for candidate in &candidates {
        let path = match candidate.is_absolute() {
            true => candidate.clone(),
            // Links in a context that somebody sent must not lead to files of this machine.
            false => match bowline_runtime::locate_inside(context, candidate) {
                Ok(path) => path,
                Err(_) => continue,
            },
        };
        match std::fs::read(&path) {
            Ok(bytes) => return Ok((Some(path), text(target, bytes)?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let what = format!("cannot read {}: {error}", path.display());
                return Err(failure(target, &what));
            }
        }
    }
    let name = candidates.first().map(|path| path.display().to_string());
    Err(failure(
        target,
        &format!(
            "failed to read dockerfile: open {}: no such file or directory",
            name.unwrap_or_default()
        ),
    ))
}

fn text(target: &BuildTarget, bytes: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|_| failure(target, "the Dockerfile is not UTF-8"))
}

fn ignore_of(target: &BuildTarget, dockerfile: Option<&Path>) -> Result<Ignore, Failure> {
    if let Some(path) = dockerfile {
        let [beside, _] = ignore::file_names(&path.to_string_lossy());
        if let Some(ignore) = read_ignore(target, Path::new(&beside))? {
            return Ok(ignore);
        }
    }
    let own = Path::new(&target.context).join(".dockerignore");
    Ok(read_ignore(target, &own)?.unwrap_or_default())
}

fn read_ignore(target: &BuildTarget, path: &Path) -> Result<Option<Ignore>, Failure> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let what = format!("cannot read {}: {error}", path.display());
            return Err(failure(target, &what));
        }
    };
    let ignore = Ignore::parse(&text);
    ignore
        .map(Some)
        .map_err(|error| failure(target, &format!("{}: {error}", path.display())))
}

pub(super) fn failure(target: &BuildTarget, message: &str) -> Failure {
    Box::new(BuildFailure {
        message: message.to_owned(),
        target: target.name.clone(),
        ..BuildFailure::default()
    })
}

fn faulty(target: &BuildTarget, file: &str, text: &str, faults: &Faults) -> Failure {
    let first = faults.0.first();
    Box::new(BuildFailure {
        place: first.and_then(|fault| place(file, text, fault.span)),
        ..*failure(target, &format!("dockerfile parse error on {faults}"))
    })
}

/// A place with its lines.
pub(super) fn place(file: &str, text: &str, span: Span) -> Option<BuildPlace> {
    let (first, last) = (*span.lines().start(), *span.lines().end());
    if first == 0 {
        return None;
    }
    let count = last.saturating_sub(first) + 1;
    let lines = text.lines().skip(first - 1).take(count);
    Some(BuildPlace {
        file: file.to_owned(),
        first_line: u32::try_from(first).unwrap_or(u32::MAX),
        last_line: u32::try_from(last).unwrap_or(u32::MAX),
        lines: lines.map(str::to_owned).collect(),
    })
}
