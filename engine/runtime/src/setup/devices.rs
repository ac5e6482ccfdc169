//! Devices that the user asked for, and which devices the cgroup lets the container use.

use oci_spec::runtime::{
    LinuxDevice, LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType, LinuxResources,
};

use super::order::{Device, Order, inside};
use crate::{Launch, StartError, StartStep};

/// A device of the spec.
pub(super) fn order(device: &LinuxDevice) -> Result<Order, StartError> {
    let bad = |what| {
        StartError::new(
            StartStep::Plan,
            format!("device {}: {what}", device.path().display()),
        )
    };
    let kind = match device.typ() {
        LinuxDeviceType::B => 0o060_000,
        LinuxDeviceType::C | LinuxDeviceType::U => 0o020_000,
        LinuxDeviceType::P => 0o010_000,
        LinuxDeviceType::A => return Err(bad("has no type")),
    };
    Ok(Order::Device(Device {
        path: inside(device.path())
            .filter(|path| !path.is_empty())
            .ok_or_else(|| bad("has no place"))?,
        mode: kind | device.file_mode().unwrap_or(0o666) & 0o7777,
        major: u32::try_from(device.major()).map_err(|_| bad("has no such number"))?,
        minor: u32::try_from(device.minor()).map_err(|_| bad("has no such number"))?,
        uid: device.uid().unwrap_or(0),
        gid: device.gid().unwrap_or(0),
    }))
}

/// The resources with Docker's device rules, unless the spec brings rules of its own: nothing but the harmless ones,
/// terminals, and what the spec adds.
pub(super) fn resources(launch: &Launch) -> LinuxResources {
    let linux = launch.spec.linux().as_ref();
    let mut resources = linux
        .and_then(|linux| linux.resources().clone())
        .unwrap_or_default();
    if resources.devices().is_some() {
        return resources;
    }
    let rules = if launch.privileged {
        vec![rule(true, LinuxDeviceType::A, None, None)]
    } else {
        let added = linux
            .and_then(|linux| linux.devices().as_deref())
            .unwrap_or_default();
        let added = added.iter().map(|device| {
            rule(
                true,
                device.typ(),
                Some(device.major()),
                Some(device.minor()),
            )
        });
        default_rules().into_iter().chain(added).collect()
    };
    resources.set_devices(Some(rules));
    resources
}

fn default_rules() -> Vec<LinuxDeviceCgroup> {
    let numbers = [
        (1, 3),
        (1, 5),
        (1, 7),
        (1, 8),
        (1, 9),
        (5, 0),
        (5, 1),
        (5, 2),
    ];
    let char = LinuxDeviceType::C;
    let mut rules = vec![rule(false, LinuxDeviceType::A, None, None)];
    rules.extend(numbers.map(|(major, minor)| rule(true, char, Some(major), Some(minor))));
    // Terminals of any devpts, and making, but not opening, any device file.
    rules.push(rule(true, char, Some(136), None));
    rules.extend([char, LinuxDeviceType::B].map(|kind| access(true, kind, None, None, "m")));
    rules
}

fn rule(
    allow: bool,
    kind: LinuxDeviceType,
    major: Option<i64>,
    minor: Option<i64>,
) -> LinuxDeviceCgroup {
    access(allow, kind, major, minor, "rwm")
}

fn access(
    allow: bool,
    kind: LinuxDeviceType,
    major: Option<i64>,
    minor: Option<i64>,
    access: &str,
) -> LinuxDeviceCgroup {
    let mut rule = LinuxDeviceCgroupBuilder::default()
        .allow(allow)
        .typ(kind)
        .access(access);
    if let Some(major) = major {
        rule = rule.major(major);
    }
    if let Some(minor) = minor {
        rule = rule.minor(minor);
    }
    rule.build().unwrap_or_default()
}
