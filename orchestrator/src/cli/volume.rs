//! `volume`: volumes of the engine, whatever project they belong to.

use bowline_api::{VolumeCreate, VolumeFork};
use bowline_client::{Client, Kind};
use clap::{Args, Subcommand};
use serde_json::json;

use super::context::Context;
use super::events::{filters, pair};
use super::format::{Format, Json, Listing};
use super::volume_snapshot::{Restore, Snapshot};
use crate::ui::{Outcome, WithContext as _, bytes};

/// See the module.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Volume {
    /// List volumes
    Ls(Ls),
    /// Make a volume
    Create(Create),
    /// Remove volumes
    Rm(Rm),
    /// Print volumes as JSON
    Inspect(Inspect),
    /// Remove anonymous volumes that no container uses
    Prune(Prune),
    /// Freeze a volume's files under a name
    Snapshot(Snapshot),
    /// Give a volume the files of one of its snapshots
    Restore(Restore),
    /// Make a volume with the files of another one
    Fork(Fork),
}

/// `volume ls`
#[derive(Args, Clone, Debug)]
pub(super) struct Ls {
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
    /// `name=`, `label=`, `driver=`, `dangling=`
    #[arg(short, long = "filter", value_name = "KEY=VALUE", value_parser = pair)]
    filters: Vec<(String, String)>,
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
    /// `json`, or a Go template
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        default_value = "json",
        hide_default_value = true
    )]
    format: Format,
}

/// `volume create`
#[derive(Args, Clone, Debug)]
pub(super) struct Create {
    /// Name; one that nobody has yet if absent
    name: Option<String>,
    /// Driver; there is `local`
    #[arg(short, long, default_value = "local")]
    driver: String,
    /// Option of the driver: `type`, `device`, `o`
    #[arg(short, long = "opt", value_name = "NAME=VALUE", value_parser = pair)]
    options: Vec<(String, String)>,
    /// Label
    #[arg(long = "label", value_name = "NAME[=VALUE]")]
    labels: Vec<String>,
}

/// `volume prune`
#[derive(Args, Clone, Debug)]
pub(super) struct Prune {
    /// Named volumes, too
    #[arg(short, long)]
    all: bool,
    /// `label=`, `label!=`
    #[arg(long = "filter", value_name = "KEY=VALUE", value_parser = pair)]
    filters: Vec<(String, String)>,
    /// There is no question; this is for those who are used to it
    #[arg(short, long)]
    force: bool,
}

/// `volume fork`
#[derive(Args, Clone, Debug)]
pub(super) struct Fork {
    /// The volume, or a snapshot of it as `VOLUME:TAG`
    source: String,
    /// Name of the new volume
    name: String,
    /// Label of the new volume
    #[arg(long = "label", value_name = "NAME[=VALUE]")]
    labels: Vec<String>,
}

impl Volume {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client().await?;
        match self {
            Self::Ls(ls) => ls.run(context, &client).await,
            Self::Create(create) => create.run(context, &client).await,
            Self::Rm(rm) => rm.run(context, &client).await,
            Self::Inspect(inspect) => {
                let (kinds, names) = ([Kind::Volume], &inspect.names);
                super::inspect::print(context, &client, &kinds, names, &inspect.format, false).await
            }
            Self::Prune(prune) => prune.run(context, &client).await,
            Self::Snapshot(snapshot) => snapshot.run(context, &client).await,
            Self::Restore(restore) => restore.run(context, &client).await,
            Self::Fork(fork) => fork.run(context, &client).await,
        }
    }
}

impl Ls {
    async fn run(&self, context: &Context, client: &Client) -> Outcome {
        let found = client.volumes_list(&filters(&self.filters)).await;
        let mut found = found.during("cannot list volumes")?.volumes;
        found.sort_by(|a, b| a.name.cmp(&b.name));
        if self.quiet {
            found
                .iter()
                .for_each(|volume| context.ui.line(&volume.name));
            return Ok(0);
        }
        let mut listing = Listing::new(&["DRIVER", "VOLUME NAME", "ORIGIN"]);
        for volume in found {
            let labels = volume
                .labels
                .iter()
                .map(|(key, value)| format!("{key}={value}"));
            let origin = volume.status.get("Origin").cloned().unwrap_or_default();
            let object = json!({
                "Availability": "N/A", "Driver": volume.driver, "Group": "N/A",
                "Labels": labels.collect::<Vec<_>>().join(","), "Links": "N/A",
                "Mountpoint": volume.mountpoint, "Name": volume.name, "Origin": origin,
                "Scope": volume.scope, "Size": "N/A", "Status": "N/A",
            });
            listing.row(object, vec![volume.driver, volume.name, origin]);
        }
        listing.print(context.ui, &self.format, Json::Lines)?;
        Ok(0)
    }
}

impl Create {
    async fn run(&self, context: &Context, client: &Client) -> Outcome {
        let name = self.name.clone().unwrap_or_default();
        let body = VolumeCreate {
            name: name.clone(),
            driver: self.driver.clone(),
            driver_opts: self.options.iter().cloned().collect(),
            labels: labels(&self.labels),
        };
        let made = client.volume_create(&body).await;
        let made = made.during(format!("cannot create volume `{name}`"))?;
        context.ui.line(made.name);
        Ok(0)
    }
}

impl Rm {
    async fn run(&self, context: &Context, client: &Client) -> Outcome {
        for name in &self.names {
            let removed = client.volume_remove(name, self.force).await;
            removed.during(format!("cannot remove volume `{name}`"))?;
            context.ui.line(name);
        }
        Ok(0)
    }
}

impl Prune {
    async fn run(&self, context: &Context, client: &Client) -> Outcome {
        let filters = filters(&self.filters);
        let filters = match self.all {
            true => filters.with("all", "true"),
            false => filters,
        };
        let pruned = client.volumes_prune(&filters).await?;
        pruned
            .volumes_deleted
            .iter()
            .for_each(|name| context.ui.line(name));
        context
            .ui
            .note(format!("Reclaimed {}", bytes(pruned.space_reclaimed)));
        Ok(0)
    }
}

impl Fork {
    async fn run(&self, context: &Context, client: &Client) -> Outcome {
        let (volume, tag) = self.source.split_once(':').unwrap_or((&self.source, ""));
        let fork = VolumeFork {
            name: self.name.clone(),
            tag: tag.to_owned(),
            labels: labels(&self.labels),
        };
        let made = client.volume_fork(volume, &fork).await;
        let made = made.during(format!("cannot fork `{}`", self.source))?;
        context.ui.line(made.name);
        Ok(0)
    }
}

fn labels(words: &[String]) -> std::collections::BTreeMap<String, String> {
    let pairs = words
        .iter()
        .map(|text| text.split_once('=').unwrap_or((text, "")));
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}
