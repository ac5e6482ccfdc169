//! From a folder, an environment and the command line's options to a [`Project`].
//!
//! The order is Compose's: find files and env files; per document interpolate, load what it includes,
//! apply `extends`, merge onto the documents before, check against the schema, write out short forms;
//! then defaults, paths, and what follows from all that; then decode and check the result as a whole.

mod assemble;
mod check;
mod discover;
mod envfile;
mod extends;
mod files;
mod graph;
mod include;
mod interpolate;
mod name;
mod normalize;
pub(crate) mod path;
mod ports;

use std::collections::{BTreeMap, HashSet};

use crate::decode::{self, Decoder};
use crate::diagnostic::{Diagnostic, Severity, render_all};
use crate::model::{Extension, Project};
use crate::print;
use crate::schema;
use crate::shape;
use crate::source::Sources;
use crate::support::{self, Refusal};
use crate::warnings;
use crate::yaml::Node;

pub(crate) use interpolate::inside;
pub(crate) use normalize::drop_unused;

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
    /// Leave `$` alone.
    pub no_interpolate: bool,
    /// Leave out what follows from what was written: default network, names, implied dependencies.
    pub no_normalize: bool,
    /// Do not look whether the project makes sense as a whole.
    pub no_consistency: bool,
    /// Leave relative paths as they are.
    pub no_path_resolution: bool,
    /// Keep the networks, volumes, configs, secrets and models that no active service uses.
    pub all_resources: bool,
}

/// A project that may be run.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The project.
    pub project: Project,
    /// What its author should know.
    pub warnings: Vec<Diagnostic>,
    /// What it asks for that no container can be made with. Loading goes on without; a command that
    /// makes containers has to refuse.
    pub refusals: Vec<Refusal>,
}

impl Loaded {
    /// What is refused, for people; empty if nothing is.
    #[must_use]
    pub fn render_refusals(&self, color: bool) -> String {
        let refused: Vec<Diagnostic> = self
            .refusals
            .iter()
            .map(|refusal| refusal.diagnostic.clone())
            .collect();
        render_all(&refused, &self.project.sources, color)
    }

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
    refusals: Vec<Refusal>,
    /// Variables that were told to be unset.
    unset: HashSet<String>,
    /// The caller's home, for `~`.
    home: Option<String>,
}

impl Session<'_> {
    fn failed(&self) -> bool {
        self.faults
            .iter()
            .any(|fault| fault.severity == Severity::Error)
    }
}

impl<'a> Session<'a> {
    fn new(files: &'a dyn Files, env: &Env, options: &'a Options) -> Self {
        Self {
            files,
            options,
            sources: Sources::default(),
            faults: Vec::new(),
            refusals: Vec::new(),
            unset: HashSet::new(),
            home: env.get("HOME").cloned(),
        }
    }

    fn into_faults(self) -> Faults {
        Faults {
            diagnostics: self.faults,
            sources: self.sources,
        }
    }
}

/// Loads a project.
///
/// # Errors
/// Everything that is wrong, all at once. Steps that build on each other stop at the first that
/// fails: a file that is no YAML is not checked for unknown keys.
pub fn load(files: &dyn Files, env: &Env, options: &Options) -> Result<Loaded, Faults> {
    let mut session = Session::new(files, env, options);
    let project = run(&mut session, env);
    sort(&mut session);
    match project {
        Some(mut project) if !session.failed() => {
            project.sources = session.sources;
            Ok(Loaded {
                project,
                warnings: session.faults,
                refusals: session.refusals,
            })
        }
        _ => Err(session.into_faults()),
    }
}

/// The merged tree of a project's files in long forms, before it becomes a model: what can be said of
/// it where variables are left as they are.
///
/// # Errors
/// As for [`load`].
pub fn tree(files: &dyn Files, env: &Env, options: &Options) -> Result<serde_json::Value, Faults> {
    let mut session = Session::new(files, env, options);
    let root = find(&mut session, env).map(|(_, root, _)| root);
    sort(&mut session);
    match root {
        Some(root) if !session.failed() => Ok(print::plain_json(&root)),
        _ => Err(session.into_faults()),
    }
}

/// What an editor wants to know of files it holds in memory.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The project, unless something is wrong with it.
    pub project: Option<Project>,
    /// Errors, warnings, and what no container can be made with, in the order of the files.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts they point into.
    pub sources: Sources,
}

/// Looks at files in memory, of which `options` names those to start from.
#[must_use]
pub fn inspect(files: &MemoryFiles, env: &Env, options: &Options) -> Inspection {
    match load(files, env, options) {
        Ok(loaded) => {
            let refused = loaded
                .refusals
                .into_iter()
                .map(|refusal| refusal.diagnostic);
            let mut diagnostics = loaded.warnings;
            diagnostics.extend(refused);
            diagnostics.sort_by_key(|fault| fault.primary.as_ref().map(|label| label.span));
            Inspection {
                diagnostics,
                sources: loaded.project.sources.clone(),
                project: Some(loaded.project),
            }
        }
        Err(faults) => Inspection {
            project: None,
            diagnostics: faults.diagnostics,
            sources: faults.sources,
        },
    }
}

/// The order of the files, whatever order the checks run in.
fn sort(session: &mut Session<'_>) {
    session
        .faults
        .sort_by_key(|fault| fault.primary.as_ref().map(|label| label.span));
    let mut seen = HashSet::new();
    session.faults.retain(|fault| {
        let span = fault.primary.as_ref().map(|label| label.span);
        seen.insert((fault.code, span, fault.message.clone()))
    });
}

