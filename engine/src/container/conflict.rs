//! A port that could not be had, in words for the person. Pure.

use std::sync::Arc;

use bowline_network::{Conflict, PortError};

use crate::error::Error;
use crate::record::ContainerRecord;

/// In Docker's words where clients look for them; a port of ours is held by a shim, so its container is named instead.
pub(super) fn conflict(error: &PortError, containers: &[Arc<ContainerRecord>]) -> Error {
    let PortError::Conflicts(conflicts) = error else {
        return Error::failed("reserve ports", error);
    };
    let one = |conflict: &Conflict| {
        let holder = containers.iter().find(|record| holds(record, conflict));
        match holder {
            Some(record) => format!(
                "Bind for {} failed: port is already allocated: host port {}/{} is held by container {}",
                conflict.address, conflict.address, conflict.proto, record.name
            ),
            None if conflict.source.kind() == std::io::ErrorKind::AddrInUse => {
                format!("{conflict}: address already in use")
            }
            None => conflict.to_string(),
        }
    };
    let list: Vec<String> = conflicts.iter().map(one).collect();
    Error::internal(format!(
        "driver failed programming external connectivity: {}",
        list.join("; ")
    ))
}

fn holds(record: &ContainerRecord, conflict: &Conflict) -> bool {
    let wanted = conflict.address.ip();
    record.ports.iter().any(|bound| {
        bound.host_port == conflict.address.port()
            && bound.protocol == conflict.proto.to_string()
            && bound.host_ip.is_ipv4() == wanted.is_ipv4()
            && (bound.host_ip == wanted
                || bound.host_ip.is_unspecified()
                || wanted.is_unspecified())
    })
}
