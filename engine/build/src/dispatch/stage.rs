//! One stage after the other into vertices, and the last of them into an image.

use std::collections::BTreeMap;

use bowline_image::{HistoryRecord, ImageFile, Platform, Reference, Set};

use super::env::Env;
use super::history::named;
use super::plan::{Command, Origin, Plan, State};
use super::{Base, Bases, NamedContext, NoCache, Options, Remarks};
use crate::dockerfile::{Dockerfile, Fault, Instruction, Kind, Mistake, Span};
use crate::graph::{ContextId, Graph, ImageBase, Op, Place, Step, Target, Vertex, VertexId};
use crate::words::{Environment, Lexer};

/// What every image has in its environment, at least.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the history says beside each step.
const COMMENT: &str = "buildkit.dockerfile.v0";

/// A Dockerfile on its way into a graph.
pub(super) struct Build<'a> {
    pub graph: &'a mut Graph,
    pub file: &'a Dockerfile,
    pub options: &'a Options,
    pub bases: &'a Bases,
    pub plan: &'a Plan,
    /// The Dockerfile's index among the graph's sources.
    pub source: usize,
    pub shared: Shared,
    pub done: Vec<Option<Stage>>,
    pub remarks: &'a mut Remarks,
}

/// Maps that several stages write to. A stage that begins with another one goes on with the very maps of that one, so that
/// what one of two sisters adds is seen in the other too. Docker's images are built so, and the same file has to give the
/// same image here.
#[derive(Default)]
pub(super) struct Shared {
    pub labels: Vec<BTreeMap<String, String>>,
    pub sets: Vec<Set>,
}

/// A stage as far as it was lowered.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    /// Configuration and history of what it begins with, the maps of [`Shared`] left out.
    pub image: ImageFile,
    pub labels: Option<usize>,
    pub ports: Option<usize>,
    pub volumes: Option<usize>,
    pub steps: Vec<Step>,
    pub vertex: VertexId,
    pub env: Env,
    /// Working directory of the next instruction, absolute.
    pub dir: String,
    pub user: String,
    pub platform: Platform,
    /// `ARG`s so far, in order.
    pub args: Vec<(String, Option<String>)>,
    pub workdir_set: bool,
    /// Instructions that should come once, with their places.
    pub once: BTreeMap<&'static str, Span>,
}

/// The instruction that is being lowered.
pub(super) struct Now<'a> {
    pub state: &'a State,
    pub command: &'a Command,
    /// How many of the stage's steps came before.
    pub index: &'a mut usize,
}

