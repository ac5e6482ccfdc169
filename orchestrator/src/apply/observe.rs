//! The snapshot that planning starts from: four lists, and a look at what the file names by name.

use std::collections::BTreeMap;

use bowline_api::{ContainerSummary, Filters, Network, Volume};
use bowline_client::Client;
use bowline_compose::model::Project;
use bowline_plan::{
    Container, Hashes, Health, Mount, Observed, ObservedNetwork, ObservedVolume, State, labels,
};
use futures_util::future::{join_all, try_join_all};

use crate::ui::{Outcome, WithContext as _};

/// Everything with the label of this project.
pub(crate) fn project_filter(project: &str) -> Filters {
    Filters::new().with("label", format!("{}={project}", labels::PROJECT))
}

/// Takes the snapshot. `project` adds the networks and volumes that the file names.
pub(crate) async fn observe(
    client: &Client,
    name: &str,
    project: Option<&Project>,
) -> Outcome<Observed> {
    let filter = project_filter(name);
    let (containers, networks, volumes) = tokio::try_join!(
        client.containers_list(true, &filter),
        client.networks_list(&filter),
        client.volumes_list(&filter),
    )
    .during(format!("cannot look at project `{name}`"))?;
    let mut observed = Observed {
        containers: containers.iter().map(container).collect(),
        networks: networks.iter().map(|found| network(found, name)).collect(),
        volumes: volumes
            .volumes
            .iter()
            .map(|found| volume(found, name))
            .collect(),
    };
    resolve_joins(&mut observed);
    if let Some(project) = project {
        add_named(client, project, &mut observed).await?;
    }
    Ok(observed)
}

/// Engines may tell the container whose namespace is shared by name.
fn resolve_joins(observed: &mut Observed) {
    let ids: BTreeMap<String, String> = observed
        .containers
        .iter()
        .map(|c| (c.name.clone(), c.id.clone()))
        .collect();
    for container in &mut observed.containers {
        for joined in &mut container.joins {
            if let Some(id) = ids.get(joined) {
                joined.clone_from(id);
            }
        }
    }
}

async fn add_named(client: &Client, project: &Project, observed: &mut Observed) -> Outcome<()> {
    let missing: Vec<&String> = project
        .networks
        .values()
        .map(|network| &network.name)
        .collect();
    let missing = missing
        .into_iter()
        .filter(|name| observed.network(name).is_none());
    let found = try_join_all(missing.map(|name| absent_is_none(client.network_inspect(name))));
    let found = found
        .await
        .during("cannot look at the networks of the file")?;
    let found = found
        .iter()
        .flatten()
        .map(|found| network(found, &project.name));
    observed.networks.extend(found.collect::<Vec<_>>());

    let missing: Vec<&String> = project
        .volumes
        .values()
        .map(|volume| &volume.name)
        .collect();
    let missing = missing
        .into_iter()
        .filter(|name| observed.volume(name).is_none());
    let found = try_join_all(missing.map(|name| absent_is_none(client.volume_inspect(name))));
    let found = found
        .await
        .during("cannot look at the volumes of the file")?;
    let found = found
        .iter()
        .flatten()
        .map(|found| volume(found, &project.name));
    observed.volumes.extend(found.collect::<Vec<_>>());
    Ok(())
}

