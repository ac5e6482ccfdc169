//! `volume snapshot` and `volume restore`.

use bowline_client::Client;
use clap::{Args, Subcommand};
use serde_json::json;

use super::context::Context;
use super::format::{Format, Json, Listing};
use crate::ui::{Failure, Outcome, WithContext as _, bytes};

/// `volume snapshot`
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Snapshot {
    /// The volume
    #[arg(required = true)]
    volume: Option<String>,
    /// Name of the snapshot
    #[arg(required = true)]
    tag: Option<String>,
    #[command(subcommand)]
    other: Option<Other>,
}

/// What else is done with snapshots.
#[derive(Clone, Debug, Subcommand)]
enum Other {
    /// List snapshots
    Ls(Ls),
    /// Remove a snapshot; volumes made of it keep their files
    Rm(Rm),
}

/// `volume snapshot ls`
#[derive(Args, Clone, Debug)]
struct Ls {
    /// Only those of this volume
    volume: Option<String>,
    /// `VOLUME:TAG` only
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

/// `volume snapshot rm`
#[derive(Args, Clone, Debug)]
struct Rm {
    /// The volume
    volume: String,
    /// Its snapshots
    #[arg(required = true)]
    tags: Vec<String>,
}

/// `volume restore`
#[derive(Args, Clone, Debug)]
pub(super) struct Restore {
    /// The volume
    volume: String,
    /// The snapshot
    tag: String,
}

impl Snapshot {
    pub(super) async fn run(&self, context: &Context, client: &Client) -> Outcome {
        match &self.other {
            Some(Other::Ls(ls)) => return ls.run(context, client).await,
            Some(Other::Rm(rm)) => return rm.run(context, client).await,
            None => {}
        }
        let (Some(volume), Some(tag)) = (&self.volume, &self.tag) else {
            return Err(Failure::usage("a snapshot needs a volume and a name"));
        };
        let made = client.snapshot_create(volume, tag).await;
        let made = made.during(format!("cannot freeze volume `{volume}`"))?;
        context.ui.line(format!("{}:{}", made.volume, made.tag));
        Ok(0)
    }
}

impl Ls {
    async fn run(&self, context: &Context, client: &Client) -> Outcome {
        let found = client.snapshots_list(self.volume.as_deref()).await;
        let found = found.during("cannot list snapshots")?.snapshots;
        if self.quiet {
            for one in &found {
                context.ui.line(format!("{}:{}", one.volume, one.tag));
            }
            return Ok(0);
        }
        let mut listing = Listing::new(&["VOLUME", "TAG", "TAKEN", "SIZE", "FORKS"]);
        for one in found {
            let object = json!({
                "Volume": one.volume, "Tag": one.tag, "CreatedAt": one.created_at,
                "Size": one.size, "Images": one.images, "Running": one.running,
                "Volumes": one.volumes,
            });
            let cells = vec![
                one.volume,
                one.tag,
                one.created_at.chars().take(19).collect(),
                bytes(one.size),
                one.volumes.join(", "),
            ];
            listing.row(object, cells);
        }
        listing.print(context.ui, &self.format, Json::Lines)?;
        Ok(0)
    }
}

impl Rm {
    async fn run(&self, context: &Context, client: &Client) -> Outcome {
        for tag in &self.tags {
            let removed = client.snapshot_remove(&self.volume, tag).await;
            removed.during(format!("cannot remove snapshot `{}:{tag}`", self.volume))?;
            context.ui.line(format!("{}:{tag}", self.volume));
        }
        Ok(0)
    }
}

impl Restore {
    pub(super) async fn run(&self, context: &Context, client: &Client) -> Outcome {
        let restored = client.volume_restore(&self.volume, &self.tag).await;
        let restored = restored.during(format!("cannot restore volume `{}`", self.volume))?;
        context.ui.line(restored.name);
        Ok(0)
    }
}
