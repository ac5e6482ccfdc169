//! Reading Dockerfiles: from text to instructions, each with its place. What they mean for an image is not known here.
//!
//! [`parse`] finds all faults of a file, not just the first. Its rules are those of the stock front end, whose corner
//! cases people's files depend on: what counts as a comment, where a line goes on, when JSON is not JSON.

mod csv;
mod duration;
mod fault;
mod forms;
mod heredoc;
mod instruction;
mod lines;
mod span;
mod split;
pub(crate) mod suggest;
mod syntax;
mod understand;

use std::sync::Arc;

pub use fault::{Fault, Faults, Mistake};
pub use forms::Pair;
pub use heredoc::Heredoc;
pub(crate) use heredoc::heredoc_of;
pub use instruction::{
    Add, Arg, CommandLine, Copy, From, Healthcheck, Instruction, Kind, MountFlag, Run, RunNetwork,
    Transfer,
};
pub use span::{Position, Span};
pub(crate) use syntax::is_stock;

use crate::warnings::{self, Warning};
use lines::Statement;

/// A Dockerfile that can be read.
#[derive(Clone, Debug)]
pub struct Dockerfile {
    /// What spans point into.
    pub text: Arc<str>,
    /// The escape character.
    pub escape: char,
    /// `# check=`
    pub check: Option<String>,
    /// Instructions before the first `FROM`; each is an `ARG`.
    pub globals: Vec<Instruction>,
    /// The stages; never empty.
    pub stages: Vec<Stage>,
    /// What its text alone gives rise to; which of them count is known when `check` was read.
    pub warnings: Vec<Warning>,
}

/// A `FROM` and what follows it.
#[derive(Clone, Debug)]
pub struct Stage {
    /// What it begins with.
    pub from: From,
    /// The `FROM` itself.
    pub head: Instruction,
    /// The instructions.
    pub instructions: Vec<Instruction>,
}

/// Reads a Dockerfile.
pub fn parse(text: &str) -> Result<Dockerfile, Faults> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let read = lines::read(text);
    let mut faults = read.faults;
    faults.extend(syntax::check(text));
    let mut file = Dockerfile {
        text: Arc::from(text),
        escape: read.escape,
        check: read.check.map(|(value, _)| value),
        globals: Vec::new(),
        stages: Vec::new(),
        warnings: read.warnings,
    };
    for statement in &read.statements {
        match understand::understand(statement, read.escape) {
            Ok(instruction) => {
                warnings::of_statement(&instruction, &statement.comments, &mut file.warnings);
                faults.extend(file.add(instruction));
            }
            Err(fault) => faults.push(fault),
        }
    }
    if file.stages.is_empty() && faults.is_empty() {
        let span = file
            .globals
            .last()
            .map_or(Span::default(), |last| last.span);
        faults.push(Fault::new(Mistake::NoStage, span));
    }
    if faults.is_empty() {
        return Ok(file);
    }
    faults.sort_by_key(|fault| fault.span.start);
    Err(Faults(faults))
}

/// Reads a trigger of `ONBUILD`, which knows no directives. Everything in it stands at one place: the `FROM` it runs
/// behind.
pub(crate) fn parse_trigger(text: &str, span: Span) -> Result<Instruction, Fault> {
    let read = lines::read(text);
    if let Some(fault) = read.faults.into_iter().next() {
        return Err(Fault { span, ..fault });
    }
    let [statement]: &[Statement] = read.statements.as_slice() else {
        return Err(Fault::new(Mistake::OneTrigger, span));
    };
    let mut instruction =
        understand::understand(statement, read.escape).map_err(|fault| Fault { span, ..fault })?;
    instruction.span = span;
    if let Kind::Run(run) = &mut instruction.kind {
        for mount in &mut run.mounts {
            mount.span = span;
        }
    }
    Ok(instruction)
}

impl Dockerfile {
    fn add(&mut self, instruction: Instruction) -> Option<Fault> {
        if let Kind::From(from) = &instruction.kind {
            self.stages.push(Stage {
                from: from.clone(),
                head: instruction,
                instructions: Vec::new(),
            });
            return None;
        }
        if let Some(stage) = self.stages.last_mut() {
            stage.instructions.push(instruction);
            return None;
        }
        if matches!(instruction.kind, Kind::Arg(_)) {
            self.globals.push(instruction);
            return None;
        }
        let mistake = Mistake::BeforeFrom(instruction.name().to_owned());
        Some(Fault::new(mistake, instruction.span))
    }
}
