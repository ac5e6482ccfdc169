//! A container record as an OCI runtime document. Pure: a record and resolved paths in, a document out.
//!
//! The document is built as JSON, which is what the specification defines, and read into
//! `oci_spec`'s type, which checks names and shapes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bowline_api::{HostConfig, Ulimit};
use bowline_runtime::caps::{self, CapError, CapSet};
use oci_spec::runtime::Spec;
use serde_json::{Value, json};

use super::{devices, resources};
use crate::record::{ContainerRecord, MountKind, MountPoint};

/// What the record does not know: where things of this launch lie.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    /// `hosts`, `hostname`, `resolv.conf`: host path and path inside, bound read-write as Docker does.
    pub files: Vec<(PathBuf, PathBuf)>,
    /// Device nodes beside Docker's own.
    pub devices: Vec<devices::Device>,
    /// Directories of the images that are mounted, by id, top first.
    pub images: BTreeMap<String, Vec<PathBuf>>,
    /// See [`super::block::io`].
    pub block_io: Value,
}

/// Why a record cannot become a document.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpecError {
    /// See [`CapError`].
    #[error("invalid capabilities")]
    Capabilities(#[from] CapError),
    /// A `security_opt` entry that is not known.
    #[error(
        "security option `{0}` is not supported; known are no-new-privileges, seccomp=, systempaths=unconfined, label=disable and apparmor=unconfined"
    )]
    SecurityOption(String),
    /// A limit that is not one of the kernel's.
    #[error("unknown ulimit `{0}`")]
    Ulimit(String),
    /// The document is not one `oci_spec` accepts.
    #[error("the runtime document is not sound")]
    Document(#[source] serde_json::Error),
}

/// What `security_opt` asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Security {
    /// setuid and file capabilities give nothing.
    pub no_new_privileges: bool,
    /// Text after `seccomp=`: `unconfined` or a profile in JSON.
    pub seccomp: Option<String>,
    /// /proc and /sys unmasked.
    pub system_paths_unconfined: bool,
}

impl Security {
    /// Reads `security_opt`, `=` or `:` between key and value.
    ///
    /// # Errors
    /// An option that would otherwise be ignored is refused.
    pub(crate) fn parse(options: &[String]) -> Result<Self, SpecError> {
        let mut security = Self::default();
        for option in options {
            let (key, value) = option.split_once(['=', ':']).unwrap_or((option, ""));
            match (key, value) {
                ("no-new-privileges", "" | "true") => security.no_new_privileges = true,
                ("no-new-privileges", "false") => security.no_new_privileges = false,
                ("seccomp", value) if !value.is_empty() => security.seccomp = Some(value.into()),
                ("systempaths", "unconfined") => security.system_paths_unconfined = true,
                // Neither SELinux nor AppArmor confines anything here, so switching them off holds.
                ("label", "disable") | ("apparmor", "unconfined") => {}
                _ => return Err(SpecError::SecurityOption(option.clone())),
            }
        }
        Ok(security)
    }
}

/// The runtime document of `record`.
///
/// # Errors
/// See [`SpecError`].
pub(crate) fn document(record: &ContainerRecord, context: &Context) -> Result<Spec, SpecError> {
    let security = Security::parse(&record.host.security_opt)?;
    let document = json!({
        "ociVersion": "1.2.0",
        "hostname": record.config.hostname,
        "domainname": record.config.domainname,
        "root": { "path": "/", "readonly": record.host.readonly_rootfs },
        "process": process(record, &security)?,
        "mounts": mounts(record, context),
        "linux": linux(record, context, &security),
    });
    serde_json::from_value(document).map_err(SpecError::Document)
}

/// The command line: entrypoint, then command.
pub(crate) fn arguments(record: &ContainerRecord) -> Vec<String> {
    let lists = [&record.config.entrypoint, &record.config.cmd];
    lists
        .into_iter()
        .flatten()
        .flat_map(|list| list.iter().cloned())
        .collect()
}

fn process(record: &ContainerRecord, security: &Security) -> Result<Value, SpecError> {
    let cwd = &record.config.working_dir;
    Ok(json!({
        "terminal": record.config.tty,
        // Numbers are resolved by the shim over the mounted root; the document needs the fields.
        "user": { "uid": 0, "gid": 0 },
        "args": arguments(record),
        "env": environment(record),
        "cwd": if cwd.is_empty() { "/" } else { cwd },
        "capabilities": capabilities(&record.host)?,
        "rlimits": rlimits(&record.host.ulimits)?,
        "noNewPrivileges": security.no_new_privileges,
        "oomScoreAdj": record.host.oom_score_adj,
    }))
}

/// PATH, HOSTNAME and TERM as Docker sets them, unless the configuration does.
pub(crate) fn environment(record: &ContainerRecord) -> Vec<String> {
    let mut environment = vec![
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        format!("HOSTNAME={}", record.config.hostname),
    ];
    if record.config.tty {
        environment.push("TERM=xterm".into());
    }
    for entry in &record.config.env {
        let name = entry.split('=').next().unwrap_or_default();
        environment.retain(|have| have.split('=').next() != Some(name));
        // A name without `=` removes the variable, as moby does.
        if entry.contains('=') {
            environment.push(entry.clone());
        }
    }
    environment
}

fn capabilities(host: &HostConfig) -> Result<Value, SpecError> {
    let held = caps::allowed(
        &host.cap_add,
        &host.cap_drop,
        host.privileged,
        CapSet::available(),
    )?;
    let names = held.names();
    Ok(json!({ "bounding": names, "effective": names, "permitted": names }))
}

