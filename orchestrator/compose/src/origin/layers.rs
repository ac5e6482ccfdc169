//! The documents that speak of a service or a resource, the strongest first.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::{Asked, Kind};
use crate::load::path;
use crate::source::Sources;
use crate::yaml::{self, Node, Value};

/// How far `include` and `extends` are followed; loading refused cycles before.
const DEPTH: usize = 32;

/// One document, from where somebody looks for a service in it.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) kind: Kind,
    pub(super) document: Rc<Node>,
    /// The folder its relative paths are seen from.
    pub(super) directory: String,
    /// What the service is called there.
    pub(super) service: Option<String>,
    /// Env files that only an included project has.
    pub(super) env_files: Vec<String>,
}

/// Files that belong together: those of the project, or of one `include`.
struct Scope {
    kind: Kind,
    files: Vec<String>,
    directory: String,
    env_files: Vec<String>,
}

/// Documents of files, each read once.
pub(super) struct Reader<'a> {
    asked: &'a Asked<'a>,
    pub(super) sources: RefCell<Sources>,
    read: RefCell<HashMap<String, Vec<Rc<Node>>>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(asked: &'a Asked<'a>) -> Self {
        Self {
            asked,
            sources: RefCell::new(asked.project.sources.clone()),
            read: RefCell::default(),
        }
    }

    /// The text of a file and its id, read before or now.
    pub(super) fn source(&self, file: &str) -> Option<crate::source::SourceId> {
        let shown = match file {
            "-" => "<stdin>".to_owned(),
            _ => path::shown(self.asked.cwd, file),
        };
        let known = self.sources.borrow().named(&shown);
        known.or_else(|| {
            let text = self.asked.files.read(file).ok()?;
            Some(self.sources.borrow_mut().add(shown, text))
        })
    }

    fn documents(&self, file: &str) -> Vec<Rc<Node>> {
        if let Some(known) = self.read.borrow().get(file) {
            return known.clone();
        }
        let Some(source) = self.source(file) else {
            return Vec::new();
        };
        let nodes = yaml::read_documents(&self.sources.borrow(), source, &mut Vec::new());
        let nodes: Vec<Rc<Node>> = nodes.into_iter().map(Rc::new).collect();
        self.read
            .borrow_mut()
            .insert(file.to_owned(), nodes.clone());
        nodes
    }

    /// Everything that speaks of a service, or of the project as a whole.
    pub(super) fn layers(&self, service: Option<&str>) -> Vec<Layer> {
        let project = self.asked.project;
        let scope = Scope {
            kind: Kind::File,
            files: project.files.clone(),
            directory: project.working_dir.clone(),
            env_files: Vec::new(),
        };
        let mut out = Vec::new();
        self.scope(&scope, service, DEPTH, &mut out);
        out
    }

    fn scope(&self, scope: &Scope, service: Option<&str>, depth: usize, out: &mut Vec<Layer>) {
        let Some(depth) = depth.checked_sub(1) else {
            return;
        };
        let documents: Vec<(&String, Rc<Node>)> = scope
            .files
            .iter()
            .flat_map(|file| {
                self.documents(file)
                    .into_iter()
                    .map(move |node| (file, node))
            })
            .collect();
        for (index, (file, document)) in documents.into_iter().enumerate().rev() {
            let kind = match scope.kind {
                Kind::File if index > 0 => Kind::Override,
                kind => kind,
            };
            let layer = Layer {
                kind,
                document,
                directory: scope.directory.clone(),
                service: service.map(str::to_owned),
                env_files: scope.env_files.clone(),
            };
            out.push(layer.clone());
            self.extended(&layer, file, depth, out);
            for inner in includes(&layer.document, scope, self).into_iter().rev() {
                self.scope(&inner, service, depth, out);
            }
        }
    }

    /// What a service of a document extends, and what that extends.
    fn extended(&self, layer: &Layer, file: &str, depth: usize, out: &mut Vec<Layer>) {
        let (Some(service), Some(depth)) = (&layer.service, depth.checked_sub(1)) else {
            return;
        };
        let extends = at(&layer.document, &["services", service, "extends"]);
        let Some(extends) = extends else { return };
        let base = text(Some(extends)).or_else(|| text(extends.get("service")));
        let Some(base) = base else { return };
        let foreign = text(extends.get("file")).map(|other| path::join(&layer.directory, &other));
        let directory = match &foreign {
            Some(other) => path::parent(other).unwrap_or("/").to_owned(),
            None => layer.directory.clone(),
        };
        let documents = match &foreign {
            Some(other) => self.documents(other),
            None => vec![Rc::clone(&layer.document)],
        };
        for document in documents.into_iter().rev() {
            let inner = Layer {
                kind: Kind::Extends,
                document,
                directory: directory.clone(),
                service: Some(base.clone()),
                env_files: layer.env_files.clone(),
            };
            out.push(inner.clone());
            self.extended(&inner, foreign.as_deref().unwrap_or(file), depth, out);
        }
    }
}

fn includes(document: &Node, scope: &Scope, reader: &Reader<'_>) -> Vec<Scope> {
    let items = document.get("include").and_then(Node::sequence);
    let one = |item: &Node| {
        let paths = match item.mapping() {
            Some(_) => texts(item.get("path")),
            None => texts(Some(item)),
        };
        let join = |file: &String| path::join(&scope.directory, file);
        let files: Vec<String> = paths.iter().map(join).collect();
        let own = path::parent(files.first()?).unwrap_or("/").to_owned();
        let directory = text(item.get("project_directory")).map_or(own, |folder| join(&folder));
        let mut env_files: Vec<String> = texts(item.get("env_file")).iter().map(join).collect();
        let usual = path::join(&directory, ".env");
        if item.get("env_file").is_none() && reader.asked.files.is_file(&usual) {
            env_files.push(usual);
        }
        Some(Scope {
            kind: Kind::Include,
            files,
            directory,
            env_files,
        })
    };
    items.into_iter().flatten().filter_map(one).collect()
}

/// The value at some keys.
pub(super) fn at<'n>(node: &'n Node, keys: &[&str]) -> Option<&'n Node> {
    keys.iter().try_fold(node, |node, key| node.get(key))
}

/// A scalar's text.
pub(super) fn text(node: Option<&Node>) -> Option<String> {
    match &node?.value {
        Value::Scalar(scalar) if !node?.is_null() => Some(scalar.text.clone()),
        _ => None,
    }
}

/// One text or several.
pub(super) fn texts(node: Option<&Node>) -> Vec<String> {
    match node.map(|node| (&node.value, node)) {
        Some((Value::Sequence(items), _)) => {
            items.iter().filter_map(|item| text(Some(item))).collect()
        }
        Some((_, node)) => text(Some(node)).into_iter().collect(),
        None => Vec::new(),
    }
}
