//! Mounting what volumes with driver options or frozen trees are made of: with the first container that needs it, until
//! the last one is gone. Who needs it follows from the records; only what has no record yet is counted here.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tokio::sync::{Mutex as AsyncMutex, Notify};
use tokio::task::block_in_place;

use super::options::Device;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::record::{ContainerRecord, MountKind, VolumeRecord};

/// How long something that only holds a volume for a moment is waited for.
const MOMENT: Duration = Duration::from_secs(10);

/// What keeps volumes mounted beside the records, and who may change what they consist of.
#[derive(Debug, Default)]
pub(super) struct Holds {
    counts: Mutex<HashMap<String, usize>>,
    /// Whoever mounts a volume or replaces its files keeps others from either. One a volume: a server that does not
    /// answer must not hold up the volumes of others.
    gates: Mutex<HashMap<String, Arc<AsyncMutex<()>>>>,
    released: Notify,
}

/// A volume is there, mounted where that is needed, while this exists.
#[derive(Debug)]
pub(crate) struct Hold {
    engine: Arc<Engine>,
    name: String,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let holds = &self.engine.volumes.holds;
        let mut counts = holds.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.name);
                self.engine.unmount_if_idle(&self.name);
            }
        }
        drop(counts);
        holds.released.notify_waiters();
    }
}

impl Holds {
    pub(super) fn gate(&self, name: &str) -> Arc<AsyncMutex<()>> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(gates.entry(name.into()).or_default())
    }

    fn count(&self, name: &str) -> usize {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(name).copied().unwrap_or_default()
    }

    /// Waits until nothing holds the volume but containers that run.
    pub(super) async fn quiet(&self, name: &str) -> Result<()> {
        let wait = async {
            loop {
                let released = self.released.notified();
                tokio::pin!(released);
                released.as_mut().enable();
                if self.count(name) == 0 {
                    return;
                }
                released.await;
            }
        };
        let quiet = tokio::time::timeout(MOMENT, wait).await;
        quiet.map_err(|_| {
            Error::conflict(format!(
                "volume {name} is in use: something is being started with it or copied from it"
            ))
        })
    }
}

impl Engine {
    /// Holds all volumes of a container.
    ///
    /// # Errors
    /// One of them is gone or cannot be mounted.
    pub(crate) async fn hold_volumes(
        self: &Arc<Self>,
        record: &ContainerRecord,
    ) -> Result<Vec<Hold>> {
        let names: BTreeSet<&str> = record
            .mounts
            .iter()
            .filter(|point| point.kind == MountKind::Volume)
            .map(|point| point.name.as_str())
            .collect();
        let mut held = Vec::new();
        for name in names {
            held.push(self.hold_volume(name).await?);
        }
        Ok(held)
    }

    /// Holds one volume.
    ///
    /// # Errors
    /// It is gone or cannot be mounted.
    pub(crate) async fn hold_volume(self: &Arc<Self>, name: &str) -> Result<Hold> {
        let gate = self.volumes.holds.gate(name);
        let _alone = gate.lock().await;
        self.hold_gated(name).await
    }

    /// Keeps a volume from being removed, without mounting it.
    pub(super) fn count_hold(self: &Arc<Self>, name: &str) -> Hold {
        let holds = &self.volumes.holds;
        let mut counts = holds.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(name.into()).or_default() += 1;
        drop(counts);
        Hold {
            engine: Arc::clone(self),
            name: name.into(),
        }
    }

    /// As [`Engine::hold_volume`], for whoever has the volume's gate already.
    pub(super) async fn hold_gated(self: &Arc<Self>, name: &str) -> Result<Hold> {
        let record = self.volumes.get(name);
        let record = record.ok_or_else(|| super::no_such(name))?;
        let wanted = self.wanted(&record).await?;
        // Before the mount is made, so that nobody unmounts it, and whatever fails takes the count back.
        let hold = self.count_hold(name);
        if let Some(wanted) = wanted {
            block_in_place(|| self.mount_once(&record, &wanted))?;
        }
        Ok(hold)
    }

    /// What has to be mounted for a volume.
    async fn wanted(&self, record: &VolumeRecord) -> Result<Option<Wanted>> {
        if !record.live.is_empty() {
            return Ok(Some(Wanted::Stack));
        }
        let parsed = Device::parse(&record.options);
        let parsed = parsed.map_err(|error| Error::invalid(error.to_string()))?;
        let Some(mut device) = parsed else {
            return Ok(None);
        };
        let named = device.server().map(str::to_owned);
        if let Some(host) = named {
            let found = bowline_image::addresses(&host).await;
            let found = found
                .map_err(|error| Error::failed("resolve the volume's network address", &error))?;
            if let Some(address) = found.first() {
                device.data = device.data_with(&address.to_string());
            }
        }
        Ok(Some(Wanted::Device(device)))
    }

