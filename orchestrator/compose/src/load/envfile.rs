//! What services read from files: variables of `env_file`, and seccomp profiles.

use std::collections::{BTreeMap, BTreeSet};

use super::discover::env_fault;
use super::{FileError, Session, path};
use crate::diagnostic::Diagnostic;
use crate::grammar::{Fault, dotenv};
use crate::model::{EnvFile, Project, Service};
use crate::source::Span;
use crate::support::Refusal;

/// Completes the environment and the labels of the services that were asked for, and reads their
/// profiles.
pub(crate) fn resolve(session: &mut Session<'_>, project: &mut Project) {
    let wanted = wanted(session, project);
    for name in wanted {
        let Some(service) = project.services.get(&name) else {
            continue;
        };
        let labels = labels(session, project, service);
        if session.options.skip_env_files {
            if let Some(service) = project.services.get_mut(&name) {
                service.labels = labels;
            }
            continue;
        }
        let environment = variables(session, project, service);
        let profile = seccomp(session, project, service);
        if let Some(service) = project.services.get_mut(&name) {
            service.labels = labels;
            service.environment = environment;
            service.env_files_read = std::mem::take(&mut service.env_file);
            service.seccomp_profile = profile;
        }
    }
}

/// A service's variables over those of its files.
fn variables(
    session: &mut Session<'_>,
    project: &Project,
    service: &Service,
) -> BTreeMap<String, Option<String>> {
    let own: BTreeMap<String, Option<String>> = service
        .environment
        .iter()
        .map(|(name, value)| {
            let inherited = || project.environment.get(name).cloned();
            (name.clone(), value.clone().or_else(inherited))
        })
        .collect();
    let mut found: BTreeMap<String, String> = own
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), value.clone()?)))
        .collect();
    for (index, file) in service.env_file.iter().enumerate() {
        let at = project.span(&format!("services/{}/env_file/{index}", service.name));
        let known = [&project.environment, &own_values(&own)];
        read(session, file, at, &known, &mut found);
    }
    let mut all: BTreeMap<_, _> = found
        .into_iter()
        .map(|(name, value)| (name, Some(value)))
        .collect();
    all.extend(own);
    all
}

fn own_values(own: &BTreeMap<String, Option<String>>) -> BTreeMap<String, String> {
    own.iter()
        .filter_map(|(name, value)| Some((name.clone(), value.clone()?)))
        .collect()
}

/// A service's labels over those of its files.
fn labels(
    session: &mut Session<'_>,
    project: &Project,
    service: &Service,
) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for (index, path) in service.label_file.iter().enumerate() {
        let at = project.span(&format!("services/{}/label_file/{index}", service.name));
        let shown = path::shown(&session.options.cwd, path);
        let text = match session.files.read(path) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("cannot read the label file {shown}: {error}");
                let fault = Diagnostic::error("compose::label-file", message).at(at, "");
                session.faults.push(fault);
                continue;
            }
        };
        let lookup = |name: &str| labels.get(name).cloned();
        let parsed = dotenv::parse(&text, &lookup);
        match parsed {
            Ok(pairs) => labels.extend(pairs),
            Err(fault) => faulty(session, shown, text, fault),
        }
    }
    labels.extend(service.labels.clone());
    labels
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
    known: &[&BTreeMap<String, String>],
    environment: &mut BTreeMap<String, String>,
) {
    let shown = path::shown(&session.options.cwd, &file.path);
    if let Some(format) = &file.format
        && !matches!(format.as_str(), "raw" | "")
    {
        let message = format!("there is no format `{format}` for env files");
        let fault = Diagnostic::error("compose::env-file", message).at(at, "");
        session.faults.push(fault.help("`raw` is the only one"));
        return;
    }
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
    let lookup = |name: &str| {
        let known = known.iter().find_map(|known| known.get(name));
        known.or_else(|| environment.get(name)).cloned()
    };
    let parsed = match file.format.as_deref() {
        Some("raw") => dotenv::parse_raw(&text, &lookup),
        _ => dotenv::parse(&text, &lookup),
    };
    match parsed {
        Ok(pairs) => environment.extend(pairs),
        Err(fault) => faulty(session, shown, text, fault),
    }
}

fn faulty(session: &mut Session<'_>, shown: String, text: String, fault: Fault) {
    let source = session.sources.add(shown, text);
    let span = Span {
        source,
        start: fault.range.start,
        end: fault.range.end,
    };
    session.faults.push(env_fault(fault, span));
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
            let fault = Diagnostic::error(
                "compose::seccomp",
                format!("cannot read the seccomp profile {shown}: {error}"),
            );
            let owner = format!("services/{}", service.name);
            session
                .refusals
                .push(Refusal::new(&owner, fault.at(at, "")));
            None
        }
    }
}
