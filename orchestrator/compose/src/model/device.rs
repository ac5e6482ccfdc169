//! Devices: those of the host given to a container, those asked for by what they can do, and limits
//! on block devices.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Bytes;

/// A host device given to a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Device {
    /// The host's path, or a CDI name.
    pub source: String,
    /// The path inside; equal to the source for a CDI name.
    pub target: String,
    /// Some of `rwm`; empty means all of them.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub permissions: String,
}

/// Devices by what they can do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeviceRequest {
    /// What they have to be able to do; `gpu`, say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// Whose devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// How many; -1 is all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
    /// Which ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device_ids: Vec<String>,
    /// Options of the driver.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// A service's `blkio_config`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Blkio {
    /// Its weight against other containers, 10 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u16>,
    /// The same for single devices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub weight_device: Vec<WeightDevice>,
    /// Bytes read in a second.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device_read_bps: Vec<ThrottleDevice>,
    /// Reads in a second.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device_read_iops: Vec<ThrottleDevice>,
    /// Bytes written in a second.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device_write_bps: Vec<ThrottleDevice>,
    /// Writes in a second.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device_write_iops: Vec<ThrottleDevice>,
}

/// The weight of one device. Compose prints the keys in capitals in JSON, in small letters in YAML.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct WeightDevice {
    /// The host's path.
    pub path: String,
    /// Its weight.
    pub weight: u16,
}

/// A limit on one device. Compose prints the keys in capitals in JSON, in small letters in YAML.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ThrottleDevice {
    /// The host's path.
    pub path: String,
    /// Bytes or operations in a second.
    pub rate: Bytes,
}

/// A Windows account's credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CredentialSpec {
    /// A config that holds them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// A file that holds them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// A registry value that holds them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
}