async fn absent_is_none<T>(
    look: impl Future<Output = bowline_client::Result<T>>,
) -> bowline_client::Result<Option<T>> {
    match look.await {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Ids of those images that are here, by reference.
pub(crate) async fn image_ids(
    client: &Client,
    references: impl IntoIterator<Item = &str>,
) -> Outcome<BTreeMap<String, String>> {
    let mut unique: Vec<&str> = references.into_iter().collect();
    unique.sort_unstable();
    unique.dedup();
    let looks = unique.into_iter().map(async |reference| {
        let found = absent_is_none(client.image_inspect(reference)).await;
        (reference.to_owned(), found)
    });
    let mut ids = BTreeMap::new();
    for (reference, found) in join_all(looks).await {
        let found = found.during(format!("cannot look at image `{reference}`"))?;
        ids.extend(found.map(|image| (reference, image.id)));
    }
    Ok(ids)
}

fn hashes(all: &BTreeMap<String, String>) -> Hashes {
    Hashes {
        own: all.get(labels::OWN_HASH).cloned(),
        compose: all.get(labels::CONFIG_HASH).cloned(),
    }
}

/// The key label, where the project label is ours.
fn key(all: &BTreeMap<String, String>, project: &str, label: &str) -> Option<String> {
    let ours = all.get(labels::PROJECT).is_some_and(|name| name == project);
    all.get(label).filter(|_| ours).cloned()
}

fn network(found: &Network, project: &str) -> ObservedNetwork {
    ObservedNetwork {
        id: found.id.clone(),
        name: found.name.clone(),
        key: key(&found.labels, project, labels::NETWORK),
        hashes: hashes(&found.labels),
        model: found.labels.get(labels::OWN_CONFIG).cloned(),
    }
}

fn volume(found: &Volume, project: &str) -> ObservedVolume {
    ObservedVolume {
        name: found.name.clone(),
        key: key(&found.labels, project, labels::VOLUME),
        hashes: hashes(&found.labels),
        model: found.labels.get(labels::OWN_CONFIG).cloned(),
    }
}

fn container(found: &ContainerSummary) -> Container {
    let label = |key: &str| found.labels.get(key).cloned();
    let name = found
        .names
        .first()
        .map_or("", |name| name.trim_start_matches('/'));
    let mounts = found.mounts.iter().filter(|mount| mount.kind == "volume");
    let joined = found.host_config.network_mode.strip_prefix("container:");
    Container {
        id: found.id.clone(),
        name: name.to_owned(),
        service: label(labels::SERVICE).unwrap_or_default(),
        number: label(labels::NUMBER)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0),
        one_off: label(labels::ONE_OFF).is_some_and(|text| text == "True")
            && label(labels::HOOK).is_none(),
        hook: label(labels::HOOK).is_some(),
        model: label(labels::OWN_CONFIG),
        ports: host_ports(found),
        state: state(&found.state, &found.status),
        health: health(&found.status),
        hashes: hashes(&found.labels),
        image: found.image_id.clone(),
        networks: found.network_settings.networks.keys().cloned().collect(),
        mounts: mounts
            .map(|mount| Mount {
                volume: mount.name.clone(),
                target: mount.destination.clone(),
                anonymous: is_anonymous(&mount.name),
            })
            .collect(),
        joins: joined.map(ToOwned::to_owned).into_iter().collect(),
        depends_on: labels::parse_depends_on(&label(labels::DEPENDS_ON).unwrap_or_default()),
        replaces: label(labels::REPLACE),
    }
}

/// Ports of the host that it holds while it runs.
fn host_ports(found: &ContainerSummary) -> Vec<String> {
    let ports = found.ports.iter();
    let mut ports: Vec<String> = ports
        .filter_map(|port| Some(format!("{}/{}", port.public_port?, port.kind)))
        .collect();
    // Each address family is told apart.
    ports.sort();
    ports.dedup();
    ports
}

/// Engines name anonymous volumes with 64 hexadecimal digits.
fn is_anonymous(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn state(word: &str, status: &str) -> State {
    match word {
        "created" => State::Created,
        "running" => State::Running,
        "paused" => State::Paused,
        "restarting" => State::Restarting,
        "removing" => State::Removing,
        "dead" => State::Dead,
        _ => State::Exited(exit_code(status).unwrap_or(-1)),
    }
}

/// From `Exited (137) 5 minutes ago`.
fn exit_code(status: &str) -> Option<i64> {
    let (_, rest) = status.split_once('(')?;
    rest.split_once(')')?.0.parse().ok()
}

/// From `Up 5 minutes (healthy)`.
fn health(status: &str) -> Health {
    match status
        .rsplit_once('(')
        .map(|(_, word)| word.trim_end_matches(')'))
    {
        Some("healthy") => Health::Healthy,
        Some("unhealthy") => Health::Unhealthy,
        Some(word) if word.starts_with("health: starting") => Health::Starting,
        _ => Health::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_tells_exit_code_and_health() {
        assert_eq!(
            state("exited", "Exited (137) 5 minutes ago"),
            State::Exited(137)
        );
        assert_eq!(health("Up 5 minutes (healthy)"), Health::Healthy);
        assert_eq!(health("Up 1 second (health: starting)"), Health::Starting);
        assert_eq!(health("Up 1 second"), Health::None);
        assert_eq!(health("Exited (0) 1 second ago"), Health::None);
    }

    #[test]
    fn a_summary_becomes_what_planning_needs() {
        let summary: ContainerSummary = serde_json::from_value(serde_json::json!({
            "Id": "abc", "Names": ["/shop-web-1"], "ImageID": "sha256:1", "State": "running",
            "Status": "Up 1 second (healthy)",
            "Labels": {
                "com.docker.compose.project": "shop", "com.docker.compose.service": "web",
                "com.docker.compose.container-number": "1", "com.docker.compose.oneoff": "False",
                "com.docker.compose.depends_on": "db:service_healthy:false",
                "com.docker.compose.config-hash": "h"
            },
            "HostConfig": {"NetworkMode": "container:def"},
            "Mounts": [{"Type": "volume", "Name": "shop_data", "Destination": "/data"},
                       {"Type": "bind", "Source": "/x", "Destination": "/x"}]
        }))
        .unwrap();
        let seen = container(&summary);
        assert_eq!(
            (seen.name.as_str(), seen.number, seen.one_off),
            ("shop-web-1", 1, false)
        );
        assert_eq!(seen.joins, ["def"]);
        assert_eq!(seen.mounts.len(), 1);
        assert_eq!(seen.depends_on[0].service, "db");
        assert_eq!(
            seen.hashes,
            Hashes {
                own: None,
                compose: Some("h".into())
            }
        );
    }
}
