//! Files that an earlier layer has just so, linked from there in place of being copied.
//!
//! One line was edited and ten thousand files are copied again: making a file costs a file system many times what a
//! further name of one does. Layers are never written to, so they may share files, with two exceptions: within a tree
//! that somebody sees, two files must not turn out to be one. So no file is taken from a layer below, and none twice.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bowline_image::{Digest, Hold, Store};
use bowline_sys::root::{Dir, Timestamp};

use crate::builder::guard;

/// Files that are remembered.
const LIMIT: usize = 300_000;

/// All there is to see of a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Look {
    pub(crate) contents: Digest,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) modified: Timestamp,
}

/// Where files that were copied lie.
#[derive(Debug, Default)]
pub(crate) struct Twins(Mutex<HashMap<Look, (Digest, PathBuf)>>);

impl Twins {
    /// These files are in this layer now.
    pub(crate) fn remember(&self, layer: &Digest, laid: Vec<(Look, PathBuf)>) {
        let mut known = guard(&self.0);
        if known.len() + laid.len() > LIMIT {
            known.clear();
        }
        let here = laid
            .into_iter()
            .map(|(look, path)| (look, (layer.clone(), path)));
        known.extend(here);
    }
}

/// What one step links, and what it leaves for the next.
#[derive(Debug)]
pub(crate) struct Linking<'a> {
    twins: &'a Twins,
    store: &'a Store,
    below: &'a [Digest],
    layers: HashMap<Digest, Option<(Hold, Dir)>>,
    parent: Option<(Digest, PathBuf, Arc<Dir>)>,
    used: HashSet<Look>,
    /// What was laid, and where.
    pub(crate) laid: Vec<(Look, PathBuf)>,
}

impl<'a> Linking<'a> {
    /// For a step over the layers `below`.
    pub(crate) fn new(twins: &'a Twins, store: &'a Store, below: &'a [Digest]) -> Self {
        Self {
            twins,
            store,
            below,
            layers: HashMap::new(),
            parent: None,
            used: HashSet::new(),
            laid: Vec::new(),
        }
    }

    /// A file like this in another layer: the directory that holds it, and its name there.
    pub(super) fn find(&mut self, look: &Look) -> Option<(Arc<Dir>, OsString)> {
        let (layer, path) = guard(&self.twins.0).get(look)?.clone();
        if self.below.contains(&layer) || !self.used.insert(look.clone()) {
            return None;
        }
        let name = path.file_name()?.to_owned();
        let parent = path.parent().unwrap_or(Path::new(""));
        if let Some((known, at, dir)) = &self.parent
            && *known == layer
            && at == parent
        {
            return Some((Arc::clone(dir), name));
        }
        let store = self.store;
        let opened = self.layers.entry(layer.clone()).or_insert_with(|| {
            let hold = store.hold(std::slice::from_ref(&layer)).ok()?;
            let top = store.layer_dirs(std::slice::from_ref(&layer)).pop()?;
            Some((hold, Dir::open(&top).ok()?))
        });
        let (_, top) = opened.as_ref()?;
        let mut dir = top.try_clone().ok()?;
        for step in parent {
            dir = dir.open_dir(step).ok()?;
        }
        let dir = Arc::new(dir);
        self.parent = Some((layer, parent.to_owned(), Arc::clone(&dir)));
        Some((dir, name))
    }
}
