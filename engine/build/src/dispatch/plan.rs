//! Which stages there are, what each begins with, and which of them the target needs.

mod reach;

use bowline_image::{Platform, Reference};

use super::env::Env;
use super::{Bases, NamedContext, Need, Options, Remarks};
use crate::dockerfile::{
    Arg, Copy, Dockerfile, Fault, Faults, Instruction, Kind, Mistake, Run, Span,
};
use crate::graph::Graph;
use crate::warnings::Rule;
use crate::words::{Empty, Expanded, Lexer};

/// A stage, or something that is used as one without a `FROM`.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// For people: its name, or its number.
    pub label: String,
    /// As it was declared.
    pub name: String,
    /// What `FROM` says, expanded.
    pub base_name: String,
    pub origin: Origin,
    /// That of its `FROM`.
    pub platform: Option<Platform>,
    pub commands: Vec<Command>,
    /// How many steps people see.
    pub total: usize,
    pub span: Span,
    /// It has no `FROM` of its own.
    pub implicit: bool,
    inherited: bool,
}

/// What a stage begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Scratch,
    Stage(usize),
    Image(Reference),
    Context(String, NamedContext),
}

/// An instruction and the states it takes files from: one for a `COPY`, one for each mount of a `RUN`.
#[derive(Clone, Debug)]
pub(super) struct Command {
    pub instruction: Instruction,
    pub sources: Vec<Option<usize>>,
    pub on_build: bool,
}

pub(super) struct Plan {
    pub states: Vec<State>,
    pub target: usize,
    /// Values of the `ARG`s before the first `FROM`, and of those that are always there.
    pub globals: Env,
}

pub(super) enum Planned {
    Needs(Vec<Need>),
    Ready(Plan),
}

pub(super) fn plan(
    graph: &Graph,
    file: &Dockerfile,
    options: &Options,
    bases: &Bases,
    remarks: &mut Remarks,
) -> Result<Planned, Faults> {
    let mut planner = Planner {
        file,
        options,
        graph,
        bases,
        states: Vec::new(),
        globals: defaults(file, options),
    };
    planner.check_defaults(remarks);
    planner.global_args()?;
    planner.stages(remarks)?;
    let target = planner.find_target()?;
    planner.connect()?;
    planner.check_circles()?;
    planner.unlabel_the_only_one();
    loop {
        let reachable = planner.reachable(target);
        let needs = planner.needs(&reachable);
        if !needs.is_empty() {
            return Ok(Planned::Needs(needs));
        }
        if !planner.triggers(&reachable)? {
            break;
        }
    }
    Ok(Planned::Ready(Plan {
        states: planner.states,
        target,
        globals: planner.globals,
    }))
}

struct Planner<'a> {
    file: &'a Dockerfile,
    options: &'a Options,
    graph: &'a Graph,
    bases: &'a Bases,
    states: Vec<State>,
    globals: Env,
}

/// Arguments that every Dockerfile may use in `FROM`, and in a stage after an `ARG`.
fn defaults(file: &Dockerfile, options: &Options) -> Env {
    let (build, target) = (&options.build_platform, options.target_platform());
    let last = file
        .stages
        .last()
        .map_or("", |stage| stage.from.name.as_str());
    let stage = options.target.as_deref().unwrap_or(last);
    let stage = if stage.is_empty() { "default" } else { stage };
    let variant = |platform: &Platform| platform.variant.clone().unwrap_or_default();
    let mut env = Env::default();
    for (name, value) in [
        ("BUILDPLATFORM", build.to_string()),
        ("BUILDOS", build.os.clone()),
        ("BUILDOSVERSION", String::new()),
        ("BUILDARCH", build.architecture.clone()),
        ("BUILDVARIANT", variant(build)),
        ("TARGETPLATFORM", target.to_string()),
        ("TARGETOS", target.os.clone()),
        ("TARGETOSVERSION", String::new()),
        ("TARGETARCH", target.architecture.clone()),
        ("TARGETVARIANT", variant(target)),
        ("TARGETSTAGE", stage.to_owned()),
    ] {
        env.set(name, options.args.get(name).unwrap_or(&value));
    }
    env
}

