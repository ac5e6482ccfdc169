//! Containers by id and by name. Names are reserved before anything is made, so two creates cannot share one.

use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock};

use crate::container::Handle;
use crate::error::{Error, Result};

/// All containers.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    handles: HashMap<String, Handle>,
    /// Name to id; the id of a container under creation has no handle yet.
    names: BTreeMap<String, String>,
}

impl Registry {
    /// Takes `name` for container `id`.
    ///
    /// # Errors
    /// 409 in Docker's words, which clients match.
    pub(crate) fn reserve(&self, name: &str, id: &str) -> Result<()> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(owner) = inner.names.get(name) {
            return Err(Error::conflict(format!(
                "Conflict. The container name \"/{name}\" is already in use by container \"{owner}\". You have to remove (or rename) that container to be able to reuse that name."
            )));
        }
        inner.names.insert(name.into(), id.into());
        Ok(())
    }

    /// Gives a name back.
    pub(crate) fn release(&self, name: &str) {
        self.inner
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .names
            .remove(name);
    }

    /// Adds a container whose name is reserved.
    pub(crate) fn insert(&self, id: &str, handle: Handle) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.handles.insert(id.into(), handle);
    }

    /// Forgets a container and its name.
    pub(crate) fn remove(&self, id: &str) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.handles.remove(id);
        inner.names.retain(|_, owner| owner != id);
    }

    /// All containers, in no order.
    pub(crate) fn all(&self) -> Vec<Handle> {
        self.inner
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .handles
            .values()
            .cloned()
            .collect()
    }

    /// Finds by full id, name (with or without the leading slash), or unique prefix of an id.
    ///
    /// # Errors
    /// 404 in Docker's words; 400 where a prefix fits several.
    pub(crate) fn find(&self, reference: &str) -> Result<Handle> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let name = reference.strip_prefix('/').unwrap_or(reference);
        let by_name = || inner.names.get(name).and_then(|id| inner.handles.get(id));
        if let Some(handle) = inner.handles.get(reference).or_else(by_name) {
            return Ok(handle.clone());
        }
        let not_found = || Error::not_found(format!("No such container: {reference}"));
        if !bowline_api::ids::is_id_prefix(reference) {
            return Err(not_found());
        }
        let mut fits = inner
            .handles
            .iter()
            .filter(|(id, _)| id.starts_with(reference));
        let first = fits.next().ok_or_else(not_found)?;
        if fits.next().is_some() {
            return Err(Error::invalid(format!(
                "multiple IDs found with provided prefix: {reference}"
            )));
        }
        Ok(first.1.clone())
    }
}