    fn mount_once(&self, record: &VolumeRecord, wanted: &Wanted) -> Result<()> {
        let place = self.volume_data(&record.name);
        if mounted_on(&place) {
            return Ok(());
        }
        match wanted {
            Wanted::Stack => {
                let stack = self.stack(record)?;
                let mounted = stack.mount_on(&place);
                mounted.map_err(|error| Error::failed("mount the volume", &error))
            }
            Wanted::Device(device) => mount_device(device, &place),
        }
    }

    /// Unmounts the volumes of a container that ended, but those that others use.
    pub(crate) fn release_volumes(&self, record: &ContainerRecord) {
        let names: BTreeSet<&str> = record
            .mounts
            .iter()
            .filter(|point| point.kind == MountKind::Volume)
            .map(|point| point.name.as_str())
            .collect();
        for name in names {
            let holds = &self.volumes.holds;
            let counts = holds.counts.lock().unwrap_or_else(PoisonError::into_inner);
            if !counts.contains_key(name) {
                self.unmount_if_idle(name);
            }
        }
    }

    /// The caller holds the lock of the counts, so nobody begins to use it meanwhile.
    fn unmount_if_idle(&self, name: &str) {
        let Some(record) = self.volumes.get(name) else {
            return;
        };
        let plain = record.live.is_empty() && record.options.is_empty();
        if plain || self.volume_runs(name) {
            return;
        }
        let place = self.volume_data(name);
        if mounted_on(&place)
            && let Err(error) = umount2(&place, MntFlags::MNT_DETACH)
        {
            tracing::warn!(volume = name, %error, "not unmounted");
        }
    }

    /// Where volumes of containers that run may be mounted.
    pub(in crate::engine) fn volumes_in_use(&self) -> BTreeSet<PathBuf> {
        let running = self.records().into_iter();
        let running = running.filter(|record| record.phase.is_alive() || record.starting);
        running
            .flat_map(|record| record.mounts.clone())
            .filter(|point| point.kind == MountKind::Volume)
            .map(|point| self.volume_data(&point.name))
            .collect()
    }

    /// Whether a container that runs, or is about to, uses a volume.
    pub(super) fn volume_runs(&self, name: &str) -> bool {
        !self.volume_runners(name).is_empty()
    }

    /// Ids of the containers that run with a volume.
    pub(super) fn volume_runners(&self, name: &str) -> Vec<String> {
        let running = self.records().into_iter().filter(|record| {
            let uses = record
                .mounts
                .iter()
                .any(|point| point.kind == MountKind::Volume && point.name == name);
            uses && (record.phase.is_alive() || record.starting)
        });
        running.map(|record| record.id.clone()).collect()
    }
}

/// What a volume consists of, if not of its own folder.
#[derive(Clone, Debug)]
enum Wanted {
    Stack,
    Device(Device),
}

fn mount_device(device: &Device, place: &Path) -> Result<()> {
    let kind = match device.flags.contains(MsFlags::MS_BIND) {
        true => None,
        false => Some(device.kind.as_str()),
    };
    let data = Some(device.data.as_str()).filter(|data| !data.is_empty());
    let failed = |error: nix::Error| {
        let shown = device.shown(place);
        let word = std::io::Error::from(error);
        Error::internal(format!("failed to mount local volume: {shown}: {word}"))
    };
    let source = Some(device.device.as_str());
    mount(source, place, kind, device.flags, data).map_err(failed)?;
    let undo = |error| {
        let _first_failure_counts = umount2(place, MntFlags::MNT_DETACH);
        failed(error)
    };
    let none = None::<&str>;
    // A bind takes most flags only when it is changed afterwards.
    if device.flags.contains(MsFlags::MS_BIND) && device.flags.contains(MsFlags::MS_RDONLY) {
        let again = device.flags | MsFlags::MS_REMOUNT;
        mount(none, place, none, again, none).map_err(undo)?;
    }
    match device.propagation {
        Some(kind) => mount(none, place, none, kind, none).map_err(undo),
        None => Ok(()),
    }
}

/// Whether something is mounted right there.
pub(super) fn mounted_on(place: &Path) -> bool {
    points().contains(place)
}

/// All mount points of this namespace.
pub(super) fn points() -> BTreeSet<PathBuf> {
    let text = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let lines = text.split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .map(unescape)
        .collect()
}

/// The kernel writes blanks, tabs, line ends and backslashes in paths as three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let digits = std::str::from_utf8(after.get(..3).unwrap_or_default()).unwrap_or_default();
        match u8::from_str_radix(digits, 8) {
            Ok(byte) if *first == b'\\' && digits.len() == 3 => {
                bytes.push(byte);
                rest = &after[3..];
            }
            _ => bytes.push(*first),
        }
    }
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_blanks_are_read_back() {
        assert_eq!(unescape(b"/a\\040b\\134c"), Path::new("/a b\\c"));
        assert_eq!(unescape(b"/plain\\04"), Path::new("/plain\\04"));
        assert!(mounted_on(Path::new("/proc")) && !mounted_on(Path::new("/proc/self")));
    }
}
