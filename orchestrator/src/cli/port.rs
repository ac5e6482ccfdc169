//! `port`: where a container's ports are published.

use bowline_api::PortSummary;
use clap::{Args, ValueEnum};

use super::containers::{self, Labelled as _};
use super::context::Context;
use crate::ui::{Failure, Outcome};

/// The protocols that ports are published with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Protocol {
    Tcp,
    Udp,
}

/// See the module.
#[derive(Args, Clone, Debug)]
pub(super) struct Port {
    /// The service
    service: String,
    /// The port in the container; all if absent
    port: Option<u16>,
    /// With which protocol
    #[arg(long, value_enum, default_value_t = Protocol::Tcp)]
    protocol: Protocol,
    /// Which container of the service
    #[arg(long, value_name = "N")]
    index: Option<u32>,
}

impl Port {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let session = context.session(&[]).await?;
        session
            .scope
            .check(&session.observed, std::slice::from_ref(&self.service))?;
        let (client, project) = (&session.client, &session.scope.name);
        let container = containers::one(client, project, &self.service, self.index).await?;
        let published = container
            .ports
            .iter()
            .filter_map(|port| Some((port, address(port)?)));
        let Some(wanted) = self.port else {
            for (port, address) in published {
                let line = format!("{}/{} -> {address}", port.private_port, port.kind);
                context.ui.line(line);
            }
            return Ok(0);
        };
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        let mut published = published;
        let found =
            published.find(|(port, _)| port.private_port == wanted && port.kind == protocol);
        match found {
            Some((_, address)) => {
                context.ui.line(address);
                Ok(0)
            }
            None => Err(Failure::new(format!(
                "container `{}` does not publish port {wanted}/{protocol}",
                container.name()
            ))
            .hint(there_is(&container.ports))),
        }
    }
}

/// `127.0.0.1:8080`, `[::1]:8080`; nothing for a port that is only exposed.
fn address(port: &PortSummary) -> Option<String> {
    let public = port.public_port?;
    Some(match port.ip.contains(':') {
        true => format!("[{}]:{public}", port.ip),
        false => format!("{}:{public}", port.ip),
    })
}

fn there_is(ports: &[PortSummary]) -> String {
    let ports = ports.iter().filter(|port| port.public_port.is_some());
    let ports: Vec<String> = ports
        .map(|port| format!("{}/{}", port.private_port, port.kind))
        .collect();
    match ports.is_empty() {
        true => "it publishes no port".to_owned(),
        false => format!("it publishes {}", ports.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_what_a_browser_takes() {
        let port = |ip: &str, public| PortSummary {
            ip: ip.into(),
            private_port: 80,
            public_port: public,
            kind: "tcp".into(),
        };
        assert_eq!(address(&port("::1", Some(1))).unwrap(), "[::1]:1");
        assert_eq!(address(&port("127.0.0.1", Some(2))).unwrap(), "127.0.0.1:2");
        assert_eq!(address(&port("", None)), None);
        let ports = [port("", None), port("::", Some(2))];
        assert_eq!(there_is(&ports), "it publishes 80/tcp");
        assert_eq!(there_is(&ports[..1]), "it publishes no port");
    }
}
