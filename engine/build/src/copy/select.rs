//! Which files a `COPY` means.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bowline_image::Digest;
use bowline_sys::root::FileKind;
use sha2::{Digest as _, Sha256};

use super::wildcard::{fits, is_wild};
use super::{At, CopyError, shown};
use crate::graph::CopySource;
use crate::ignore::{Ignore, Seen};
use crate::tree::{Content, Node, Tree};

/// One source: a path, or one of those that a wildcard fits.
#[derive(Clone, Debug)]
pub(crate) struct Picked {
    /// Its name, which it keeps if it goes into a directory.
    pub(crate) name: OsString,
    /// What is copied: the thing itself first (with an empty path), then what is in it, parents before children.
    pub(crate) files: Vec<Picking>,
}

/// One thing to copy.
#[derive(Clone, Debug)]
pub(crate) struct Picking {
    /// Relative to the source.
    pub(crate) path: PathBuf,
    pub(crate) node: Node,
    /// A directory that is made only because something in it is copied.
    pub(crate) implied: bool,
    /// The earlier one that this file is another name of.
    pub(crate) link: Option<usize>,
    /// What is in it; known of files once a digest was asked for.
    pub(crate) content: Option<Content>,
}

/// Finds what `source` means in `tree`.
pub(crate) fn select(
    tree: &Tree,
    source: &CopySource,
    exclude: &[String],
) -> Result<Vec<Picked>, CopyError> {
    let exclude = Ignore::new(exclude.iter().map(String::as_str)).map_err(CopyError::Pattern)?;
    let include = match &source.parents {
        Some(pattern) => {
            require(tree, source, pattern)?;
            let pattern = [pattern.trim_start_matches('/')];
            Some(Ignore::new(pattern).map_err(CopyError::Pattern)?)
        }
        None => None,
    };
    let filter = Filter { include, exclude };
    let mut picked = Vec::new();
    for path in matches(tree, source)? {
        let node = tree.resolve(&path).at("find", &path)?;
        let node = node.ok_or_else(|| not_found(tree, &path))?;
        let name = path.file_name().unwrap_or(OsStr::new("/")).to_owned();
        picked.push(pick(tree, &filter, name, node)?);
    }
    Ok(picked)
}

fn not_found(tree: &Tree, path: &Path) -> CopyError {
    let hint = if tree.is_live() {
        " in the build context (or hidden by the ignore file)"
    } else {
        ""
    };
    CopyError::NotFound {
        path: shown(path),
        hint,
    }
}

/// A path without wildcards that `--parents` names has to be there.
fn require(tree: &Tree, source: &CopySource, pattern: &str) -> Result<(), CopyError> {
    if is_wild(&source.path) || is_wild(pattern) {
        return Ok(());
    }
    let path = Path::new(&source.path).join(pattern.trim_start_matches('/'));
    match tree.resolve(&path).at("find", &path)? {
        Some(_) => Ok(()),
        None => Err(not_found(tree, &path)),
    }
}

/// The paths a source stands for, sorted.
fn matches(tree: &Tree, source: &CopySource) -> Result<Vec<PathBuf>, CopyError> {
    let parts: Vec<&str> = source
        .path
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    let first = parts
        .iter()
        .position(|part| source.wildcard && is_wild(part));
    let Some(first) = first else {
        return Ok(vec![parts.iter().collect()]);
    };
    let start: PathBuf = parts[..first].iter().collect();
    let node = tree.resolve(&start).at("find", &start)?;
    let node = node.ok_or_else(|| not_found(tree, &start))?;
    let mut found = Vec::new();
    expand(tree, &node, &parts[first..], &mut found)?;
    Ok(found)
}

fn expand(
    tree: &Tree,
    node: &Node,
    parts: &[&str],
    found: &mut Vec<PathBuf>,
) -> Result<(), CopyError> {
    let Some((part, rest)) = parts.split_first() else {
        found.push(node.path.clone());
        return Ok(());
    };
    if node.stat.kind != FileKind::Directory {
        return Ok(());
    }
    for entry in tree.list(node).at("list", &node.path)?.iter() {
        if entry.name.to_str().is_some_and(|name| fits(part, name)) {
            expand(tree, &entry.node, rest, found)?;
        }
    }
    Ok(())
}

struct Filter {
    include: Option<Ignore>,
    exclude: Ignore,
}

impl Filter {
    fn is_plain(&self) -> bool {
        self.include.is_none() && self.exclude.is_empty()
    }

    /// Whether a path is meant, and what to hand to those in it.
    fn enter(&self, path: &Path, above: &(Seen, Seen)) -> (bool, (Seen, Seen)) {
        let text = path.to_string_lossy();
        let (included, include) = match &self.include {
            Some(include) => include.enter(&text, &above.0),
            None => (true, Seen::default()),
        };
        let (excluded, exclude) = if self.exclude.is_empty() {
            (false, Seen::default())
        } else {
            self.exclude.enter(&text, &above.1)
        };
        (included && !excluded, (include, exclude))
    }

