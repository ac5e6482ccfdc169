//! `ps`.

use std::collections::BTreeSet;

use bowline_api::ContainerSummary;
use bowline_plan::labels;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::containers::{self, Labelled as _};
use super::context::{Context, Session};
use super::format::{self, Json, Listing};
use crate::ui::{Outcome, age};

/// How reports that are not lists are printed.
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
#[expect(clippy::struct_excessive_bools, reason = "flags are flags")]
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
    /// `table`, `json` (an object a line), or a Go template
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "table",
        hide_default_value = true
    )]
    format: format::Format,
    /// Containers in this state
    #[arg(long, value_enum)]
    status: Vec<Status>,
    /// `status=STATE`
    #[arg(long, value_name = "KEY=VALUE", value_parser = filter)]
    filter: Vec<Status>,
    /// Whole ids and commands
    #[arg(long)]
    no_trunc: bool,
    /// With containers of services that are not in the file
    #[arg(
        long, value_name = "BOOL", default_value_t = true, hide_default_value = true,
        num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set
    )]
    orphans: bool,
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
        found.retain(|container| self.is_shown(&session, all, container));
        self.print(context, name, &found)?;
        Ok(0)
    }

    fn is_shown(&self, session: &Session, all: bool, container: &ContainerSummary) -> bool {
        // A one-off container that has ended is history.
        let current = all || !container.is_one_off() || container.state == "running";
        let wanted = |status: &Status| {
            status
                .to_possible_value()
                .is_some_and(|value| value.matches(&container.state, true))
        };
        let project = session.scope.project.as_ref();
        let declared = project.is_none_or(|project| project.service(container.service()).is_some());
        current
            && (self.status.is_empty() || self.status.iter().any(wanted))
            && (self.orphans || declared)
    }

    fn print(&self, context: &Context, project: &str, found: &[ContainerSummary]) -> Outcome<()> {
        if self.quiet {
            found
                .iter()
                .for_each(|container| context.ui.line(&container.id));
            return Ok(());
        }
        if self.services_only {
            let names: BTreeSet<&str> = found.iter().map(|container| container.service()).collect();
            names.into_iter().for_each(|name| context.ui.line(name));
            return Ok(());
        }
        let now = jiff::Timestamp::now().as_second();
        let headings = &[
            "NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS",
        ];
        let mut listing = Listing::new(headings);
        for container in found {
            let object = object(project, container, now, self.no_trunc);
            let cell = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
            let cells = [
                "Name",
                "Image",
                "Command",
                "Service",
                "RunningFor",
                "Status",
                "Ports",
            ];
            let cells = cells.map(cell).to_vec();
            listing.row(object, cells);
        }
        listing.print(context.ui, &self.format, Json::Lines)
    }
}

pub(super) fn shorten(text: &str, length: usize, whole: bool) -> String {
    match whole || text.chars().count() <= length {
        true => text.to_owned(),
        false => text.chars().take(length - 1).chain(['…']).collect(),
    }
}

/// `0.0.0.0:8080->80/tcp, 53/udp`
pub(super) fn ports(container: &ContainerSummary) -> String {
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
fn object(project: &str, container: &ContainerSummary, now: i64, whole: bool) -> Value {
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
        "Command": format!("\"{}\"", shorten(&container.command, 20, whole)),
        "CreatedAt": created(container.created),
        "ExitCode": exit_code.and_then(|code| code.parse::<i64>().ok()).unwrap_or(0),
        "Health": health,
        "ID": if whole { &container.id } else { containers::short(&container.id) },
        "Image": container.image,
        "Labels": labels.join(","),
        "Mounts": mounts.join(","),
        "Name": container.name(),
        "Names": container.name(),
        "Networks": networks.join(","),
        "Ports": ports(container),
        "Project": container.labels.get(labels::PROJECT).map_or(project, String::as_str),
        "Publishers": publishers.collect::<Vec<_>>(),
        "RunningFor": age(container.created, now),
        "Service": container.service(),
        "State": container.state,
        "Status": container.status,
    })
}

fn created(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map(|time| time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string())
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
            id: "0123456789abcdef".into(),
            names: vec!["/shop-web-1".into()],
            state: "exited".into(),
            status: "Exited (3) 2 minutes ago".into(),
            ports: vec![port],
            ..ContainerSummary::default()
        };
        let object = object("shop", &container, 0, false);
        assert_eq!(object["ExitCode"], 3);
        assert_eq!(object["ID"], "0123456789ab");
        assert_eq!(object["CreatedAt"], "1970-01-01 00:00:00 +0000 UTC");
        assert_eq!(object["Name"], "shop-web-1");
        assert_eq!(object["Publishers"][0]["PublishedPort"], 8080);
        assert_eq!(object["Ports"], "0.0.0.0:8080->80/tcp");
        assert_eq!(object["Health"], "");
        let healthy = ContainerSummary {
            state: "running".into(),
            status: "Up 1 second (healthy)".into(),
            ..container
        };
        assert_eq!(
            super::object("shop", &healthy, 0, false)["Health"],
            "healthy"
        );
    }

    #[test]
    fn long_commands_are_cut() {
        assert_eq!(shorten("abcdef", 4, false), "abc…");
        assert_eq!(shorten("abcdef", 4, true), "abcdef");
    }
}
