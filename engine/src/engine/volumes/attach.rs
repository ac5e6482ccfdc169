//! What a container that is being made mounts: volumes made and filled, host paths checked, images found.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bowline_image::Image;
use bowline_image::files::Root;
use tokio::runtime::Handle;

use super::Hold;
use crate::create::mounts::{MountError, Wanted};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::record::{MountKind, MountPoint};

/// Mounts whose sources are there.
#[derive(Debug, Default)]
pub(in crate::engine) struct Provided {
    /// In the order they are made.
    pub(in crate::engine) points: Vec<MountPoint>,
    /// Anonymous volumes that were made for them.
    pub(in crate::engine) made: Vec<String>,
    /// Keeps the volumes until a record says who uses them.
    holds: Vec<Hold>,
}

impl Engine {
    /// Makes or finds what the mounts need. On a failure nothing that was made for this container alone is left.
    pub(in crate::engine) fn provide(
        self: &Arc<Self>,
        wanted: Vec<Wanted>,
        image: &Image,
    ) -> Result<Provided> {
        let mut provided = Provided::default();
        for one in wanted {
            if let Err(error) = self.provide_one(one, image, &mut provided) {
                self.take_back_volumes(provided);
                return Err(error);
            }
        }
        Ok(provided)
    }

    /// Removes the volumes that were made for a container that is not.
    pub(in crate::engine) fn take_back_volumes(&self, provided: Provided) {
        drop(provided.holds);
        for name in provided.made {
            let removed = Handle::current().block_on(self.volume_remove(&name, true));
            if let Err(error) = removed {
                tracing::warn!(volume = name, %error, "not taken back");
            }
        }
    }

    fn provide_one(
        self: &Arc<Self>,
        mut wanted: Wanted,
        image: &Image,
        provided: &mut Provided,
    ) -> Result<()> {
        let mut point = wanted.point;
        match point.kind {
            MountKind::Tmpfs => {}
            MountKind::Bind => host_path(&point.source, wanted.create_source)?,
            MountKind::Image => {
                let found = self.find_image(&point.name)?;
                point.source = PathBuf::from(&point.name);
                point.name = found.id.to_string();
            }
            MountKind::Volume => {
                let anonymous = point.name.is_empty();
                if anonymous {
                    self.no_file_in_the_way(image, &point.destination)?;
                }
                // One taken from another container is there already.
                if point.source.as_os_str().is_empty() {
                    let mut request = std::mem::take(&mut wanted.volume);
                    request.name.clone_from(&point.name);
                    let volume = self.make_volume(request)?;
                    if anonymous {
                        provided.made.push(volume.name.clone());
                    }
                    point.source = self.volume_data(&volume.name);
                    point.name = volume.name;
                }
                let fills = point.copy_up;
                let hold = match fills {
                    true => Handle::current().block_on(self.hold_volume(&point.name))?,
                    // Nobody looks into it, so a server that does not answer yet is no reason to fail.
                    false => self.count_hold(&point.name),
                };
                provided.holds.push(hold);
                if fills {
                    self.copy_up(image, &point)?;
                }
            }
        }
        provided.points.push(point);
        Ok(())
    }

    fn no_file_in_the_way(&self, image: &Image, place: &Path) -> Result<()> {
        let root = Root::from_fd(self.images().mount(&image.id)?);
        let kind = root.stat(place).map(|stat| stat.kind);
        match kind {
            Ok(kind) if kind != bowline_image::files::FileKind::Directory => {
                Err(Error::invalid(format!(
                    "cannot mount volume over existing file, file exists {}",
                    place.display()
                )))
            }
            _ => Ok(()),
        }
    }

    /// An empty volume gets what the image has at its place, owner and mode of the folder included.
    fn copy_up(&self, image: &Image, point: &MountPoint) -> Result<()> {
        let volume = Root::open(&point.source);
        let target = volume.and_then(|root| root.open_dir(&point.subpath));
        let target = target.map_err(|error| {
            let place = point.source.join(&point.subpath);
            Error::invalid(format!("cannot access path {}: {error}", place.display()))
        })?;
        let copied = self
            .images()
            .copy_up_to(&image.id, &point.destination, &target);
        let copied = copied.map_err(|error| {
            let mut failed = Error::failed("fill the volume from the image", &error);
            if error.is_refused_owner() {
                failed.message.push_str(
                    "; its file system lets nobody give files away: mount it with `nocopy`",
                );
            }
            failed
        });
        copied.map(drop)
    }

    /// Mounts of other containers, by `name[:mode]`; a mode can only take rights away.
    pub(in crate::engine) fn volumes_from(&self, sources: &[String]) -> Result<Vec<MountPoint>> {
        let mut points: Vec<MountPoint> = Vec::new();
        for source in sources {
            let (other, mode) = source.split_once(':').unwrap_or((source, ""));
            if other.is_empty() {
                return Err(Error::invalid(format!(
                    "malformed volumes-from specification: {source}"
                )));
            }
            let words: Vec<&str> = mode.split(',').filter(|word| !word.is_empty()).collect();
            if let Some(wrong) = words
                .iter()
                .find(|word| !["rw", "ro", "z", "Z"].contains(*word))
            {
                return Err(Error::invalid(format!(
                    "invalid mode for volumes-from: {wrong}"
                )));
            }
            let other = self.containers().find(other)?.record();
            let shared = other
                .mounts
                .iter()
                .filter(|mount| mount.kind != MountKind::Tmpfs);
            for mut point in shared.cloned() {
                point.writable &= !words.contains(&"ro");
                point.copy_up = false;
                // The last of several that bring something to one place counts.
                points.retain(|have| have.destination != point.destination);
                points.push(point);
            }
        }
        Ok(points)
    }
}

/// A socket or a file is as good a source as a folder; only what is missing is made, as a folder.
fn host_path(source: &Path, create: bool) -> Result<()> {
    if source.symlink_metadata().is_ok() {
        return Ok(());
    }
    if !create {
        let missing = MountError::Missing(source.display().to_string());
        return Err(Error::invalid(missing.to_string()));
    }
    let made = std::fs::create_dir_all(source);
    made.map_err(|error| {
        Error::internal(format!(
            "error while creating mount source path '{}': {error}",
            source.display()
        ))
    })
}
