//! Finding the containers of a project that a command is about.

use bowline_api::ContainerSummary;
use bowline_client::Client;
use bowline_plan::labels;

use crate::apply::project_filter;
use crate::ui::{Failure, Outcome, WithContext as _};

/// A container's labels, read for people.
pub(super) trait Labelled {
    /// Its service.
    fn service(&self) -> &str;
    /// Its replica number, 0 for one-off containers.
    fn number(&self) -> u32;
    /// Whether `run` made it.
    fn is_one_off(&self) -> bool;
    /// Its name without the slash.
    fn name(&self) -> &str;
}

impl Labelled for ContainerSummary {
    fn service(&self) -> &str {
        self.labels.get(labels::SERVICE).map_or("", String::as_str)
    }

    fn number(&self) -> u32 {
        self.labels
            .get(labels::NUMBER)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    }

    fn is_one_off(&self) -> bool {
        self.labels
            .get(labels::ONE_OFF)
            .is_some_and(|text| text == "True")
    }

    fn name(&self) -> &str {
        self.names
            .first()
            .map_or("", |name| name.trim_start_matches('/'))
    }
}

/// The first twelve digits of an id, which is how much of it people are shown.
pub(super) fn short(id: &str) -> &str {
    let id = id.strip_prefix("sha256:").unwrap_or(id);
    id.get(..12).unwrap_or(id)
}

/// The containers of these services, all if none is named, by service and number.
pub(super) async fn list(
    client: &Client,
    project: &str,
    all: bool,
    services: &[String],
) -> Outcome<Vec<ContainerSummary>> {
    let found = client.containers_list(all, &project_filter(project)).await;
    let mut found = found.during(format!("cannot list the containers of `{project}`"))?;
    found.retain(|container| {
        services.is_empty() || services.iter().any(|name| name == container.service())
    });
    found.sort_by(|a, b| {
        (a.service(), a.number(), a.name()).cmp(&(b.service(), b.number(), b.name()))
    });
    Ok(found)
}

/// One running container of a service: the lowest number, or the one asked for.
pub(super) async fn one(
    client: &Client,
    project: &str,
    service: &str,
    index: Option<u32>,
) -> Outcome<ContainerSummary> {
    let found = list(client, project, true, &[service.to_owned()]).await?;
    let mut replicas = found
        .into_iter()
        .filter(|container| !container.is_one_off());
    let fits = |container: &ContainerSummary| match index {
        Some(index) => container.number() == index,
        None => container.state == "running",
    };
    replicas.find(fits).ok_or_else(|| {
        let failure = match index {
            Some(index) => Failure::new(format!("service `{service}` has no container {index}")),
            None => Failure::new(format!("service `{service}` is not running")),
        };
        failure.hint(format!("`bowline ps -a {service}` shows its containers"))
    })
}