impl Planner<'_> {
    fn lexer(&self) -> Lexer {
        Lexer::new(self.file.escape)
    }

    fn args(&self) -> impl Iterator<Item = (&Instruction, &Arg)> {
        self.file.globals.iter().flat_map(|instruction| {
            let args = match &instruction.kind {
                Kind::Arg(args) => args.as_slice(),
                _ => &[],
            };
            args.iter().map(move |arg| (instruction, arg))
        })
    }

    fn global_args(&mut self) -> Result<(), Fault> {
        self.globals = self.with_args(true)?;
        Ok(())
    }

    fn with_args(&self, overridden: bool) -> Result<Env, Fault> {
        let mut env = self.globals.clone();
        for (instruction, arg) in self.args() {
            let given = self.options.args.get(&arg.name).filter(|_| overridden);
            let value = match (given, &arg.default) {
                (Some(value), _) => value.clone(),
                (None, Some(default)) => {
                    let expanded = self.lexer().expand(default, &env);
                    expanded
                        .map_err(|error| Fault::new(error, instruction.span))?
                        .text
                }
                (None, None) => continue,
            };
            env.set(&arg.name, &value);
        }
        Ok(env)
    }

    /// Base images should have names even when nobody gives arguments.
    fn check_defaults(&self, remarks: &mut Remarks) {
        let Ok(env) = self.with_args(false) else {
            return;
        };
        for stage in &self.file.stages {
            let Ok(name) = self.lexer().expand(&stage.from.base, &env) else {
                return;
            };
            if name.text.parse::<Reference>().is_err() {
                let text = format!(
                    "Default value for ARG {} results in empty or invalid base image name",
                    stage.from.base
                );
                remarks.warn(Rule::InvalidDefaultArgInFrom, stage.head.span, text);
            }
        }
    }

    fn stages(&mut self, remarks: &mut Remarks) -> Result<(), Faults> {
        let mut faults = Vec::new();
        for number in 0..self.file.stages.len() {
            match self.stage(number, remarks) {
                Ok(state) => self.states.push(state),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Faults(faults))
        }
    }

    fn stage(&self, number: usize, remarks: &mut Remarks) -> Result<State, Fault> {
        let stage = &self.file.stages[number];
        let span = stage.head.span;
        let base = self.head_word(&stage.from.base, span, remarks)?.text;
        if base.is_empty() {
            return Err(Fault::new(
                Mistake::BlankBase(stage.from.base.clone()),
                span,
            ));
        }
        let platform = match &stage.from.platform {
            Some(platform) => Some(self.platform(platform, &stage.from.name, span, remarks)?),
            None => None,
        };
        let mut origin = self.origin(&base, span)?;
        let mut commands: Vec<_> = stage.instructions.iter().map(plain_command).collect();
        if let Some(context) = self.context(&stage.from.name) {
            origin = Origin::Context(stage.from.name.clone(), context.clone());
            commands.clear();
        }
        let head = usize::from(!matches!(origin, Origin::Scratch | Origin::Stage(_)));
        let steps = commands
            .iter()
            .filter(|command| is_step(&command.instruction));
        Ok(State {
            label: match stage.from.name.as_str() {
                "" => format!("stage-{number}"),
                name => name.to_owned(),
            },
            name: stage.from.name.clone(),
            base_name: base,
            platform,
            total: head + steps.count(),
            origin,
            commands,
            span,
            implicit: false,
            inherited: false,
        })
    }

    /// Expands a word of `FROM`, where only global arguments exist.
    fn head_word(&self, text: &str, span: Span, remarks: &mut Remarks) -> Result<Expanded, Fault> {
        let expanded = self
            .lexer()
            .expand(text, &self.globals)
            .map_err(|error| Fault::new(error, span))?;
        let declared: Vec<&str> = self
            .args()
            .map(|(_, arg)| arg.name.as_str())
            .chain(self.globals.names())
            .collect();
        for name in &expanded.unmatched {
            if declared.contains(&name.as_str()) {
                continue;
            }
            let hint = crate::dockerfile::suggest::closest(name, declared.iter().copied());
            let hint = hint
                .map(|hint| format!(" (did you mean {hint}?)"))
                .unwrap_or_default();
            let text = format!("FROM argument '{name}' is not declared{hint}");
            remarks.warn(Rule::UndefinedArgInFrom, span, text);
        }
        Ok(expanded)
    }

    fn platform(
        &self,
        written: &str,
        stage: &str,
        span: Span,
        remarks: &mut Remarks,
    ) -> Result<Platform, Fault> {
        let expanded = self.head_word(written, span, remarks)?;
        let constant = expanded.matched.is_empty() && expanded.unmatched.is_empty();
        if expanded.matched.iter().eq(["TARGETPLATFORM"])
            && expanded.unmatched.is_empty()
            && self.globals.get("TARGETPLATFORM") == Some(&expanded.text)
        {
            let text = format!(
                "Setting platform to predefined {written} in FROM is redundant as this is the default behavior"
            );
            remarks.warn(Rule::RedundantTargetPlatform, span, text);
        }
        let platform: Platform = expanded.text.parse().map_err(|_| {
            let fault = Fault::new(Mistake::Platform(expanded.text.clone()), span);
            match expanded.unmatched.first() {
                Some(name) => fault.suggesting(name, self.globals.names()),
                None => fault,
            }
        })?;
        let named = stage.contains(&platform.os) || stage.contains(&platform.architecture);
        if constant && !named {
            let text = format!(
                "FROM --platform flag should not use constant value \"{}\"",
                expanded.text
            );
            remarks.warn(Rule::FromPlatformFlagConstDisallowed, span, text);
        }
        Ok(platform)
    }

    /// An earlier stage, a named context, or an image. Here, unlike in `--from`, the case of a stage's name counts.
    fn origin(&self, base: &str, span: Span) -> Result<Origin, Fault> {
        let named = |state: &State| !state.name.is_empty() && state.name == base;
        if let Some(stage) = self.states.iter().rposition(named) {
            return Ok(Origin::Stage(stage));
        }
        if base == "scratch" {
            return Ok(Origin::Scratch);
        }
        let reference: Reference = base.parse().map_err(|_| {
            let names = self.states.iter().map(|state| state.name.as_str());
            Fault::new(Mistake::Reference(base.to_owned()), span).suggesting(base, names)
        })?;
        Ok(match self.context(base) {
            Some(context) => Origin::Context(base.to_owned(), context.clone()),
            None => Origin::Image(reference),
        })
    }

    /// A named context. Names of images are compared without what may be left out of them.
    fn context(&self, name: &str) -> Option<&NamedContext> {
        if name.is_empty()
            || name.eq_ignore_ascii_case("scratch")
            || name.eq_ignore_ascii_case("context")
        {
            return None;
        }
        let wanted = context_name(name);
        let mut contexts = self.options.contexts.iter();
        contexts
            .find(|(known, _)| context_name(known) == wanted)
            .map(|(_, context)| context)
    }

    fn find_target(&self) -> Result<usize, Fault> {
        let Some(wanted) = self
            .options
            .target
            .as_deref()
            .filter(|name| !name.is_empty())
        else {
            return Ok(self.states.len() - 1);
        };
        self.by_name(wanted).ok_or_else(|| {
            let names = self.states.iter().map(|state| state.label.as_str());
            Fault::new(Mistake::NoTarget(wanted.to_owned()), Span::default())
                .suggesting(wanted, names)
        })
    }

    /// The last stage of a name, whatever its case.
    fn by_name(&self, name: &str) -> Option<usize> {
        let name = name.to_lowercase();
        self.states
            .iter()
            .rposition(|state| !state.name.is_empty() && state.name == name)
    }

    /// Finds what each instruction takes files from.
    fn connect(&mut self) -> Result<(), Faults> {
        let mut faults = Vec::new();
        for state in 0..self.file.stages.len() {
            let mut commands = std::mem::take(&mut self.states[state].commands);
            for command in &mut commands {
                match self.sources(&command.instruction) {
                    Ok(sources) => command.sources = sources,
                    Err(fault) => faults.push(fault),
                }
            }
            self.states[state].commands = commands;
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Faults(faults))
        }
    }

    fn sources(&mut self, instruction: &Instruction) -> Result<Vec<Option<usize>>, Fault> {
        match &instruction.kind {
            Kind::Copy(Copy { from, .. }) if !from.is_empty() => {
                let expanded = self.lexer().expand(from, &Empty);
                let expanded = expanded.map_err(|error| Fault::new(error, instruction.span))?;
                if expanded.text != *from {
                    return Err(Fault::new(Mistake::CopyFromVariable, instruction.span));
                }
                match from.parse::<i64>() {
                    Ok(number) => {
                        let index = usize::try_from(number).ok();
                        let index = index.filter(|index| *index < self.file.stages.len());
                        let fault = || Fault::new(Mistake::StageIndex(number), instruction.span);
                        Ok(vec![Some(index.ok_or_else(fault)?)])
                    }
                    Err(_) => Ok(vec![Some(self.named(from, instruction.span)?)]),
                }
            }
            Kind::Run(Run { mounts, .. }) => mounts
                .iter()
                .map(|mount| match &mount.from {
                    Some(from) => self.named(from, mount.span).map(Some),
                    None => Ok(None),
                })
                .collect(),
            _ => Ok(Vec::new()),
        }
    }

    /// A stage of this name or, without one, an image or a context that becomes a state of its own.
    fn named(&mut self, name: &str, span: Span) -> Result<usize, Fault> {
        if let Some(stage) = self.by_name(name) {
            return Ok(stage);
        }
        let origin = self.origin(name, span)?;
        self.states.push(State {
            label: String::new(),
            name: String::new(),
            base_name: name.to_owned(),
            origin,
            platform: None,
            commands: Vec::new(),
            total: 0,
            span,
            implicit: true,
            inherited: true,
        });
        Ok(self.states.len() - 1)
    }

    fn inputs(&self, state: usize) -> impl Iterator<Item = (usize, Span)> {
        let state = &self.states[state];
        let base = match state.origin {
            Origin::Stage(base) => Some((base, state.span)),
            _ => None,
        };
        let sources = state.commands.iter().flat_map(|command| {
            let span = command.instruction.span;
            command
                .sources
                .iter()
                .flatten()
                .map(move |source| (*source, span))
        });
        base.into_iter().chain(sources)
    }

    fn check_circles(&self) -> Result<(), Fault> {
        let mut finished = vec![false; self.states.len()];
        for start in 0..self.states.len() {
            let mut path = vec![(start, self.inputs(start).collect::<Vec<_>>())];
            while let Some((state, left)) = path.last_mut() {
                let state = *state;
                let Some((next, span)) = left.pop() else {
                    finished[state] = true;
                    path.pop();
                    continue;
                };
                if path.iter().any(|(above, _)| *above == next) {
                    let mistake = Mistake::Circular(self.states[next].label.clone());
                    return Err(Fault::new(mistake, span));
                }
                if !finished[next] {
                    path.push((next, self.inputs(next).collect()));
                }
            }
        }
        Ok(())
    }

    /// The steps of a single stage are shown without its name; mounts count as stages here.
    fn unlabel_the_only_one(&mut self) {
        let mounts = |command: &Command| match &command.instruction.kind {
            Kind::Run(run) => !run.mounts.is_empty(),
            _ => false,
        };
        if let [only] = self.states.as_mut_slice()
            && !only.commands.iter().any(mounts)
        {
            only.label = String::new();
        }
    }

    fn reachable(&self, target: usize) -> Vec<usize> {
        let mut reachable = vec![false; self.states.len()];
        let mut open = vec![target];
        while let Some(state) = open.pop() {
            if !std::mem::replace(&mut reachable[state], true) {
                open.extend(self.inputs(state).map(|(input, _)| input));
            }
        }
        (0..reachable.len())
            .filter(|state| reachable[*state])
            .collect()
    }
}

fn plain_command(instruction: &Instruction) -> Command {
    Command {
        instruction: instruction.clone(),
        sources: Vec::new(),
        on_build: false,
    }
}

fn is_step(instruction: &Instruction) -> bool {
    matches!(
        instruction.kind,
        Kind::Run(_) | Kind::Copy(_) | Kind::Add(_) | Kind::Workdir(_)
    )
}

/// A context's name as both sides compare it: without the default registry and tag where it is that of an image.
fn context_name(name: &str) -> String {
    match name.parse::<Reference>() {
        Ok(reference) => {
            let familiar = reference.familiar();
            familiar
                .strip_suffix(":latest")
                .unwrap_or(&familiar)
                .to_owned()
        }
        Err(_) => name.to_owned(),
    }
}
