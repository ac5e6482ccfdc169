//! Weights and ceilings of block devices.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use bowline_api::HostConfig;
use serde_json::{Map, Value, json};

use super::devices::DeviceError;

/// The document's `blockIO`, `null` where nothing was asked. Devices are found by path on the host, as Docker does.
///
/// # Errors
/// A path that is not a block device.
pub(crate) fn io(host: &HostConfig) -> Result<Value, DeviceError> {
    let mut limits = Map::new();
    if host.blkio_weight > 0 {
        limits.insert("weight".into(), json!(host.blkio_weight));
    }
    let weights = host.blkio_weight_device.iter();
    let weights = weights.map(|one| entry(&one.path, "weight", one.weight.into()));
    let weights: Vec<Value> = weights.collect::<Result<_, _>>()?;
    if !weights.is_empty() {
        limits.insert("weightDevice".into(), weights.into());
    }
    for (key, ceilings) in [
        ("throttleReadBpsDevice", &host.blkio_device_read_bps),
        ("throttleWriteBpsDevice", &host.blkio_device_write_bps),
        ("throttleReadIOPSDevice", &host.blkio_device_read_iops),
        ("throttleWriteIOPSDevice", &host.blkio_device_write_iops),
    ] {
        let ceilings = ceilings
            .iter()
            .map(|one| entry(&one.path, "rate", one.rate));
        let ceilings: Vec<Value> = ceilings.collect::<Result<_, _>>()?;
        if !ceilings.is_empty() {
            limits.insert(key.into(), ceilings.into());
        }
    }
    Ok(if limits.is_empty() {
        Value::Null
    } else {
        limits.into()
    })
}

fn entry(path: &str, key: &str, value: u64) -> Result<Value, DeviceError> {
    let meta = std::fs::metadata(path).map_err(|source| DeviceError::Examine {
        path: path.into(),
        source,
    })?;
    if !meta.file_type().is_block_device() {
        return Err(DeviceError::NotADevice(Path::new(path).into()));
    }
    Ok(json!({
        "major": nix::sys::stat::major(meta.rdev()),
        "minor": nix::sys::stat::minor(meta.rdev()),
        key: value,
    }))
}

#[cfg(test)]
mod tests {
    use bowline_api::{ThrottleDevice, WeightDevice};

    use super::*;

    #[test]
    fn nothing_asked_is_nothing_said() {
        assert_eq!(io(&HostConfig::default()).unwrap(), Value::Null);
    }

    #[test]
    fn only_a_block_device_has_a_ceiling() {
        let host = HostConfig {
            blkio_device_read_bps: vec![ThrottleDevice {
                path: "/dev/null".into(),
                rate: 1,
            }],
            ..HostConfig::default()
        };
        assert!(matches!(io(&host), Err(DeviceError::NotADevice(_))));
        let host = HostConfig {
            blkio_weight: 500,
            blkio_weight_device: vec![WeightDevice {
                path: "/dev/no such disk".into(),
                weight: 10,
            }],
            ..HostConfig::default()
        };
        assert!(matches!(io(&host), Err(DeviceError::Examine { .. })));
    }
}
