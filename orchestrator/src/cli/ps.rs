//! `ps`.

use std::collections::BTreeSet;

use bowline_api::ContainerSummary;
use bowline_plan::labels;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::containers::{self, Labelled as _};
use super::context::Context;
use crate::ui::{Outcome, Table, age};

/// How lists are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Columns for people
    #[default]
    Table,
    /// JSON for programs
    Json,
}

/// The states a container can be asked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Status {
    Paused,
    Restarting,
    Removing,
    Running,
    Dead,
    Created,
    Exited,
}

/// See the module.
#[derive(Args, Clone, Debug)]
pub(super) struct Ps {
    /// Services; all if none is named
    services: Vec<String>,
    /// Stopped containers, too
    #[arg(short, long)]
    all: bool,
    /// Ids only
    #[arg(short, long)]
    quiet: bool,
    /// Names of services only
    #[arg(long = "services", conflicts_with = "quiet")]
    services_only: bool,
    /// How to print; JSON is an object a line
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Containers in this state
    #[arg(long, value_enum)]
    status: Vec<Status>,
    /// `status=STATE`
    #[arg(long, value_name = "KEY=VALUE", value_parser = filter)]
    filter: Vec<Status>,
    /// Do not shorten
    #[arg(long)]
    no_trunc: bool,
}

fn filter(text: &str) -> Result<Status, String> {
    let state = text
        .strip_prefix("status=")
        .ok_or("only `status=STATE` can be filtered by")?;
    Status::from_str(state, true)
}

impl Ps {
    pub(super) async fn run(mut self, context: &Context) -> Outcome {
        let session = context.session(&[]).await?;
        session.scope.check(&session.observed, &self.services)?;
        self.status.append(&mut self.filter);
        let all = self.all || !self.status.is_empty();
        let name = &session.scope.name;
        let mut found = containers::list(&session.client, name, all, &self.services).await?;
        found.retain(|container| {
            // A one-off container that has ended is history.
            let shown = all || !container.is_one_off() || container.state == "running";
            let wanted = |status: &Status| {
                status
                    .to_possible_value()
                    .is_some_and(|value| value.matches(&container.state, true))
            };
            shown && (self.status.is_empty() || self.status.iter().any(wanted))
        });
        self.print(context, name, &found);
        Ok(0)
    }

    fn print(&self, context: &Context, project: &str, found: &[ContainerSummary]) {
        if self.quiet {
            found
                .iter()
                .for_each(|container| context.ui.line(&container.id));
        } else if self.services_only {
            let names: BTreeSet<&str> = found.iter().map(|container| container.service()).collect();
            names.into_iter().for_each(|name| context.ui.line(name));
        } else if self.format == Format::Json {
            found
                .iter()
                .for_each(|container| context.ui.line(object(project, container).to_string()));
        } else {
            context.ui.line(self.table(found).render());
        }
    }

    fn table(&self, found: &[ContainerSummary]) -> Table {
        let now = jiff::Timestamp::now().as_second();
        let headings = [
            "NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS",
        ];
        let mut table = Table::new(&headings);
        for container in found {
            table.row(vec![
                container.name().to_owned(),
                container.image.clone(),
                format!("\"{}\"", shorten(&container.command, 20, self.no_trunc)),
                container.service().to_owned(),
                age(container.created, now),
                container.status.clone(),
                ports(container),
            ]);
        }
        table
    }
}

fn shorten(text: &str, length: usize, whole: bool) -> String {
    match whole || text.chars().count() <= length {
        true => text.to_owned(),
        false => text.chars().take(length - 1).chain(['…']).collect(),
    }
}

/// `0.0.0.0:8080->80/tcp, 53/udp`
fn ports(container: &ContainerSummary) -> String {
    let ports = container.ports.iter().map(|port| match port.public_port {
        Some(public) => {
            let ip = match port.ip.contains(':') {
                true => format!("[{}]", port.ip),
                false => port.ip.clone(),
            };
            format!("{ip}:{public}->{}/{}", port.private_port, port.kind)
        }
        None => format!("{}/{}", port.private_port, port.kind),
    });
    ports.collect::<Vec<_>>().join(", ")
}

/// The keys that Compose prints.
fn object(project: &str, container: &ContainerSummary) -> Value {
    let publishers = container.ports.iter().map(|port| {
        json!({
            "URL": port.ip,
            "TargetPort": port.private_port,
            "PublishedPort": port.public_port.unwrap_or(0),
            "Protocol": port.kind,
        })
    });
    let inside = |text: &str| Some(text.rsplit_once('(')?.1.trim_end_matches(')').to_owned());
    let in_brackets = inside(&container.status).unwrap_or_default();
    let exited = container.state == "exited";
    let health = match in_brackets.as_str() {
        "healthy" | "unhealthy" => in_brackets.as_str(),
        "health: starting" => "starting",
        _ => "",
    };
    let exit_code = container.status.split(['(', ')']).nth(1).filter(|_| exited);
    let labels: Vec<String> = container
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let mounts: Vec<&str> = container
        .mounts
        .iter()
        .map(|mount| {
            if mount.name.is_empty() {
                &*mount.source
            } else {
                &*mount.name
            }
        })
        .collect();
    let networks: Vec<&str> = container
        .network_settings
        .networks
        .keys()
        .map(String::as_str)
        .collect();
    json!({
        "Command": format!("\"{}\"", container.command),
        "CreatedAt": created(container.created),
        "ExitCode": exit_code.and_then(|code| code.parse::<i64>().ok()).unwrap_or(0),
        "Health": health,
        "ID": container.id,
        "Image": container.image,
        "Labels": labels.join(","),
        "Mounts": mounts.join(","),
        "Name": container.name(),
        "Names": container.name(),
        "Networks": networks.join(","),
        "Ports": ports(container),
        "Project": container.labels.get(labels::PROJECT).map_or(project, String::as_str),
        "Publishers": publishers.collect::<Vec<_>>(),
        "RunningFor": age(container.created, jiff::Timestamp::now().as_second()),
        "Service": container.service(),
        "State": container.state,
        "Status": container.status,
    })
}

fn created(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map(|time| time.to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bowline_api::PortSummary;

    #[test]
    fn json_has_composes_keys() {
        let port = PortSummary {
            ip: "0.0.0.0".into(),
            private_port: 80,
            public_port: Some(8080),
            kind: "tcp".into(),
        };
        let container = ContainerSummary {
            id: "abc".into(),
            names: vec!["/shop-web-1".into()],
            state: "exited".into(),
            status: "Exited (3) 2 minutes ago".into(),
            ports: vec![port],
            ..ContainerSummary::default()
        };
        let object = object("shop", &container);
        assert_eq!(object["ExitCode"], 3);
        assert_eq!(object["Name"], "shop-web-1");
        assert_eq!(object["Publishers"][0]["PublishedPort"], 8080);
        assert_eq!(object["Ports"], "0.0.0.0:8080->80/tcp");
        assert_eq!(object["Health"], "");
        let healthy = ContainerSummary {
            state: "running".into(),
            status: "Up 1 second (healthy)".into(),
            ..container
        };
        assert_eq!(super::object("shop", &healthy)["Health"], "healthy");
    }

    #[test]
    fn long_commands_are_cut() {
        assert_eq!(shorten("abcdef", 4, false), "abc…");
        assert_eq!(shorten("abcdef", 4, true), "abcdef");
    }
}
