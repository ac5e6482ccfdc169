//! `images`: what the project's containers were made from.

use clap::Args;
use serde_json::json;

use super::containers::{self, Labelled as _};
use super::context::Context;
use super::ps::Format;
use crate::ui::{Outcome, Table, bytes};

/// See the module.
#[derive(Args, Clone, Debug)]
pub(super) struct Images {
    /// Services; all if none is named
    services: Vec<String>,
    /// Ids only
    #[arg(short, long)]
    quiet: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Images {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let session = context.session(&[]).await?;
        session.scope.check(&session.observed, &self.services)?;
        let client = &session.client;
        let found = containers::list(client, &session.scope.name, true, &self.services).await?;
        let mut table = Table::new(&["CONTAINER", "IMAGE", "ID", "SIZE"]);
        let mut list = Vec::new();
        let mut ids = std::collections::BTreeSet::new();
        for container in &found {
            let image = client.image_inspect(&container.image_id).await;
            let size = image.map_or(0, |image| u64::try_from(image.size).unwrap_or(0));
            let id = container.image_id.trim_start_matches("sha256:");
            let short: String = id.chars().take(12).collect();
            let (name, image) = (container.name().to_owned(), container.image.clone());
            list.push(
                json!({"ContainerName": name, "ID": container.image_id, "Repository": image,
                "Size": size}),
            );
            ids.insert(id.to_owned());
            table.row(vec![name, image, short, bytes(size)]);
        }
        match (self.quiet, self.format) {
            (true, _) => ids.iter().for_each(|id| context.ui.line(id)),
            (false, Format::Json) => {
                context.ui.line(serde_json::Value::Array(list).to_string());
            }
            (false, Format::Table) => context.ui.line(table.render()),
        }
        Ok(0)
    }
}