impl Build<'_> {
    /// Lowers everything that the target needs, and the target last.
    pub(super) fn target(mut self) -> Result<Target, Fault> {
        let reachable = self.reachable();
        for (at, state) in self.plan.states.iter().enumerate() {
            if reachable[at] && !state.implicit {
                self.lower(at)?;
            }
        }
        let stage = self.begin_as(self.plan.target)?;
        let mut config = self.finish(&stage);
        if !self.options.labels.is_empty() {
            config.config.labels.extend(self.options.labels.clone());
        }
        if let Some(platform) = &self.options.platform {
            config.os.clone_from(&platform.os);
            config.architecture.clone_from(&platform.architecture);
            config.variant = platform.variant.clone().unwrap_or_default();
        }
        let platform = config.platform();
        config.os.clone_from(&platform.os);
        config.architecture.clone_from(&platform.architecture);
        config.variant = platform.variant.clone().unwrap_or_default();
        Ok(Target {
            name: self.options.name.clone(),
            result: stage.vertex,
            config,
            steps: stage.steps,
            platform,
        })
    }

    fn reachable(&self) -> Vec<bool> {
        let mut reachable = vec![false; self.plan.states.len()];
        let mut open = vec![self.plan.target];
        while let Some(at) = open.pop() {
            if std::mem::replace(&mut reachable[at], true) {
                continue;
            }
            let state = &self.plan.states[at];
            if let Origin::Stage(base) = state.origin {
                open.push(base);
            }
            let sources = state.commands.iter().flat_map(|command| &command.sources);
            open.extend(sources.flatten());
        }
        reachable
    }

    fn lower(&mut self, at: usize) -> Result<(), Fault> {
        let state = &self.plan.states[at];
        let mut index = 0;
        let mut stage = self.begin(at, &mut index)?;
        if !matches!(&state.origin, Origin::Context(name, _) if *name == state.name) {
            prepare(&mut stage);
            for command in &state.commands {
                let mut now = Now {
                    state,
                    command,
                    index: &mut index,
                };
                self.instruction(&mut stage, &mut now)?;
            }
        }
        self.done[at] = Some(stage);
        Ok(())
    }

    fn instruction(&mut self, stage: &mut Stage, now: &mut Now<'_>) -> Result<(), Fault> {
        match &now.command.instruction.kind {
            Kind::Run(run) => self.run(stage, now, run),
            Kind::Copy(copy) => self.copy(stage, now, copy),
            Kind::Add(add) => self.add(stage, now, add),
            Kind::Workdir(path) => self.workdir(stage, now, path),
            _ => self.metadata(stage, now),
        }
    }

    /// What a stage begins with: another stage, or something from outside.
    fn begin(&mut self, at: usize, index: &mut usize) -> Result<Stage, Fault> {
        let plan = self.plan;
        let state = &plan.states[at];
        match &state.origin {
            Origin::Stage(base) => {
                let mut stage = self.begin_as(*base)?;
                stage.image.config.on_build.clear();
                stage.once.clear();
                Ok(stage)
            }
            Origin::Scratch => Ok(self.empty(state, Op::Scratch, "FROM scratch", None)),
            Origin::Image(reference) => self.image(state, reference, index),
            Origin::Context(name, context) => self.context(state, name, context, index),
        }
    }

    /// A state that was lowered, or an implicit one, which needs no lowering.
    pub(super) fn begin_as(&mut self, at: usize) -> Result<Stage, Fault> {
        if self.done[at].is_none() && self.plan.states[at].implicit {
            let stage = self.begin(at, &mut 0)?;
            self.done[at] = Some(stage);
        }
        self.done[at].clone().ok_or_else(|| {
            let state = &self.plan.states[at];
            Fault::new(
                Mistake::LaterStage {
                    what: "cannot begin",
                    from: state.label.clone(),
                },
                state.span,
            )
        })
    }

    /// The result of a state that an instruction takes files from.
    pub(super) fn source_of(
        &mut self,
        at: usize,
        what: &'static str,
        span: Span,
    ) -> Result<VertexId, Fault> {
        let label = &self.plan.states[at].label;
        let fault = || {
            let from = label.clone();
            Fault::new(Mistake::LaterStage { what, from }, span)
        };
        if self.done[at].is_none() && !self.plan.states[at].implicit {
            return Err(fault());
        }
        Ok(self.begin_as(at)?.vertex)
    }

    fn platform_of(&self, state: &State) -> Platform {
        let platform = state.platform.as_ref();
        platform.unwrap_or(self.options.target_platform()).clone()
    }

    /// A stage over something that has no configuration.
    fn empty(&mut self, state: &State, op: Op, name: &str, platform: Option<Platform>) -> Stage {
        let platform = platform.unwrap_or_else(|| self.options.target_platform().clone());
        let mut image = ImageFile {
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            variant: platform.variant.clone().unwrap_or_default(),
            ..ImageFile::default()
        };
        image.config.working_dir = "/".to_owned();
        image.config.env = vec![format!("PATH={PATH}")];
        let vertex = self.vertex(
            op,
            name.to_owned(),
            state.label.clone(),
            state.span,
            &platform,
        );
        self.stage(image, Vec::new(), vertex, platform)
    }

    fn image(
        &mut self,
        state: &State,
        reference: &Reference,
        index: &mut usize,
    ) -> Result<Stage, Fault> {
        let wanted = self.platform_of(state);
        let base = self.base(state, reference, &wanted)?;
        let actual = base.image.platform();
        if (&actual.os, &actual.architecture) != (&wanted.os, &wanted.architecture) {
            let text = format!(
                "Base image {} was pulled with platform \"{actual}\", expected \"{wanted}\" for current build",
                state.base_name
            );
            let rule = crate::warnings::Rule::InvalidBaseImagePlatform;
            self.remarks.warn(rule, state.span, text);
        }
        // What runs is what the image is for, unless something else was asked for.
        let implicit = state.platform.is_none() && self.options.platform.is_none();
        let platform = if implicit && actual == self.options.build_platform {
            actual
        } else {
            wanted
        };
        let op = image_op(&base);
        let name = match (&op, &state.origin) {
            (Op::Scratch, _) => String::new(),
            (_, Origin::Context(name, NamedContext::Image(image))) => {
                format!("[context {name}] {image}")
            }
            _ => {
                let text = format!("FROM {}", base.reference);
                self.step_name(state, index, &text, false, &platform)
            }
        };
        let vertex = self.vertex(op, name, state.label.clone(), state.span, &platform);
        Ok(self.stage(base.image, Vec::new(), vertex, platform))
    }

    fn base(
        &self,
        state: &State,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<Base, Fault> {
        let missing = || Fault::new(Mistake::Reference(state.base_name.clone()), state.span);
        self.bases
            .get(reference, platform)
            .cloned()
            .ok_or_else(missing)
    }

    fn context(
        &mut self,
        state: &State,
        name: &str,
        context: &NamedContext,
        index: &mut usize,
    ) -> Result<Stage, Fault> {
        let platform = self.platform_of(state);
        match context {
            NamedContext::Folder(id) => {
                let text = format!("[context {name}] load from client");
                Ok(self.empty(state, Op::Context(id.clone()), &text, Some(platform)))
            }
            NamedContext::Image(image) if image == "scratch" => {
                Ok(self.empty(state, Op::Scratch, "FROM scratch", Some(platform)))
            }
            NamedContext::Image(image) => {
                let fault = |_| Fault::new(Mistake::Reference(image.clone()), state.span);
                let reference = image.parse().map_err(fault)?;
                self.image(state, &reference, index)
            }
            NamedContext::Target(target) => {
                let missing = || Fault::new(Mistake::NoTarget(target.clone()), state.span);
                let target = self.graph.target(target).ok_or_else(missing)?.clone();
                Ok(self.stage(target.config, target.steps, target.result, target.platform))
            }
        }
    }

    fn stage(
        &mut self,
        mut image: ImageFile,
        steps: Vec<Step>,
        vertex: VertexId,
        platform: Platform,
    ) -> Stage {
        image.created = None;
        image.config.on_build.clear();
        let labels = std::mem::take(&mut image.config.labels);
        let ports = std::mem::take(&mut image.config.exposed_ports);
        let volumes = std::mem::take(&mut image.config.volumes);
        Stage {
            labels: (!labels.is_empty()).then(|| push(&mut self.shared.labels, labels)),
            ports: (!ports.is_empty()).then(|| push(&mut self.shared.sets, ports)),
            volumes: (!volumes.is_empty()).then(|| push(&mut self.shared.sets, volumes)),
            image,
            steps,
            vertex,
            env: Env::default(),
            dir: "/".to_owned(),
            user: String::new(),
            platform,
            args: Vec::new(),
            workdir_set: false,
            once: BTreeMap::new(),
        }
    }

    /// The configuration of a stage, whole.
    fn finish(&self, stage: &Stage) -> ImageFile {
        let mut image = stage.image.clone();
        let set = |at: Option<usize>| {
            at.map(|at| self.shared.sets[at].clone())
                .unwrap_or_default()
        };
        image.config.exposed_ports = set(stage.ports);
        image.config.volumes = set(stage.volumes);
        image.config.labels = stage
            .labels
            .map(|at| self.shared.labels[at].clone())
            .unwrap_or_default();
        image
    }

    pub(super) fn place(&self, span: Span) -> Place {
        Place {
            source: self.source,
            span,
        }
    }

    /// A vertex that no cache setting is about.
    pub(super) fn vertex(
        &mut self,
        op: Op,
        name: String,
        stage: String,
        span: Span,
        platform: &Platform,
    ) -> VertexId {
        let place = Some(self.place(span));
        self.graph.add(Vertex {
            op,
            name,
            stage,
            place,
            platform: platform.clone(),
            no_cache: false,
        })
    }

    /// A vertex of a `RUN`, a `COPY` or an `ADD`.
    pub(super) fn step(
        &mut self,
        op: Op,
        name: String,
        now: &Now<'_>,
        platform: &Platform,
    ) -> VertexId {
        let place = Some(self.place(now.command.instruction.span));
        let no_cache = match &self.options.no_cache {
            NoCache::None => false,
            NoCache::All => true,
            NoCache::Stages(stages) => stages
                .iter()
                .any(|stage| stage.eq_ignore_ascii_case(&now.state.name)),
        };
        self.graph.add(Vertex {
            op,
            name,
            stage: now.state.label.clone(),
            place,
            platform: platform.clone(),
            no_cache,
        })
    }

    pub(super) fn main_context(&mut self, span: Span) -> VertexId {
        let op = Op::Context(self.options.context.clone());
        let platform = self.options.build_platform.clone();
        let name = "[internal] load build context".to_owned();
        self.vertex(op, name, String::new(), span, &platform)
    }

    /// What people see of a step: its place among those of its stage, and what it does.
    pub(super) fn step_name(
        &self,
        state: &State,
        index: &mut usize,
        text: &str,
        on_build: bool,
        platform: &Platform,
    ) -> String {
        if state.total == 0 {
            return text.to_owned();
        }
        *index += 1;
        let platform = match self.options.several_platforms {
            true => format!("{platform} "),
            false => String::new(),
        };
        let label = match state.label.as_str() {
            "" => String::new(),
            label => format!("{label} "),
        };
        let width = state.total.to_string().len();
        let on_build = if on_build { "ONBUILD " } else { "" };
        format!(
            "[{platform}{label}{index:>width$}/{}] {on_build}{text}",
            state.total
        )
    }

    /// The name of the instruction's step, with its variables expanded and its keyword in capitals.
    pub(super) fn name(
        &self,
        now: &mut Now<'_>,
        text: &str,
        lexer: Lexer,
        env: &(impl Environment + ?Sized),
        platform: &Platform,
    ) -> String {
        let text = match lexer.expand(text, env) {
            Ok(expanded) => expanded.text,
            Err(_) => text.to_owned(),
        };
        let on_build = now.command.on_build;
        self.step_name(now.state, now.index, &named(&text), on_build, platform)
    }

    pub(super) fn lexer(&self) -> Lexer {
        Lexer::new(self.file.escape)
    }

    /// Expands a word with the stage's variables, and remarks on those that are not there.
    pub(super) fn expand(
        &mut self,
        stage: &Stage,
        text: &str,
        span: Span,
        lexer: Lexer,
    ) -> Result<String, Fault> {
        let expanded = lexer
            .expand(text, &stage.env)
            .map_err(|error| Fault::new(error, span))?;
        for name in &expanded.unmatched {
            self.undefined(stage, name, span);
        }
        Ok(expanded.text)
    }

    fn undefined(&mut self, stage: &Stage, name: &str, span: Span) {
        let declared = stage.args.iter().any(|(known, _)| known == name);
        if declared || name.starts_with("BUILDKIT_SBOM_SCAN_") {
            return;
        }
        let hint = crate::dockerfile::suggest::closest(name, stage.env.names());
        let hint = hint
            .map(|hint| format!(" (did you mean ${hint}?)"))
            .unwrap_or_default();
        let text = format!("Usage of undefined variable '${name}'{hint}");
        self.remarks
            .warn(crate::warnings::Rule::UndefinedVar, span, text);
    }

    pub(super) fn word(
        &mut self,
        stage: &Stage,
        text: &str,
        instruction: &Instruction,
    ) -> Result<String, Fault> {
        let lexer = self.lexer();
        self.expand(stage, text, instruction.span, lexer)
    }
}

