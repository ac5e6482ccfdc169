//! Devices of a container: nodes to make and rules for its cgroup.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use bowline_api::{DeviceMapping, HostConfig};
use serde_json::{Value, json};

/// One device node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    /// Path inside.
    pub path: PathBuf,
    /// `c` or `b`.
    pub kind: char,
    /// Major and minor number.
    pub number: (u64, u64),
    /// Permission bits, owner and group on the host.
    pub owner: (u32, u32, u32),
    /// Letters of `rwm`.
    pub access: String,
}

/// Why a device cannot be given.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeviceError {
    /// The path on the host cannot be examined.
    #[error("error gathering device information while adding custom device \"{}\"", path.display())]
    Examine {
        /// The path.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// It is something else.
    #[error("\"{}\" is not a device node", .0.display())]
    NotADevice(PathBuf),
    /// Letters other than `rwm`.
    #[error("invalid device access `{0}`: use letters of rwm")]
    Access(String),
}

impl Device {
    /// The document's node entry.
    pub(crate) fn node(&self) -> Value {
        json!({
            "path": self.path,
            "type": self.kind.to_string(),
            "major": self.number.0,
            "minor": self.number.1,
            "fileMode": self.owner.0,
            "uid": self.owner.1,
            "gid": self.owner.2,
        })
    }

    fn rule(&self) -> Value {
        json!({
            "allow": true,
            "type": self.kind.to_string(),
            "major": self.number.0,
            "minor": self.number.1,
            "access": self.access,
        })
    }
}

/// The devices that `host` asks for; a folder stands for the devices in it.
///
/// # Errors
/// See [`DeviceError`].
pub(crate) fn resolve(host: &HostConfig) -> Result<Vec<Device>, DeviceError> {
    let mut found = Vec::new();
    if host.privileged {
        collect(Path::new("/dev"), Path::new("/dev"), "rwm", &mut found)?;
        return Ok(found);
    }
    for DeviceMapping {
        path_on_host,
        path_in_container,
        cgroup_permissions,
    } in &host.devices
    {
        let access = if cgroup_permissions.is_empty() {
            "rwm"
        } else {
            cgroup_permissions
        };
        if !access.chars().all(|letter| "rwm".contains(letter)) {
            return Err(DeviceError::Access(access.into()));
        }
        let inside = if path_in_container.is_empty() {
            path_on_host
        } else {
            path_in_container
        };
        collect(
            Path::new(path_on_host),
            Path::new(inside),
            access,
            &mut found,
        )?;
    }
    Ok(found)
}

fn collect(
    host: &Path,
    inside: &Path,
    access: &str,
    found: &mut Vec<Device>,
) -> Result<(), DeviceError> {
    let examine = |source| DeviceError::Examine {
        path: host.into(),
        source,
    };
    let meta = std::fs::metadata(host).map_err(examine)?;
    let kind = meta.file_type();
    if kind.is_dir() {
        for entry in std::fs::read_dir(host).map_err(examine)? {
            let name = entry.map_err(examine)?.file_name();
            // The container has its own terminals, shm and mqueue; a node that is no device is passed over.
            let own = ["pts", "ptmx", "shm", "mqueue", "console", "fd"]
                .iter()
                .any(|skip| name == *skip);
            let path = host.join(&name);
            let plain = path.symlink_metadata().is_ok_and(|meta| {
                let kind = meta.file_type();
                kind.is_char_device() || kind.is_block_device() || kind.is_dir()
            });
            if !own && plain {
                collect(&path, &inside.join(&name), access, found)?;
            }
        }
        return Ok(());
    }
    let kind = match (kind.is_char_device(), kind.is_block_device()) {
        (true, _) => 'c',
        (_, true) => 'b',
        _ => return Err(DeviceError::NotADevice(host.into())),
    };
    found.push(Device {
        path: inside.into(),
        kind,
        number: (
            nix::sys::stat::major(meta.rdev()),
            nix::sys::stat::minor(meta.rdev()),
        ),
        owner: (meta.mode() & 0o7777, meta.uid(), meta.gid()),
        access: access.into(),
    });
    Ok(())
}

/// The cgroup's device rules: Docker's defaults, the devices asked for, the rules asked for.
pub(crate) fn rules(host: &HostConfig, devices: &[Device]) -> Vec<Value> {
    if host.privileged {
        return vec![json!({ "allow": true, "access": "rwm" })];
    }
    let mut rules = vec![json!({ "allow": false, "access": "rwm" })];
    for kind in ["c", "b"] {
        rules.push(json!({ "allow": true, "type": kind, "access": "m" }));
    }
    // null, zero, full, random, urandom, tty, console, ptmx, pts
    let usual = [
        (1, 3),
        (1, 5),
        (1, 7),
        (1, 8),
        (1, 9),
        (5, 0),
        (5, 1),
        (5, 2),
    ];
    rules.extend(usual.map(|(major, minor)| {
        json!({ "allow": true, "type": "c", "major": major, "minor": minor, "access": "rwm" })
    }));
    rules.push(json!({ "allow": true, "type": "c", "major": 136, "access": "rwm" }));
    rules.extend(devices.iter().map(Device::rule));
    rules.extend(
        host.device_cgroup_rules
            .iter()
            .filter_map(|text| parse_rule(text)),
    );
    rules
}

/// `c 1:3 rwm`, numbers or `*`.
pub(crate) fn parse_rule(text: &str) -> Option<Value> {
    let mut fields = text.split_whitespace();
    let (kind, numbers, access) = (fields.next()?, fields.next()?, fields.next()?);
    let (major, minor) = numbers.split_once(':')?;
    let sound = ["a", "b", "c"].contains(&kind)
        && access.chars().all(|letter| "rwm".contains(letter))
        && fields.next().is_none();
    let mut rule = json!({ "allow": true, "type": kind, "access": access });
    for (name, number) in [("major", major), ("minor", minor)] {
        if number != "*" {
            rule[name] = json!(number.parse::<u32>().ok()?);
        }
    }
    sound.then_some(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_dockers_grammar() {
        assert_eq!(
            parse_rule("c 1:* rm"),
            Some(json!({ "allow": true, "type": "c", "access": "rm", "major": 1 }))
        );
        for wrong in ["", "x 1:1 r", "c 1 r", "c 1:b r", "c 1:1 q", "c 1:1 r r"] {
            assert_eq!(parse_rule(wrong), None, "{wrong}");
        }
    }
}
