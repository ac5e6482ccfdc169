//! From the documents of some files to one canonical tree: the same for a project, for what it
//! includes, and for a file that a service extends.

use super::{Env, Session, extends, include, interpolate};
use crate::diagnostic::Diagnostic;
use crate::merge;
use crate::schema;
use crate::shape::{
    self, Findings, canonical, defaults, normalize, paths, reset, unique, validate,
};
use crate::source::SourceId;
use crate::yaml::{self, Mapping, Node, Value};

/// The folder, the variables and the history that files are read with.
pub(crate) struct Scope {
    /// The absolute folder that files are looked for from.
    pub(crate) directory: String,
    /// What relative paths are laid onto: the folder, or for something included the way to it.
    pub(crate) base: String,
    /// Variables for interpolation.
    pub(crate) environment: Env,
    /// The files that led here, this one's includer last.
    pub(crate) chain: Vec<String>,
    /// Whether paths are made absolute.
    pub(crate) paths: bool,
}

/// One file with its documents, as they were parsed.
pub(crate) struct File {
    /// The absolute path, or `-`.
    pub(crate) path: String,
    /// Its text.
    pub(crate) source: SourceId,
    /// Its documents.
    pub(crate) documents: Vec<Node>,
}

/// Parses a source; what is faulty in it goes to the session.
pub(crate) fn parse(session: &mut Session<'_>, path: String, source: SourceId) -> File {
    let documents = yaml::read_documents(&session.sources, source, &mut session.faults);
    for document in &documents {
        crate::warnings::scalars(document, &mut session.faults);
    }
    File {
        path,
        source,
        documents,
    }
}

/// An empty mapping at the start of a file.
fn nothing(source: SourceId) -> Node {
    let span = crate::source::Span {
        source,
        start: 0,
        end: 0,
    };
    Node::new(Value::Mapping(Mapping::new()), span)
}

/// Merges files in order and completes the result, all but what only a whole project needs.
pub(crate) fn assemble(session: &mut Session<'_>, scope: &Scope, files: Vec<File>) -> Option<Node> {
    let mut root: Option<Node> = None;
    for file in files {
        for document in file.documents {
            let base = root.take().unwrap_or_else(|| nothing(file.source));
            let mut chain = scope.chain.clone();
            chain.push(file.path.clone());
            root = Some(add(session, scope, &chain, base, document));
        }
    }
    let mut root = root?;
    defaults::defaults(&mut root);
    validate::validate(&root, &mut session.findings());
    if scope.paths {
        session.resolve_paths(&mut root, &scope.base);
    }
    normalize::listed_variables(&mut root, &scope.environment);
    Some(root)
}

/// Lays a document onto what was merged before it.
fn add(
    session: &mut Session<'_>,
    scope: &Scope,
    chain: &[String],
    mut base: Node,
    mut document: Node,
) -> Node {
    if document.mapping().is_none() {
        let kind = document.kind();
        let message = "a compose file is a mapping that has `services:`";
        session.faults.push(
            Diagnostic::error("compose::wrong-type", message)
                .at(document.span, format!("this is {kind}")),
        );
        return base;
    }
    let resets = reset::take(&mut document);
    interpolate::interpolate(session, &mut document, &scope.environment);
    promote_develop(&mut document);
    include::apply(session, scope, chain, &mut document, &resets);
    reset::apply(&mut base, &resets);
    extends::apply(session, scope, &mut document, &resets);
    let mut merged = merge::merge(base, document, &mut session.faults);
    let mut findings = session.findings();
    unique::unique(&mut merged, &mut findings);
    schema::check(findings.sources, &merged, findings.faults);
    version(&mut merged, &mut findings);
    canonical::canonical(&mut merged, &mut findings);
    unique::unique(&mut merged, &mut findings);
    merged
}

/// A file that services are taken from one by one: it may lack what its extenders add.
pub(crate) fn loose(
    session: &mut Session<'_>,
    scope: &Scope,
    file: File,
) -> (Node, Vec<Vec<String>>) {
    let mut root = nothing(file.source);
    let mut resets = Vec::new();
    for mut document in file.documents {
        if document.mapping().is_none() {
            continue;
        }
        resets = reset::take(&mut document);
        interpolate::interpolate(session, &mut document, &scope.environment);
        reset::apply(&mut root, &resets);
        root = merge::merge(root, document, &mut session.faults);
        let mut findings = session.findings();
        unique::unique(&mut root, &mut findings);
        canonical::canonical(&mut root, &mut findings);
        unique::unique(&mut root, &mut findings);
    }
    (root, resets)
}

/// `x-develop` is how `develop` was written before it was one.
fn promote_develop(document: &mut Node) {
    let services = document.get_mut("services").and_then(Node::mapping_mut);
    for (_, entry) in services.into_iter().flatten() {
        if let Some(service) = entry.value.mapping_mut()
            && let Some(develop) = service.shift_remove("x-develop")
        {
            service.insert("develop".to_owned(), develop);
        }
    }
}

/// `version` was once needed and means nothing now.
fn version(root: &mut Node, findings: &mut Findings<'_>) {
    let removed = root
        .mapping_mut()
        .and_then(|mapping| mapping.shift_remove("version"));
    if let Some(entry) = removed {
        findings.faults.push(
            Diagnostic::warning("compose::version", "`version` is obsolete and ignored")
                .at(entry.key_span, "")
                .help("remove the line"),
        );
    }
}

impl Session<'_> {
    /// What the steps on trees share.
    pub(crate) fn findings(&mut self) -> Findings<'_> {
        Findings {
            sources: &self.sources,
            faults: &mut self.faults,
            lenient: self.options.no_interpolate,
        }
    }

    /// Lays the relative paths of a tree onto a folder.
    pub(crate) fn resolve_paths(&self, root: &mut Node, directory: &str) {
        let base = paths::Base {
            directory,
            home: self.home.as_deref(),
        };
        shape::paths::resolve(root, &base);
    }
}
