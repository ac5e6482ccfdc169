//! What services read from files: variables of `env_file`, and seccomp profiles.

use std::collections::{BTreeMap, BTreeSet};

use super::discover::env_fault;
use super::{FileError, Session, path};
use crate::diagnostic::Diagnostic;
use crate::grammar::dotenv;
use crate::model::{EnvFile, Project, Service};
use crate::source::Span;

/// Completes the environment of the services that were asked for, and reads their profiles.
pub(crate) fn resolve(session: &mut Session<'_>, project: &mut Project) {
    if session.options.skip_env_files {
        return;
    }
    let wanted = wanted(session, project);
    for name in wanted {
        let Some(service) = project.services.get(&name) else {
            continue;
        };
        let mut environment = BTreeMap::new();
        for (index, file) in service.env_file.iter().enumerate() {
            let at = project.span(&format!("services/{name}/env_file/{index}"));
            read(session, file, at, &project.environment, &mut environment);
        }
        let profile = seccomp(session, project, service);
        if let Some(service) = project.services.get_mut(&name) {
            let mut all: BTreeMap<_, _> = environment
                .into_iter()
                .map(|(name, value)| (name, Some(value)))
                .collect();
            all.append(&mut service.environment);
            service.environment = all;
            service.seccomp_profile = profile;
        }
    }
}

/// The services named on the command line with everything they depend on, or all.
fn wanted(session: &Session<'_>, project: &Project) -> BTreeSet<String> {
    if session.options.services.is_empty() {
        return project.services.keys().cloned().collect();
    }
    let mut wanted = BTreeSet::new();
    let mut pending = session.options.services.clone();
    while let Some(name) = pending.pop() {
        if let Some(service) = project.services.get(&name)
            && wanted.insert(name)
        {
            pending.extend(service.depends_on.keys().cloned());
        }
    }
    wanted
}

fn read(
    session: &mut Session<'_>,
    file: &EnvFile,
    at: Option<Span>,
    caller: &BTreeMap<String, String>,
    environment: &mut BTreeMap<String, String>,
) {
    let shown = path::shown(&session.options.cwd, &file.path);
    let text = match session.files.read(&file.path) {
        Ok(text) => text,
        Err(FileError::NotFound) if !file.required => return,
        Err(error) => {
            let message = format!("cannot read the env file {shown}: {error}");
            let fault = Diagnostic::error("compose::env-file", message).at(at, "");
            session.faults.push(match error {
                FileError::NotFound => fault.help("if it may be missing, say `required: false`"),
                _ => fault,
            });
            return;
        }
    };
    let lookup = |name: &str| caller.get(name).or_else(|| environment.get(name)).cloned();
    let parsed = match file.format.as_deref() {
        Some("raw") => dotenv::parse_raw(&text, &lookup),
        _ => dotenv::parse(&text, &lookup),
    };
    match parsed {
        Ok(pairs) => environment.extend(pairs),
        Err(fault) => {
            let source = session.sources.add(shown, text);
            let span = Span {
                source,
                start: fault.range.start,
                end: fault.range.end,
            };
            session.faults.push(env_fault(fault, span));
        }
    }
}

/// The text of the profile that `security_opt` names, if it names a file.
fn seccomp(session: &mut Session<'_>, project: &Project, service: &Service) -> Option<String> {
    let (index, file) = service
        .security_opt
        .iter()
        .enumerate()
        .find_map(|(index, option)| {
            let file = option
                .strip_prefix("seccomp=")
                .or_else(|| option.strip_prefix("seccomp:"))?;
            (!matches!(file, "unconfined" | "builtin")).then_some((index, file))
        })?;
    let file = path::join(&project.working_dir, file);
    match session.files.read(&file) {
        Ok(text) => Some(text),
        Err(error) => {
            let shown = path::shown(&session.options.cwd, &file);
            let at = project.span(&format!("services/{}/security_opt/{index}", service.name));
            session.faults.push(
                Diagnostic::error(
                    "compose::seccomp",
                    format!("cannot read the seccomp profile {shown}: {error}"),
                )
                .at(at, ""),
            );
            None
        }
    }
}
