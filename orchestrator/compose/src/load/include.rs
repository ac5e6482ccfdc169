//! `include`: other files with a folder and variables of their own, laid under the file that
//! includes them.

use super::assemble::{self, File, Scope};
use super::{Env, Session, discover, path};
use crate::diagnostic::Diagnostic;
use crate::merge;
use crate::shape::reset;
use crate::source::Span;
use crate::yaml::{Entry, Mapping, Node, Value};

/// The sections that are imported.
const SECTIONS: [&str; 6] = [
    "services", "volumes", "networks", "secrets", "configs", "models",
];

/// Loads everything a document includes and removes its `include`.
pub(crate) fn apply(
    session: &mut Session<'_>,
    scope: &Scope,
    chain: &[String],
    document: &mut Node,
    resets: &[Vec<String>],
) {
    let Some(entry) = document
        .mapping_mut()
        .and_then(|root| root.shift_remove("include"))
    else {
        return;
    };
    if entry.value.is_null() {
        return;
    }
    let before = session.faults.len();
    crate::schema::check_include(&session.sources, &entry.value, &mut session.faults);
    if session.faults.len() > before {
        return;
    }
    for item in entry.value.sequence().into_iter().flatten() {
        if let Some(imported) = one(session, scope, chain, item) {
            import(session, document, imported, resets);
        }
    }
}

/// The strings of a string or a list of them.
fn texts(node: Option<&Node>) -> Vec<(String, Span)> {
    let one = |node: &Node| Some((node.as_text()?.to_owned(), node.span));
    match node.map(|node| (&node.value, node)) {
        Some((Value::Sequence(items), _)) => items.iter().filter_map(one).collect(),
        Some((_, node)) => one(node).into_iter().collect(),
        None => Vec::new(),
    }
}

fn one(session: &mut Session<'_>, scope: &Scope, chain: &[String], item: &Node) -> Option<Node> {
    let listed = match item.as_text() {
        Some(_) => texts(Some(item)),
        None => texts(item.get("path")),
    };
    let project_directory = item.get("project_directory").and_then(Node::as_text);
    if let Some((file, span)) = listed.iter().find(|(file, _)| discover::remote(file)) {
        session
            .faults
            .push(discover::remote_fault(file, Some(*span)));
        return None;
    }
    let paths: Vec<(String, Span)> = listed
        .into_iter()
        .map(|(file, span)| (path::join(&scope.directory, &file), span))
        .collect();
    let (main, at) = paths.first()?;
    if chain.contains(main) {
        let fault = cycle(session, chain, main, *at);
        session.faults.push(fault);
        return None;
    }
    let (directory, base) = match project_directory {
        None | Some("") => {
            let directory = path::parent(main).unwrap_or("/").to_owned();
            let base = path::relative(&scope.directory, &directory);
            (directory, base)
        }
        Some(folder) if folder.starts_with('/') => (folder.to_owned(), folder.to_owned()),
        Some(folder) => {
            let directory = path::join(&scope.directory, folder);
            let base = path::relative(&scope.directory, &directory);
            (directory, base)
        }
    };
    let environment = environment(session, scope, item, &directory)?;
    let mut files = Vec::new();
    for (file, span) in paths {
        files.push(read(session, file, span)?);
    }
    let scope = Scope {
        directory,
        base,
        environment,
        chain: chain.to_vec(),
        paths: true,
    };
    assemble::assemble(session, &scope, files)
}

/// The environment of the includer, completed by the env files of what is included.
fn environment(
    session: &mut Session<'_>,
    scope: &Scope,
    item: &Node,
    directory: &str,
) -> Option<Env> {
    let mut files: Vec<(String, Option<Span>)> = texts(item.get("env_file"))
        .into_iter()
        .filter(|(file, _)| file != "/dev/null")
        .map(|(file, span)| (path::join(&scope.directory, &file), Some(span)))
        .collect();
    if item.get("env_file").is_none() {
        let usual = path::join(directory, ".env");
        if session.files.is_file(&usual) {
            files.push((usual, None));
        }
    }
    let mut environment = scope.environment.clone();
    let mut found = Env::new();
    for (file, span) in files {
        let known = [&scope.environment, &found];
        let read = discover::read_env_file(session, &file, &known, span)?;
        found.extend(read);
    }
    for (name, value) in found {
        environment.entry(name).or_insert(value);
    }
    Some(environment)
}

fn read(session: &mut Session<'_>, file: String, at: Span) -> Option<File> {
    let shown = path::shown(&session.options.cwd, &file);
    match session.files.read(&file) {
        Ok(text) => {
            let source = session.sources.add(shown, text);
            Some(assemble::parse(session, file, source))
        }
        Err(error) => {
            let message = format!("cannot include {shown}: {error}");
            session
                .faults
                .push(Diagnostic::error("compose::include", message).at(at, ""));
            None
        }
    }
}

fn cycle(session: &Session<'_>, chain: &[String], file: &str, at: Span) -> Diagnostic {
    let shown: Vec<String> = chain
        .iter()
        .map(String::as_str)
        .chain([file])
        .map(|file| path::shown(&session.options.cwd, file))
        .collect();
    let message = format!("files include each other: {}", shown.join(" -> "));
    Diagnostic::error("compose::include", message).at(at, "it is being read already")
}

/// Lays the sections of a document over those of an imported one.
fn import(
    session: &mut Session<'_>,
    document: &mut Node,
    mut imported: Node,
    resets: &[Vec<String>],
) {
    for section in SECTIONS {
        let Some(from) = imported.get_mut(section).and_then(Node::mapping_mut) else {
            continue;
        };
        let from = std::mem::take(from);
        document.default_to(section, |span| {
            Node::new(Value::Mapping(Mapping::new()), span)
        });
        let Some(to) = document.get_mut(section).and_then(Node::mapping_mut) else {
            continue;
        };
        for (name, mut entry) in from {
            let Some(own) = to.get_mut(&name) else {
                to.insert(name, entry);
                continue;
            };
            reset::apply_below(&mut entry.value, section, &name, resets);
            let over = std::mem::replace(&mut own.value, Node::null(entry.key_span));
            let faults = &mut session.faults;
            crate::warnings::include_override(section, &name, &entry.value, &over, faults);
            let merged =
                merge::merge_entry_of(section, &name, entry.value, over, &mut session.faults);
            *own = Entry {
                key_span: own.key_span,
                value: merged,
            };
        }
    }
}
