//! The canonical form of a project, as `config` prints it.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::Serialize;

use crate::model::{FileObject, Network, Project, Service, Volume};

/// The parts of a project that `config` prints, in its order and with sorted keys.
#[derive(Debug, Serialize)]
pub(crate) struct Canonical<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    configs: &'a BTreeMap<String, FileObject>,
    name: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    networks: &'a BTreeMap<String, Network>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    secrets: &'a BTreeMap<String, FileObject>,
    services: BTreeMap<&'a str, &'a Service>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    volumes: &'a BTreeMap<String, Volume>,
    #[serde(flatten)]
    extensions: &'a BTreeMap<String, serde_json::Value>,
}

/// The canonical view of a project.
pub(crate) fn canonical(project: &Project) -> Canonical<'_> {
    Canonical {
        configs: &project.configs,
        name: &project.name,
        networks: &project.networks,
        secrets: &project.secrets,
        services: sorted(&project.services),
        volumes: &project.volumes,
        extensions: &project.extensions,
    }
}

fn sorted(services: &IndexMap<String, Service>) -> BTreeMap<&str, &Service> {
    services
        .iter()
        .map(|(name, service)| (name.as_str(), service))
        .collect()
}
