//! Which files make the project, where it lives, and the environment it is read with.

use super::{Env, FileError, Session, path};
use crate::diagnostic::Diagnostic;
use crate::grammar::dotenv;
use crate::source::{SourceId, Span};

const NAMES: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
];
const OVERRIDES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// What discovery found.
pub(crate) struct Found {
    /// The compose files: absolute path (or `-`) and text.
    pub(crate) sources: Vec<(String, SourceId)>,
    /// The project directory, absolute.
    pub(crate) directory: String,
    /// The env files that were read, absolute.
    pub(crate) env_files: Vec<String>,
    /// The caller's environment, completed by the env files.
    pub(crate) environment: Env,
    /// The active profiles.
    pub(crate) profiles: Vec<String>,
}

/// Finds and reads everything; `None` if something is missing, and the faults say what.
pub(crate) fn discover(session: &mut Session<'_>, env: &Env) -> Option<Found> {
    let mut environment = env.clone();
    let mut env_files = named_env_files(session, env);
    let named = !env_files.is_empty();
    let mut named_variables = Env::new();
    for file in &env_files {
        let read = read_env_file(session, file, &[env, &named_variables], true);
        named_variables.extend(read);
    }
    complete(&mut environment, named_variables);
    let first_dir = project_dir(session, session.options.files.first().map(String::as_str));
    let dot_env = |session: &mut Session<'_>, dir: &str, env: &mut Env, read: &mut Vec<String>| {
        let file = path::join(dir, ".env");
        let enabled = !env
            .get("COMPOSE_DISABLE_ENV_FILE")
            .is_some_and(|v| truthy(v));
        if !named && enabled && session.files.is_file(&file) {
            let variables = read_env_file(session, &file, &[env], false);
            complete(env, variables);
            read.push(file);
        }
    };
    dot_env(session, &first_dir, &mut environment, &mut env_files);

    let files = compose_files(session, &environment)?;
    let directory = project_dir(session, files.first().map(String::as_str));
    if directory != first_dir {
        dot_env(session, &directory, &mut environment, &mut env_files);
    }
    let mut sources = Vec::new();
    for file in files {
        if let Some(source) = read_compose_file(session, &file) {
            sources.push((file, source));
        }
    }
    if session.failed() {
        return None;
    }
    let profiles = profiles(session, &environment);
    session.faults.extend(several_defaults(session, &sources));
    Some(Found {
        sources,
        directory,
        env_files,
        environment,
        profiles,
    })
}

fn truthy(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "1" | "t" | "true")
}

fn comma_list(value: &str) -> impl Iterator<Item = String> + '_ {
    value
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
}

fn profiles(session: &Session<'_>, environment: &Env) -> Vec<String> {
    if session.options.profiles.is_empty() {
        environment
            .get("COMPOSE_PROFILES")
            .into_iter()
            .flat_map(|v| comma_list(v))
            .collect()
    } else {
        session.options.profiles.clone()
    }
}

fn named_env_files(session: &Session<'_>, env: &Env) -> Vec<String> {
    let listed = || {
        env.get("COMPOSE_ENV_FILES")
            .into_iter()
            .flat_map(|v| comma_list(v))
            .collect()
    };
    let files: Vec<String> = if session.options.env_files.is_empty() {
        listed()
    } else {
        session.options.env_files.clone()
    };
    files
        .iter()
        .map(|file| path::join(&session.options.cwd, file))
        .collect()
}

/// The project directory, given the first compose file if one is known.
fn project_dir(session: &Session<'_>, first: Option<&str>) -> String {
    let cwd = session.options.cwd.as_str();
    if let Some(dir) = &session.options.project_directory {
        return path::join(cwd, dir);
    }
    match first {
        None | Some("-") => cwd.to_owned(),
        Some(file) => {
            let file = path::join(cwd, file);
            path::clean(path::parent(&file).unwrap_or("/"))
        }
    }
}

