//! Devices, device requests, limits on block devices.

use super::fields::Fields;
use super::reader::Decoder;
use crate::grammar::Fault;
use crate::model::{Blkio, CredentialSpec, Device, DeviceRequest, ThrottleDevice, WeightDevice};
use crate::yaml::{Node, Resolved};

pub(super) fn device(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<Device> {
    let mut fields = Fields::open(decoder, node, path)?;
    let source = fields.string("source").unwrap_or_default();
    let target = fields.string("target").unwrap_or_default();
    let permissions = fields.string("permissions").unwrap_or_default();
    if source.is_empty() {
        let fault = Fault::new(0..0, "a part between the colons is empty");
        decoder.refuse(path, node, fault);
    }
    if !permissions.chars().all(|c| "rwm".contains(c)) {
        let fault = Fault::new(0..0, "permissions are made of r, w and m");
        decoder.refuse(path, node, fault);
    }
    Some(Device {
        source,
        target,
        permissions,
    })
}

pub(super) fn request(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<DeviceRequest> {
    let mut fields = Fields::open(decoder, node, path)?;
    Some(DeviceRequest {
        capabilities: fields.strings("capabilities"),
        driver: fields.string("driver"),
        count: fields.with("count", count).filter(|count| *count != 0),
        device_ids: fields.strings("device_ids"),
        options: fields.pairs("options"),
    })
}

fn count(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<i64> {
    let text = match node.resolved() {
        Some(Resolved::Text(text)) => text,
        _ => return decoder.integer(path, node),
    };
    if text.eq_ignore_ascii_case("all") {
        return Some(-1);
    }
    text.parse().ok().or_else(|| {
        let fault = Fault::new(0..text.len(), "this is neither `all` nor a number");
        decoder.invalid(path, node, fault)
    })
}

pub(super) fn blkio(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<Blkio> {
    let mut fields = Fields::open(decoder, node, path)?;
    Some(Blkio {
        weight: fields.with("weight", weight).filter(|weight| *weight != 0),
        weight_device: fields.each("weight_device", |decoder, path, node| {
            let mut fields = Fields::open(decoder, node, path)?;
            Some(WeightDevice {
                path: fields.string("path").unwrap_or_default(),
                weight: fields.with("weight", weight).unwrap_or_default(),
            })
        }),
        device_read_bps: fields.each("device_read_bps", throttle),
        device_read_iops: fields.each("device_read_iops", throttle),
        device_write_bps: fields.each("device_write_bps", throttle),
        device_write_iops: fields.each("device_write_iops", throttle),
    })
}

/// A number. The schema allows a string, and Compose then fails on it.
fn weight(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<u16> {
    match node.resolved() {
        Some(Resolved::Text(_)) => decoder.wrong(path, node, "a number without quotes"),
        _ => decoder.natural(path, node),
    }
}

fn throttle(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<ThrottleDevice> {
    let mut fields = Fields::open(decoder, node, path)?;
    Some(ThrottleDevice {
        path: fields.string("path").unwrap_or_default(),
        rate: fields.bytes("rate").unwrap_or_default(),
    })
}

pub(super) fn credentials(
    decoder: &mut Decoder<'_>,
    path: &str,
    node: &Node,
) -> Option<CredentialSpec> {
    let mut fields = Fields::open(decoder, node, path)?;
    Some(CredentialSpec {
        config: fields.string("config"),
        file: fields.string("file"),
        registry: fields.string("registry"),
    })
}
