//! From a folder, an environment and the command line's options to a [`Project`].
//!
//! The order is Compose's: find files and env files; per file parse, interpolate, apply `extends`;
//! merge onto the files before; then decode, normalise and check the result as a whole.

mod check;
mod discover;
mod envfile;
mod extends;
mod files;
mod graph;
mod interpolate;
mod name;
mod normalize;
pub(crate) mod path;
mod ports;

use std::collections::BTreeMap;

use crate::decode::{self, Decoder};
use crate::diagnostic::{Diagnostic, Severity, render_all};
use crate::merge;
use crate::model::Project;
use crate::source::Sources;
use crate::yaml::{self, Node};

pub(crate) use interpolate::inside;

pub use files::{FileError, Files, MemoryFiles};

/// The environment of the caller.
pub type Env = BTreeMap<String, String>;

/// What the command line says about loading.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where the caller stands, absolute. Relative paths below are seen from here.
    pub cwd: String,
    /// `-f`, in order; `-` is standard input. Empty means `COMPOSE_FILE`, else discovery.
    pub files: Vec<String>,
    /// `--project-directory`.
    pub project_directory: Option<String>,
    /// `-p`.
    pub project_name: Option<String>,
    /// `--profile`; empty means `COMPOSE_PROFILES`. `*` is all of them.
    pub profiles: Vec<String>,
    /// `--env-file`; empty means `COMPOSE_ENV_FILES`, else `.env`.
    pub env_files: Vec<String>,
    /// Services named on the command line: their profiles count as active, and only they and
    /// what they depend on get their `env_file`s read. Empty means all.
    pub services: Vec<String>,
    /// Do not read the services' `env_file`s at all: `ps`, `logs`, `down` work without them.
    pub skip_env_files: bool,
}

/// A project that may be run.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The project.
    pub project: Project,
    /// What its author should know.
    pub warnings: Vec<Diagnostic>,
}

impl Loaded {
    /// The warnings for people.
    #[must_use]
    pub fn render_warnings(&self, color: bool) -> String {
        render_all(&self.warnings, &self.project.sources, color)
    }
}

/// Everything that is wrong with a project's files, warnings first found included.
#[derive(Clone, Debug)]
pub struct Faults {
    /// At least one error, in the order of the files.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts they point into.
    pub sources: Sources,
}

impl Faults {
    /// The text for people.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        render_all(&self.diagnostics, &self.sources, color)
    }

    /// The form for programs: a list of diagnostics.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        self.diagnostics
            .iter()
            .map(|diagnostic| diagnostic.to_json(&self.sources))
            .collect()
    }
}

impl std::fmt::Display for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Faults {}

/// What the steps of loading share.
pub(crate) struct Session<'a> {
    files: &'a dyn Files,
    options: &'a Options,
    sources: Sources,
    faults: Vec<Diagnostic>,
}

impl Session<'_> {
    fn failed(&self) -> bool {
        self.faults
            .iter()
            .any(|fault| fault.severity == Severity::Error)
    }
}

/// Loads a project.
///
/// # Errors
/// Everything that is wrong, all at once. Steps that build on each other stop at the first that
/// fails: a file that is no YAML is not checked for unknown keys.
pub fn load(files: &dyn Files, env: &Env, options: &Options) -> Result<Loaded, Faults> {
    let sources = Sources::default();
    let mut session = Session {
        files,
        options,
        sources,
        faults: Vec::new(),
    };
    let project = run(&mut session, env);
    sort(&mut session);
    match project {
        Some(mut project) if !session.failed() => {
            project.sources = session.sources;
            Ok(Loaded {
                project,
                warnings: session.faults,
            })
        }
        _ => Err(Faults {
            diagnostics: session.faults,
            sources: session.sources,
        }),
    }
}

/// The order of the files, whatever order the checks run in.
fn sort(session: &mut Session<'_>) {
    session
        .faults
        .sort_by_key(|fault| fault.primary.as_ref().map(|label| label.span));
    session.faults.dedup();
}

fn run(session: &mut Session<'_>, env: &Env) -> Option<Project> {
    let found = discover::discover(session, env)?;
    let mut documents: Vec<(usize, Node)> = Vec::new();
    for (index, (_, source)) in found.sources.iter().enumerate() {
        let nodes = yaml::read_documents(&session.sources, *source, &mut session.faults);
        documents.extend(nodes.into_iter().map(|node| (index, node)));
    }
    if session.failed() {
        return None;
    }
    let mut environment = found.environment.clone();
    let name = name::project_name(session, &found, &environment, &documents)?;
    environment.insert("COMPOSE_PROJECT_NAME".to_owned(), name.clone());

    let mut merged: Option<Node> = None;
    for (_, mut document) in documents {
        if document.is_null() {
            continue;
        }
        interpolate::interpolate(session, &mut document, &environment);
        extends::apply(session, &mut document, &found, &environment);
        merged = Some(match merged {
            None => document,
            Some(base) => merge::merge(base, document, &mut session.faults),
        });
    }
    let Some(mut root) = merged else {
        let files: Vec<_> = found
            .sources
            .iter()
            .map(|(path, _)| shown(session, path))
            .collect();
        session.faults.push(
            Diagnostic::error(
                "compose::empty-file",
                format!("{} is empty", files.join(", ")),
            )
            .help("a compose file has at least `services:` with one service"),
        );
        return None;
    };
    merge::drop_resets(&mut root);

    let mut decoder = Decoder::new(&session.sources);
    let mut project = decode::project(&mut decoder, &root);
    let (faults, spans) = decoder.finish();
    session.faults.extend(faults);
    if session.failed() {
        return None;
    }
    project.name = name;
    project.spans = spans;
    project.working_dir.clone_from(&found.directory);
    project.files = found.sources.iter().map(|(path, _)| path.clone()).collect();
    project.env_files.clone_from(&found.env_files);
    project.environment = environment;
    normalize::normalize(session, &found, &mut project);
    check::check(session, &mut project);
    if session.failed() {
        return None;
    }
    envfile::resolve(session, &mut project);
    Some(project)
}

fn shown(session: &Session<'_>, path: &str) -> String {
    path::shown(&session.options.cwd, path)
}
