//! Steps that an engine which died had left: nobody waits for them any more.

use bowline_runtime::Shim;
use bowline_runtime::cgroup::{Cgroup, Hierarchies};

use super::place;
use crate::config::Settings;

/// Removes what clients had sent, ends every step, and removes what it had. Its network namespace goes with those of containers that have no record.
pub(crate) fn sweep(settings: &Settings) {
    for entry in std::fs::read_dir(settings.roots.builds())
        .into_iter()
        .flatten()
        .flatten()
    {
        if let Err(error) = std::fs::remove_dir_all(entry.path()) {
            tracing::warn!(%error, path = %entry.path().display(), "not swept");
        }
    }
    let Ok(entries) = std::fs::read_dir(settings.roots.builds_run()) else {
        return;
    };
    let hierarchies = Hierarchies::detect().ok();
    for entry in entries.flatten() {
        let (id, folder) = (entry.file_name(), entry.path());
        let id = id.to_string_lossy();
        if let Err(error) = Shim::give_up(&folder) {
            tracing::warn!(%error, %id, "the shim of a build step lives on");
        }
        let group = hierarchies
            .as_ref()
            .map(|hierarchies| Cgroup::open(hierarchies, &settings.cgroup_parent, &id));
        if let Some(Ok(group)) = group
            && let Err(error) = group.kill().and_then(|()| group.remove())
        {
            tracing::warn!(%error, %id, "a build step lives on");
        }
        if let Err(error) = place::clear(&folder) {
            tracing::warn!(%error, %id, "the folder of a build step is left behind");
        }
    }
}
