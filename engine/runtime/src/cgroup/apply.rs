//! Which table a limit is looked up in, and writing what it says.

use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxResources;

use super::group::{Cgroup, Refusal};
use super::setting::{Setting, apply as write};
use super::{CgroupError, Warning, devices, files, v1, v2};

/// Where each controller lives for one group. On a hybrid machine each may be in either tree.
pub(super) struct Homes<'a> {
    group: &'a Cgroup,
    /// What v2 offers this group.
    unified: Vec<String>,
    refused: Vec<(String, String)>,
}

/// One controller's place.
pub(super) enum Home<'a> {
    V1(&'a Path),
    V2(&'a Path),
    Nowhere,
}

impl<'a> Homes<'a> {
    pub(super) fn of(group: &'a Cgroup, refused: &[Refusal]) -> Result<Self, CgroupError> {
        let unified = match &group.v2 {
            Some(dir) => files::read_if_there(&dir.join("cgroup.controllers"))?.unwrap_or_default(),
            None => String::new(),
        };
        let reasons = |refusal: &Refusal| {
            let reason = chain(&refusal.error);
            refusal
                .controllers
                .iter()
                .map(move |name| (name.clone(), reason.clone()))
                .collect::<Vec<_>>()
        };
        Ok(Self {
            group,
            unified: unified.split_whitespace().map(str::to_owned).collect(),
            refused: refused.iter().flat_map(reasons).collect(),
        })
    }

    /// `old` and `new` are the controller's names on v1 and v2.
    pub(super) fn find(&self, old: &str, new: &str) -> Home<'a> {
        let unified = self
            .group
            .v2
            .as_deref()
            .filter(|_| self.unified.iter().any(|name| name == new));
        match (self.group.v1_dir(old), unified) {
            (Some(dir), _) => Home::V1(dir),
            (None, Some(dir)) => Home::V2(dir),
            (None, None) => Home::Nowhere,
        }
    }

    /// `old` and `new` as for [`Homes::find`].
    fn nowhere(&self, old: &str, new: &str, settings: &[Setting]) -> Vec<Warning> {
        let told = self
            .refused
            .iter()
            .find(|(name, _)| name == old || name == new);
        let reason = told.map_or_else(
            || format!("this machine offers no {new} controller here"),
            |(_, reason)| format!("failed to {reason}"),
        );
        let wishes = settings.iter().filter(|setting| setting.is_a_wish());
        wishes
            .map(|setting| Warning {
                wish: setting.wish,
                reason: reason.clone(),
            })
            .collect()
    }
}

/// An error with what caused it, for a warning is one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Writes all of `resources`.
pub(super) fn apply(
    group: &Cgroup,
    homes: &Homes<'_>,
    resources: &LinuxResources,
) -> Result<Vec<Warning>, CgroupError> {
    let mut warnings = Vec::new();
    if let Some(memory) = resources.memory() {
        warnings.extend(match homes.find("memory", "memory") {
            Home::V1(dir) => {
                let now = files::number(&dir.join("memory.memsw.limit_in_bytes"))?;
                write(dir, &v1::memory(memory, now)?)?
            }
            Home::V2(dir) => with_own(dir, v2::memory(memory)?)?,
            Home::Nowhere => homes.nowhere("memory", "memory", &v1::memory(memory, None)?),
        });
    }
    if let Some(cpu) = resources.cpu() {
        warnings.extend(match homes.find("cpu", "cpu") {
            Home::V1(dir) => write(dir, &v1::cpu(cpu))?,
            Home::V2(dir) => with_own(dir, v2::cpu(cpu))?,
            Home::Nowhere => homes.nowhere("cpu", "cpu", &v1::cpu(cpu)),
        });
        warnings.extend(match homes.find("cpuset", "cpuset") {
            Home::V1(dir) | Home::V2(dir) => write(dir, &v1::cpuset(cpu))?,
            Home::Nowhere => homes.nowhere("cpuset", "cpuset", &v1::cpuset(cpu)),
        });
    }
    if let Some(pids) = resources.pids() {
        warnings.extend(match homes.find("pids", "pids") {
            Home::V1(dir) | Home::V2(dir) => write(dir, &v1::pids(pids))?,
            Home::Nowhere => homes.nowhere("pids", "pids", &v1::pids(pids)),
        });
    }
    if let Some(io) = resources.block_io() {
        warnings.extend(match homes.find("blkio", "io") {
            Home::V1(dir) => write(dir, &v1::block_io(io))?,
            Home::V2(dir) => write(dir, &v2::block_io(io))?,
            Home::Nowhere => homes.nowhere("blkio", "io", &v1::block_io(io)),
        });
    }
    if let Some(limits) = resources.hugepage_limits() {
        warnings.extend(match homes.find("hugetlb", "hugetlb") {
            Home::V1(dir) => write(dir, &v1::huge_pages(limits)?)?,
            Home::V2(dir) => write(dir, &v2::huge_pages(limits)?)?,
            Home::Nowhere => homes.nowhere("hugetlb", "hugetlb", &v1::huge_pages(limits)?),
        });
    }
    if let Some(raw) = resources.unified().as_ref().filter(|raw| !raw.is_empty()) {
        let settings = v2::raw(raw.iter())?;
        warnings.extend(match &group.v2 {
            Some(dir) => write(dir, &settings)?,
            None => vec![v1::unified_warning()],
        });
    }
    if let Some(rules) = resources.devices() {
        device_rules(group, &devices::rules(rules)?)?;
    }
    Ok(warnings)
}

fn with_own(dir: &Path, (settings, mut warnings): v2::Table) -> Result<Vec<Warning>, CgroupError> {
    warnings.extend(write(dir, &settings)?);
    Ok(warnings)
}

/// v2 enforces devices by a program, which needs no controller. Rules that cannot be enforced are no matter for a
/// warning: the container would hold the machine's disks.
fn device_rules(group: &Cgroup, rules: &[devices::Rule]) -> Result<(), CgroupError> {
    match (group.v1_dir("devices"), &group.v2) {
        (Some(dir), _) => devices::apply_v1(dir, rules),
        (None, Some(dir)) => devices::apply_v2(dir, rules),
        (None, None) => Err(CgroupError::Devices {
            path: PathBuf::from(&group.path),
            source: nix::errno::Errno::EOPNOTSUPP.into(),
        }),
    }
}
