//! The `deploy` section.

use super::fields::Fields;
use super::reader::Decoder;
use super::{command, device};
use crate::model::{
    Deploy, DeployRestart, DiscreteResource, GenericResource, Placement, Preference,
    ResourceLimits, Resources, UpdateConfig,
};
use crate::yaml::Node;

pub(super) fn deploy(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<Deploy> {
    let mut fields = Fields::open(decoder, node, path)?;
    Some(Deploy {
        mode: fields.string("mode"),
        replicas: fields.with("replicas", command::replicas),
        labels: fields.pairs("labels"),
        update_config: fields.with("update_config", update),
        rollback_config: fields.with("rollback_config", update),
        resources: fields.with("resources", resources).unwrap_or_default(),
        restart_policy: fields.with("restart_policy", restart),
        placement: fields.with("placement", placement).unwrap_or_default(),
        endpoint_mode: fields.string("endpoint_mode"),
        extensions: fields.extensions(),
    })
}

fn update(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<UpdateConfig> {
    let mut fields = Fields::open(decoder, node, path)?;
    Some(UpdateConfig {
        parallelism: fields.with("parallelism", Decoder::natural),
        delay: fields.duration("delay").filter(|delay| delay.0 != 0),
        failure_action: fields.string("failure_action"),
        monitor: fields.duration("monitor").filter(|monitor| monitor.0 != 0),
        max_failure_ratio: fields.float("max_failure_ratio"),
        order: fields.string("order"),
    })
}

fn restart(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<DeployRestart> {
    let mut fields = Fields::open(decoder, node, path)?;
    Some(DeployRestart {
        condition: fields.string("condition"),
        delay: fields.duration("delay"),
        max_attempts: fields.with("max_attempts", Decoder::natural),
        window: fields.duration("window"),
    })
}

fn placement(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<Placement> {
    let mut fields = Fields::open(decoder, node, path)?;
    Some(Placement {
        constraints: fields.strings("constraints"),
        preferences: fields.each("preferences", |decoder, path, node| {
            let mut fields = Fields::open(decoder, node, path)?;
            Some(Preference {
                spread: fields.string("spread"),
            })
        }),
        max_replicas_per_node: fields
            .with("max_replicas_per_node", Decoder::natural)
            .filter(|max| *max != 0),
    })
}

fn resources(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<Resources> {
    let mut fields = Fields::open(decoder, node, path)?;
    Some(Resources {
        limits: fields.with("limits", limits),
        reservations: fields.with("reservations", limits),
    })
}

fn limits(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<ResourceLimits> {
    let mut fields = Fields::open(decoder, node, path)?;
    Some(ResourceLimits {
        cpus: fields.float("cpus"),
        memory: fields.bytes("memory"),
        pids: fields.nonzero("pids"),
        devices: fields.each("devices", device::request),
        generic_resources: fields.each("generic_resources", |decoder, path, node| {
            let mut fields = Fields::open(decoder, node, path)?;
            Some(GenericResource {
                discrete_resource_spec: fields.with("discrete_resource_spec", discrete),
            })
        }),
    })
}

fn discrete(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<DiscreteResource> {
    let mut fields = Fields::open(decoder, node, path)?;
    Some(DiscreteResource {
        kind: fields.string("kind").unwrap_or_default(),
        value: fields.integer("value").unwrap_or_default(),
    })
}