/// Names of the kernel's limits as the specification spells them.
fn rlimits(ulimits: &[Ulimit]) -> Result<Vec<Value>, SpecError> {
    const KNOWN: [&str; 16] = [
        "as",
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ];
    let limit = |value: i64| u64::try_from(value).unwrap_or(u64::MAX);
    let one = |ulimit: &Ulimit| {
        if !KNOWN.contains(&ulimit.name.as_str()) {
            return Err(SpecError::Ulimit(ulimit.name.clone()));
        }
        Ok(json!({
            "type": format!("RLIMIT_{}", ulimit.name.to_uppercase()),
            "soft": limit(ulimit.soft),
            "hard": limit(ulimit.hard),
        }))
    };
    ulimits.iter().map(one).collect()
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Value {
    json!({ "destination": destination, "type": kind, "source": source, "options": options })
}

/// Docker's own mounts (`/proc`, `/dev` and the like) are the runtime's; a request for one of their places wins there.
fn mounts(record: &ContainerRecord, context: &Context) -> Vec<Value> {
    let asked = |path: &Path| record.mounts.iter().any(|mount| mount.destination == path);
    let files = context
        .files
        .iter()
        .filter(|(_, inside)| !asked(inside))
        .map(|(source, inside)| {
            mount(
                &inside.to_string_lossy(),
                "bind",
                &source.to_string_lossy(),
                &["rbind", "rprivate"],
            )
        });
    let asked = record.mounts.iter();
    files
        .chain(asked.map(|point| asked_mount(point, context)))
        .collect()
}

fn asked_mount(point: &MountPoint, context: &Context) -> Value {
    let destination = point.destination.to_string_lossy();
    // Resolved by the runtime within what is mounted, where links lead nowhere else.
    let inside = format!("x-bowline-inside={}", point.subpath);
    let inside = (!point.subpath.is_empty()).then_some(inside.as_str());
    if point.kind == MountKind::Image {
        let lowers = context.images.get(&point.name).into_iter().flatten();
        let lowers: Vec<String> = lowers
            .map(|path| format!("lowerdir+={}", path.display()))
            .collect();
        let options: Vec<&str> = lowers.iter().map(String::as_str).chain(inside).collect();
        return mount(&destination, "overlay", "overlay", &options);
    }
    let access = match (point.writable, point.read_only_top) {
        (true, _) => "rw",
        (false, true) => "ro",
        (false, false) => "rro",
    };
    if point.kind == MountKind::Tmpfs {
        let mut options = vec!["nosuid", "nodev", "noexec"];
        options.extend(point.options.iter().map(String::as_str));
        if !point.writable {
            options.push("ro");
        }
        return mount(&destination, "tmpfs", "tmpfs", &options);
    }
    let bind = if point.non_recursive { "bind" } else { "rbind" };
    let propagation = if point.propagation.is_empty() {
        "rprivate"
    } else {
        &point.propagation
    };
    let options: Vec<&str> = [bind, propagation, access]
        .into_iter()
        .chain(inside)
        .collect();
    let source = point.source.to_string_lossy();
    mount(&destination, "bind", &source, &options)
}

fn linux(record: &ContainerRecord, context: &Context, security: &Security) -> Value {
    let host = &record.host;
    let mut linux = json!({
        "namespaces": [],
        "devices": context.devices.iter().map(devices::Device::node).collect::<Vec<_>>(),
        "resources": resources::resources(host, &devices::rules(host, &context.devices), &context.block_io),
        "sysctl": host.sysctls,
    });
    // Absent means Docker's lists, empty means none.
    let open = host.privileged || security.system_paths_unconfined;
    for (key, asked) in [
        ("maskedPaths", &host.masked_paths),
        ("readonlyPaths", &host.readonly_paths),
    ] {
        if asked.is_some() || open {
            linux[key] = json!(asked.clone().unwrap_or_default());
        }
    }
    linux
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_dockers_with_the_requests_on_top() {
        let mut record = ContainerRecord::default();
        record.config.hostname = "h".into();
        record.config.env = ["A=1", "PATH=/x", "HOSTNAME"].map(String::from).to_vec();
        assert_eq!(environment(&record), ["A=1", "PATH=/x"]);
    }

    #[test]
    fn an_unknown_security_option_is_refused_by_name() {
        let options = ["no-new-privileges:true", "seccomp=unconfined"].map(String::from);
        let security = Security::parse(&options).unwrap();
        assert!(security.no_new_privileges);
        assert_eq!(security.seccomp.as_deref(), Some("unconfined"));
        let wrong = Security::parse(&["writable-cgroups=true".into()])
            .unwrap_err()
            .to_string();
        assert!(wrong.contains("writable-cgroups"), "{wrong}");
    }

    #[test]
    fn a_document_of_a_plain_record_is_sound() {
        let mut record = ContainerRecord::default();
        record.config.cmd = Some(bowline_api::Command(vec!["true".into()]));
        record.host.memory = 1 << 20;
        let spec = document(&record, &Context::default()).unwrap();
        let process = spec.process().as_ref().unwrap();
        assert_eq!(process.args().as_deref(), Some(&["true".to_owned()][..]));
        assert_eq!(
            process
                .capabilities()
                .as_ref()
                .unwrap()
                .bounding()
                .as_ref()
                .unwrap()
                .len(),
            14
        );
        assert!(spec.linux().as_ref().unwrap().masked_paths().is_none());
    }
}