/// The compose files by name: the options', `COMPOSE_FILE`'s, or those found on the way up.
fn compose_files(session: &mut Session<'_>, environment: &Env) -> Option<Vec<String>> {
    let cwd = session.options.cwd.clone();
    let absolute = |file: &str| {
        if file == "-" {
            file.to_owned()
        } else {
            path::join(&cwd, file)
        }
    };
    if !session.options.files.is_empty() {
        return Some(
            session
                .options
                .files
                .iter()
                .map(|file| absolute(file))
                .collect(),
        );
    }
    if let Some(list) = environment
        .get("COMPOSE_FILE")
        .filter(|list| !list.is_empty())
    {
        let separator = environment
            .get("COMPOSE_PATH_SEPARATOR")
            .map_or(":", String::as_str);
        let separator = if separator.is_empty() { ":" } else { separator };
        return Some(list.split(separator).map(absolute).collect());
    }
    let start = session
        .options
        .project_directory
        .as_ref()
        .map(|dir| path::join(&cwd, dir));
    let start = start.unwrap_or(cwd);
    let mut dir = Some(start.as_str());
    while let Some(here) = dir {
        if let Some(file) = first_of(session, here, &NAMES) {
            let over = first_of(session, here, &OVERRIDES);
            return Some(std::iter::once(file).chain(over).collect());
        }
        dir = path::parent(here);
    }
    session.faults.push(
        Diagnostic::error(
            "compose::no-file",
            format!("no compose file in {start} or in any folder above it"),
        )
        .help(format!("looked for {}", NAMES.join(", ")))
        .help("name one with `-f FILE`"),
    );
    None
}

fn first_of(session: &Session<'_>, dir: &str, names: &[&str]) -> Option<String> {
    names
        .iter()
        .map(|name| path::join(dir, name))
        .find(|file| session.files.is_file(file))
}

fn several_defaults(session: &Session<'_>, sources: &[(String, SourceId)]) -> Option<Diagnostic> {
    if !session.options.files.is_empty() {
        return None;
    }
    let (used, _) = sources.first()?;
    let dir = path::parent(used)?;
    let others: Vec<_> = NAMES
        .iter()
        .filter(|name| path::base(used) != **name)
        .filter(|name| {
            NAMES.contains(&path::base(used)) && session.files.is_file(&path::join(dir, name))
        })
        .copied()
        .collect();
    if others.is_empty() {
        return None;
    }
    let message = format!("{} is used, {} is not", path::base(used), others.join(", "));
    Some(
        Diagnostic::warning("compose::several-files", message)
            .help("name the ones you mean with `-f`"),
    )
}

fn read_compose_file(session: &mut Session<'_>, file: &str) -> Option<SourceId> {
    let shown = match file {
        "-" => "<stdin>".to_owned(),
        _ => path::shown(&session.options.cwd, file),
    };
    match session.files.read(file) {
        Ok(text) => Some(session.sources.add(shown, text)),
        Err(error) => {
            let message = match error {
                FileError::NotFound => format!("the compose file {shown} does not exist"),
                other => format!("cannot read the compose file {shown}: {other}"),
            };
            session
                .faults
                .push(Diagnostic::error("compose::no-file", message));
            None
        }
    }
}

/// Adds variables to an environment; what it already has wins.
fn complete(environment: &mut Env, variables: impl IntoIterator<Item = (String, String)>) {
    for (key, value) in variables {
        environment.entry(key).or_insert(value);
    }
}

/// Reads an env file. Its values may refer to `known` variables, the first of which wins.
fn read_env_file(
    session: &mut Session<'_>,
    file: &str,
    known: &[&Env],
    required: bool,
) -> Vec<(String, String)> {
    let shown = path::shown(&session.options.cwd, file);
    let text = match session.files.read(file) {
        Ok(text) => text,
        Err(FileError::IsDirectory) if !required => return Vec::new(),
        Err(error) => {
            let message = format!("cannot read the env file {shown}: {error}");
            session
                .faults
                .push(Diagnostic::error("compose::env-file", message));
            return Vec::new();
        }
    };
    let source = session.sources.add(shown, text.as_str());
    let lookup = |name: &str| known.iter().find_map(|env| env.get(name)).cloned();
    match dotenv::parse(&text, &lookup) {
        Ok(pairs) => pairs,
        Err(fault) => {
            let span = Span {
                source,
                start: fault.range.start,
                end: fault.range.end,
            };
            session.faults.push(env_fault(fault, span));
            Vec::new()
        }
    }
}

/// A fault in an env file.
pub(crate) fn env_fault(fault: crate::grammar::Fault, span: Span) -> Diagnostic {
    let diagnostic = Diagnostic::error("compose::env-file", fault.message).at(span, "");
    fault.help.into_iter().fold(diagnostic, Diagnostic::help)
}
