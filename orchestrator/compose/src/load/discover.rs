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
    let cwd = session.options.cwd.clone();
    environment.entry("PWD".to_owned()).or_insert(cwd);
    if let Some(file) = session.options.files.iter().find(|file| remote(file)) {
        let fault = remote_fault(file, None);
        session.faults.push(fault);
        return None;
    }
    let mut env_files = named_env_files(session, env);
    let named = !env_files.is_empty();
    let mut named_variables = Env::new();
    for file in &env_files {
        let known = [&environment, &named_variables];
        let read = read_env_file(session, file, &known, None);
        named_variables.extend(read.unwrap_or_default());
    }
    complete(&mut environment, named_variables);
    let first_dir = project_dir(session, &session.options.files);
    let dot_env = |session: &mut Session<'_>, dir: &str, env: &mut Env, read: &mut Vec<String>| {
        let file = path::join(dir, ".env");
        let enabled = !env
            .get("COMPOSE_DISABLE_ENV_FILE")
            .is_some_and(|v| truthy(v));
        if !named && enabled && session.files.is_file(&file) {
            let variables = read_env_file(session, &file, &[env], None);
            complete(env, variables.unwrap_or_default());
            read.push(file);
        }
    };
    dot_env(session, &first_dir, &mut environment, &mut env_files);

    let files = compose_files(session, &environment)?;
    if let Some(file) = files.iter().find(|file| remote(file)) {
        session.faults.push(remote_fault(file, None));
        return None;
    }
    let directory = project_dir(session, &files);
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

/// Whether a file is somewhere else than on this machine.
pub(crate) fn remote(file: &str) -> bool {
    let schemes = ["oci://", "git://", "http://", "https://", "ssh://", "git@"];
    schemes.iter().any(|scheme| file.starts_with(scheme))
        || file.starts_with("github.com/")
        || file.contains(".git#")
}

/// What is said about it.
pub(crate) fn remote_fault(file: &str, at: Option<Span>) -> Diagnostic {
    Diagnostic::error(
        "compose::remote-file",
        format!("`{file}` is not on this machine, and fetching compose files is not supported"),
    )
    .at(at, "")
    .help("fetch it yourself and name the file")
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

/// The active profiles. Where none is asked for, the one without a name is.
fn profiles(session: &Session<'_>, environment: &Env) -> Vec<String> {
    if !session.options.profiles.is_empty() {
        return session.options.profiles.clone();
    }
    let listed = environment.get("COMPOSE_PROFILES");
    let listed = listed.map_or("", String::as_str);
    listed
        .split(',')
        .map(|name| name.trim().to_owned())
        .collect()
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

/// The project directory, given the compose files if some are known: that of the first one that
/// has a place.
fn project_dir(session: &Session<'_>, files: &[String]) -> String {
    let cwd = session.options.cwd.as_str();
    if let Some(dir) = &session.options.project_directory {
        return path::join(cwd, dir);
    }
    match files.iter().find(|file| *file != "-") {
        None => cwd.to_owned(),
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
        if file == "-" || remote(file) {
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

/// Adds variables to an environment; what it already has wins, and of a file its last line.
fn complete(environment: &mut Env, variables: impl IntoIterator<Item = (String, String)>) {
    for (key, value) in variables.into_iter().collect::<Env>() {
        environment.entry(key).or_insert(value);
    }
}

/// Reads an env file. Its values may refer to `known` variables, the first of which wins.
pub(crate) fn read_env_file(
    session: &mut Session<'_>,
    file: &str,
    known: &[&Env],
    at: Option<Span>,
) -> Option<Vec<(String, String)>> {
    let shown = path::shown(&session.options.cwd, file);
    let text = match session.files.read(file) {
        Ok(text) => text,
        Err(error) => {
            let message = format!("cannot read the env file {shown}: {error}");
            session
                .faults
                .push(Diagnostic::error("compose::env-file", message).at(at, ""));
            return None;
        }
    };
    let source = session.sources.add(shown, text.as_str());
    let lookup = |name: &str| known.iter().find_map(|env| env.get(name)).cloned();
    match dotenv::parse(&text, &lookup) {
        Ok(pairs) => Some(pairs),
        Err(fault) => {
            let span = Span {
                source,
                start: fault.range.start,
                end: fault.range.end,
            };
            session.faults.push(env_fault(fault, span));
            None
        }
    }
}

/// A fault in an env file.
pub(crate) fn env_fault(fault: crate::grammar::Fault, span: Span) -> Diagnostic {
    let diagnostic = Diagnostic::error("compose::env-file", fault.message).at(span, "");
    fault.help.into_iter().fold(diagnostic, Diagnostic::help)
}