/// Finds the files and makes one tree of them.
fn find(session: &mut Session<'_>, env: &Env) -> Option<(discover::Found, Node, Env)> {
    let found = discover::discover(session, env)?;
    let mut files = Vec::new();
    for (path, source) in &found.sources {
        files.push(assemble::parse(session, path.clone(), *source));
    }
    if session.failed() {
        return None;
    }
    let mut environment = found.environment.clone();
    let mut documents = files.iter().flat_map(|file| &file.documents);
    let name = name::project_name(session, &found, &environment, &mut documents)?;
    if session.options.no_interpolate {
        // As with Compose, what is not filled in into texts is not filled in into lists either.
        environment.clear();
    }
    environment.insert("COMPOSE_PROJECT_NAME".to_owned(), name.clone());
    let scope = assemble::Scope {
        directory: found.directory.clone(),
        base: found.directory.clone(),
        environment,
        chain: Vec::new(),
        paths: !session.options.no_path_resolution,
    };
    let root = assemble::assemble(session, &scope, files);
    let environment = scope.environment;
    let root = root.filter(|root| root.mapping().is_none_or(|m| !m.is_empty()));
    let Some(mut root) = root else {
        if !session.failed() {
            session.faults.push(empty(session, &found));
        }
        return None;
    };
    if !session.options.no_normalize {
        let span = root.span;
        if let Some(mapping) = root.mapping_mut() {
            let value = Node::text(name.clone(), span);
            let entry = mapping
                .entry("name".to_owned())
                .or_insert(crate::yaml::Entry {
                    key_span: span,
                    value,
                });
            entry.value = Node::text(name.clone(), entry.value.span);
        }
        shape::normalize::normalize(&mut root, &name, &environment, &mut session.faults);
    }
    Some((found, root, environment))
}

fn empty(session: &Session<'_>, found: &discover::Found) -> Diagnostic {
    let files: Vec<_> = found
        .sources
        .iter()
        .map(|(path, _)| shown(session, path))
        .collect();
    Diagnostic::error(
        "compose::empty-file",
        format!("{} is empty", files.join(", ")),
    )
    .help("a compose file has at least `services:` with one service")
}

fn run(session: &mut Session<'_>, env: &Env) -> Option<Project> {
    let (found, root, environment) = find(session, env)?;
    let judged = support::judge(&root);
    let mut project = decode(session, root);
    if session.failed() {
        return None;
    }
    let name = environment.get("COMPOSE_PROJECT_NAME");
    project.name = name.cloned().unwrap_or_default();
    project.working_dir.clone_from(&found.directory);
    project.files = found.sources.iter().map(|(path, _)| path.clone()).collect();
    project.env_files.clone_from(&found.env_files);
    project.environment = environment;
    normalize::split_by_profile(session, &found, &mut project);
    if !session.options.no_consistency {
        check::check(session, &mut project);
    }
    if session.failed() {
        return None;
    }
    if !session.options.all_resources {
        normalize::drop_unused(&mut project);
    }
    envfile::resolve(session, &mut project);
    support(session, judged, &project);
    let cwd = &session.options.cwd;
    warnings::no_healthcheck(&project, &mut session.faults);
    warnings::shadowed(
        &session.sources,
        env,
        cwd,
        &found.env_files,
        &mut session.faults,
    );
    Some(project)
}

/// Decodes a tree. What is about a place that is faulty already is not told again.
fn decode(session: &mut Session<'_>, root: Node) -> Project {
    let mut extensions = Vec::new();
    schema::visit(&root, &mut |path, met| {
        if met.key.starts_with("x-") && !path.is_empty() {
            extensions.push(Extension {
                path: path.to_vec(),
                key: met.key.to_owned(),
                value: print::plain_json(&met.entry.value),
            });
        }
    });
    let mut decoder = Decoder::new(&session.sources);
    let mut project = decode::project(&mut decoder, root);
    let decoded = decoder.finish();
    project.nested_extensions = extensions;
    project.spans = decoded.spans;
    session.refusals.extend(decoded.refusals);
    let known: Vec<_> = session
        .faults
        .iter()
        .filter(|fault| fault.severity == Severity::Error)
        .filter_map(|fault| Some(fault.primary.as_ref()?.span))
        .collect();
    let told = |fault: &Diagnostic| {
        fault.primary.as_ref().is_some_and(|label| {
            known.iter().any(|span| {
                span.source == label.span.source
                    && span.start <= label.span.end
                    && label.span.start <= span.end
            })
        })
    };
    session
        .faults
        .extend(decoded.faults.into_iter().filter(|fault| !told(fault)));
    project
}

/// What is refused of what is in use, and what has no effect.
fn support(
    session: &mut Session<'_>,
    (refused, ignored): (Vec<Refusal>, Vec<Refusal>),
    project: &Project,
) {
    session.refusals.extend(refused);
    session.refusals.retain(|refusal| refusal.concerns(project));
    let ignored = ignored
        .into_iter()
        .filter(|notice| notice.concerns(project));
    session
        .faults
        .extend(ignored.map(|notice| notice.diagnostic));
    session
        .refusals
        .sort_by_key(|refusal| refusal.diagnostic.primary.as_ref().map(|label| label.span));
}

fn shown(session: &Session<'_>, path: &str) -> String {
    path::shown(&session.options.cwd, path)
}
