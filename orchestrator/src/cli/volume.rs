//! `volume`: volumes of the engine, whatever project they belong to.

use bowline_api::{Filters, VolumeCreate};
use clap::{Args, Subcommand};

use super::context::Context;
use super::ps::Format;
use crate::ui::{Outcome, Table, WithContext as _, bytes};

/// See the module.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Volume {
    /// List volumes
    Ls(Ls),
    /// Remove volumes
    Rm(Rm),
    /// Print volumes as JSON
    Inspect(Inspect),
    /// Make a volume
    Create(Create),
    /// Remove anonymous volumes that no container uses
    Prune(Prune),
}

/// `volume ls`
#[derive(Args, Clone, Debug)]
pub(super) struct Ls {
    /// Names only
    #[arg(short, long)]
    quiet: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// `volume rm`
#[derive(Args, Clone, Debug)]
pub(super) struct Rm {
    /// Names
    #[arg(required = true)]
    names: Vec<String>,
    /// A volume that is not there is no error
    #[arg(short, long)]
    force: bool,
}

/// `volume inspect`
#[derive(Args, Clone, Debug)]
pub(super) struct Inspect {
    /// Names
    #[arg(required = true)]
    names: Vec<String>,
}

/// `volume create`
#[derive(Args, Clone, Debug)]
pub(super) struct Create {
    /// Name
    name: String,
    /// Label
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<String>,
}

/// `volume prune`
#[derive(Args, Clone, Debug)]
pub(super) struct Prune {
    /// Named volumes, too
    #[arg(short, long)]
    all: bool,
}

impl Volume {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client().await?;
        match self {
            Self::Ls(ls) => {
                let found = client.volumes_list(&Filters::new()).await?.volumes;
                if ls.quiet {
                    found
                        .iter()
                        .for_each(|volume| context.ui.line(&volume.name));
                } else if ls.format == Format::Json {
                    for volume in &found {
                        context.ui.line(serde_json::to_string(volume)?);
                    }
                } else {
                    let mut table = Table::new(&["DRIVER", "VOLUME NAME"]);
                    found
                        .into_iter()
                        .for_each(|volume| table.row(vec![volume.driver, volume.name]));
                    context.ui.line(table.render());
                }
            }
            Self::Rm(rm) => {
                for name in &rm.names {
                    let removed = client.volume_remove(name, rm.force).await;
                    removed.during(format!("cannot remove volume `{name}`"))?;
                    context.ui.line(name);
                }
            }
            Self::Inspect(inspect) => {
                let mut found = Vec::new();
                for name in &inspect.names {
                    let volume = client.volume_inspect(name).await;
                    found.push(volume.during(format!("cannot look at volume `{name}`"))?);
                }
                context.ui.line(serde_json::to_string_pretty(&found)?);
            }
            Self::Create(create) => {
                let labels = create
                    .labels
                    .iter()
                    .map(|text| text.split_once('=').unwrap_or((text, "")));
                let body = VolumeCreate {
                    name: create.name.clone(),
                    labels: labels
                        .map(|(key, value)| (key.to_owned(), value.to_owned()))
                        .collect(),
                    ..VolumeCreate::default()
                };
                let made = client.volume_create(&body).await;
                let made = made.during(format!("cannot create volume `{}`", create.name))?;
                context.ui.line(made.name);
            }
            Self::Prune(prune) => {
                let filters = match prune.all {
                    true => Filters::new().with("all", "true"),
                    false => Filters::new(),
                };
                let pruned = client.volumes_prune(&filters).await?;
                pruned
                    .volumes_deleted
                    .iter()
                    .for_each(|name| context.ui.line(name));
                context
                    .ui
                    .note(format!("Reclaimed {}", bytes(pruned.space_reclaimed)));
            }
        }
        Ok(0)
    }
}
