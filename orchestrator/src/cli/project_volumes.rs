//! `volumes`: the volumes of a project.

use std::collections::BTreeSet;

use bowline_api::Volume;
use bowline_plan::labels;
use clap::Args;
use serde_json::json;

use super::containers;
use super::context::Context;
use super::format::{Format, Json, Listing};
use crate::apply::project_filter;
use crate::ui::{Outcome, WithContext as _};

/// See the module.
#[derive(Args, Clone, Debug)]
pub(super) struct Volumes {
    /// Services whose volumes are listed; all if none is named
    services: Vec<String>,
    /// Names only
    #[arg(short, long)]
    quiet: bool,
    /// `table`, `json` (an object a line), or a Go template
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "table",
        hide_default_value = true
    )]
    format: Format,
}

impl Volumes {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let session = context.session(&[]).await?;
        session.scope.check(&session.observed, &self.services)?;
        let (client, project) = (&session.client, &session.scope.name);
        let found = client.volumes_list(&project_filter(project)).await;
        let mut found = found
            .during(format!("cannot list the volumes of `{project}`"))?
            .volumes;
        if !self.services.is_empty() {
            let containers = containers::list(client, project, true, &self.services).await?;
            let mounts = containers.iter().flat_map(|container| &container.mounts);
            let used: BTreeSet<&str> = mounts.map(|mount| mount.name.as_str()).collect();
            found.retain(|volume| used.contains(volume.name.as_str()));
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        if self.quiet {
            found
                .iter()
                .for_each(|volume| context.ui.line(&volume.name));
            return Ok(0);
        }
        let mut listing = Listing::new(&["DRIVER", "VOLUME NAME"]);
        for volume in found {
            listing.row(object(&volume), vec![volume.driver, volume.name]);
        }
        listing.print(context.ui, &self.format, Json::Lines)?;
        Ok(0)
    }
}

/// The keys that Docker's tools print.
pub(super) fn object(volume: &Volume) -> serde_json::Value {
    let labels = volume
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"));
    json!({
        "Availability": "N/A", "Driver": volume.driver, "Group": "N/A",
        "Labels": labels.collect::<Vec<_>>().join(","),
        "Key": volume.labels.get(labels::VOLUME),
        "Links": "N/A", "Mountpoint": volume.mountpoint, "Name": volume.name, "Scope": volume.scope,
        "Size": "N/A", "Status": "N/A",
    })
}
