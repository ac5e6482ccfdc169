//! Removing names and images, by Docker's rules: a name goes first, the image only with its last name.

use super::records::{Tables, pinned};
use super::{Image, Store, lock};
use crate::Result;
use crate::digest::{Digest, ImageId, is_hex};
use crate::error::{Conflict, Error};
use crate::reference::Reference;

/// A container that was made from an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InUse {
    /// The container, as people should read it.
    pub container: String,
    /// Whether it runs.
    pub running: bool,
}

/// One thing that removing did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// A name, as people write it.
    Untagged(String),
    /// The id of an image, or of a layer.
    Deleted(String),
}

/// What pruning did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// What went.
    pub removed: Vec<Removed>,
    /// Bytes freed.
    pub reclaimed: u64,
}

/// What is to be done, decided before anything is.
struct Removal {
    untag: Vec<Reference>,
    delete: bool,
}

impl Store {
    /// Removes the name, or with its last name (or by id) the image. `in_use` tells a container made from an image.
    ///
    /// One difference to Docker: when forced while a stopped container needs the image, the names go and the image
    /// stays until the container does, so that the container can still start.
    pub fn remove(
        &self,
        name: &str,
        force: bool,
        in_use: &dyn Fn(&ImageId) -> Option<InUse>,
    ) -> Result<Vec<Removed>> {
        let image = self.get(name)?;
        let removal = decide(&image, name, force, in_use(&image.id))?;
        self.carry_out(&image, &removal)
    }

    /// Removes all images no container needs: those without a name, or with `all`, the others too.
    pub fn prune(&self, all: bool, in_use: &dyn Fn(&ImageId) -> Option<InUse>) -> Result<Pruned> {
        let before = self.disk_usage()?;
        let mut removed = Vec::new();
        for image in self.list()? {
            if (all || image.tags.is_empty()) && in_use(&image.id).is_none() {
                let names = image.tags.iter().chain(&image.digests).cloned().collect();
                let removal = Removal {
                    untag: names,
                    delete: true,
                };
                removed.extend(self.carry_out(&image, &removal)?);
            }
        }
        Ok(Pruned {
            removed,
            reclaimed: before.saturating_sub(self.disk_usage()?),
        })
    }

    fn carry_out(&self, image: &Image, removal: &Removal) -> Result<Vec<Removed>> {
        let mut done: Vec<_> = removal
            .untag
            .iter()
            .map(|name| Removed::Untagged(name.familiar()))
            .collect();
        let _one_at_a_time = lock(&self.0.committing);
        let unused = self.0.write(|tables| {
            removal
                .untag
                .iter()
                .try_for_each(|name| tables.remove_name(name))?;
            if removal.delete {
                self.delete(tables, &image.id)
            } else {
                Ok(Vec::new())
            }
        })?;
        if removal.delete {
            done.push(Removed::Deleted(image.id.to_string()));
        }
        for layer in unused {
            // The rows are gone, so a directory that cannot be removed now is swept at the next start.
            if let Err(error) = self.0.discard(&self.0.layer_dir(&layer)) {
                tracing::warn!(%layer, %error, "the files of a removed layer stay for now");
            }
            done.push(Removed::Deleted(layer.to_string()));
        }
        Ok(done)
    }

    fn delete(&self, tables: &mut Tables<'_>, id: &ImageId) -> Result<Vec<Digest>> {
        tables.remove_image(id)?;
        tables.remove_unused_layers(&pinned(&self.0))
    }
}

fn decide(image: &Image, name: &str, force: bool, user: Option<InUse>) -> Result<Removal, Error> {
    let short = || image.id.short().to_owned();
    let all: Vec<Reference> = image.tags.iter().chain(&image.digests).cloned().collect();
    let named: Option<Reference> = if is_id(image, name) {
        None
    } else {
        name.parse().ok()
    };
    let untag = match &named {
        Some(name) => with_orphaned_digests(image, name),
        None => all.clone(),
    };
    let last = untag.len() >= all.len();
    match user {
        None => {}
        Some(user) if named.is_some() && last && !force => {
            let (name, container) = (name.to_owned(), user.container);
            return Err(Conflict::Referenced {
                name,
                container,
                image: short(),
            }
            .into());
        }
        Some(InUse {
            container,
            running: true,
        }) if named.is_none() => {
            return Err(Conflict::Running {
                image: short(),
                container,
            }
            .into());
        }
        Some(InUse { container, .. }) if named.is_none() && !force => {
            return Err(Conflict::Stopped {
                image: short(),
                container,
            }
            .into());
        }
        Some(_) => {
            return Ok(Removal {
                untag,
                delete: false,
            });
        }
    }
    if named.is_none() && !force && repositories(&all) > 1 {
        return Err(Conflict::Repositories { image: short() }.into());
    }
    Ok(Removal {
        untag,
        delete: last,
    })
}

/// Whether `name` was an id or the start of one: a name of the image wins over that reading.
fn is_id(image: &Image, name: &str) -> bool {
    let hex = name.strip_prefix("sha256:").unwrap_or(name);
    let is_name = name.parse().is_ok_and(|name: Reference| {
        image.tags.contains(&name)
            || image
                .digests
                .iter()
                .any(|own| own.digest() == name.digest())
    });
    !is_name && is_hex(hex) && image.id.0.hex().starts_with(hex)
}

/// Names by digest came with the tag's pull; when a repository's last tag goes, they go too.
fn with_orphaned_digests(image: &Image, name: &Reference) -> Vec<Reference> {
    if let Some(digest) = name.digest() {
        return vec![name.with_digest(digest)];
    }
    let same = |other: &&Reference| other.repository() == name.repository();
    let mut untag = vec![name.clone()];
    if image.tags.iter().filter(same).count() <= 1 {
        untag.extend(image.digests.iter().filter(same).cloned());
    }
    untag
}

fn repositories(names: &[Reference]) -> usize {
    let mut repositories: Vec<_> = names.iter().map(Reference::repository).collect();
    repositories.sort();
    repositories.dedup();
    repositories.len()
}