fn push<T>(list: &mut Vec<T>, value: T) -> usize {
    list.push(value);
    list.len() - 1
}

/// An image without layers is nothing to begin with.
fn image_op(base: &Base) -> Op {
    let history = base.image.history.iter();
    if base.image.rootfs.diff_ids.is_empty() && history.clone().all(|step| step.empty_layer) {
        return Op::Scratch;
    }
    Op::Image(ImageBase {
        reference: base.reference.clone(),
        diff_ids: base.image.rootfs.diff_ids.clone(),
    })
}

/// Takes over what the configuration says about environment, directory and user.
fn prepare(stage: &mut Stage) {
    let env = &mut stage.image.config.env;
    if !env
        .iter()
        .any(|pair| pair.split('=').next() == Some("PATH"))
    {
        env.push(format!("PATH={PATH}"));
    }
    for pair in env.iter() {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        stage.env.set(name, value);
    }
    let config = &mut stage.image.config;
    if !config.working_dir.is_empty() {
        if !config.working_dir.starts_with('/') {
            config.working_dir = crate::ignore::clean(&format!("/{}", config.working_dir));
        }
        stage.dir.clone_from(&config.working_dir);
    }
    if !config.user.is_empty() {
        stage.user.clone_from(&config.user);
    }
}

impl Stage {
    /// Writes a step into the history. A layer says that the stock builder made it.
    pub(super) fn commit(&mut self, text: &str, layer: Option<VertexId>) {
        self.steps.push(Step {
            record: HistoryRecord {
                created_by: text.to_owned(),
                comment: COMMENT.to_owned(),
                empty_layer: layer.is_none(),
                ..HistoryRecord::default()
            },
            layer,
        });
    }
}

impl ContextId {
    /// A context by the caller's name for it.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }
}