    /// Whether something below a path that is not meant may be.
    fn looks_below(&self, path: &Path, seen: &(Seen, Seen)) -> bool {
        let text = path.to_string_lossy();
        let excluded = !self.exclude.is_empty() && self.exclude.enter(&text, &seen.1).0;
        self.include.is_some() && !excluded || self.exclude.may_bring_back_below(&text)
    }
}

fn pick(tree: &Tree, filter: &Filter, name: OsString, node: Node) -> Result<Picked, CopyError> {
    let mut walk = Walk {
        tree,
        filter,
        files: Vec::new(),
        links: HashMap::new(),
    };
    walk.add(PathBuf::new(), &node, false);
    if node.stat.kind == FileKind::Directory {
        walk.below(Path::new(""), &node, &(Seen::default(), Seen::default()))?;
    }
    Ok(Picked {
        name,
        files: walk.files,
    })
}

struct Walk<'a> {
    tree: &'a Tree,
    filter: &'a Filter,
    files: Vec<Picking>,
    links: HashMap<(u64, u64), usize>,
}

impl Walk<'_> {
    fn add(&mut self, path: PathBuf, node: &Node, implied: bool) {
        let stat = &node.stat;
        let link = if stat.kind == FileKind::File && stat.links > 1 {
            let next = self.files.len();
            let first = *self.links.entry(stat.identity).or_insert(next);
            (first != next).then_some(first)
        } else {
            None
        };
        self.files.push(Picking {
            path,
            node: node.clone(),
            implied,
            link,
            content: None,
        });
    }

    fn below(&mut self, path: &Path, node: &Node, seen: &(Seen, Seen)) -> Result<(), CopyError> {
        for entry in self.tree.list(node).at("list", &node.path)?.iter() {
            let path = path.join(&entry.name);
            let (meant, inside) = if self.filter.is_plain() {
                (true, (Seen::default(), Seen::default()))
            } else {
                self.filter.enter(&path, seen)
            };
            let directory = entry.node.stat.kind == FileKind::Directory;
            if meant {
                // A context never has sockets: no archive could carry them here.
                if entry.node.stat.kind == FileKind::Socket {
                    continue;
                }
                self.add(path.clone(), &entry.node, false);
                if directory {
                    self.below(&path, &entry.node, &inside)?;
                }
            } else if directory && self.filter.looks_below(&path, seen) {
                let before = self.files.len();
                self.add(path.clone(), &entry.node, true);
                self.below(&path, &entry.node, &inside)?;
                if self.files.len() == before + 1 {
                    self.files.pop();
                }
            }
        }
        Ok(())
    }
}

/// Everything about these sources that the result depends on: paths, kinds, modes, owners, contents, attributes and
/// links; but no times, which copies keep and keys leave out, as in the stock builder. Reads what is not known yet. Of a
/// directory only the contents are copied, so its own mode and owner count only when it is shown as a `whole`.
pub(crate) fn digest(tree: &Tree, picked: &mut [Picked], whole: bool) -> Result<Digest, CopyError> {
    super::files::contents(tree, picked)?;
    let mut hash = Sha256::new();
    for source in picked.iter() {
        let copies_itself = source
            .files
            .first()
            .is_some_and(|top| whole || top.node.stat.kind != FileKind::Directory);
        // A directory's contents are copied, not the directory: neither its name nor its mode is part of the result.
        field(
            &mut hash,
            if copies_itself {
                source.name.as_bytes()
            } else {
                b""
            },
        );
        hash.update((source.files.len() as u64).to_le_bytes());
        for (number, file) in source.files.iter().enumerate() {
            if number > 0 || copies_itself {
                one(tree, &mut hash, file)?;
            }
        }
    }
    Ok(crate::key::finish(hash))
}

fn field(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

fn one(tree: &Tree, hash: &mut Sha256, file: &Picking) -> Result<(), CopyError> {
    let stat = &file.node.stat;
    field(hash, file.path.as_os_str().as_bytes());
    let kind = match stat.kind {
        FileKind::File => b'f',
        FileKind::Directory => b'd',
        FileKind::Symlink => b'l',
        FileKind::Character => b'c',
        FileKind::Block => b'b',
        FileKind::Fifo => b'p',
        FileKind::Socket | FileKind::Unknown => b's',
    };
    hash.update([kind, u8::from(file.implied)]);
    for number in [stat.mode, stat.uid, stat.gid, stat.device.0, stat.device.1] {
        hash.update(number.to_le_bytes());
    }
    hash.update(file.link.map_or(u64::MAX, |link| link as u64).to_le_bytes());
    match stat.kind {
        FileKind::Symlink => {
            let target = tree.read_link(&file.node.path);
            let target = target.at("read the link", &file.node.path)?;
            field(hash, target.as_os_str().as_bytes());
        }
        FileKind::Directory => {
            for (key, value) in tree.xattrs(&file.node).at("read", &file.node.path)? {
                field(hash, key.as_bytes());
                field(hash, &value);
            }
        }
        _ => {}
    }
    if let Some(content) = &file.content {
        field(hash, content.digest.hex().as_bytes());
        let attributes = content.attributes.as_ref().map_or("", Digest::hex);
        field(hash, attributes.as_bytes());
    }
    Ok(())
}
