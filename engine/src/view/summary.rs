//! `GET /containers/json`: what is listed, and in which words.

use bowline_api::{ContainerSummary, Filters, HostConfigSummary, NetworkSummary, PortSummary};

use super::Networks;
use crate::clock;
use crate::error::{Error, Result};
use crate::health::Status;
use crate::launch::spec;
use crate::record::{ContainerRecord, Phase};

/// One row.
pub(crate) fn summary(record: &ContainerRecord, networks: &Networks) -> ContainerSummary {
    ContainerSummary {
        id: record.id.clone(),
        names: vec![format!("/{}", record.name)],
        image: record.image_name.clone(),
        image_id: record.image.clone(),
        command: spec::arguments(record).join(" "),
        created: clock::seconds(&record.created),
        ports: ports(record),
        labels: record.config.labels.clone(),
        state: record.phase.word().into(),
        status: status(record),
        host_config: HostConfigSummary {
            network_mode: record.host.network_mode.clone(),
            ..HostConfigSummary::default()
        },
        network_settings: NetworkSummary {
            networks: super::endpoints(record, networks),
        },
        mounts: record.mounts.iter().map(super::mount).collect(),
        ..ContainerSummary::default()
    }
}

fn ports(record: &ContainerRecord) -> Vec<PortSummary> {
    let mut rows = Vec::new();
    for (key, bindings) in super::ports(record) {
        let (port, kind) = key.split_once('/').unwrap_or((&key, "tcp"));
        let private_port = port.parse().unwrap_or_default();
        let bound = bindings.unwrap_or_default();
        if bound.is_empty() && record.phase.is_alive() {
            rows.push(PortSummary {
                private_port,
                kind: kind.into(),
                ..PortSummary::default()
            });
        }
        rows.extend(bound.into_iter().map(|binding| PortSummary {
            ip: binding.host_ip,
            private_port,
            public_port: binding.host_port.parse().ok(),
            kind: kind.into(),
        }));
    }
    rows
}

/// "Up 2 minutes (healthy)", "Exited (0) 3 seconds ago".
pub(super) fn status(record: &ContainerRecord) -> String {
    let run = &record.run;
    let ago = || clock::human(clock::since(&run.finished_at));
    let up = || clock::human(clock::since(&run.started_at));
    match record.phase {
        Phase::Created => "Created".into(),
        Phase::Removing => "Removal In Progress".into(),
        Phase::Exited => format!("Exited ({}) {} ago", run.code, ago()),
        Phase::Restarting => format!("Restarting ({}) {} ago", run.code, ago()),
        Phase::Paused => format!("Up {} (Paused)", up()),
        Phase::Running => match record.health.as_ref().map(|health| health.status) {
            None => format!("Up {}", up()),
            Some(Status::Starting) => format!("Up {} (health: starting)", up()),
            Some(other) => format!("Up {} ({})", up(), other.word()),
        },
    }
}

/// What a listing asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query<'a> {
    /// Stopped ones too.
    pub all: bool,
    /// At most this many, the newest.
    pub limit: Option<usize>,
    /// See the API's filters.
    pub filters: Option<&'a Filters>,
}

/// Filters the listing knows.
const FILTERS: [&str; 15] = [
    "ancestor", "before", "exited", "expose", "health", "id", "is-task", "label", "label!", "name",
    "network", "publish", "since", "status", "volume",
];

impl Query<'_> {
    /// Chooses from `records`, newest first.
    ///
    /// # Errors
    /// 400 for a filter that is not known, or a value that cannot be right.
    pub(crate) fn select<'r>(
        &self,
        records: &'r [std::sync::Arc<ContainerRecord>],
    ) -> Result<Vec<&'r ContainerRecord>> {
        let none = Filters::new();
        let filters = self.filters.unwrap_or(&none);
        filters
            .allow_only(&FILTERS)
            .map_err(|error| Error::invalid(error.to_string()))?;
        check_values(filters)?;
        let limit = self.limit.filter(|limit| *limit > 0);
        let all = self.all || limit.is_some() || filters.has("status");
        let mut chosen: Vec<&ContainerRecord> = records
            .iter()
            .map(std::sync::Arc::as_ref)
            .filter(|record| all || record.phase.is_alive() || record.phase == Phase::Restarting)
            .collect();
        chosen.sort_by(|a, b| b.created.cmp(&a.created));
        self.cut(filters, records, &mut chosen)?;
        chosen.retain(|record| matches(record, filters));
        chosen.truncate(limit.unwrap_or(usize::MAX));
        Ok(chosen)
    }

    /// `before` and `since` name a container in the order of creation.
    fn cut(
        &self,
        filters: &Filters,
        records: &[std::sync::Arc<ContainerRecord>],
        chosen: &mut Vec<&ContainerRecord>,
    ) -> Result<()> {
        for (key, keep_older) in [("before", true), ("since", false)] {
            for value in filters.values(key) {
                let found = records.iter().find(|record| {
                    record.name == value.trim_start_matches('/') || record.id.starts_with(value)
                });
                let pivot =
                    found.ok_or_else(|| Error::not_found(format!("No such container: {value}")))?;
                chosen.retain(|record| match keep_older {
                    true => record.created < pivot.created,
                    false => record.created > pivot.created,
                });
            }
        }
        Ok(())
    }
}

