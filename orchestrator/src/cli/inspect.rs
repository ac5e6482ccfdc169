//! `inspect`: everything about containers, images, networks and volumes, as the engine tells it.

use bowline_client::{Client, Kind};
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::context::Context;
use super::format::Format;
use crate::ui::{Failure, Outcome, WithContext as _};

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Type {
    Container,
    Image,
    Network,
    Volume,
}

/// See the module.
#[derive(Args, Clone, Debug)]
pub(super) struct Inspect {
    /// Names or ids
    #[arg(required = true)]
    names: Vec<String>,
    /// `json`, or a Go template
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        default_value = "json",
        hide_default_value = true
    )]
    format: Format,
    /// Look among these only
    #[arg(long = "type", value_enum)]
    kind: Option<Type>,
    /// Measure the files of containers
    #[arg(short, long)]
    size: bool,
}

impl Inspect {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client().await?;
        let kinds: &[Kind] = match self.kind {
            None => &[Kind::Container, Kind::Image, Kind::Network, Kind::Volume],
            Some(Type::Container) => &[Kind::Container],
            Some(Type::Image) => &[Kind::Image],
            Some(Type::Network) => &[Kind::Network],
            Some(Type::Volume) => &[Kind::Volume],
        };
        print(
            context,
            &client,
            kinds,
            &self.names,
            &self.format,
            self.size,
        )
        .await
    }
}

/// Prints what is found; whoever is missing is told on standard error, at the end.
pub(super) async fn print(
    context: &Context,
    client: &Client,
    kinds: &[Kind],
    names: &[String],
    format: &Format,
    size: bool,
) -> Outcome {
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for name in names {
        match look(client, kinds, name, size).await? {
            Some(object) => found.push(object),
            None => missing.push(name.as_str()),
        }
    }
    match format {
        Format::Table | Format::Json => context.ui.line(serde_json::to_string_pretty(&found)?),
        Format::Each(template) | Format::Columns(template) => {
            for object in &found {
                context.ui.line(template.render(object)?);
            }
        }
    }
    let what = match kinds {
        [kind] => kind.as_str(),
        _ => "object",
    };
    match missing.as_slice() {
        [] => Ok(0),
        names => Err(Failure::new(format!(
            "no such {what}: {}",
            names.join(", ")
        ))),
    }
}

async fn look(client: &Client, kinds: &[Kind], name: &str, size: bool) -> Outcome<Option<Value>> {
    for kind in kinds {
        match client.inspect_raw(*kind, name, size).await {
            Ok(object) => return Ok(Some(object)),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error).during(format!("cannot look at `{name}`")),
        }
    }
    Ok(None)
}
