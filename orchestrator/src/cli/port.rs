//! `port`: where a container's port is published.

use clap::Args;

use super::containers;
use super::context::Context;
use crate::ui::{Failure, Outcome};

/// See the module.
#[derive(Args, Clone, Debug)]
pub(super) struct Port {
    /// The service
    service: String,
    /// The port in the container; all if absent
    port: Option<u16>,
    /// `tcp` or `udp`
    #[arg(long, default_value = "tcp")]
    protocol: String,
    /// Which container of the service
    #[arg(long, value_name = "N")]
    index: Option<u32>,
}

impl Port {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let session = context.session(&[]).await?;
        let (client, project) = (&session.client, &session.scope.name);
        let container = containers::one(client, project, &self.service, self.index).await?;
        let mut found = false;
        for port in &container.ports {
            let Some(public) = port.public_port else {
                continue;
            };
            let ip = match port.ip.contains(':') {
                true => format!("[{}]", port.ip),
                false => port.ip.clone(),
            };
            match self.port {
                None => context.ui.line(format!(
                    "{}/{} -> {ip}:{public}",
                    port.private_port, port.kind
                )),
                Some(wanted)
                    if wanted == port.private_port && self.protocol == port.kind && !found =>
                {
                    context.ui.line(format!("{ip}:{public}"));
                }
                Some(_) => continue,
            }
            found = true;
        }
        match self.port {
            Some(port) if !found => Err(Failure::new(format!(
                "service `{}` does not publish port {port}/{}",
                self.service, self.protocol
            ))),
            _ => Ok(0),
        }
    }
}
