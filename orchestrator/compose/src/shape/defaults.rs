//! What is meant where nothing was written.

use super::workloads;
use crate::yaml::Node;

/// Fills in a merged tree in its long forms.
pub(crate) fn defaults(root: &mut Node) {
    for entry in workloads(root) {
        let service = &mut entry.value;
        if let Some(build) = service.get_mut("build") {
            build.default_to("context", |span| Node::text(".", span));
        }
        for secret in items(service, "secrets") {
            let source = secret.get("source").and_then(Node::as_text).unwrap_or("");
            let target = format!("/run/secrets/{source}");
            secret.default_to("target", |span| Node::text(target, span));
        }
        for port in items(service, "ports") {
            port.default_to("protocol", |span| Node::text("tcp", span));
            port.default_to("mode", |span| Node::text("ingress", span));
        }
        items(service, "gpus").for_each(device_request);
        let reservations = service
            .get_mut("deploy")
            .and_then(|deploy| deploy.get_mut("resources"))
            .and_then(|resources| resources.get_mut("reservations"));
        if let Some(reservations) = reservations {
            items(reservations, "devices").for_each(device_request);
        }
        for mount in items(service, "volumes") {
            if let Some(bind) = mount.get_mut("bind") {
                bind.default_to("create_host_path", |span| Node::plain("true", span));
            }
        }
    }
}

fn items<'n>(node: &'n mut Node, key: &str) -> impl Iterator<Item = &'n mut Node> {
    node.get_mut(key)
        .and_then(Node::sequence_mut)
        .into_iter()
        .flatten()
}

/// All devices, unless a number or certain ones are asked for.
fn device_request(request: &mut Node) {
    if request.get("device_ids").is_none() {
        request.default_to("count", |span| Node::text("all", span));
    }
}
