//! Which filters each list knows.

use bowline_api::Filters;

use crate::error::{Error, Result};

/// Of `GET /containers/json`.
pub(super) const CONTAINERS: &[&str] = &[
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];
/// Of `GET /images/json`.
pub(super) const IMAGES: &[&str] = &[
    "before",
    "dangling",
    "label",
    "label!",
    "reference",
    "since",
    "until",
];
/// Of `GET /networks`.
pub(super) const NETWORKS: &[&str] =
    &["dangling", "driver", "id", "label", "name", "scope", "type"];
/// Of `GET /volumes`.
pub(super) const VOLUMES: &[&str] = &["dangling", "driver", "label", "name"];
/// Of `GET /events`.
pub(super) const EVENTS: &[&str] = &[
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
];
/// Of pruning containers and networks.
pub(super) const PRUNE: &[&str] = &["label", "label!", "until"];
/// Of pruning images.
pub(super) const PRUNE_IMAGES: &[&str] = &["dangling", "label", "label!", "until"];
/// Of pruning volumes.
pub(super) const PRUNE_VOLUMES: &[&str] = &["all", "label", "label!"];

/// Of pruning what builds keep.
pub(super) const PRUNE_BUILDS: &[&str] = &[
    "description",
    "id",
    "inuse",
    "parent",
    "private",
    "shared",
    "type",
    "unused-for",
    "until",
];

/// What a container can be, for the filter `status`.
const STATUSES: &[&str] = &[
    "created",
    "dead",
    "exited",
    "paused",
    "removing",
    "restarting",
    "running",
];

/// Reads the query's `filters`.
pub(super) fn parse(text: Option<&str>, known: &[&str]) -> Result<Filters> {
    let filters = Filters::parse(text.unwrap_or_default())
        .and_then(|filters| filters.allow_only(known).map(|()| filters));
    filters.map_err(|error| Error::invalid(error.to_string()))
}

/// Refuses a status that no container has, which would otherwise silently match nothing.
pub(super) fn check_statuses(filters: &Filters) -> Result<()> {
    match filters
        .values("status")
        .find(|status| !STATUSES.contains(status))
    {
        Some(status) => Err(Error::invalid(format!("invalid filter 'status={status}'"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_filter_is_refused_by_name() {
        let refused = parse(Some(r#"{"colour":["red"]}"#), CONTAINERS).unwrap_err();
        assert_eq!(refused.message, "invalid filter 'colour'");
        let filters = parse(Some(r#"{"status":{"dancing":true}}"#), CONTAINERS).unwrap();
        assert_eq!(
            check_statuses(&filters).unwrap_err().message,
            "invalid filter 'status=dancing'"
        );
        assert!(parse(None, VOLUMES).unwrap().is_empty());
    }
}