fn check_values(filters: &Filters) -> Result<()> {
    let words = [
        "created",
        "restarting",
        "running",
        "removing",
        "paused",
        "exited",
        "dead",
    ];
    if let Some(wrong) = filters
        .values("status")
        .find(|value| !words.contains(value))
    {
        return Err(Error::invalid(format!("invalid filter 'status={wrong}'")));
    }
    if let Some(wrong) = filters
        .values("exited")
        .find(|value| value.parse::<i32>().is_err())
    {
        return Err(Error::invalid(format!("invalid filter 'exited={wrong}'")));
    }
    Ok(())
}

fn matches(record: &ContainerRecord, filters: &Filters) -> bool {
    let health = record
        .health
        .as_ref()
        .map_or("none", |health| health.status.word());
    let port = |wanted: &str, candidates: &[String]| {
        let wanted = if wanted.contains('/') {
            wanted.to_owned()
        } else {
            format!("{wanted}/tcp")
        };
        candidates.contains(&wanted)
    };
    let exposed: Vec<String> = super::ports(record).into_keys().collect();
    let published: Vec<String> = record
        .ports
        .iter()
        .flat_map(|bound| {
            [bound.container_port, bound.host_port].map(|port| format!("{port}/{}", bound.protocol))
        })
        .collect();
    filters.matches_labels(&record.config.labels)
        && filters.any("id", |value| record.id.starts_with(value))
        && filters.any("name", |value| name_matches(&record.name, value))
        && filters.matches("status", record.phase.word())
        && filters.matches("health", health)
        && filters.any("exited", |value| {
            record.phase == Phase::Exited && value.parse() == Ok(record.run.code)
        })
        && filters.any("ancestor", |value| {
            record.image_name == value
                || record.image == value
                || record.image_name == format!("{value}:latest")
                || record
                    .image
                    .trim_start_matches("sha256:")
                    .starts_with(value)
        })
        && filters.any("network", |value| {
            let by_id = |endpoint: &crate::record::Endpoint| endpoint.network.starts_with(value);
            record.endpoints.contains_key(value) || record.endpoints.values().any(by_id)
        })
        && filters.any("volume", |value| {
            let fits = |mount: &crate::record::MountPoint| {
                mount.name == value || mount.destination.as_os_str() == value
            };
            record.mounts.iter().any(fits)
        })
        && filters.any("expose", |value| port(value, &exposed))
        && filters.any("publish", |value| port(value, &published))
        && filters.any("is-task", |value| ["0", "false"].contains(&value))
}

/// Docker reads the value as a regular expression over the name with and without its slash. What people write is a
/// plain part of a name, perhaps anchored; that is what is understood here.
fn name_matches(name: &str, pattern: &str) -> bool {
    let (start, pattern) = match pattern.strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    let (end, pattern) = match pattern.strip_suffix('$') {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    let slashed = format!("/{name}");
    [name, slashed.as_str()]
        .into_iter()
        .any(|name| match (start, end) {
            (true, true) => name == pattern,
            (true, false) => name.starts_with(pattern),
            (false, true) => name.ends_with(pattern),
            (false, false) => name.contains(pattern),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn record(name: &str, phase: Phase) -> Arc<ContainerRecord> {
        Arc::new(ContainerRecord {
            id: format!("{name:0<64}"),
            name: name.into(),
            phase,
            created: format!("2026-01-01T00:00:0{}Z", name.len()),
            ..ContainerRecord::default()
        })
    }

    fn names(all: bool, filters: &Filters) -> Vec<String> {
        let records = [record("web", Phase::Running), record("db", Phase::Exited)];
        let query = Query {
            all,
            limit: None,
            filters: Some(filters),
        };
        let chosen = query.select(&records).unwrap();
        chosen
            .into_iter()
            .map(|record| record.name.clone())
            .collect()
    }

    #[test]
    fn stopped_ones_are_listed_on_request_and_by_status() {
        assert_eq!(names(false, &Filters::new()), ["web"]);
        assert_eq!(names(true, &Filters::new()), ["web", "db"]);
        assert_eq!(
            names(false, &Filters::new().with("status", "exited")),
            ["db"]
        );
        assert_eq!(names(true, &Filters::new().with("name", "^/d")), ["db"]);
        assert_eq!(names(true, &Filters::new().with("before", "web")), ["db"]);
    }

    #[test]
    fn unknown_filters_and_values_are_refused() {
        for (key, value) in [("colour", "red"), ("status", "asleep"), ("exited", "x")] {
            let filters = Filters::new().with(key, value);
            let query = Query {
                filters: Some(&filters),
                ..Query::default()
            };
            assert!(query.select(&[]).is_err(), "{key}");
        }
    }
}
